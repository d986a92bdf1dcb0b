"""Microsoft's own client for Python, with its own sign-in (azure-identity), reads and writes the sandbox."""

from __future__ import annotations

import enum

import pytest

client_module = pytest.importorskip("PowerPlatform.Dataverse.client")
errors_module = pytest.importorskip("PowerPlatform.Dataverse.core.errors")
upsert_module = pytest.importorskip("PowerPlatform.Dataverse.models.upsert")
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


COUPON = "cr0dd_Coupon"


class Size(enum.IntEnum):
    """A choice, as the client wants one."""

    SMALL = 1
    LARGE = 2


@pytest.fixture
def coupons(client):
    client.tables.create(
        COUPON,
        {"cr0dd_Code": "string", "cr0dd_Points": "int", "cr0dd_Value": "decimal", "cr0dd_Size": Size},
        display_name="Coupon",
        solution="LoyaltySandbox",
    )
    client.tables.create_alternate_key(COUPON, "cr0dd_ByCode", ["cr0dd_code"])
    return client


def test_many_rows_at_once(client, trusted):
    made = client.records.create("contact", [{"lastname": f"Bulk {n}"} for n in range(30)])
    rows = trusted.organisation
    assert [rows.get("contact", row_id)["lastname"] for row_id in made] == [f"Bulk {n}" for n in range(30)]
    client.records.update("contact", made, {"firstname": "All"})
    assert {rows.get("contact", row_id)["fullname"] for row_id in made} == {f"All Bulk {n}" for n in range(30)}
    client.records.update("contact", made[:2], [{"lastname": "One"}, {"lastname": "Two"}])
    assert [rows.get("contact", row_id)["fullname"] for row_id in made[:2]] == ["All One", "All Two"]
    assert client.records.delete("contact", made), "the id of a job"
    assert not any(rows.get("contact", row_id) for row_id in made)


def test_a_bad_row_among_many(client, trusted):
    before = trusted.organisation.count("contact")
    with pytest.raises(errors_module.HttpError) as caught:
        client.records.create("contact", [{"lastname": "ok"}, {"lastname": "x" * 51}])
    assert (caught.value.status_code, caught.value.details["service_error_code"]) == (400, "0x80044331")
    assert trusted.organisation.count("contact") == before


def test_tables_and_columns_come_and_go(coupons, trusted):
    client = coupons
    table = client.tables.get(COUPON)
    assert (table.entity_set_name, table.primary_name_attribute) == ("cr0dd_coupons", "cr0dd_name")
    client.tables.add_columns(COUPON, {"cr0dd_Day": "datetime", "cr0dd_Used": "bool", "cr0dd_Scan": "file"})
    client.tables.update_column(COUPON, "cr0dd_Code", {"max_length": 40})
    assert client.tables.get_column(COUPON, "cr0dd_code")["MaxLength"] == 40
    row_id = client.records.create(COUPON, {"cr0dd_Name": "Ten", "cr0dd_Size": "LARGE", "cr0dd_Used": True})
    row = client.records.retrieve(COUPON, row_id, select=["cr0dd_size", "cr0dd_used", "cr0dd_day"])
    assert (row["cr0dd_size"], row["cr0dd_used"], row["cr0dd_day"]) == (2, True, None)
    client.tables.remove_columns(COUPON, ["cr0dd_Day", "cr0dd_Used"])
    names = {column["LogicalName"] for column in client.tables.list_columns(COUPON)}
    assert {"cr0dd_size", "cr0dd_scan"} <= names
    assert not names & {"cr0dd_day", "cr0dd_used"}
    client.tables.delete(COUPON)
    assert client.tables.get(COUPON) is None
    assert "cr0dd_coupon" not in trusted.organisation.tables


def test_relationships_come_and_go(coupons):
    made = coupons.tables.create_lookup_field("cr0dd_coupon", "cr0dd_Holder", "contact")
    contact = coupons.records.create("contact", {"lastname": "Lee"})
    row_id = coupons.records.create(COUPON, {"cr0dd_Holder@odata.bind": f"/contacts({contact})"})
    assert coupons.records.retrieve(COUPON, row_id)["_cr0dd_holder_value"] == contact
    found = coupons.tables.get_relationship("contact_cr0dd_coupon_cr0dd_Holder")
    assert found.relationship_id == made.relationship_id
    coupons.tables.delete_relationship(made.relationship_id)
    assert coupons.tables.get_relationship("contact_cr0dd_coupon_cr0dd_Holder") is None


def test_upserts_by_alternate_key(coupons, trusted):
    client = coupons
    (key,) = client.tables.get_alternate_keys(COUPON)
    assert (key.schema_name, key.key_attributes, key.status) == ("cr0dd_ByCode", ["cr0dd_code"], "Active")

    def upsert(*codes, points):
        client.records.upsert(
            COUPON,
            [
                upsert_module.UpsertItem(alternate_key={"cr0dd_code": code}, record={"cr0dd_points": points})
                for code in codes
            ],
        )

    upsert("A", points=1)
    upsert("A", "B", "it's C", points=2)
    upsert("B", points=3)
    held = {row["cr0dd_code"]: row["cr0dd_points"] for row in trusted.organisation.rows("cr0dd_coupon")}
    assert held == {"A": 2, "B": 3, "it's C": 2}
    with pytest.raises(errors_module.HttpError) as caught:
        client.records.create(COUPON, {"cr0dd_code": "a"})
    assert (caught.value.status_code, caught.value.details["service_error_code"]) == (412, "0x80060892")
    client.tables.delete_alternate_key(COUPON, key.metadata_id)
    assert client.tables.get_alternate_keys(COUPON) == []
    client.records.create(COUPON, {"cr0dd_code": "a"})


def test_batches_write_and_provision(client, trusted):
    batch = client.batch.new()
    batch.tables.create(COUPON, {"cr0dd_Code": "string"})
    assert [reply.status_code for reply in batch.execute().responses] == [204]
    batch = client.batch.new()
    batch.tables.add_columns(COUPON, {"cr0dd_Points": "int"})
    batch.records.create(COUPON, [{"cr0dd_Code": "A"}, {"cr0dd_Code": "B"}])
    batch.records.create(COUPON, {"cr0dd_Nope": 1})
    batch.records.create(COUPON, {"cr0dd_Code": "C"})
    result = batch.execute(continue_on_error=True)
    assert [reply.status_code for reply in result.responses] == [204, 200, 400, 204]
    assert {row["cr0dd_code"] for row in trusted.organisation.rows("cr0dd_coupon")} == {"A", "B", "C"}
    batch = client.batch.new()
    with batch.changeset() as changes:
        row = changes.records.create(COUPON, {"cr0dd_Code": "D"})
        changes.records.update(COUPON, row, {"cr0dd_Points": 4})
        changes.records.create(COUPON, {"cr0dd_Code": "x" * 201})
    batch.execute(continue_on_error=True)
    assert trusted.organisation.count("cr0dd_coupon") == 3
