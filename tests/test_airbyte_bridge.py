"""The bridge to Airbyte: its form, its catalogs, its messages. ``make platforms`` runs it by PyAirbyte."""

from __future__ import annotations

import io
import json
import logging
import re
from copy import deepcopy
from datetime import datetime, timezone
from importlib.metadata import version
from types import SimpleNamespace

import jsonschema
import pytest
from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.singerlib import ActivateVersionMessage, RecordMessage, SchemaMessage, StateMessage
from support import ROOT, shared_sandbox, tap_config

from annex_d365.errors import OutageError, RowError, SettingError
from annex_d365_airbyte import protocol
from annex_d365_airbyte.__main__ import ANNEX, D365
from annex_d365_airbyte.catalog import airbyte_catalog, singer_catalog, singer_state
from annex_d365_airbyte.source import run
from annex_d365_airbyte.writer import AirbyteWriter, Output

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def sandbox():
    return shared_sandbox()


def stream(name, *, parent=None, columns=("id",)):
    return SimpleNamespace(name=name, parent_stream_type=parent, schema={"properties": dict.fromkeys(columns)})


class Written:
    """A writer, and what it has written."""

    def __init__(self, *streams, state=None):
        self._file = io.BytesIO()
        self.writer = AirbyteWriter(Output(self._file))
        self.writer.begin(streams, state or {})

    def __call__(self, *messages):
        for message in messages:
            self.writer.write_message(message)
        return self

    @property
    def messages(self):
        return [json.loads(line) for line in self._file.getvalue().splitlines()]

    @property
    def short(self):
        """STATUS stream, RECORD stream, STATE stream count."""
        told = []
        for each in self.messages:
            match each:
                case {"type": "TRACE", "trace": {"stream_status": status}}:
                    told.append(f"{status['status']} {status['stream_descriptor']['name']}")
                case {"type": "RECORD", "record": record}:
                    told.append(f"RECORD {record['stream']}")
                case {"type": "STATE", "state": state}:
                    name = state["stream"]["stream_descriptor"]["name"]
                    told.append(f"STATE {name} {state['sourceStats']['recordCount']:g}")
                case _:
                    told.append(each["type"])
        return told


def schema(name):
    return SchemaMessage(stream=name, schema={"properties": {}}, key_properties=[])


def record(name, **values):
    return RecordMessage(stream=name, record=values, time_extracted=NOON)


def state(**bookmarks):
    return StateMessage(value={"bookmarks": bookmarks})


def test_streams_begin_and_end():
    written = Written(stream("a"), stream("b"))
    written(schema("a"), record("a", id=1), state(a={"x": 1}), record("a", id=2), state(a={"x": 1}), schema("b"))
    written.writer.end()
    assert written.short == [
        "STARTED a", "RUNNING a", "RECORD a", "STATE a 1", "RECORD a",
        # What came after the last change of state has to be counted, too.
        "STATE a 1", "COMPLETE a", "STARTED b", "STATE b 0", "COMPLETE b",
    ]  # fmt: skip
    assert written.messages[-2]["state"]["stream"]["stream_state"] == {"__ab_no_cursor_state_message": True}


def test_a_child_is_open_beside_its_parent():
    written = Written(stream("parent"), stream("child", parent=object))
    written(schema("parent"), schema("child"), record("parent", id=1), record("child", id=1), record("parent", id=2))
    written.writer.end()
    assert [each for each in written.short if "COMPLETE" in each] == ["COMPLETE parent", "COMPLETE child"]
    assert written.short.index("COMPLETE parent") > written.short.index("RECORD child")


def test_files_have_no_counterpart():
    """``batch_config`` is a setting of the SDK, which the form of the source does not offer."""
    batch = SDKBatchMessage(
        stream="a", encoding=BaseBatchFileEncoding(format="jsonl"), manifest=["file:///path/to/a.jsonl.gz"]
    )
    with pytest.raises(SettingError, match="Setting `batch_config`: Airbyte takes records"):
        Written(stream("a"))(schema("a"), batch)


def test_a_stream_that_fails_is_incomplete():
    written = Written(stream("a"), stream("b"))(schema("a"), schema("b"), record("b", id=1))
    written.writer.fail()
    assert written.short[-1] == "INCOMPLETE b"
    assert "COMPLETE a" in written.short


def test_states_of_streams_that_do_not_run_are_not_told():
    written = Written(stream("a"), state={"bookmarks": {"a": {"x": 1}}})
    written(state(a={"x": 2}), schema("a"), state(a={"x": 1}, other={"y": 1}))
    assert written.short == ["STARTED a"]


def test_a_deletion_has_airbytes_columns():
    written = Written(stream("a", columns=("id", "_sdc_deleted_at")))
    gone = "2026-01-01T00:00:00Z"
    written(schema("a"), record("a", id=1, _sdc_deleted_at=gone), record("a", id=2, n=1.10, _sdc_deleted_at=None))
    written.writer.end()
    rows = [each["record"]["data"] for each in written.messages if each["type"] == "RECORD"]
    at = {"_ab_cdc_updated_at": "2026-01-02T12:00:00Z"}
    assert rows == [{"id": 1, "_ab_cdc_deleted_at": gone, **at}, {"id": 2, "n": 1.1, "_ab_cdc_deleted_at": None, **at}]


def test_what_airbyte_has_no_word_for_is_logged():
    written = Written(stream("a"))(ActivateVersionMessage(stream="a", version=1))
    (message,) = written.messages
    assert message["log"]["level"] == "WARN"


@pytest.mark.parametrize("source", [D365, ANNEX], ids=lambda source: source.name)
def test_the_form_is_one_that_airbyte_shows(source):
    form = json.loads(protocol.encode(source.spec()))["spec"]["connectionSpecification"]
    jsonschema.Draft7Validator.check_schema(form)

    def check(rule):
        assert isinstance(rule["type"], str)
        assert None not in rule.get("enum", ())
        for each in rule.get("properties", {}).values():
            check(each)
        if "items" in rule:
            check(rule["items"])

    check(form)
    for name, rule in source.settings["properties"].items():
        if name in form["properties"]:
            assert form["properties"][name].get("airbyte_secret", False) == rule.get("secret", False)
    secrets = {name for name, rule in form["properties"].items() if rule.get("airbyte_secret")}
    assert secrets == {"D365": {"client_secret", "password"}}.get(source.name[7:].upper(), {"secret_key"})
    defaults = {name: rule["default"] for name, rule in form["properties"].items() if "default" in rule}
    needed = dict.fromkeys(form["required"], "x")
    jsonschema.Draft7Validator(form).validate({**defaults, **needed})


ENTRY = {
    "tap_stream_id": "a",
    "schema": {"properties": {"id": {}, "picture": {}, "changed": {}, "_sdc_deleted_at": {}}},
    "key_properties": ["id"],
    "replication_method": "LOG_BASED",
    "replication_key": "changed",
    "metadata": [
        {"breadcrumb": [], "metadata": {}},
        {"breadcrumb": ["properties", "id"], "metadata": {"inclusion": "automatic"}},
        {"breadcrumb": ["properties", "changed"], "metadata": {"inclusion": "available"}},
        {"breadcrumb": ["properties", "picture"], "metadata": {"selected-by-default": False}},
    ],
}


def test_catalogs_of_both_kinds():
    found = {"streams": [ENTRY, {**deepcopy(ENTRY), "tap_stream_id": "b", "replication_method": "FULL_TABLE"}]}
    first, second = airbyte_catalog(found, resumable=("b",)).streams
    assert list(first.json_schema["properties"]) == ["id", "changed", "_ab_cdc_deleted_at", "_ab_cdc_updated_at"]
    assert (first.default_cursor_field, first.supported_sync_modes) == (
        ["_ab_cdc_updated_at"],
        ["full_refresh", "incremental"],
    )
    assert (second.default_cursor_field, second.supported_sync_modes, second.is_resumable) == (
        None,
        ["full_refresh"],
        True,
    )
    del first.json_schema["properties"]["changed"]
    configured = protocol.ConfiguredCatalog([protocol.ConfiguredStream(first, "incremental")])
    one, other = singer_catalog(found, configured)["streams"]
    assert [each["metadata"].get("selected") for each in one["metadata"]] == [True, None, False, False]
    assert other["metadata"][0]["metadata"]["selected"] is False
    with pytest.raises(SettingError, match="no stream a"):
        singer_catalog({"streams": []}, configured)


@pytest.mark.parametrize(
    ("modes", "mode", "kept"),
    [
        (["full_refresh", "incremental"], "incremental", True),
        # All rows are wanted, whatever the platform remembers.
        (["full_refresh", "incremental"], "full_refresh", False),
        # It has no other state than where it broke off.
        (["full_refresh"], "full_refresh", True),
    ],
)
def test_states_that_are_used(modes, mode, kept):
    configured = protocol.ConfiguredCatalog([protocol.ConfiguredStream(protocol.Stream("a", {}, modes), mode)])
    assert bool(singer_state({"a": {"x": 1}, "gone": {"x": 1}}, configured)) is kept
    assert singer_state({"a": {"__ab_no_cursor_state_message": True}}, configured) == {}


def test_states_as_platforms_write_them():
    one = {"stream_descriptor": {"name": "a", "namespace": None}, "stream_state": {"x": 1}}
    none = {"stream_descriptor": {"name": "b"}, "stream_state": None}
    whole = {"type": "GLOBAL", "global": {"stream_states": [one, none], "shared_state": None}}
    for text in ([{"type": "STREAM", "stream": one, "global_": None, "data": None}], [whole]):
        assert protocol.read_states(json.dumps(text).encode()) == {"a": {"x": 1}}
    assert protocol.read_states(b"{}") == protocol.read_states(b"[]") == {}


@pytest.fixture
def command(capfdbinary, tmp_path):
    """Run a command of source-d365; returns its exit code and its messages."""

    def file(name, content):
        path = tmp_path / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return [f"--{name}", str(path)]

    def call(word, **files):
        capfdbinary.readouterr()
        code = run(D365, [word, *(part for name, content in files.items() for part in file(name, content))])
        return code, [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield call
    root.handlers, root.level = handlers, level


def test_read_goes_on_from_its_state(command, sandbox):
    config = tap_config(sandbox, tables=["accounts"])
    (found,) = [each for each in command("discover", config=config)[1] if each["type"] == "CATALOG"]
    (accounts,) = [each for each in found["catalog"]["streams"] if each["name"] == "accounts"]
    catalog = {"streams": [{"stream": accounts, "sync_mode": "incremental", "destination_sync_mode": "append"}]}
    code, messages = command("read", config=config, catalog=catalog)
    assert code == 0
    rows = [each["record"] for each in messages if each["type"] == "RECORD"]
    assert {row["data"]["accountid"] for row in rows} == {
        row["accountid"] for row in sandbox.organisation.rows("account")
    }
    *_, last = [each["state"] for each in messages if each["type"] == "STATE"]
    code, messages = command("read", config=config, catalog=catalog, state=[last])
    assert (code, [each for each in messages if each["type"] == "RECORD"]) == (0, [])


def test_check_tells_what_is_wrong(command, sandbox):
    code, (*_, good) = command("check", config=tap_config(sandbox, tables=["accounts"]))
    assert (code, good["connectionStatus"]) == (0, {"status": "SUCCEEDED"})
    code, (*_, bad) = command("check", config=tap_config(sandbox, client_secret="wrong"))
    assert (code, bad["connectionStatus"]["status"]) == (0, "FAILED")
    assert "client_secret" in bad["connectionStatus"]["message"]
    assert "wrong" not in json.dumps(bad)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SettingError("client_id", "is wrong."), "config_error"),
        (OutageError("It is down."), "transient_error"),
        (RowError("No."), "system_error"),
        (KeyError("ada@example.com"), "system_error"),
    ],
)
def test_errors_are_told(command, monkeypatch, error, kind):
    def fail(*_):
        raise error

    monkeypatch.setattr("annex_d365_airbyte.source.Source.discover", fail)
    code, (message,) = command("discover", config={})
    assert (code, message["trace"]["error"]["failure_type"]) == (1, kind)
    # The text of a bug may hold a row.
    assert "ada" not in json.dumps(message)


@pytest.mark.parametrize("content", ["no JSON", "[]"])
def test_files_that_are_no_use_are_told(command, content):
    code, (message,) = command("check", config=content)
    assert (code, message["trace"]["error"]["failure_type"]) == (1, "config_error")


def test_the_dockerfile_has_our_version():
    labels = re.findall(r"io\.airbyte\.version=(\S+)", (ROOT / "docker" / "airbyte.Dockerfile").read_text())
    assert set(labels) == {version("annexcloud-d365")}
