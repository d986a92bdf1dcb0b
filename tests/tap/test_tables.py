"""Any table with all its columns, against the sandbox.

The catalogs of some settings are kept in ``catalogs/``. ``WRITE_CATALOGS=1 pytest tests/tap/test_tables.py`` writes
them anew; the difference is then for people to judge.
"""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs

import jsonschema_rs
import pytest
from support import CONTACTS, discover, run_cli, run_tap, tap_config

from annex_d365.errors import PrivilegeError, SettingError
from annex_d365_sandbox.sandbox import Sandbox
from tap_d365.segment_choice import SEGMENT_STREAMS

CATALOGS = Path(__file__).parent / "catalogs"

CASES = {
    "contacts": {},
    "every-kind-with-labels": {"tables": ["cr0dd_specimen"], "include_labels": True},
    "segments": {"tables": [], "segments_api": "outbound", "segments": {"member_columns": ["parentcustomerid"]}},
    "selected-and-expanded": {
        "tables": [
            {
                "name": "contacts",
                "select": ["fullname", "parentcustomerid", "statuscode"],
                "expand": "parentcustomerid_account($select=name)",
                "replication": "FULL_TABLE",
            }
        ]
    },
}


def requests(sandbox, path="EntityDefinitions"):
    """The query of each request at a path of the API, as a dict, and its ``Prefer``."""
    return [
        {name: values[0] for name, values in parse_qs(entry["query"]).items()}
        | {"prefer": entry["headers"].get("prefer")}
        for entry in sandbox.control.log.entries()
        if entry["path"].endswith(f"/{path}")
    ]


def deselect(catalog, *streams):
    for entry in catalog["streams"]:
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["selected"] = entry["tap_stream_id"] not in streams
    return catalog


@pytest.mark.parametrize("case", CASES)
def test_catalogs(sandbox, case):
    catalog = discover(tap_config(sandbox, **CASES[case]))
    if case != "segments":  # each would have them
        catalog["streams"] = [each for each in catalog["streams"] if each["tap_stream_id"] not in SEGMENT_STREAMS]
    text = json.dumps(catalog, indent=1, sort_keys=True) + "\n"
    path = CATALOGS / f"{case}.json"
    if os.environ.get("WRITE_CATALOGS"):
        path.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(path.read_text(encoding="utf-8"))


def test_every_catalog_has_a_case():
    assert {path.stem for path in CATALOGS.iterdir()} == set(CASES)


def test_records_of_every_kind_fit_the_schema(sandbox):
    config = tap_config(sandbox, **CASES["every-kind-with-labels"])
    catalog = discover(config)
    for each in catalog["streams"][0]["metadata"]:
        each["metadata"]["selected"] = True  # images and files, too
    messages = run_tap(config, catalog=catalog)
    (schema,) = messages.of("SCHEMA")
    validator = jsonschema_rs.validator_for(schema["schema"], validate_formats=True)
    records = messages.records("cr0dd_specimens")
    assert len(records) == sandbox.organisation.count("cr0dd_specimen") > 0
    columns = set(schema["schema"]["properties"])
    for record in records:
        validator.validate(record)
        assert set(record) == columns
    for column in columns:
        assert any(record[column] not in (None, []) for record in records) or column in NEVER_SET, column


#: What no seeded row has.
NEVER_SET = {
    *("_createdonbehalfby_value", "_createdonbehalfby_value_label"),
    *("_modifiedonbehalfby_value", "_modifiedonbehalfby_value_label"),
    *("overriddencreatedon", "timezoneruleversionnumber", "utcconversiontimezonecode"),
}


def test_values_are_those_of_the_organisation(sandbox):
    config = tap_config(sandbox, tables=["cr0dd_specimens"], include_labels=True)
    messages = run_tap(config)
    records = {record["cr0dd_specimenid"]: record for record in messages.records("cr0dd_specimens")}
    for row in sandbox.organisation.rows("cr0dd_specimen"):
        record = records[row["cr0dd_specimenid"]]
        for column in ("cr0dd_big", "cr0dd_text", "cr0dd_memo", "cr0dd_day", "cr0dd_flag", "cr0dd_size"):
            assert record[column] == row[column], column


def test_decimals_keep_every_digit(sandbox, tmp_path):
    """As text: a float would pass 0.1 + 0.2 off as what was stored."""
    config = tap_config(sandbox, tables=[{"name": "cr0dd_specimens", "select": ["cr0dd_decimal", "cr0dd_money"]}])
    run = run_cli("tap_d365", config=config, directory=tmp_path)
    assert run.returncode == 0, run.stderr
    found = {}
    for line in run.stdout.splitlines():
        message = json.loads(line, parse_float=Decimal)
        if message["type"] == "RECORD":
            found[message["record"]["cr0dd_specimenid"]] = message["record"]
    kept = [
        (found[row["cr0dd_specimenid"]][column], row[column] and Decimal(row[column]).scaleb(-digits))
        for row in sandbox.organisation.rows("cr0dd_specimen")
        for column, digits in (("cr0dd_decimal", 5), ("cr0dd_money", 4))  # the sandbox keeps them as whole numbers
    ]
    assert all(value == held for value, held in kept)
    assert any(held and Decimal(float(held)) != held for _value, held in kept), "none that a float would change"


def test_polymorphic_lookups_name_their_table(sandbox):
    config = tap_config(sandbox, tables=[{"name": "cr0dd_specimens", "select": ["cr0dd_customer", "cr0dd_regarding"]}])
    records = run_tap(config).records("cr0dd_specimens")
    tables = {
        "_cr0dd_customer_value": {"account", "contact"},
        "_cr0dd_regarding_value": {"account", "contact", "systemuser"},
    }
    for column, targets in tables.items():
        assert {record[f"{column}_table"] for record in records if record[column]} == targets
        assert all(record[f"{column}_table"] is None for record in records if not record[column])
    (query,) = requests(sandbox, "cr0dd_specimens")
    assert 'odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"' in query["prefer"]


def test_annotations_only_when_they_are_needed(sandbox):
    run_tap(tap_config(sandbox, tables=[{"name": "contacts", "select": ["fullname", "gendercode"]}]))
    assert not [query for query in requests(sandbox, "contacts") if "annotations" in query["prefer"]]


def test_labels(sandbox):
    entry = {"name": "cr0dd_specimens", "select": ["cr0dd_size", "cr0dd_sizes", "cr0dd_flag", "ownerid", "statecode"]}
    records = run_tap(tap_config(sandbox, tables=[entry], include_labels=True)).records("cr0dd_specimens")
    assert {record["cr0dd_flag_label"] for record in records if record["cr0dd_flag"]} == {"Yes"}
    assert {record["statecode_label"] for record in records} == {"Active"}
    assert all(record["_ownerid_value_label"] for record in records)
    many = [record for record in records if len(record["cr0dd_sizes"] or []) > 1]
    assert many
    assert all(len(record["cr0dd_sizes_label"].split("; ")) == len(record["cr0dd_sizes"]) for record in many)


def test_images_and_files_only_when_asked(sandbox):
    large = {
        "cr0dd_image",
        "cr0dd_imageid",
        "cr0dd_image_timestamp",
        "cr0dd_image_url",
        "cr0dd_file",
        "cr0dd_file_name",
    }
    run_tap(tap_config(sandbox, tables=["cr0dd_specimens"]))
    run_tap(tap_config(sandbox, tables=[{"name": "cr0dd_specimens", "select": ["cr0dd_image_url", "cr0dd_file"]}]))
    first, second = (set(query["$select"].split(",")) for query in requests(sandbox, "cr0dd_specimens"))
    assert not large & first
    assert large & second == {"cr0dd_image_url", "cr0dd_file"}


def test_filter_top_and_select(sandbox):
    entry = {"name": "contact", "select": ["firstname"], "filter": "statecode eq 0", "top": 7}
    records = run_tap(tap_config(sandbox, tables=[entry])).records()
    assert len(records) == 7
    assert set(records[0]) == {"firstname", "contactid", "modifiedon"}
    (query,) = requests(sandbox, "contacts")
    assert (query["$top"], query["$filter"]) == ("7", "statecode eq 0")


def test_expand(sandbox):
    messages = run_tap(tap_config(sandbox, **CASES["selected-and-expanded"]))
    records = messages.records()
    assert len(records) == CONTACTS
    accounts = {row["accountid"]: row["name"] for row in sandbox.organisation.rows("account")}
    led = [record for record in records if record["_parentcustomerid_value_table"] == "account"]
    assert led
    for record in led:
        account = record["parentcustomerid_account"]
        assert account["name"] == accounts[record["_parentcustomerid_value"]]
        assert not [name for name in account if "@" in name]


def test_a_sync_asks_for_the_tables_that_it_reads(sandbox):
    config = tap_config(sandbox, tables=["contacts", "accounts", "cr0dd_specimens"])
    catalog = deselect(discover(config), "accounts", "cr0dd_specimens", *SEGMENT_STREAMS)
    sandbox.control.log.clear()
    assert {message["stream"] for message in run_tap(config, catalog=catalog).of("RECORD")} == {"contacts"}
    (definition,) = requests(sandbox)
    assert set(re.findall("eq '(.+?)'", definition["$filter"])) == {"contacts"}


def test_what_the_catalog_selects_has_to_be_set(sandbox, caplog):
    catalog = discover(tap_config(sandbox, tables=["contacts", "accounts"]))
    run_tap(tap_config(sandbox, tables=["contacts"]), catalog=catalog)
    assert "not named in the setting `tables`: accounts" in caplog.text


def test_all_tables_in_few_requests():
    with Sandbox(contacts=1, extra_tables=120) as sandbox:
        sandbox.control.faults.add(route="/EntityDefinitions", kind="latency", seconds=0.05)
        config = tap_config(sandbox, tables=["*"])
        catalog = discover(config)
        names = {entry["tap_stream_id"] for entry in catalog["streams"]}
        assert {"contacts", "cr0dd_extra0001s", "cr0dd_extra0120s"} < names
        assert not {"cr0dd_extra0017s", "cr0dd_extra0037s"} & names, "tables without rows to read"
        assert len(requests(sandbox)) <= 1 + len(names) / 20 + 1 + 1, "names, definitions, segments"
        sandbox.control.log.clear()
        wanted = {"cr0dd_extra0001s", "cr0dd_extra0010s"}
        messages = run_tap(config, catalog=deselect(catalog, *(names - wanted)))
        assert {message["stream"] for message in messages.of("RECORD")} == wanted
        assert len(requests(sandbox)) == 1


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (["nopes"], "Setting `tables`: there is no table `nopes` in this organisation."),
        (["contacts", "contact"], "Setting `tables`: names the table `contact` twice."),
        (
            [{"name": "contacts", "select": ["frstname"]}],
            "Setting `tables.contacts.select`: table contacts has no column `frstname` that can be read; did you mean ",
        ),
        (
            [{"name": "businessunits", "replication": "LOG_BASED"}],
            "Setting `tables.businessunits.replication`: change tracking is not enabled for this table; enable it ",
        ),
    ],
)
def test_mistakes_are_told_in_a_sentence(sandbox, tables, sentence):
    with pytest.raises(SettingError) as told:
        discover(tap_config(sandbox, tables=tables))
    assert str(told.value).startswith(sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"expand": "nosuch"}, "Setting `tables.contacts.expand`: table contact has no column `nosuch`."),
        (
            {"expand": "parentcustomerid_account($select=nosuch)"},
            "Setting `tables.contacts.expand`: table account has no column `nosuch`.",
        ),
        ({"filter": "nosuch eq 1"}, "Setting `tables.contacts.filter`: table contact has no column `nosuch`."),
    ],
)
@pytest.mark.parametrize("replication", ["INCREMENTAL", "FULL_TABLE"])
def test_an_unknown_property_is_told_by_its_option(sandbox, replication, options, sentence):
    with pytest.raises(SettingError) as told:
        run_tap(tap_config(sandbox, tables=[{"name": "contacts", "replication": replication, **options}]))
    assert str(told.value) == sentence


def test_a_table_that_may_not_be_read_is_left_out_of_all(sandbox, caplog):
    sandbox.organisation.switches.unreadable_tables = ["account"]
    records = run_tap(tap_config(sandbox, tables=["*"]))
    assert records.records("accounts") == []
    assert len(records.records("contacts")) == CONTACTS
    assert "prvReadAccount" in caplog.text
    with pytest.raises(PrivilegeError, match="prvReadAccount"):
        run_tap(tap_config(sandbox, tables=["contacts", "accounts"]))


def test_tables_without_change_tracking_are_read_all_the_same(sandbox, caplog):
    messages = run_tap(tap_config(sandbox, tables=[{"name": "*", "replication": "LOG_BASED"}]))
    assert len(messages.records("contacts")) == CONTACTS
    assert "has no change tracking: it is read without" in caplog.text


def test_a_catalog_that_wins_over_the_setting_says_so(sandbox, caplog):
    catalog = discover(tap_config(sandbox))
    run_tap(tap_config(sandbox, tables=[{"name": "contacts", "replication": "LOG_BASED"}]), catalog=catalog)
    assert "The catalog says INCREMENTAL, which wins over `tables`: LOG_BASED" in caplog.text
