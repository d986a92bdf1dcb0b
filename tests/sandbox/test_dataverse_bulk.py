"""CreateMultiple, UpdateMultiple, UpsertMultiple, BulkDelete (Dataverse page 5.3)."""

from __future__ import annotations

import json

import pytest

A, B, C = (f"{letter}0000000-0000-4000-8000-00000000000{letter}" for letter in "abc")
KEY = {"SchemaName": "cr0dd_ByMember", "KeyAttributes": ["cr0dd_loyaltyid"]}


def path(message, table="contacts"):
    return f"{table}/Microsoft.Dynamics.CRM.{message}"


def targets(*rows, kind="contact"):
    return {"Targets": [{"@odata.type": f"Microsoft.Dynamics.CRM.{kind}", **row} for row in rows]}


@pytest.fixture
def keyed(dataverse):
    dataverse.call("POST", "EntityDefinitions(LogicalName='contact')/Keys", body=KEY)
    return dataverse


def names(dataverse):
    return {row["contactid"]: row["lastname"] for row in dataverse.organisation.rows("contact")}


def member(name, **more):
    return {"@odata.id": f"contacts(cr0dd_loyaltyid='{name}')", **more}


def test_create_answers_ids_in_order(dataverse):
    reply = dataverse.call(
        "POST", path("CreateMultiple"), body=targets({"lastname": "Lee"}, {"contactid": A, "lastname": "Li"})
    )
    body = json.loads(reply.body)
    assert reply.status == 200
    assert body["@odata.context"].endswith("$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse")
    assert body["Ids"][1] == A
    assert names(dataverse) == {body["Ids"][0]: "Lee", A: "Li"}
    versions = [row["versionnumber"] for row in dataverse.organisation.rows("contact")]
    assert len(set(versions)) == 2


def test_update(dataverse):
    for row_id in (A, B):
        dataverse.organisation.create("contact", {"contactid": row_id, "lastname": "Lee", "firstname": "Ann"})
    rows = targets({"contactid": A, "lastname": "Li"}, {"@odata.id": f"contacts({B})", "lastname": None})
    assert dataverse.call("POST", path("UpdateMultiple"), body=rows).status == 204
    assert names(dataverse) == {A: "Li", B: None}
    assert dataverse.organisation.get("contact", A)["fullname"] == "Ann Li"


def test_upsert_by_key_id_and_nothing(keyed):
    keyed.organisation.create("contact", {"contactid": A, "cr0dd_loyaltyid": "M1"})
    rows = targets(member("M1", lastname="1"), member("M2", lastname="2"), {"contactid": B, "lastname": "3"}, {})
    reply = keyed.call("POST", path("UpsertMultiple"), body=rows)
    assert (reply.status, reply.body) == (204, b"")
    assert names(keyed)[A] == "1"
    assert names(keyed)[B] == "3"
    assert keyed.get("contacts(cr0dd_loyaltyid='M2')")["lastname"] == "2"
    assert keyed.organisation.count("contact") == 4


@pytest.mark.parametrize(
    ("message", "rows", "error"),
    [
        ("CreateMultiple", [{"lastname": "ok"}, {"lastname": "x" * 51}], (400, "0x80044331")),
        ("CreateMultiple", [{"lastname": "ok"}, {"contactid": A}], (412, "0x80040237")),
        ("CreateMultiple", [{"lastname": "ok"}, {"cr0dd_loyaltyid": "m1"}], (412, "0x80060892")),
        ("CreateMultiple", [{"contactid": B}, {"contactid": B}], (412, "0x80040237")),
        ("CreateMultiple", [{"lastname": "ok"}, {"nope": 1}], (400, "0x80048d19")),
        ("UpdateMultiple", [{"contactid": A, "lastname": "ok"}, {"contactid": B}], (404, "0x80040217")),
        ("UpdateMultiple", [{"contactid": A, "lastname": "ok"}, member("M9")], (404, "0x80060891")),
        ("UpdateMultiple", [{"contactid": A, "lastname": "ok"}, {"lastname": "x"}], (400, "0x80048d19")),
        ("UpdateMultiple", [{"contactid": A, "lastname": "ok"}, {"contactid": "x"}], (400, "0x80048d19")),
        ("UpsertMultiple", [member("M2"), member("M1", gendercode=9)], (400, "0x8004431A")),
        ("UpsertMultiple", [member("M2"), member("m2")], (412, "0x80040237")),
        ("UpsertMultiple", [member("M2"), {"@odata.id": "contacts(lastname='x')"}], (400, "0x80060890")),
        ("UpsertMultiple", [member("M2"), {"@odata.id": "contacts(1)"}], (400, "0x80060888")),
        ("UpsertMultiple", [member("M2"), {"@odata.id": f"accounts({A})"}], (400, "0x80048d19")),
        ("UpsertMultiple", [member("M2"), {"@odata.id": "nopes(x=1)"}], (404, "0x80060888")),
    ],
)
def test_a_bad_row_undoes_all_and_is_not_named(keyed, message, rows, error):
    keyed.organisation.create("contact", {"contactid": A, "lastname": "Lee", "cr0dd_loyaltyid": "M1"})
    version = keyed.organisation.version()
    status, code, text = keyed.error("POST", path(message), body=targets(*rows))
    assert (status, code) == error
    assert "Targets[" not in text
    assert names(keyed) == {A: "Lee"}
    assert keyed.organisation.version() == version


def test_one_row_twice_where_an_organisation_takes_it(keyed):
    keyed.organisation.switches.refuse_repeated_targets = False
    rows = targets(member("M1", lastname="1"), member("M1", lastname="2"))
    assert keyed.call("POST", path("UpsertMultiple"), body=rows).status == 204
    assert keyed.get("contacts(cr0dd_loyaltyid='M1')")["lastname"] == "2"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"Targets": {}},
        {"Targets": [1]},
        {"Targets": [{"lastname": "x"}]},
        targets({}, kind="account"),
        targets({"@odata.type": 5}),
        b"{",
    ],
)
def test_targets_must_say_what_they_are(dataverse, body):
    assert dataverse.error("POST", path("CreateMultiple"), body=body)[:2] == (400, "0x80048d19")


def available(dataverse, table, message="CreateMultiple"):
    query = (
        f"$select=sdkmessagefilterid&$filter=sdkmessageid/name eq '{message}' and primaryobjecttypecode eq '{table}'"
    )
    return len(dataverse.get("sdkmessagefilters", query)["value"]) == 1


def test_message_filters_say_which_table_has_which(dataverse):
    assert available(dataverse, "contact")
    assert available(dataverse, "cr0dd_loyaltyactivity", "UpsertMultiple")
    assert not available(dataverse, "account")
    assert not available(dataverse, "contact", "DeleteMultiple")
    refused = dataverse.error("POST", path("CreateMultiple", "accounts"), body=targets({}, kind="account"))
    assert refused[:2] == (400, "0x80100008")
    dataverse.organisation.switches.tables_without_bulk_messages = ["contact"]
    assert available(dataverse, "account")
    assert not available(dataverse, "contact")
    assert dataverse.error("POST", path("CreateMultiple"), body=targets({}))[1] == "0x80100008"


def test_a_new_table_has_them(dataverse):
    primary = {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "SchemaName": "new_Name",
        "IsPrimaryName": True,
    }
    dataverse.call("POST", "EntityDefinitions", body={"SchemaName": "new_Coupon", "Attributes": [primary]})
    assert available(dataverse, "new_coupon")
    rows = targets({"new_name": "Ten"}, kind="new_coupon")
    assert dataverse.call("POST", path("CreateMultiple", "new_coupons"), body=rows).status == 200


def test_delete_multiple_is_for_elastic_tables(dataverse):
    assert dataverse.error("POST", path("DeleteMultiple"), body=targets({"contactid": A}))[0] == 501


def test_too_much_for_one_call(dataverse):
    dataverse.organisation.switches.max_bulk_rows = 2
    assert dataverse.error("POST", path("CreateMultiple"), body=targets({}, {}, {}))[:2] == (500, "0x80044151")
    dataverse.organisation.switches.max_body_bytes = 200
    reply = dataverse.call("POST", path("CreateMultiple"), body=targets({"lastname": "x" * 200}))
    assert reply.status == 413
    assert dataverse.organisation.count("contact") == 0


def test_privileges(dataverse):
    dataverse.organisation.create("contact", {"contactid": A})
    dataverse.organisation.switches.unwritable_tables = ["contact"]
    for message, verb in (("CreateMultiple", "Create"), ("UpdateMultiple", "Write"), ("UpsertMultiple", "Write")):
        row = {} if verb == "Create" else {"contactid": A}
        status, code, text = dataverse.error("POST", path(message), body=targets(row))
        assert (status, code) == (403, "0x80040220")
        assert f"prv{verb}Contact privilege" in text


def query_set(*conditions, entity="contact", **criteria):
    return {"JobName": "x", "QuerySet": [{"EntityName": entity, "Criteria": {"Conditions": conditions, **criteria}}]}


def condition(name, *values, operator="In"):
    return {
        "AttributeName": name,
        "Operator": operator,
        "Values": [{"Value": v, "Type": "System.Guid"} for v in values],
    }


def test_bulk_delete(dataverse):
    for row_id in (A, B, C):
        dataverse.organisation.create("contact", {"contactid": row_id, "lastname": "Lee"})
    reply = dataverse.call("POST", "BulkDelete", body=query_set(condition("contactid", A, B.upper())))
    assert len(json.loads(reply.body)["JobId"]) == 36
    assert set(names(dataverse)) == {C}
    dataverse.call("POST", "BulkDelete", body=query_set(condition("lastname", "Lee", operator="Equal")))
    assert not names(dataverse)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        (query_set(entity="nope"), 404),
        (query_set(condition("nope", 1)), 400),
        (query_set(condition("contactid", A, operator="Like")), 400),
        (query_set(condition("contactid", "x")), 400),
        (query_set(FilterOperator="Or"), 400),
        (query_set(5), 400),
        (query_set({"AttributeName": "contactid", "Operator": "In", "Values": 5}), 400),
    ],
)
def test_bulk_delete_refuses(dataverse, body, status):
    dataverse.organisation.create("contact", {"contactid": A})
    assert dataverse.error("POST", "BulkDelete", body=body)[0] == status
    assert set(names(dataverse)) == {A}


def test_many_rows(keyed):
    rows = [member(f"M{n}", lastname=f"L{n}") for n in range(1000)]
    for _ in range(2):
        assert keyed.call("POST", path("UpsertMultiple"), body=targets(*rows)).status == 204
    assert keyed.organisation.count("contact") == 1000
    assert keyed.organisation.version() == 2000
