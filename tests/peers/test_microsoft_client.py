"""Microsoft's own client for Python, with its own sign-in (azure-identity), reads and writes the sandbox."""

from __future__ import annotations

import pytest

client_module = pytest.importorskip("PowerPlatform.Dataverse.client")
identity = pytest.importorskip("azure.identity")


@pytest.fixture
def client(trusted):
    names = trusted.info["credentials"]
    credential = identity.ClientSecretCredential(
        names["tenant_id"],
        names["client_id"],
        names["client_secret"],
        authority=trusted.url,
        disable_instance_discovery=True,
    )
    with client_module.DataverseClient(trusted.url, credential) as made:
        yield made


def test_metadata(client):
    tables = {table["LogicalName"] for table in client.tables.list()}
    assert {"contact", "cr0dd_loyaltyactivity", "cr0dd_extra0030"} <= tables
    assert "cr0dd_extra0017" not in tables, "it leaves private tables out"
    table = client.tables.get("contact")
    assert (table.entity_set_name, table.primary_id_attribute) == ("contacts", "contactid")
    kinds = {column["AttributeType"] for column in client.tables.list_columns("cr0dd_specimen")}
    assert kinds >= {"String", "Money", "Lookup", "Customer", "Owner", "EntityName", "BigInt", "Virtual"}
    assert client.tables.get_column("contact", "firstname")["MaxLength"] == 50
    assert client.tables.get("nope") is None
    lookups = {
        each["ReferencingEntityNavigationPropertyName"] for each in client.tables.list_table_relationships("contact")
    }
    assert lookups >= {"parentcustomerid_account", "ownerid"}


def test_pages(client):
    pages = list(client.records.list_pages("contact", select=["fullname"], page_size=50))
    assert [len(page) for page in pages] == [50, 50, 20]
    assert len({record["contactid"] for page in pages for record in page}) == 120


def test_queries(client):
    found = client.records.list(
        "contact", select=["fullname", "gendercode"], filter="gendercode eq 2", orderby=["fullname desc"], top=3,
        include_annotations="*",
    )  # fmt: skip
    rows = [record.data for record in found]
    assert [row["gendercode"] for row in rows] == [2, 2, 2]
    assert rows[0]["gendercode@OData.Community.Display.V1.FormattedValue"] == "Female"
    one = client.records.retrieve("contact", rows[0]["contactid"], select=["fullname"], expand=["ownerid"])
    assert one["ownerid"]["fullname"] == "Loyalty Sync"
    assert client.records.retrieve("contact", "00000000-0000-4000-8000-000000000000") is None


def test_writing(client, trusted):
    row_id = client.records.create("contact", {"firstname": "Ann", "lastname": "Lee"})
    client.records.update("contact", row_id, {"lastname": "Li"})
    assert trusted.organisation.get("contact", row_id)["fullname"] == "Ann Li"
    client.records.delete("contact", row_id)
    assert trusted.organisation.get("contact", row_id) is None


def test_batch_with_a_changeset(client, trusted):
    batch = client.batch.new()
    batch.records.list("contact", select=["fullname"], top=2)
    batch.tables.list()
    with batch.changeset() as changes:
        shop = changes.records.create("account", {"name": "Shop"})
        changes.records.create("contact", {"lastname": "Of the shop", "parentcustomerid_account@odata.bind": shop})
    result = batch.execute()
    assert [reply.status_code for reply in result.responses] == [200, 200, 204, 204]
    (contact,) = [row for row in trusted.organisation.rows("contact") if row["lastname"] == "Of the shop"]
    assert trusted.organisation.get("account", contact["parentcustomerid"])["name"] == "Shop"


def test_errors(client, trusted):
    trusted.organisation.switches.unreadable_tables = ["account"]
    with pytest.raises(Exception, match="prvReadAccount") as caught:
        list(client.records.list("account", select=["name"]))
    assert caught.value.details["service_error_code"] == "0x80040220"
