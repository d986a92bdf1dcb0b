from __future__ import annotations

import json
import re

import pytest
from dataverse_client import ORIGIN

A, B = "a0000000-0000-4000-8000-00000000000a", "b0000000-0000-4000-8000-00000000000b"


def test_create_answers_with_the_address(dataverse):
    reply = dataverse.call("POST", "contacts", body={"contactid": A, "firstname": "Ann", "lastname": "Lee"})
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["OData-EntityId"] == f"{ORIGIN}/api/data/v9.2/contacts({A})"
    row = dataverse.organisation.get("contact", A)
    assert row["fullname"] == "Ann Lee"
    assert (row["statecode"], row["statuscode"], row["versionnumber"]) == (0, 1, 1)


def test_create_with_representation(dataverse):
    reply = dataverse.call(
        "POST",
        "contacts",
        "$select=contactid,emailaddress1,createdon",
        body={"emailaddress1": "a@example.com"},
        prefer="return=representation",
        version="v9.0",
    )
    body = json.loads(reply.body)
    assert reply.status == 201
    assert body["@odata.context"].endswith("#contacts(contactid,emailaddress1,createdon)/$entity")
    assert set(body) == {"@odata.context", "@odata.etag", "contactid", "emailaddress1", "createdon"}
    assert reply.headers["ETag"] == body["@odata.etag"]
    assert reply.headers["Preference-Applied"] == "return=representation"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["createdon"])


def test_a_taken_id_is_refused(dataverse):
    dataverse.organisation.create("contact", {"contactid": A})
    assert dataverse.error("POST", "contacts", body={"contactid": A})[:2] == (412, "0x80040237")


def test_patch_changes_or_creates(dataverse):
    assert dataverse.call("PATCH", f"contacts({A})", body={"lastname": "Lee"}).status == 204
    before = dataverse.organisation.get("contact", A)
    dataverse.clock.advance(5)
    reply = dataverse.call("PATCH", f"contacts({A.upper()})", body={"firstname": "Ann"}, prefer="return=representation")
    after = dataverse.organisation.get("contact", A)
    assert reply.status == 200
    assert json.loads(reply.body)["fullname"] == after["fullname"] == "Ann Lee"
    assert after["versionnumber"] > before["versionnumber"]
    assert after["modifiedon"] > before["modifiedon"]
    assert after["createdon"] == before["createdon"]
    created = dataverse.call("PATCH", f"contacts({B})", body={}, prefer="return=representation")
    assert created.status == 201


def test_conditions(dataverse):
    assert dataverse.error("PATCH", f"contacts({A})", body={}, if_match="*")[:2] == (404, "0x80040217")
    assert dataverse.organisation.count("contact") == 0
    assert dataverse.call("PATCH", f"contacts({A})", body={}, if_none_match="*").status == 204
    assert dataverse.error("PATCH", f"contacts({A})", body={}, if_none_match="*")[0] == 412
    assert dataverse.call("PATCH", f"contacts({A})", body={}, if_match='W/"1"').status == 204
    assert dataverse.error("PATCH", f"contacts({A})", body={}, if_match='W/"1"')[:2] == (412, "0x80060882")
    assert dataverse.error("DELETE", f"contacts({A})", if_match='W/"1"')[0] == 412
    assert dataverse.call("DELETE", f"contacts({A})", if_match='W/"2"').status == 204
    assert dataverse.error("DELETE", f"contacts({A})")[:2] == (404, "0x80040217")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"nope": 1}, "0x80048d19", "The property 'nope' does not exist on type 'Microsoft.Dynamics.CRM.contact'"),
        ({"FirstName": "x"}, "0x80048d19", "The property 'FirstName'"),
        ({"nope@odata.bind": "/accounts(x)"}, "0x80048d19", "'nope'"),
        ({"_ownerid_value": A}, "0x80048d19", "Navigation"),
        ({"parentcustomerid_account@odata.bind": "x"}, "0x80048d19", "not a reference"),
        ({"parentcustomerid_account@odata.bind": f"/contacts({A})"}, "0x80048d19", "does not fit"),
        ({"firstname": "x" * 51}, "0x80044331", "maximum allowed length of '50'"),
        ({"numberofchildren": -1}, "0x8004432f", "numberofchildren"),
        ({"creditlimit": 1e15}, "0x80044330", "creditlimit"),
        ({"gendercode": 9}, "0x8004431A", "gendercode"),
        ({"cr0dd_interests": "1,99"}, "0x8004431A", "cr0dd_interests"),
        ({"firstname": 1}, "0x80048d19", "Edm.String"),
        ({"gendercode": "1"}, "0x80048d19", "Edm.Int32"),
        ({"gendercode": True}, "0x80048d19", "Edm.Int32"),
        ({"donotemail": "true"}, "0x80048d19", "Edm.Boolean"),
        ({"birthdate": "29.02.1980"}, "0x80048d19", "Edm.Date"),
        ({"birthdate": "20000101"}, "0x80048d19", "Edm.Date"),
        ({"birthdate": "1700-01-01"}, "0x80048d19", "Edm.Date"),
        ({"overriddencreatedon": "soon"}, "0x80048d19", "Edm.DateTimeOffset"),
        ({"contactid": "x"}, "0x80048d19", "Edm.Guid"),
        (b"{", "0x80048d19", "JSON"),
        ([1], "0x80048d19", "StartObject"),
    ],
)
def test_refused_bodies_write_nothing(dataverse, body, code, words):
    status, found, message = dataverse.error("POST", "contacts", body=body)
    assert (status, found) == (400, code)
    assert words in message
    assert dataverse.organisation.count("contact") == 0


def test_values_are_kept_as_the_platform_keeps_them(dataverse):
    dataverse.call(
        "POST",
        "contacts",
        body={
            "contactid": A, "firstname": "", "cr0dd_interests": "9,1".replace("9", "3"), "creditlimit": 12.34567,
            "overriddencreatedon": "2024-01-01T02:00:00+02:00", "modifiedon": "2000-01-01T00:00:00Z",
            "fullname": "ignored", "@odata.type": "Microsoft.Dynamics.CRM.contact",
        },
    )  # fmt: skip
    body = dataverse.get(f"contacts({A})")
    assert body["firstname"] is None
    assert body["fullname"] is None
    assert body["cr0dd_interests"] == "1,3"
    assert body["creditlimit"] == body["creditlimit_base"] == 12.3457
    assert body["createdon"] == "2024-01-01T00:00:00Z"
    assert body["modifiedon"] > "2020"


def test_lookups_are_bound_and_cleared(dataverse):
    shop = dataverse.organisation.create("account", {"name": "Shop"})
    bind = "parentcustomerid_account@odata.bind"
    dataverse.call("POST", "contacts", body={"contactid": A, bind: f"/accounts({shop})"})
    assert dataverse.get(f"contacts({A})")["_parentcustomerid_value"] == shop
    assert dataverse.error("PATCH", f"contacts({A})", body={bind: f"/accounts({B})"})[0] == 404
    full = f"{ORIGIN}/api/data/v9.2/contacts({A})"
    dataverse.call("PATCH", f"contacts({A})", body={"parentcustomerid_contact@odata.bind": full})
    assert dataverse.organisation.get("contact", A)["parentcustomerid__table"] == "contact"
    dataverse.call("PATCH", f"contacts({A})", body={bind: None})
    assert dataverse.get(f"contacts({A})")["_parentcustomerid_value"] is None
    activity = {"cr0dd_Contact@odata.bind": f"/contacts({A})", "cr0dd_points": 5}
    assert dataverse.call("POST", "cr0dd_loyaltyactivities", body=activity).status == 204
    assert dataverse.get("cr0dd_loyaltyactivities")["value"][0]["_cr0dd_contact_value"] == A


def test_state_moves_the_status(dataverse):
    dataverse.call("PATCH", f"contacts({A})", body={"statecode": 1})
    assert dataverse.get(f"contacts({A})")["statuscode"] == 2
    dataverse.call("PATCH", f"contacts({A})", body={"statecode": 0})
    assert dataverse.get(f"contacts({A})")["statuscode"] == 1


def test_the_model_writes_as_a_user_would(dataverse):
    org = dataverse.organisation
    row_id = org.create("contacts", {"firstname": "Ann"})
    org.update("contact", row_id, {"lastname": "Lee"})
    assert org.get("contact", row_id)["fullname"] == "Ann Lee"
    assert [row["contactid"] for row in org.rows("contacts")] == [row_id]
    org.delete("contact", row_id)
    assert org.get("contact", row_id) is None
