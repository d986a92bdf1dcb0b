"""Rows into the sandbox's Dynamics 365: modes, ways, faults, definitions."""

from __future__ import annotations

import collections
import json
import logging
from decimal import Decimal

import pytest
from support import tap_config

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.writes import (
    AlternateKey,
    Effect,
    Guid,
    Kind,
    Operation,
    Reference,
    TableWriter,
    WriteOptions,
    Written,
    alternate_key,
    encode,
    guid_for,
    read_definition,
    return_representation,
)
from annex_d365.dataverse.writes import calls as calls_module
from annex_d365.dataverse.writes.provision import ColumnSpec, KeySpec, TableSpec, apply, plan
from annex_d365.errors import OutageError, PrivilegeError, RowError, ServiceError, SettingError

WAYS = ["auto", "batch", "single"]
LOYALTY_KEY = KeySpec("cr0dd_LoyaltyIdKey", "Loyalty id", ("cr0dd_loyaltyid",))


@pytest.fixture
def dataverse(sandbox):
    return connect(tap_config(sandbox))


@pytest.fixture
def keyed(dataverse):
    """Contacts have the loyalty id as alternate key."""
    apply(dataverse, plan(dataverse, [TableSpec("contact", keys=[LOYALTY_KEY], solution="LoyaltySandbox")]))


def write(dataverse, operations, table="contacts", **options):
    with dataverse.http.gate.workers(4, "writer") as pool:
        writer = TableWriter(dataverse, read_definition(dataverse, table), WriteOptions(**options))
        return writer.write(operations, pool)


def effects(results):
    """How often each; of those in doubt ("or": an earlier sending may have created them) the number by itself."""
    return collections.Counter(
        (each.effect if not each.in_doubt else ("or", each.effect)) if isinstance(each, Written) else each.code
        for each in results
    )


def rows(kind, count, *, start=0, **values):
    return [
        Operation(kind, Guid(guid_for("test", str(number))), {"lastname": f"Name {number}", **values})
        for number in range(start, start + count)
    ]


def names(dataverse, *operations):
    return [dataverse.get(f"contacts({each.key.value})?$select=lastname")["lastname"] for each in operations]


def sent(sandbox):
    """Writing requests that the sandbox has seen, by their last segment."""
    paths = [entry["path"] for entry in sandbox.control.log.entries() if entry["method"] != "GET"]
    return collections.Counter(path.rpartition("/")[2].rpartition(".")[2].partition("(")[0] for path in paths)


@pytest.mark.parametrize("way", WAYS)
def test_modes(dataverse, way):
    told = way != "auto"  # a bulk message does not say which rows are new
    new = effects(write(dataverse, rows(Kind.UPSERT, 60), way=way))
    assert new == {Effect.CREATED if told else Effect.UPSERTED: 60}
    again = effects(write(dataverse, rows(Kind.UPSERT, 60), way=way))
    assert again == {Effect.UPDATED if told else Effect.UPSERTED: 60}
    assert effects(write(dataverse, rows(Kind.CREATE, 65), way=way)) == {Effect.EXISTS: 60, Effect.CREATED: 5}
    assert effects(write(dataverse, rows(Kind.UPDATE, 70), way=way)) == {Effect.UPDATED: 65, Effect.MISSING: 5}
    assert effects(write(dataverse, rows(Kind.DELETE, 70), way=way)) == {Effect.DELETED: 65, Effect.MISSING: 5}
    assert effects(write(dataverse, rows(Kind.UPDATE, 5), way=way)) == {Effect.MISSING: 5}
    with pytest.raises(ServiceError):
        names(dataverse, *rows(Kind.UPDATE, 1))


@pytest.mark.parametrize("way", WAYS)
def test_results_are_in_order_and_have_guids(dataverse, way):
    operations = [
        *rows(Kind.CREATE, 30),
        *rows(Kind.DELETE, 3, start=50),
        Operation(Kind.CREATE, None, {"lastname": "x"}),
    ]
    results = write(dataverse, operations, way=way)
    assert [each.effect for each in results] == [Effect.CREATED] * 30 + [Effect.MISSING] * 3 + [Effect.CREATED]
    assert [each.id for each in results[:33]] == [operation.key.value for operation in operations[:33]]
    assert dataverse.get(f"contacts({results[-1].id})?$select=lastname")["lastname"] == "x"


@pytest.mark.parametrize(
    ("way", "count", "requests"),
    [("auto", 400, {"UpsertMultiple": 4}), ("batch", 400, {"$batch": 4}), ("single", 30, {"contacts": 30})],
)
def test_requests_of_each_way(dataverse, sandbox, way, count, requests):
    write(dataverse, rows(Kind.UPSERT, count), way=way)
    assert sent(sandbox) == {**requests, "token": 1}


def test_a_table_without_bulk_messages(dataverse, sandbox):
    operations = [Operation(Kind.UPSERT, Guid(guid_for("a", str(n))), {"name": "A"}) for n in range(150)]
    assert effects(write(dataverse, operations, "account")) == {Effect.CREATED: 150}
    assert sent(sandbox)["$batch"] == 2
    assert effects(write(dataverse, operations, "account", way="bulk")) == {Effect.UPDATED: 150}


@pytest.mark.parametrize("way", WAYS)
def test_bad_rows_take_no_other_row_with_them(dataverse, way):
    operations = rows(Kind.UPSERT, 500 if way == "auto" else 40)
    bad = {7, 33, len(operations) - 1}
    for number in bad:
        operations[number] = Operation(Kind.UPSERT, operations[number].key, {"lastname": "secret" * 20})
    results = write(dataverse, operations, way=way)
    refused = {number: each for number, each in enumerate(results) if isinstance(each, RowError)}
    assert refused.keys() == bad
    assert {each.code for each in refused.values()} == {"0x80044331"}
    assert "secret" not in str(refused)
    assert names(dataverse, operations[6], operations[-2]) == ["Name 6", f"Name {len(operations) - 2}"]


@pytest.mark.parametrize("way", WAYS)
def test_alternate_keys(dataverse, keyed, way):
    definition = read_definition(dataverse, "contacts", fresh=True)
    assert definition.key(["cr0dd_loyaltyid"]).active
    ids = ["A 1", "O'Neil", "Ünï çødé", "100%", "a/b", "a+b@example.com", "x#y", "=,()"]
    keys = [alternate_key(definition, {"cr0dd_loyaltyid": each}) for each in ids]
    operations = [Operation(Kind.UPSERT, key, {"lastname": "K", "cr0dd_loyaltyid": "not this"}) for key in keys]
    for _ in range(2):
        assert not any(isinstance(each, RowError) for each in write(dataverse, operations, way=way))
    found = [row["cr0dd_loyaltyid"] for row in _where(dataverse, "lastname eq 'K'")]
    assert sorted(found) == sorted(ids)
    assert effects(write(dataverse, [Operation(Kind.CREATE, key) for key in keys], way=way)) == {Effect.EXISTS: 8}
    renamed = write(dataverse, [Operation(Kind.UPDATE, key, {"lastname": "R"}) for key in keys], way=way)
    assert effects(renamed) == {Effect.UPDATED: 8}
    assert effects(write(dataverse, [Operation(Kind.DELETE, key) for key in keys], way=way)) == {Effect.DELETED: 8}
    assert effects(write(dataverse, [Operation(Kind.UPDATE, key) for key in keys], way=way)) == {Effect.MISSING: 8}


def _where(dataverse, condition):
    return dataverse.get(f"contacts?$select=cr0dd_loyaltyid&$filter={condition}")["value"]


def test_another_row_has_the_key(dataverse, keyed):
    (taken,) = write(dataverse, [Operation(Kind.CREATE, None, {"lastname": "x", "cr0dd_loyaltyid": "T1"})])
    assert taken.effect is Effect.CREATED
    (refused,) = write(dataverse, [Operation(Kind.CREATE, Guid(guid_for("t", "2")), {"cr0dd_loyaltyid": "T1"})])
    assert isinstance(refused, RowError)
    assert "another row has the same alternate key" in str(refused)


def test_a_key_that_is_none(dataverse):
    with pytest.raises(SettingError, match="no alternate key"):
        write(dataverse, [Operation(Kind.UPSERT, AlternateKey({"jobtitle": "x"}), {"lastname": "x"})])


def test_versions_guard_a_row(dataverse):
    (operation,) = rows(Kind.UPSERT, 1)
    write(dataverse, [operation])
    etag = dataverse.get(f"contacts({operation.key.value})?$select=lastname")["@odata.etag"]
    guarded = [Operation(Kind.UPDATE, operation.key, {"lastname": "new"}, etag=etag)]
    assert effects(write(dataverse, guarded)) == {Effect.UPDATED: 1}
    assert effects(write(dataverse, guarded)) == {"0x80060882": 1}
    assert effects(write(dataverse, [Operation(Kind.DELETE, operation.key, etag=etag)])) == {"0x80060882": 1}
    assert names(dataverse, operation) == ["new"]


@pytest.mark.parametrize("way", WAYS)
def test_a_reply_that_is_lost_changes_nothing(dataverse, sandbox, way, caplog):
    sandbox.control.faults.add(kind="lost_reply", route="contacts|batch", count=1)
    created = effects(write(dataverse, rows(Kind.CREATE, 40), way=way))
    assert created.keys() <= {Effect.CREATED, ("or", Effect.EXISTS)}
    assert created["or", Effect.EXISTS] == {"auto": 40, "batch": 40, "single": 1}[way]
    sandbox.control.faults.add(kind="lost_reply", route="contacts|batch", count=1)
    assert effects(write(dataverse, rows(Kind.DELETE, 40), way=way)) == {Effect.DELETED: 40}
    assert "Name" not in caplog.text


def test_a_new_row_without_a_key_is_made_once_though_the_reply_is_lost(dataverse, sandbox):
    sandbox.control.faults.add(kind="lost_reply", route="CreateMultiple", count=1)
    operations = [Operation(Kind.CREATE, None, {"lastname": "once"})] * 20
    assert effects(write(dataverse, operations)) == {("or", Effect.EXISTS): 20}
    assert len(_where(dataverse, "lastname eq 'once'")) == 20


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_is_busy(dataverse, sandbox, status):
    sandbox.control.faults.add(kind="status", route="contacts", status=status, retry_after=1, count=2)
    assert effects(write(dataverse, rows(Kind.UPSERT, 200))) == {Effect.UPSERTED: 200}


def test_a_bulk_call_that_takes_too_long(dataverse, sandbox, monkeypatch):
    monkeypatch.setattr(calls_module, "SLOW_SECONDS", 0.0)
    sandbox.control.faults.add(kind="status", route="UpsertMultiple", status=504, count=1)
    # Halves are no more than a batch takes, which tells more.
    assert effects(write(dataverse, rows(Kind.UPSERT, 90))) == {Effect.CREATED: 90}
    assert sent(sandbox)["UpsertMultiple"] == 1
    assert sent(sandbox)["$batch"] == 1


def test_a_bulk_call_without_an_answer_in_time(dataverse, sandbox, monkeypatch):
    monkeypatch.setattr(calls_module, "SLOW_SECONDS", 0.0)
    sandbox.control.faults.add(kind="lost_reply", route="CreateMultiple", count=1)
    assert effects(write(dataverse, rows(Kind.CREATE, 90))) == {("or", Effect.EXISTS): 90}
    assert sent(sandbox) == {"CreateMultiple": 1, "$batch": 1, "token": 1}


def test_after_a_failure_nothing_more_is_sent(dataverse, sandbox):
    sandbox.organisation.switches.unwritable_tables = ["contact"]
    with dataverse.http.gate.workers(1, "writer") as pool:
        writer = TableWriter(dataverse, read_definition(dataverse, "contact"), WriteOptions(way="single"))
        with pytest.raises(PrivilegeError):
            writer.write(rows(Kind.UPSERT, 500), pool)
    assert sent(sandbox)["contacts"] < 10


def test_the_database_has_no_time_for_so_many_rows(dataverse, sandbox):
    sandbox.organisation.switches.max_bulk_rows = 150
    assert effects(write(dataverse, rows(Kind.UPSERT, 1000))) == {Effect.UPSERTED: 1000}
    assert sent(sandbox)["UpsertMultiple"] >= 8


def test_bodies_that_are_too_large(dataverse, sandbox):
    sandbox.organisation.switches.max_body_bytes = 20_000
    results = write(dataverse, rows(Kind.UPSERT, 300, description="x" * 300))
    assert not any(isinstance(each, RowError) for each in results)
    (refused,) = write(dataverse, rows(Kind.UPSERT, 1, description="x" * 30_000))
    assert isinstance(refused, RowError)
    assert refused.status == 413


def test_what_ends_the_run(dataverse, sandbox):
    with pytest.raises(SettingError, match="no column or navigation property `nosuch`"):
        write(dataverse, rows(Kind.UPSERT, 30, nosuch=1))
    with pytest.raises(SettingError, match="there is no table `nosuchs`"):
        read_definition(dataverse, "nosuchs")
    sandbox.organisation.switches.unwritable_tables = ["contact"]
    for way in WAYS:
        with pytest.raises(PrivilegeError, match="prv"):
            write(dataverse, rows(Kind.UPSERT, 30), way=way)


def test_headers_say_how_to_write(dataverse, sandbox):
    caller = "5a0d0000-0000-4000-8000-00000000000c"
    options = {"bypass_business_logic": "CustomSync", "suppress_flows": True, "caller_object_id": caller}
    for way in WAYS:
        write(dataverse, rows(Kind.UPSERT, 20), way=way, **options)
    sandbox.organisation.switches.may_bypass_custom_logic = False
    with pytest.raises(PrivilegeError, match="prvBypassCustom"):
        write(dataverse, rows(Kind.UPSERT, 20), **options)
    told = json.dumps([entry for entry in sandbox.control.log.entries() if entry["method"] in {"POST", "PATCH"}])
    assert caller in told
    assert "CustomSync" in told


def test_the_same_row_twice_in_one_call(dataverse):
    first, other = rows(Kind.UPSERT, 2)
    last = Operation(Kind.UPSERT, Guid(first.key.value.upper()), {"lastname": "last"})
    results = write(dataverse, [first, other, last])
    assert effects(results) == {Effect.UPSERTED: 3}
    assert names(dataverse, first, other) == ["last", "Name 1"]


def test_values_of_all_types_come_back(dataverse):
    definition = read_definition(dataverse, "cr0dd_specimens")
    contact = dataverse.get("contacts?$select=contactid&$top=1")["value"][0]["contactid"]
    values = {
        "cr0dd_name": "Ünï 🎁",
        "cr0dd_whole": "-7",
        "cr0dd_big": 2**53 + 1,
        "cr0dd_decimal": Decimal("12345.67891"),
        "cr0dd_double": 0.25,
        "cr0dd_money": "20000.1234",
        "cr0dd_flag": "YES",
        "cr0dd_size": "medium",
        "cr0dd_sizes": ["Large", 100000000],
        "cr0dd_moment": "2024-01-01T00:30:00+01:00",
        "cr0dd_wallclock": "2024-01-01T00:30:00+01:00",
        "cr0dd_day": "2024-01-01T00:30:00+01:00",
        "cr0dd_guid": "A0000000-0000-4000-8000-00000000000A",
        "cr0dd_contact": contact,
        "cr0dd_regarding": Reference(Guid(contact), "contact"),
    }
    members = {}
    for name, value in values.items():
        members.update(encode(definition, name, value))
    (written,) = write(dataverse, [Operation(Kind.CREATE, None, members)], "cr0dd_specimens")
    row = dataverse.get(f"cr0dd_specimens({written.id})")
    expected = {
        **values,
        "cr0dd_whole": -7,
        "cr0dd_money": Decimal("20000.1234"),
        "cr0dd_flag": True,
        "cr0dd_size": 100000001,
        "cr0dd_sizes": "100000000,100000002",
        "cr0dd_moment": "2023-12-31T23:30:00Z",
        "cr0dd_wallclock": "2024-01-01T00:30:00Z",
        "cr0dd_day": "2024-01-01",
        "cr0dd_guid": "a0000000-0000-4000-8000-00000000000a",
        "_cr0dd_contact_value": contact,
        "_cr0dd_regarding_value": contact,
    }
    del expected["cr0dd_contact"], expected["cr0dd_regarding"]
    assert {name: row[name] for name in expected} == expected
    cleared = {member: None for name in values if name != "cr0dd_name" for member in encode(definition, name, None)}
    write(dataverse, [Operation(Kind.UPDATE, Guid(written.id), cleared)], "cr0dd_specimens")
    row = dataverse.get(f"cr0dd_specimens({written.id})")
    assert {row[name] for name in expected if name != "cr0dd_name"} == {None}


def test_lookups_by_key_and_to_rows_that_are_not_there(dataverse, keyed):
    definition = read_definition(dataverse, "cr0dd_loyaltyactivity")
    write(dataverse, [Operation(Kind.UPSERT, AlternateKey({"cr0dd_loyaltyid": "O'X 1"}), {"lastname": "x"})])

    def activity(loyalty_id):
        target = Reference(AlternateKey({"cr0dd_loyaltyid": loyalty_id}), "contact")
        return Operation(Kind.CREATE, None, encode(definition, "cr0dd_contact", target))

    good, bad = write(dataverse, [activity("O'X 1"), activity("nobody")], "cr0dd_loyaltyactivity")
    assert good.effect is Effect.CREATED
    assert "a row that it refers to is not there" in str(bad)
    (missing,) = write(
        dataverse, [Operation(Kind.UPDATE, Guid(good.id), activity("nobody").values)], "cr0dd_loyaltyactivity"
    )
    assert isinstance(missing, RowError)


def test_a_definition_is_read_once_and_tells_what_writing_needs(dataverse):
    definition = read_definition(dataverse, "contacts")
    before = dataverse.http.requests_sent
    assert read_definition(dataverse, "contact") is definition
    assert dataverse.http.requests_sent == before
    assert (definition.logical_name, definition.entity_set, definition.primary_id) == (
        "contact",
        "contacts",
        "contactid",
    )
    assert definition.messages == {"CreateMultiple", "UpdateMultiple", "UpsertMultiple"}
    assert definition.columns["firstname"].max_length == 50
    assert definition.columns["parentcustomerid"].lookups.keys() == {"account", "contact"}
    assert definition.read_only(["fullname", "firstname"], Kind.UPSERT) == ["fullname"]
    assert definition.columns["donotemail"].labels
    specimen = read_definition(dataverse, "cr0dd_specimens").columns
    assert specimen["cr0dd_contact"].lookups["contact"].property == "cr0dd_Contact"
    assert specimen["cr0dd_size"].choices == {100000000: "Small", 100000001: "Medium", 100000002: "Large"}


def test_the_documents_call(dataverse, sandbox):
    row = return_representation(dataverse, "contacts", {"lastname": "Doc"}, ["contactid", "lastname"])
    assert row["lastname"] == "Doc"
    assert names(dataverse, Operation(Kind.UPDATE, Guid(row["contactid"]))) == ["Doc"]
    with pytest.raises(RowError, match="a text is too long"):
        return_representation(dataverse, "contacts", {"lastname": "x" * 100})
    sandbox.control.faults.add(kind="lost_reply", route="contacts", count=1)
    with pytest.raises(OutageError):
        return_representation(dataverse, "contacts", {"lastname": "Doubt"})
    assert len(_where(dataverse, "lastname eq 'Doubt'")) == 1


VISIT = TableSpec(
    "cr0dd_Visit",
    "Visit",
    "Visits",
    primary_name=ColumnSpec("cr0dd_Name", "Name"),
    columns=[
        *(ColumnSpec(f"cr0dd_{each}", each, each) for each in ("String", "Memo", "Integer", "Decimal", "Double")),
        *(ColumnSpec(f"cr0dd_{each}", each, each) for each in ("DateTime", "Date", "Boolean")),
        ColumnSpec("cr0dd_Contact", "Contact", "Lookup", target="contact"),
    ],
    keys=[KeySpec("cr0dd_VisitKey", "Visit", ("cr0dd_string",))],
    solution="LoyaltySandbox",
)


def test_tables_columns_and_keys_are_made_once(dataverse):
    steps = plan(dataverse, [VISIT])
    assert [step.sentence for step in steps][:2] == [
        "Create table cr0dd_Visit (Visit).",
        "Create column cr0dd_String (String, String) in cr0dd_visit.",
    ]
    assert steps[-1].sentence == "Create alternate key cr0dd_VisitKey (cr0dd_string) on cr0dd_visit."
    apply(dataverse, steps)
    assert plan(dataverse, [VISIT]) == []
    definition = read_definition(dataverse, "cr0dd_visit")
    assert definition.columns["cr0dd_date"].date_behavior == "DateOnly"
    assert definition.columns["cr0dd_contact"].lookups["contact"].property == "cr0dd_Contact"
    assert definition.key(["cr0dd_string"]).active
    visit = Operation(Kind.UPSERT, AlternateKey({"cr0dd_string": "V1"}), encode(definition, "cr0dd_boolean", "yes"))
    assert effects(write(dataverse, [visit], "cr0dd_visit")) == {Effect.CREATED: 1}


def test_a_key_is_waited_for(dataverse, sandbox, monkeypatch):
    sandbox.organisation.switches.key_build_seconds = 60
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        sandbox.control.clock.advance(31)

    monkeypatch.setattr(dataverse.http.gate, "sleep", sleep)
    wanted = [TableSpec("contact", keys=[LOYALTY_KEY], solution="LoyaltySandbox")]
    apply(dataverse, plan(dataverse, wanted)[:1])
    assert len(waited) == 2
    assert plan(dataverse, wanted) == []


def test_definitions_that_cannot_be_made(dataverse, sandbox):
    other = TableSpec("contact", columns=[ColumnSpec("firstname", "First name", "Integer")])
    with pytest.raises(SettingError, match="has a column `firstname` of another type, StringType"):
        plan(dataverse, [other])
    with pytest.raises(SettingError, match="there is no table `nosuch`"):
        plan(dataverse, [TableSpec("nosuch")])
    foreign = TableSpec("contact", columns=[ColumnSpec("xyz_Tier", "Tier")], solution="LoyaltySandbox")
    with pytest.raises(ServiceError, match=r"Create column xyz_Tier .* prefix"):
        apply(dataverse, plan(dataverse, [foreign]))
    sandbox.organisation.switches.may_customize = False
    with pytest.raises(PrivilegeError):
        apply(dataverse, plan(dataverse, [VISIT]))


def test_no_member_data_in_logs(dataverse, keyed, sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    sandbox.control.faults.add(kind="status", route="contacts", status=503, count=1)
    key = AlternateKey({"cr0dd_loyaltyid": "private"})
    write(dataverse, [Operation(Kind.UPSERT, key, {"lastname": "x"})], way="single")
    assert "Trying again" in caplog.text
    assert "private" not in caplog.text
