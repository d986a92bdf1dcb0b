"""Alternate keys: how they are made, and reading and writing by them (Dataverse page 4, 5.1)."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import unquote

import pytest
from dataverse_client import ORIGIN
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.dataverse import addresses
from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.schema import Key
from annex_d365_sandbox.dataverse.tables.contact import CONTACT

A = "a0000000-0000-4000-8000-00000000000a"
KEYS = "EntityDefinitions(LogicalName='contact')/Keys"
MEMBER = {"SchemaName": "cr0dd_ByMember", "KeyAttributes": ["cr0dd_loyaltyid"]}


def make(dataverse, body=None, table="contact"):
    path = f"EntityDefinitions(LogicalName='{table}')/Keys"
    reply = dataverse.call("POST", path, body=body or MEMBER)
    assert reply.status == 204, reply.body
    return reply


@pytest.fixture
def keyed(dataverse):
    make(dataverse)
    return dataverse


def test_a_key_in_metadata(dataverse):
    reply = make(dataverse)
    address = reply.headers["OData-EntityId"]
    assert address.startswith(f"{ORIGIN}/api/data/v9.2/{KEYS}(")
    (key,) = dataverse.get(KEYS)["value"]
    assert (key["SchemaName"], key["LogicalName"]) == ("cr0dd_ByMember", "cr0dd_bymember")
    assert (key["KeyAttributes"], key["EntityKeyIndexStatus"]) == (["cr0dd_loyaltyid"], "Active")
    expanded = dataverse.get("EntityDefinitions(LogicalName='contact')", "$expand=Keys($select=KeyAttributes)")
    assert expanded["Keys"] == [{"MetadataId": key["MetadataId"], "KeyAttributes": ["cr0dd_loyaltyid"]}]
    path = address.removeprefix(f"{ORIGIN}/api/data/v9.2/")
    assert dataverse.get(path)["MetadataId"] == key["MetadataId"]
    assert dataverse.call("DELETE", path).status == 204
    assert dataverse.get(KEYS)["value"] == []
    assert dataverse.error("DELETE", path)[0] == 404


def test_a_key_is_of_no_use_while_it_is_pending(dataverse):
    dataverse.organisation.switches.key_build_seconds = 60
    make(dataverse)
    row_id = dataverse.organisation.create("contact", {"cr0dd_loyaltyid": "M1"})
    assert dataverse.get(KEYS)["value"][0]["EntityKeyIndexStatus"] == "Pending"
    assert dataverse.error("GET", "contacts(cr0dd_loyaltyid='M1')")[:2] == (400, "0x80060890")
    dataverse.clock.advance(61)
    assert dataverse.get(KEYS)["value"][0]["EntityKeyIndexStatus"] == "Active"
    assert dataverse.get("contacts(cr0dd_loyaltyid='M1')")["contactid"] == row_id


def test_a_key_over_equal_values_fails(dataverse):
    for _ in range(2):
        dataverse.organisation.create("contact", {"cr0dd_loyaltyid": "M1"})
    make(dataverse)
    assert dataverse.get(KEYS)["value"][0]["EntityKeyIndexStatus"] == "Failed"
    assert dataverse.error("PATCH", "contacts(cr0dd_loyaltyid='M1')", body={})[1] == "0x80060890"
    assert dataverse.organisation.create("contact", {"cr0dd_loyaltyid": "M1"}), "nothing watches over the values"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (MEMBER, "0x80060893"),
        ({**MEMBER, "SchemaName": "cr0dd_Other"}, "0x80060894"),
        ({"SchemaName": "x", "KeyAttributes": ["lastname"]}, "0x80044366"),
        ({"SchemaName": "cr0dd_X", "KeyAttributes": ["nope"]}, "0x80060888"),
        ({"SchemaName": "cr0dd_X", "KeyAttributes": []}, "0x80048d19"),
        ({"SchemaName": "cr0dd_X", "KeyAttributes": ["lastname", "lastname"]}, "0x80048d19"),
        ({"SchemaName": "cr0dd_X", "KeyAttributes": ["donotemail"]}, "0x80060888"),
        ({"SchemaName": "cr0dd_X", "KeyAttributes": ["parentcustomerid"]}, "0x80060888"),
        ({"SchemaName": "cr0dd_X", "KeyAttributes": ["address1_line1", "address1_line2"]}, "0x80060888"),
    ],
)
def test_refused_keys(keyed, body, code):
    assert keyed.error("POST", KEYS, body=body)[1] == code
    assert len(keyed.get(KEYS)["value"]) == 1


def test_ten_keys_are_the_most(dataverse):
    columns = "firstname middlename lastname suffix mobilephone telephone1 telephone2 telephone3 fax employeeid".split()
    for name in columns:
        make(dataverse, {"SchemaName": f"cr0dd_By{name}", "KeyAttributes": [name]})
    assert dataverse.error("POST", KEYS, body=MEMBER)[0] == 400


def test_upsert_by_key(keyed):
    path = "contacts(cr0dd_loyaltyid='M1')"
    reply = keyed.call("PATCH", path, body={"lastname": "Lee", "cr0dd_loyaltyid": "other"})
    assert (reply.status, reply.headers["OData-EntityId"]) == (204, f"{ORIGIN}/api/data/v9.2/{path}")
    (row,) = keyed.organisation.rows("contact")
    assert (row["cr0dd_loyaltyid"], row["lastname"]) == ("M1", "Lee"), "the URL's key wins"
    again = keyed.call(
        "PATCH", path, body={"lastname": "Li", "cr0dd_loyaltyid": "other"}, prefer="return=representation"
    )
    assert again.status == 200
    assert json.loads(again.body)["contactid"] == row["contactid"]
    assert keyed.get(path)["cr0dd_loyaltyid"] == "M1", "a key in the body is ignored"
    assert keyed.error("PATCH", path, body={}, if_none_match="*")[0] == 412
    assert keyed.error("PATCH", "contacts(cr0dd_loyaltyid='M2')", body={}, if_match="*")[:2] == (404, "0x80060891")
    assert keyed.error("PATCH", path, body={}, if_match='W/"1"')[:2] == (412, "0x80060882")
    assert keyed.organisation.count("contact") == 1
    assert keyed.call("PUT", f"{path}/lastname", body={"value": "Lo"}).status == 204
    assert keyed.get(path, "$select=lastname")["lastname"] == "Lo"
    assert keyed.call("DELETE", path).status == 204
    assert keyed.error("GET", path)[:2] == keyed.error("DELETE", path)[:2] == (404, "0x80060891")


def test_a_key_that_the_column_does_not_take(keyed):
    path = f"contacts(cr0dd_loyaltyid='{'x' * 101}')"
    assert keyed.error("GET", path)[:2] == (404, "0x80060891")
    assert keyed.error("PATCH", path, body={})[:2] == (400, "0x80044331")
    names = ["cr0dd_whole", "cr0dd_decimal", "cr0dd_size"]
    make(keyed, {"SchemaName": "cr0dd_Many", "KeyAttributes": names}, "cr0dd_specimen")
    for whole, number, size, code in (
        (2**31, 1, 100000000, "0x8004432f"),
        (10**20, 1, 100000000, "0x80048d19"),
        (1, 10**12, 100000000, "0x80044330"),
        (1, 1, 5, "0x8004431A"),
    ):
        path = f"cr0dd_specimens(cr0dd_whole={whole},cr0dd_decimal={number},cr0dd_size={size})"
        assert keyed.error("PATCH", path, body={})[:2] == (400, code)


def test_case_does_not_tell_values_apart(keyed):
    keyed.call("PATCH", "contacts(cr0dd_loyaltyid='Ä1')", body={})
    assert keyed.get("contacts(cr0dd_loyaltyid='ä1')")["cr0dd_loyaltyid"] == "Ä1"
    assert keyed.error("POST", "contacts", body={"cr0dd_loyaltyid": "ä1"})[:2] == (412, "0x80060892")


def test_a_taken_value_is_refused(keyed):
    org = keyed.organisation
    org.create("contact", {"cr0dd_loyaltyid": "M1"})
    other = org.create("contact", {"cr0dd_loyaltyid": "M2"})
    status, code, message = keyed.error("PATCH", f"contacts({other})", body={"cr0dd_loyaltyid": "m1"})
    assert (status, code) == (412, "0x80060892")
    assert message.startswith("Entity Key cr0dd_ByMember violated. A record with the same value for")
    for _ in range(2):
        assert keyed.call("POST", "contacts", body={"lastname": "No member"}).status == 204, "nulls are not compared"


def test_keys_of_several_columns_and_types(dataverse):
    table = "cr0dd_specimen"
    names = ["cr0dd_whole", "cr0dd_decimal", "cr0dd_day", "cr0dd_size", "cr0dd_contact"]
    make(dataverse, {"SchemaName": "cr0dd_Many", "KeyAttributes": names}, table)
    contact = dataverse.organisation.create("contact", {"lastname": "Lee"})
    key = f"cr0dd_whole=-5,cr0dd_decimal=1.25, cr0dd_day=2026-01-31,cr0dd_size=100000001,_cr0dd_contact_value={contact}"
    assert dataverse.call("PATCH", f"{table}s({key})", body={"cr0dd_text": "x"}).status == 204
    row = dataverse.get(f"{table}s({key})")
    assert (row["cr0dd_whole"], row["cr0dd_decimal"], row["cr0dd_day"]) == (-5, 1.25, "2026-01-31")
    assert (row["cr0dd_size"], row["_cr0dd_contact_value"]) == (100000001, contact)
    assert dataverse.error("GET", f"{table}s(cr0dd_whole=-5)")[1] == "0x80060890", "a part of a key is none"
    same = {"cr0dd_whole": -5, "cr0dd_decimal": 1.25, "cr0dd_day": "2026-01-31", "cr0dd_size": 100000001}
    bind = {"cr0dd_Contact@odata.bind": f"/contacts({contact})"}
    assert dataverse.error("POST", f"{table}s", body={**same, **bind})[:2] == (412, "0x80060892")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("lastname='Lee'", "0x80060890"),
        ("nope='x'", "0x80060890"),
        ("cr0dd_loyaltyid=5", "0x80060888"),
        ("cr0dd_loyaltyid", "0x80060888"),
        ("cr0dd_loyaltyid='a+b'", "0x80060888"),
        ("cr0dd_loyaltyid='a/b'", "0x80060888"),
        ("contactid='x'", "0x80060888"),
    ],
)
def test_bad_addresses(keyed, key, code):
    assert keyed.error("PATCH", f"contacts({key})", body={})[:2] == (400, code)
    assert keyed.organisation.count("contact") == 0


def test_the_primary_key_by_name(keyed):
    keyed.organisation.create("contact", {"contactid": A, "lastname": "Lee"})
    assert keyed.get(f"contacts(contactid={A})")["lastname"] == "Lee"


def test_references_by_key(keyed):
    make(keyed, {"SchemaName": "cr0dd_ByNumber", "KeyAttributes": ["accountnumber"]}, "account")
    shop = keyed.organisation.create("account", {"name": "Shop", "accountnumber": "S/1+x"})
    bind = "parentcustomerid_account@odata.bind"
    assert keyed.call("POST", "contacts", body={bind: "/accounts(accountnumber='S/1+x')"}).status == 204
    (row,) = keyed.organisation.rows("contact")
    assert (row["parentcustomerid"], row["parentcustomerid__table"]) == (shop, "account")
    missing = keyed.error("POST", "contacts", body={bind: "accounts(accountnumber='S2')"})
    assert missing[:2] == (404, "0x80060891")
    assert keyed.error("POST", "contacts", body={bind: "/accounts(name='Shop')"})[:2] == (400, "0x80048d19")


@given(st.text(min_size=1, max_size=100).filter(lambda text: not addresses._UNSAFE & set(text)))
def test_any_text_can_be_a_key(text):
    table = replace(CONTACT, keys=(Key("k", ("cr0dd_loyaltyid",)),))
    quoted = text.replace("'", "''")
    address = addresses.in_url(table, f"cr0dd_loyaltyid='{quoted}'")
    assert address.key == {"cr0dd_loyaltyid": text}


@given(st.text(max_size=40).map(unquote))
def test_no_text_is_too_odd_for_an_address(text):
    try:
        found = addresses.in_url(CONTACT, text)
    except DataverseError:
        return
    assert found.row_id
