"""Columns of a stream to fields of a member, and the report."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud.members import Member
from annex_d365.errors import RowError, SettingError
from annex_d365.ledger import Ledger
from annex_d365.singer.rows import Row, shown
from target_annex.identity import Identity
from target_annex.mapping import member_mapping, object_of, row_key
from target_annex.member_settings import MemberRules
from target_annex.presets import PRESETS
from target_annex.report import Outcome, Report
from target_annex.tasks import Task

COLUMNS = ("contactid", "cr0dd_loyaltyid", "emailaddress1", "firstname", "birthdate", "flag", "statecode")
RULES = MemberRules(
    enrol="flagged",
    member_id_column="cr0dd_loyaltyid",
    enrol_flag_column="flag",
    reopt_in=False,
    skip_unchanged="ledger",
    on_contact_delete="opt_out",
    delete_requested_by="",
)


def row(record, *, deleted=False, at=None):
    reject = {"reject": {"at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}} if at else {}
    return Row(record, {"type": "RECORD", **reject}, deleted=deleted)


def mapping(entry=None, *, columns=COLUMNS, rules=RULES, stream="contacts"):
    key = ("contactid",)
    return member_mapping(stream, "annex_cloud", entry or {}, rules, columns=columns, key_properties=key)


def test_the_preset_for_contacts_of_tap_d365():
    contact = mapping().contact(
        row(
            {
                "contactid": "c1",
                "cr0dd_loyaltyid": 17,
                "emailaddress1": " ana@example.org ",
                "firstname": None,
                "birthdate": "1990-02-28T00:00:00Z",
                "flag": "Yes",
                "statecode": Decimal(1),
            }
        )
    )
    assert (contact.key, contact.member_id, contact.email) == ("c1", "17", "ana@example.org")
    assert contact.fields == {"email": "ana@example.org", "firstName": "", "birthDate": "1990-02-28"}
    assert contact.wants_enrolment
    assert contact.inactive


def test_fields_replace_the_preset():
    contact = mapping({"fields": {"id": "emailaddress1", "lastName": "firstname"}}).contact(
        row({"contactid": "c1", "cr0dd_loyaltyid": "M1", "emailaddress1": "ana@example.org", "firstname": "Ana"})
    )
    assert contact.member_id == "ana@example.org"
    assert contact.fields == {"lastName": "Ana"}


def test_a_column_that_a_record_lacks_says_nothing():
    contact = mapping().contact(row({"contactid": "c1", "emailaddress1": "ana@example.org"}))
    assert contact.fields == {"email": "ana@example.org"}
    assert not contact.wants_enrolment
    assert not contact.inactive


@pytest.mark.parametrize(("column", "value"), [("birthdate", "marker"), ("flag", "marker"), ("firstname", ["marker"])])
def test_a_value_that_does_not_suit_rejects_the_row_without_being_told(column, value):
    with pytest.raises(RowError, match=f"column `{column}` is ") as error:
        mapping().contact(row({"contactid": "c1", column: value}))
    assert "marker" not in str(error.value)


@given(
    record=st.dictionaries(
        st.sampled_from(COLUMNS),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text(), max_size=1)),
    )
)
def test_any_record_is_mapped_or_rejected(record):
    try:
        contact = mapping().contact(row(record))
    except RowError:
        return
    assert all(isinstance(value, str) and value == value.strip() for value in contact.fields.values())
    assert set(contact.fields) <= {"email", "firstName", "birthDate"}


def test_a_row_that_was_deleted_says_only_its_key():
    contact = mapping().contact(row({"contactid": "c1", "cr0dd_loyaltyid": "M1", "birthdate": "marker"}, deleted=True))
    assert (contact.key, contact.member_id, contact.fields, contact.departed) == ("c1", "", {}, True)


@pytest.mark.parametrize(("merged", "departed"), [(True, True), ("true", True), (False, False), (None, False)])
def test_a_contact_that_was_merged_has_departed(merged, departed):
    assert mapping().contact(row({"contactid": "c1", "merged": merged})).departed is departed


@given(st.lists(st.tuples(st.text('ab[,"\\', min_size=1), st.text('ab[,"\\', min_size=1)), min_size=2, unique=True))
def test_keys_of_several_columns_are_kept_apart(pairs):
    keys = {row_key(("a", "b"), {"a": one, "b": other}) for one, other in pairs}
    assert len(keys) == len(pairs)


def test_an_empty_part_of_a_key_rejects_the_row():
    with pytest.raises(RowError, match="key column `b` is empty"):
        row_key(("a", "b"), {"a": "x", "b": " "})


def test_nothing_personal_in_a_contacts_repr():
    record = {"contactid": "c1", "cr0dd_loyaltyid": "marker", "emailaddress1": "marker@example.org"}
    contact = mapping().contact(row(record))
    assert "marker" not in repr(contact)


def test_fields_that_are_not_documented_are_warned_of(caplog):
    mapping({"fields": {"email": "emailaddress1", "fistName": "firstname"}})
    assert "Stream contacts: `fistName` is no documented field" in caplog.text


@pytest.mark.parametrize(
    ("streams", "object_"), [({}, "members"), ({"contacts": {}}, "members"), ({"contacts": {"object": "x"}}, "x")]
)
def test_what_a_stream_becomes(streams, object_):
    assert object_of("contacts", "annex_cloud", streams) == object_


def test_a_stream_that_nobody_knows_is_told_with_those_that_are():
    with pytest.raises(SettingError) as error:
        object_of("orders", "annex_cloud", {"people": {"object": "members"}})
    known = "contacts, people, segment_members, segment_snapshots, segments"
    assert f"stream orders is not known (known: {known})" in str(error.value)
    assert "`streams: {orders: {object: members, fields: {email: <column>}}}`" in str(error.value)


def test_presets_name_no_column_twice():
    for preset in PRESETS.values():
        assert len(set(preset.fields.values())) == len(preset.fields)


GUIDS = ("0f0e0d0c-0b0a-4908-8706-050403020100", "0F0E0D0C-0B0A-4908-8706-050403020101")


def test_guids_are_named_in_messages_other_keys_are_not():
    assert [shown(each) for each in GUIDS] == list(GUIDS)
    assert {shown(each) for each in ("ana@example.org", "+34 600 000 000", "Ana", f"{GUIDS[0]}, Ana")} == {
        "(key not shown)"
    }


NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("updated", "newer"),
    [
        ({"updateDate": "2026-01-01T11:59:59+0000"}, False),
        ({"updateDate": "2026-01-01T12:00:00+0000"}, True),
        ({"updateDate": "2026-01-01T12:00:01+0000"}, True),
        ({"updateDate": "not known"}, True),
        ({}, True),
    ],
)
def test_a_member_is_newer_than_a_reject_unless_it_is_known_to_be_older(tmp_path, updated, newer):
    class Members:
        def get(self, member_id):
            return Member(member_id, updated)

    replayed = row({"contactid": "c1", "cr0dd_loyaltyid": "M1"}, at=NOON)
    task = Task(replayed, mapping().contact(replayed))
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="site", run="run")
    with ThreadPoolExecutor(1) as executor:
        book = ledger.book("members", "contacts")
        find = Identity(
            Members(), book, executor, reads=False, dry_run=False, compares=lambda _: False, wanted=lambda _: ()
        ).find
        find([task])
    ledger.close()
    assert (task.result is not None) is newer
    assert not newer or "has changed since" in str(task.result.error)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "s: 0 created, 0 updated, 0 unchanged, 0 deleted, 0 skipped, 0 rejected"),
        (
            {
                Outcome.CREATED: 40,
                Outcome.UPDATED: 210,
                Outcome.UNCHANGED: 730,
                Outcome.DELETED: 3,
                Outcome.OPTED_OUT: 4,
                Outcome.NOT_ENROLLED: 12,
                Outcome.REJECTED: 8,
            },
            (
                "s: 40 created, 210 updated, 730 unchanged, 3 deleted, 4 opted out, 12 skipped (not enrolled), "
                "8 rejected (see r)"
            ),
        ),
        (
            {Outcome.NOT_ENROLLED: 2, Outcome.LEFT: 1, Outcome.MERGED: 3, Outcome.ERASED: 4},
            (
                "s: 0 created, 0 updated, 0 unchanged, 0 deleted, 10 skipped (2 not enrolled, 4 erased earlier, "
                "1 deleted at the source, 3 merged into another row), 0 rejected"
            ),
        ),
    ],
)
def test_the_report_in_one_sentence(counts, sentence):
    report = Report("s")
    report.counts.update(counts)
    assert report.sentence(Path("r")) == sentence


@pytest.mark.parametrize(
    ("rows", "rejected", "limit", "too_many"),
    [(99, 99, 5, False), (100, 5, 5, False), (100, 6, 5, True), (1000, 1, 0, True), (1000, 0, 0, False)],
)
def test_too_many_rejects(rows, rejected, limit, too_many):
    report = Report("s")
    report.counts.update({Outcome.REJECTED: rejected, Outcome.UPDATED: rows - rejected})
    assert report.too_many_rejects(limit) is too_many
