"""Rows into tables of Dynamics 365: keys, modes, values, and what is written at all. Against the sandbox."""

from __future__ import annotations

import pytest
from crm import ACTIVITIES, ACTIVITY, SPECIMENS, Crm, rows_of
from loyalty import state

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.writes import guid_for
from annex_d365.dataverse.writes.provision import apply, plan
from annex_d365.dataverse.writes.specs import KeySpec, TableSpec
from annex_d365.errors import SettingError
from target_annex.dynamics import rows as writer


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


def activity(number, **columns):
    return {"cr0dd_loyaltyid": f"X{number}", "cr0dd_points": number, **columns}


def activities(*rows, key=("cr0dd_loyaltyid",)):
    return rows_of(ACTIVITIES, *rows, key=key)


def specimen(crm, **columns):
    """Load one row into the table with a column of every kind; what it holds then."""
    known = {row["cr0dd_specimenid"] for row in crm.rows("cr0dd_specimen")}
    counts = crm.load(rows_of("specimens", {"id": "1", **columns}, key=["id"]), streams=SPECIMENS)
    if counts != {"created": 1}:
        return None
    (row,) = [row for row in crm.rows("cr0dd_specimen") if row["cr0dd_specimenid"] not in known]
    return row


# Keys


def test_a_row_without_a_key_of_the_table_gets_a_guid_of_its_own(crm):
    assert crm.load(activities(activity(1))) == {"created": 1}
    row = crm.activities()["X1"]
    assert row["cr0dd_loyaltyactivityid"] == guid_for(ACTIVITIES, "X1")
    assert row["cr0dd_points"] == 1
    assert crm.writes() == [("POST", ACTIVITIES, 201)]


def test_many_new_rows_go_in_bulk_and_count_as_upserted(crm):
    assert crm.load(activities(*(activity(number) for number in range(50)))) == {"upserted": 50}
    assert {crm.activities()[f"X{number}"]["cr0dd_points"] for number in range(50)} == set(range(50))
    assert {path.rpartition(".")[2] for _, path, _ in crm.writes()} == {"UpsertMultiple"}


@pytest.mark.parametrize("written", ["{id}", "{ID}", "{{{id}}}"])
def test_a_guid_column_tells_the_row(crm, written):
    found = crm.put(lastname="Old")
    text = written.format(id=found, ID=found.upper())
    counts = crm.load(rows_of("contacts", {"contactid": text, "lastname": "New"}, key=["contactid"]))
    assert counts == {"updated": 1}
    assert crm.organisation.get("contact", found)["lastname"] == "New"
    assert [each[:2] for each in crm.writes()] == [("PATCH", f"contacts({found})")]


def test_a_guid_that_is_none_rejects_the_row(crm):
    row = {"contactid": "4711", "lastname": "New"}
    assert crm.load(rows_of("contacts", row, key=["contactid"])) == {"rejected": 1}
    assert crm.reasons() == ["column `contactid` is not a GUID"]


@pytest.fixture
def by_key(crm):
    """The organisation with an alternate key on the loyalty id of activities."""
    dataverse = connect(crm.config())
    key = KeySpec("cr0dd_LoyaltyIdKey", "Loyalty Id", ("cr0dd_loyaltyid",))
    apply(dataverse, plan(dataverse, [TableSpec("cr0dd_LoyaltyActivity", keys=[key])]))
    crm.forget_log()
    return crm


def test_an_alternate_key_finds_rows_of_others(by_key):
    crm = by_key
    old = crm.put(ACTIVITY, cr0dd_loyaltyid="X1", cr0dd_points=7)
    crm.load(activities(activity(1), activity(2)))
    assert crm.organisation.get(ACTIVITY, old)["cr0dd_points"] == 1
    assert crm.activities()["X2"]["cr0dd_points"] == 2
    crm.forget_log()
    assert crm.load(activities(activity(1), activity(2))) == {"unchanged": 2}
    assert crm.writes() == []
    assert crm.load(activities(activity(1, cr0dd_points=9))) == {"updated": 1}
    assert crm.organisation.get(ACTIVITY, old)["cr0dd_points"] == 9


def test_an_alternate_key_is_compared_without_case(by_key):
    crm = by_key
    crm.load(activities(activity(1), activity(1, cr0dd_loyaltyid="x1", cr0dd_points=5)))
    assert [row["cr0dd_points"] for row in crm.rows(ACTIVITY) if row["cr0dd_loyaltyid"].lower() == "x1"] == [5]


def test_the_last_row_of_a_key_wins(crm):
    crm.load(activities(activity(1), activity(2), activity(1, cr0dd_points=8), activity(1, cr0dd_points=9)))
    assert crm.activities()["X1"]["cr0dd_points"] == 9
    assert crm.load(activities(activity(1, cr0dd_points=9))) == {"unchanged": 1}


# Modes


@pytest.mark.parametrize("skip_unchanged", ["ledger", "read", "off"])
def test_mode_create_leaves_what_is_there(crm, skip_unchanged):
    streams = {ACTIVITIES: {"mode": "create"}}
    assert crm.load(activities(activity(1)), streams=streams) == {"created": 1}
    crm.lose_ledger()
    rows = activities(activity(1, cr0dd_points=5), activity(2))
    assert crm.load(rows, streams=streams, skip_unchanged=skip_unchanged) == {"created": 1, "unchanged": 1}
    assert crm.activities()["X1"]["cr0dd_points"] == 1


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("skip_unchanged", ["ledger", "read", "off"])
def test_mode_update_never_creates(crm, skip_unchanged, count):
    crm.load(activities(activity(0)))
    crm.lose_ledger()
    rows = activities(*(activity(number, cr0dd_points=7) for number in range(count)))
    streams = {ACTIVITIES: {"mode": "update"}}
    assert crm.load(rows, streams=streams, skip_unchanged=skip_unchanged) == {"updated": 1, "not there": count - 1}
    assert crm.activities()["X0"]["cr0dd_points"] == 7
    assert "X1" not in crm.activities()


def test_mode_delete_removes_the_row_of_each_row(crm):
    crm.load(activities(*(activity(number) for number in range(4))))
    streams = {ACTIVITIES: {"mode": "delete"}}
    rows = [{"cr0dd_loyaltyid": "X1"}, {"cr0dd_loyaltyid": "X2", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}]
    stranger = {"cr0dd_loyaltyid": "X9"}
    assert crm.load(activities(*rows, stranger), streams=streams) == {"deleted": 2, "not there": 1}
    assert {"X0", "X3"} <= set(crm.activities())
    assert not {"X1", "X2"} & set(crm.activities())
    crm.forget_log()
    assert crm.load(activities(*rows), streams=streams) == {"erased earlier": 2}
    assert crm.writes() == []


def test_deletions_are_only_counted_in_other_modes(crm):
    crm.load(activities(activity(1)))
    deletion = {"cr0dd_loyaltyid": "X1", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    assert crm.load(activities(deletion)) == {"deleted at the source": 1}
    assert "X1" in crm.activities()


@pytest.mark.parametrize("skip_unchanged", ["ledger", "read", "off"])
@pytest.mark.parametrize("count", [1, 30])
def test_a_row_that_was_erased_in_the_table_does_not_come_back(crm, skip_unchanged, count):
    first = activities(*(activity(number) for number in range(count)))
    crm.load(first)
    crm.organisation.delete(ACTIVITY, guid_for(ACTIVITIES, "X0"))
    changed = activities(*(activity(number, cr0dd_points=70) for number in range(count)))
    for _ in range(2):
        counts = crm.load(changed, skip_unchanged=skip_unchanged)
        assert counts["erased earlier"] == 1
        assert "X0" not in crm.activities()
    assert all(row["cr0dd_points"] == 70 for key, row in crm.activities().items() if key.startswith("X"))
    crm.put(ACTIVITY, cr0dd_loyaltyactivityid=guid_for(ACTIVITIES, "X0"), cr0dd_loyaltyid="X0", cr0dd_points=1)
    assert crm.load(changed, skip_unchanged=skip_unchanged).get("updated", 0) >= 1
    assert crm.activities()["X0"]["cr0dd_points"] == 70


# Values


def test_values_are_converted_by_metadata(crm):
    values = {
        "cr0dd_text": "Grüße 世界",
        "cr0dd_whole": "12",
        "cr0dd_decimal": "1234.50",
        "cr0dd_flag": "yes",
        "cr0dd_sizes": [100000002, 100000000],
        "cr0dd_moment": "2026-03-01T00:30:00+02:00",
        "cr0dd_wallclock": "2026-03-01T00:30:00",
        "cr0dd_day": "2026-03-01T23:59:59Z",
    }
    row = specimen(crm, **values)
    assert row["cr0dd_text"] == "Grüße 世界"
    assert (row["cr0dd_whole"], row["cr0dd_flag"]) == (12, True)
    assert row["cr0dd_moment"].startswith("2026-02-28T22:30:00")
    assert row["cr0dd_day"] == "2026-03-01"
    again = rows_of("specimens", {"id": "1", **values, "cr0dd_sizes": "100000000,100000002"}, key=["id"])
    assert crm.load(again, streams=SPECIMENS, skip_unchanged="read") == {"unchanged": 1}
    changed = rows_of("specimens", {"id": "1", **values, "cr0dd_decimal": "1234.51"}, key=["id"])
    assert crm.load(changed, streams=SPECIMENS, skip_unchanged="read") == {"updated": 1}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("cr0dd_whole", "twelve", "takes a number"),
        ("cr0dd_day", "yesterday", "takes a date"),
        ("cr0dd_size", "gigantic", "has no such choice"),
        ("cr0dd_text", "x" * 4001, "takes at most 4000 characters"),
        ("cr0dd_contact", "4711", "takes a GUID"),
    ],
)
def test_a_value_that_does_not_suit_rejects_the_row(crm, column, value, reason):
    assert specimen(crm, **{column: value}) is None
    (told,) = crm.reasons()
    assert told.startswith(f"column `{column}` cannot be written: ")
    assert reason in told


def test_a_text_that_is_too_long_is_cut_when_told(crm):
    rows = rows_of("specimens", {"id": "1", "cr0dd_text": "x" * 5000}, key=["id"])
    assert crm.load(rows, streams=SPECIMENS, too_long="cut") == {"created": 1}
    assert "x" * 4000 in [row["cr0dd_text"] for row in crm.rows("cr0dd_specimen")]


def test_lookups_by_guid_and_by_the_table_beside_them(crm):
    contact = crm.put(lastname="Lee")
    row = specimen(
        crm, _cr0dd_contact_value=contact, _cr0dd_regarding_value=contact, _cr0dd_regarding_value_table="contact"
    )
    assert (row["cr0dd_contact"], row["cr0dd_regarding"]) == (contact, contact)
    rows = {"id": "1", "_cr0dd_contact_value": contact}
    assert crm.load(rows_of("specimens", rows, key=["id"]), streams=SPECIMENS, skip_unchanged="read") == {
        "unchanged": 1
    }


@pytest.mark.parametrize("clear_nulls", [False, True])
def test_an_empty_column_empties_the_tables_only_when_told(crm, clear_nulls):
    streams = {ACTIVITIES: {"clear_nulls": clear_nulls}}
    crm.load(activities(activity(1, emailaddress1="a@example.org")), streams=streams)
    crm.load(activities(activity(1, emailaddress1=None)), streams=streams)
    assert crm.activities()["X1"]["emailaddress1"] == (None if clear_nulls else "a@example.org")
    crm.forget_log()
    crm.load(activities(activity(1, emailaddress1=None)), streams=streams)
    assert crm.writes() == []


def test_columns_that_cannot_be_written_are_named_once_and_left_out(crm, caplog):
    rows = [activity(number, createdon="2020-01-01T00:00:00Z", colour="red", _sdc_sequence=1) for number in (1, 2)]
    assert crm.load(activities(*rows)) == {"created": 2}
    warnings = [each.message for each in caplog.records if each.name == "target_annex.dynamics.setup"]
    table = "table cr0dd_loyaltyactivities"
    unknown, ignored = warnings
    assert unknown.startswith(f"Stream {ACTIVITIES}: {table} has no column `colour`; left out.")
    assert ignored == f"Stream {ACTIVITIES}: `createdon` cannot be written in {table}; left out."


@pytest.mark.parametrize(
    ("streams", "sentence"),
    [
        ({"people": {"object": "cr0dd_people"}}, "Setting `streams.people.object`: there is no table `cr0dd_people`"),
        ({}, "Setting `streams.people.object`: there is no table `people` for stream people"),
        (
            {"people": {"object": "contacts", "fields": {"nick": "id", "firstname": "id", "colour": "id"}}},
            "Setting `streams.people.fields`: table contacts has no column `nick`, `colour`.",
        ),
        (
            {"people": {"object": "contacts", "fields": {"firstname": "name"}}},
            "Setting `streams.people.fields`: stream people has no column `name`.",
        ),
        ({"people": {"object": "contacts"}}, "Setting `streams.people.fields`: stream people has no column that can"),
        (
            {"people": {"object": "contacts", "fields": {"parentcustomerid": {"column": "id", "key": "name"}}}},
            "Setting `streams.people.fields.parentcustomerid.table`: is not a table that it leads to (known: ",
        ),
        (
            {"people": {"object": "cr0dd_specimen", "fields": {"cr0dd_contact": {"column": "id", "key": "fullname"}}}},
            "Setting `streams.people.fields.cr0dd_contact.key`: `fullname` is no alternate key of table contacts",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named_at_the_start(crm, streams, sentence):
    with pytest.raises(SettingError) as error:
        crm.load(rows_of("people", {"id": "1"}, key=["id"]), streams=streams)
    assert sentence in str(error.value)
    assert crm.writes() == []


# What is written at all


@pytest.mark.parametrize("skip_unchanged", ["ledger", "read"])
@pytest.mark.parametrize("count", [3, 60])
def test_the_same_input_twice_writes_nothing(crm, skip_unchanged, count):
    rows = activities(*(activity(number, cr0dd_amount="1.50") for number in range(count)))
    crm.load(rows, skip_unchanged=skip_unchanged)
    crm.forget_log()
    assert crm.load(rows, skip_unchanged=skip_unchanged) == {"unchanged": count}
    assert crm.writes() == []


@pytest.mark.parametrize("count", [3, 60])
def test_a_lost_ledger_costs_writing_once_more(crm, count):
    rows = activities(*(activity(number) for number in range(count)))
    crm.load(rows)
    before = len(crm.rows(ACTIVITY))
    crm.lose_ledger()
    assert sum(crm.load(rows).values()) == count
    assert len(crm.rows(ACTIVITY)) == before
    assert crm.rejects() == []


def test_only_what_changed_is_written(crm):
    crm.load(activities(activity(1, emailaddress1="a@example.org")))
    crm.organisation.update(ACTIVITY, guid_for(ACTIVITIES, "X1"), {"emailaddress1": "theirs@example.org"})
    crm.load(activities(activity(1, emailaddress1="a@example.org", cr0dd_points=2)))
    assert crm.activities()["X1"]["emailaddress1"] == "theirs@example.org"
    crm.load(activities(activity(1, emailaddress1="a@example.org", cr0dd_points=2)), skip_unchanged="read")
    assert crm.activities()["X1"]["emailaddress1"] == "a@example.org"


@pytest.mark.parametrize("guarded", [False, True])
def test_an_etag_guard_reads_again_what_somebody_changed_meanwhile(crm, monkeypatch, guarded):
    crm.load(activities(activity(1)))
    row_id = guid_for(ACTIVITIES, "X1")
    read, asked = writer.read_rows, []

    def read_and_be_overtaken(*arguments):
        found = read(*arguments)
        asked.append(found)
        if len(asked) == 1:
            crm.organisation.update(ACTIVITY, row_id, {"cr0dd_points": 50})
        return found

    monkeypatch.setattr(writer, "read_rows", read_and_be_overtaken)
    crm.load(activities(activity(1, cr0dd_points=2)), skip_unchanged="read", etag_guard=guarded)
    assert len(asked) == (2 if guarded else 1)
    assert crm.activities()["X1"]["cr0dd_points"] == 2
    assert crm.rejects() == []


def test_a_row_that_keeps_changing_is_given_up(crm, monkeypatch):
    crm.load(activities(activity(1)))
    row_id, read = guid_for(ACTIVITIES, "X1"), writer.read_rows

    def read_and_be_overtaken(*arguments):
        found = read(*arguments)
        crm.organisation.update(ACTIVITY, row_id, {"cr0dd_points": 50})
        return found

    monkeypatch.setattr(writer, "read_rows", read_and_be_overtaken)
    rows = activities(activity(1, cr0dd_points=2))
    assert crm.load(rows, skip_unchanged="read", etag_guard=True) == {"rejected": 1}
    assert crm.reasons() == ["its row keeps changing; try again"]


def test_bad_rows_are_alone(crm):
    rows = [activity(number) for number in range(300)]
    for number in range(0, 300, 30):
        # The metadata does not say so: the service refuses.
        rows[number]["_cr0dd_contact_value"] = f"00000000-0000-4000-8000-{number:012d}"
    messages = [*activities(*rows), state(300)]
    counts = crm.load(messages)
    assert (counts.pop("rejected"), sum(counts.values())) == (10, 290)
    assert crm.states == [{"at": 300}]
    there = {key for key in crm.activities() if key.startswith("X")}
    assert {f"X{number}" for number in range(300)} - there == {f"X{number}" for number in range(0, 300, 30)}
    rejected = [each["record"]["cr0dd_loyaltyid"] for each in crm.rejects() if each["type"] == "RECORD"]
    assert sorted(rejected) == sorted(f"X{number}" for number in range(0, 300, 30))
