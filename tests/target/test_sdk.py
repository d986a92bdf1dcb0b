"""The SDK's standard tests of targets, and the SDK's own behaviour beside what is overridden."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from loyalty import contact, lines, load, load_rows, record, schema
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
