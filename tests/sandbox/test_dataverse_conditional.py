"""Conditions, single columns, references, privileges and headers of writes (Dataverse page 2.1, 5.1)."""

from __future__ import annotations

import json

import pytest

A, B = "a0000000-0000-4000-8000-00000000000a", "b0000000-0000-4000-8000-00000000000b"


@pytest.fixture
def lee(dataverse):
    dataverse.organisation.create("contact", {"contactid": A, "lastname": "Lee", "firstname": "Ann"})
    return dataverse


def test_update_only(dataverse):
    assert dataverse.error("PATCH", f"contacts({A})", body={}, if_match="*")[:2] == (404, "0x80040217")
    assert dataverse.error("PATCH", f"contacts({A})", body={}, if_match='W/"1"')[:2] == (404, "0x80040217")


def test_create_only(lee):
    assert lee.error("PATCH", f"contacts({A})", body={"lastname": "x"}, if_none_match="*")[0] == 412
    assert lee.call("PATCH", f"contacts({B})", body={}, if_none_match="*", prefer="return=representation").status == 201
    assert lee.call("PATCH", f"contacts({A})", body={}, if_none_match="null").status == 204


def test_versions(lee):
    etag = lee.call("GET", f"contacts({A})").headers["ETag"]
    reply = lee.call("PATCH", f"contacts({A})", body={"lastname": "Li"}, if_match=etag, prefer="return=representation")
    assert (reply.status, reply.headers["ETag"]) == (200, json.loads(reply.body)["@odata.etag"])
    assert reply.headers["ETag"] != etag
    assert lee.error("PATCH", f"contacts({A})", body={"lastname": "x"}, if_match=etag)[:2] == (412, "0x80060882")
    assert lee.error("PATCH", f"contacts({A})", body={"lastname": "x"}, if_match="soon")[:2] == (412, "0x80060883")
    assert lee.error("DELETE", f"contacts({A})", if_match=etag)[:2] == (412, "0x80060882")
    assert lee.organisation.get("contact", A)["lastname"] == "Li"
    assert lee.call("DELETE", f"contacts({A})", if_match=reply.headers["ETag"]).status == 204


def test_single_columns(lee):
    assert lee.call("PUT", f"contacts({A})/firstname", body={"value": "Bo"}).status == 204
    assert lee.organisation.get("contact", A)["fullname"] == "Bo Lee"
    assert lee.call("DELETE", f"contacts({A})/firstname").status == 204
    assert lee.organisation.get("contact", A)["fullname"] == "Lee"
    assert lee.error("PUT", f"contacts({A})/firstname", body={"value": 5})[1] == "0x80048d19"
    assert lee.error("PUT", f"contacts({A})/firstname", body={"other": 5})[1] == "0x80048d19"
    assert lee.error("PUT", f"contacts({A})/nope", body={"value": 5})[0] == 404
    assert lee.error("DELETE", f"contacts({A})/nope")[0] == 404
    assert lee.error("DELETE", f"contacts({B})/firstname")[:2] == (404, "0x80040217")
    assert lee.error("DELETE", f"contacts({A})/statecode")[1] == "0x80040203", "the system requires it"
    assert lee.organisation.count("contact") == 1


def test_references(lee):
    shop = lee.organisation.create("account", {"name": "Shop"})
    path = f"contacts({A})/parentcustomerid_account/$ref"
    for method in ("POST", "PUT"):
        assert lee.call(method, path, body={"@odata.id": f"accounts({shop})"}).status == 204
        assert lee.get(f"contacts({A})")["_parentcustomerid_value"] == shop
        assert lee.call("DELETE", path).status == 204
        assert lee.get(f"contacts({A})")["_parentcustomerid_value"] is None
    assert lee.error("POST", path, body={})[0] == 400
    assert lee.error("POST", path, body={"@odata.id": f"contacts({A})"})[0] == 400
    assert lee.error("POST", path, body={"@odata.id": f"accounts({B})"})[0] == 404
    assert lee.error("DELETE", f"contacts({A})/ParentCustomerId_account/$ref")[0] == 404


def test_names_of_navigation_properties_are_case_sensitive(lee):
    body = {"cr0dd_contact@odata.bind": f"/contacts({A})"}
    status, code, text = lee.error("POST", "cr0dd_loyaltyactivities", body=body)
    assert (status, code) == (400, "0x80048d19")
    assert "undeclared property 'cr0dd_contact'" in text
    right = {"cr0dd_Contact@odata.bind": f"/contacts({A})"}
    assert lee.call("POST", "cr0dd_loyaltyactivities", body=right).status == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"statuscode": 2}, "0x80048408"),
        ({"statecode": 1, "statuscode": 1}, "0x80048408"),
        ({"statecode": None}, "0x80040203"),
        ({"ownerid@odata.bind": None}, "0x80040203"),
        ({"statuscode": 9}, "0x8004431A"),
        ({"cr0dd_interests": ",".join(map(str, range(151)))}, "0x8004431A"),
    ],
)
def test_values_that_do_not_go_together(lee, body, code):
    assert lee.error("PATCH", f"contacts({A})", body=body)[:2] == (400, code)
    assert lee.error("POST", "contacts", body=body)[:2] == (400, code)


def test_states_with_their_status(lee):
    assert lee.call("PATCH", f"contacts({A})", body={"statecode": 1, "statuscode": 2}).status == 204
    assert lee.call("PATCH", f"contacts({A})", body={"statuscode": 2}).status == 204
    assert lee.error("PATCH", f"contacts({A})", body={"statuscode": 1})[1] == "0x80048408"


def test_privileges(lee):
    lee.organisation.switches.unwritable_tables = ["contact"]
    calls = {
        "Create": ("POST", "contacts", {"body": {}}),
        "Write": ("PATCH", f"contacts({A})", {"body": {}}),
        "Delete": ("DELETE", f"contacts({A})", {}),
    }
    for verb, (method, path, more) in calls.items():
        status, code, text = lee.error(method, path, **more)
        assert (status, code) == (403, "0x80040220")
        assert f"prv{verb}Contact" in text
    assert lee.get(f"contacts({A})")["lastname"] == "Lee"


@pytest.mark.parametrize("header", ["mscrm.bypasscustompluginexecution", "mscrm.bypassbusinesslogicexecution"])
def test_bypassing_needs_a_privilege(lee, header):
    value = {header: "true" if "plugin" in header else "CustomSync,CustomAsync"}
    assert lee.call("PATCH", f"contacts({A})", body={}, **value).status == 204
    lee.organisation.switches.may_bypass_custom_logic = False
    status, code, text = lee.error("PATCH", f"contacts({A})", body={}, **value)
    assert (status, code) == (403, "0x80040220")
    assert "prvBypassCustomBusinessLogic" in text
    assert lee.call("PATCH", f"contacts({A})", body={}, **{header: "false"}).status == 204


def test_duplicate_detection_is_off_until_asked_for(lee):
    suppress = {"mscrm.suppressduplicatedetection": "false"}
    lee.call("PATCH", f"contacts({A})", body={"emailaddress1": "ann@example.com"}, **suppress)
    same = {"emailaddress1": "ANN@example.com"}
    assert lee.error("POST", "contacts", body=same, **suppress)[:2] == (412, "0x80040333")
    assert lee.error("PATCH", f"contacts({B})", body=same, **suppress)[:2] == (412, "0x80040333")
    assert lee.call("PATCH", f"contacts({A})", body=same, **suppress).status == 204, "a row is no duplicate of itself"
    assert lee.call("POST", "contacts", body=same).status == 204
    assert lee.call("POST", "contacts", body=same, **{"mscrm.suppressduplicatedetection": "true"}).status == 204
    assert lee.call("POST", "contacts", body={"lastname": "No address"}, **suppress).status == 204


def test_every_reply_advises_a_parallelism(lee):
    lee.organisation.switches.dop_hint = 7
    for reply in (lee.call("PATCH", f"contacts({A})", body={}), lee.call("GET", "WhoAmI"), lee.call("GET", "nopes")):
        assert reply.headers["x-ms-dop-hint"] == "7"


def test_the_log_shows_headers_but_no_token(sandbox, signed_in):
    headers = {
        "MSCRM.BypassBusinessLogicExecution": "CustomSync",
        "MSCRM.SuppressCallbackRegistrationExpanderJob": "true",
        "CallerObjectId": A,
    }
    url = f"{sandbox.url}/api/data/v9.2/contacts"
    assert signed_in.post(url, json={"lastname": "Lee"}, headers=headers).status_code == 204
    entry = sandbox.log.entries()[-1]
    assert {name: entry["headers"][name.lower()] for name in headers} == headers
    assert signed_in.headers["Authorization"].split()[1] not in json.dumps(sandbox.log.entries())
