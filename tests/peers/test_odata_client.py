"""A client for OData V4 in general (python-odata) finds its way through ``$metadata`` alone."""

from __future__ import annotations

import pytest
import requests

odata = pytest.importorskip("odata", reason="python-odata is not installed")


@pytest.fixture
def service(trusted):
    names = trusted.info["credentials"]
    form = {
        "grant_type": "client_credentials",
        "client_id": names["client_id"],
        "client_secret": names["client_secret"],
        "resource": trusted.url,
    }
    with requests.Session() as session:
        token = session.post(trusted.info["auth_endpoint_url"], data=form).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        yield odata.ODataService(
            f"{trusted.url}/api/data/v9.2/", session=session, reflect_entities=True, quiet_progress=True
        )


def test_it_finds_every_set(service, trusted):
    assert set(service.entities) == set(trusted.organisation.sets)


def test_it_reads_all_contacts(service, trusted):
    contact = service.entities["contacts"]
    found = {str(row.contactid): row.fullname for row in service.query(contact)}
    assert found == {row["contactid"]: row["fullname"] for row in trusted.organisation.rows("contact")}


def test_it_filters_orders_and_follows_lookups(service, trusted):
    contact = service.entities["contacts"]
    query = service.query(contact).filter(contact.firstname.startswith("A")).order_by(contact.fullname.desc())
    names = [row.fullname for row in query]
    wanted = [row["fullname"] for row in trusted.organisation.rows("contact") if row["firstname"].startswith("A")]
    assert sorted(names) == sorted(wanted)
    assert names[0].casefold() >= names[-1].casefold()
    with_account = next(row for row in trusted.organisation.rows("contact") if row["parentcustomerid"])
    row = service.query(contact).get(with_account["contactid"])
    account = trusted.organisation.get("account", with_account["parentcustomerid"])
    assert row.parentcustomerid_account.name == account["name"]
