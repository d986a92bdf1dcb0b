"""The SDK's standard tests of targets, and the SDK's own behaviour beside what is overridden."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from loyalty import COLUMNS, contact, lines, load, load_rows, record, schema
from singer_sdk import BatchSink, Target
from singer_sdk.exceptions import InvalidRecord, MissingKeyPropertiesError
from singer_sdk.testing import get_target_test_class
from singer_sdk.testing.runners import TargetTestRunner
from singer_sdk.testing.suites import SingerTestSuite
from singer_sdk.testing.target_tests import (
    TargetArrayData,
    TargetCamelcaseComplexSchema,
    TargetCamelcaseTest,
    TargetCliPrintsTest,
    TargetDuplicateRecords,
    TargetEncodedStringData,
    TargetInvalidSchemaTest,
    TargetNoPrimaryKeys,
    TargetOptionalAttributes,
    TargetPrimaryKeyUpdates,
    TargetRecordBeforeSchemaTest,
    TargetRecordMissingOptionalFields,
    TargetSchemaUpdates,
    TargetSpecialCharsInAttributes,
)

from target_annex.sinks import MembersSink
from target_annex.target import TargetAnnex

SUITE = SingerTestSuite(
    kind="target",
    tests=[
        TargetArrayData,
        TargetCamelcaseTest,
        TargetCamelcaseComplexSchema,
        TargetCliPrintsTest,
        TargetDuplicateRecords,
        TargetEncodedStringData,
        TargetInvalidSchemaTest,
        # TargetMultipleStateMessages: not in the SDK's own list either; see tests/unit/test_checkpoints.py.
        TargetNoPrimaryKeys,
        TargetOptionalAttributes,
        TargetPrimaryKeyUpdates,
        TargetRecordBeforeSchemaTest,
        # TargetRecordMissingKeyProperty wants the run to end: here the row is rejected, see below.
        TargetRecordMissingOptionalFields,
        # TargetRecordMissingRequiredProperty wants nothing in particular: here the row is rejected, see below.
        # TargetSchemaNoProperties: a stream without columns cannot be mapped, which ends the run.
        TargetSchemaUpdates,
        TargetSpecialCharsInAttributes,
    ],
)


def member(member_id, **fields):
    return {"object": "members", "key": member_id, "fields": {"id": member_id, **fields}}


STREAMS = {
    "test_array_data": member("id"),
    "TestCamelcase": member("Id", firstName="clientName"),
    "test_duplicate_records": member("id", phone="metric"),
    "test_strings": member("id", firstName="info"),
    "test_strings_in_objects": member("id"),
    "test_strings_in_arrays": member("id"),
    "ForecastingTypeToCategory": member("Id"),
    "test_no_pk": member("id", phone="metric"),
    "test_optional_attributes": member("id", firstName="optional"),
    "example_stream": member("id", email="email"),
    "record_missing_fields": member("id"),
    "test_schema_updates": member("id"),
    "test:SpecialChars!in?attributes": member("_id"),
}


class TestTargetAnnex(get_target_test_class(TargetAnnex, custom_suites=[SUITE], include_target_tests=False)):
    """Against the sandbox; only its address is not known earlier."""

    @pytest.fixture
    def runner(self, site):
        config = site.config(enrol="all", max_reject_percent=100, streams=STREAMS)
        return TargetTestRunner(target_class=TargetAnnex, config=config)

    @pytest.fixture(autouse=True)
    def nothing_is_rejected(self, site):
        yield
        assert site.reasons() == []


class Plain(BatchSink):
    """The SDK's own."""

    batches = []  # noqa: RUF012 - of all

    def process_batch(self, context):
        self.batches.append(context["records"])


class PlainTarget(Target):
    name = "target-plain"
    default_sink_class = Plain


def in_plain(*rows):
    Plain.batches.clear()
    PlainTarget().listen(io.StringIO(lines([schema(), *map(record, rows)])))
    return Plain.batches


def in_ours(site, monkeypatch, *rows):
    batches = []
    monkeypatch.setattr(
        MembersSink, "process_batch", lambda _, context: batches.append([dict(row.record) for row in context["rows"]])
    )
    load(site.config(), [schema(), *map(record, rows)])
    return batches


def test_valid_records_reach_the_sink_as_in_the_sdk_but_dates_stay_texts(site, monkeypatch):
    rows = [contact(1, statecode=0), contact(2, cr0dd_loyaltyenrol=True, _sdc_sequence=1)]
    assert in_ours(site, monkeypatch, *rows) == in_plain(*rows)
    dated = contact(3, birthdate="1990-02-28")
    assert in_ours(site, monkeypatch, dated)[0][0]["birthdate"] == "1990-02-28"
    assert in_plain(dated)[0][0]["birthdate"] == dt.date(1990, 2, 28)


ODD_MESSAGES = [
    schema(bookmark="modifiedon"),
    *map(
        record,
        [
            contact(1, modifiedon="2026-03-01T00:00:00Z"),
            contact(2, _sdc_sequence=1, _sdc_extracted_at="2026-03-01T00:00:00Z", _sdc_other=1),
            {"contactid": contact(3)["contactid"], "_sdc_deleted_at": "2026-03-02T00:00:00Z"},
            contact(4, firstname=4),
            {**contact(5), "contactid": None},
        ],
    ),
    schema(columns={**COLUMNS, "more": {"type": "string"}}, bookmark="modifiedon"),
    record(contact(6, more="x")),
]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"validate_records": False},
        {"batch_size_rows": 1},
        {"stream_maps": {"contacts": {"firstname": "lastname"}}},
        {"stream_maps": {"contacts": {"__filter__": "firstname == 'Ana'"}}, "validate_records": False},
    ],
    ids=str,
)
def test_records_that_no_map_is_for_become_the_rows_that_the_sdk_makes_of_them(site, monkeypatch, settings):
    def rows():
        batches = []
        monkeypatch.setattr(MembersSink, "process_batch", lambda _, context: batches.append(context["rows"]))
        (site.directory / "rejects.singer").unlink(missing_ok=True)
        target = TargetAnnex(config=dict(site.config(**settings)))
        target.listen(io.StringIO(lines(ODD_MESSAGES)))
        told = [(dict(row.record), row.message, row.version, row.deleted) for batch in batches for row in batch]
        return list(map(len, batches)), told, site.reasons(), bool(target._direct)

    *by_ours, direct = rows()
    monkeypatch.setattr("annex_d365.singer.rows.KNOWN_SDK", "0.0.")
    *by_sdk, never = rows()
    assert (direct, never) == ("stream_maps" not in settings, False)
    assert by_ours == by_sdk
    assert by_ours[1]


@pytest.mark.parametrize(
    ("row", "error", "reason"),
    [
        (contact(1, firstname=4), InvalidRecord, "column `firstname` breaks the rule `type` of its schema"),
        (contact(1, birthdate="yesterday"), ValueError, "column `birthdate` is not a date (yyyy-MM-dd)"),
        ({"firstname": "Ana"}, MissingKeyPropertiesError, "key column `contactid` is empty"),
    ],
)
def test_a_record_that_ends_the_run_in_the_sdk_is_rejected(site, row, error, reason):
    with pytest.raises(error):
        in_plain(row)
    site.put(id="person.1@example.org")
    assert load_rows(site.config(), [row, contact(2)]) == [{"at": 2}]
    assert site.reasons() == [reason]


def test_validation_can_be_switched_off_as_in_the_sdk(site):
    load_rows(site.config(enrol="all", validate_records=False), [contact(1, firstname=4)])
    assert site.member("person.1@example.org")["firstName"] == "4"


def test_settings_of_the_sdk_that_would_do_nothing_are_not_offered():
    TargetAnnex.append_builtin_config(TargetAnnex.config_jsonschema)
    offered = set(TargetAnnex.config_jsonschema["properties"])
    assert {"batch_size_rows", "stream_maps", "validate_records"} <= offered
    assert not offered & {"load_method", "add_record_metadata"}
