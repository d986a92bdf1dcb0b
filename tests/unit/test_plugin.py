"""Settings are checked, and errors told, in sentences without values."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from support import ROOT

from annex_d365.errors import SettingError
from annex_d365.gate import Closing
from annex_d365.http import Client
from annex_d365.singer import plugin
from annex_d365.singer.plugin import run, setting_errors
from tap_d365.tap import TapD365

SCHEMA = th.PropertiesList(
    th.Property("secret_key", th.StringType, required=True, secret=True),
    th.Property("mode", th.StringType, allowed_values=["a", "b"]),
    th.Property("size", th.IntegerType(minimum=1, maximum=9)),
    th.Property("day", th.StringType(pattern="^[a-z]+$")),
    th.Property(
        "streams",
        th.ObjectType(th.Property("object", th.StringType(min_length=1), required=True), additional_properties=False),
    ),
).to_dict()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "Setting `secret_key`: is required."),
        ({"secret_key": 1234}, "Setting `secret_key`: must be a text."),
        ({"secret_key": "x", "mode": "c"}, "Setting `mode`: must be one of a, b."),
        ({"secret_key": "x", "size": 0}, "Setting `size`: must be 1 or more."),
        ({"secret_key": "x", "size": "many"}, "Setting `size`: must be a whole number."),
        ({"secret_key": "x", "size": 100}, "Setting `size`: must be 9 or less."),
        ({"secret_key": "x", "streams": {}}, "Setting `streams.object`: is required."),
        ({"secret_key": "x", "streams": {"object": ""}}, "Setting `streams.object`: must not be empty."),
        (
            {"secret_key": "x", "streams": {"object": "a", "fild": 1, "kee": 2}},
            "Setting `streams`: has no part `fild`, `kee`.",
        ),
        ({"secret_key": "x", "day": "31"}, "Setting `day`: does not satisfy `pattern` ^[a-z]+$."),
    ],
)
def test_sentences(config, sentence):
    assert list(setting_errors(config, SCHEMA)) == [sentence]


class Plain(Tap):
    name = "tap-plain"
    config_jsonschema = TapD365.config_jsonschema


def test_no_value_is_repeated_and_the_sdk_would():
    config = {"client_id": "app", "client_secret": 987654}
    with pytest.raises(ConfigValidationError) as ours:
        TapD365(config=config)
    assert ours.value.errors == ["Setting `client_secret`: must be a text."]
    with pytest.raises(ConfigValidationError) as theirs:
        Plain(config=config)
    assert "987654" in str(theirs.value.errors)


def test_defaults_are_filled_in_as_by_the_sdk():
    tap = TapD365(config={"client_id": "app"}, setup_mapper=False)
    assert (tap.config["api_version"], tap.config["page_size"]) == ("9.2", 5000)


def test_a_setting_that_is_not_known_is_named(caplog):
    TapD365(config={"client_id": "app", "clientid": "x", "frobnicate": 1}, setup_mapper=False)
    assert "Setting `clientid` is not known and has no effect; did you mean `client_id`?" in caplog.text
    assert "Setting `frobnicate` is not known and has no effect." in caplog.text


def plugin_that_raises(error):
    def cli():
        raise error

    return type("Plugin", (), {"name": "tap-x", "cli": staticmethod(cli)})


@pytest.mark.parametrize(
    "error",
    [
        SettingError("client_secret", "is wrong."),
        ConfigValidationError("failed", errors=["Setting `client_secret`: is wrong."], schema={}),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, caplog):
    with pytest.raises(SystemExit) as stop:
        run(plugin_that_raises(error))
    assert stop.value.code == 1
    assert [record.getMessage() for record in caplog.records] == ["Setting `client_secret`: is wrong."]
    assert caplog.records[0].exc_info is None


def test_a_bug_keeps_its_traceback_but_not_its_message(caplog):
    with pytest.raises(SystemExit) as stop:
        run(plugin_that_raises(KeyError("ann@example.com")))
    assert stop.value.code == 1
    assert "in cli\n    raise error\nKeyError: its message is not shown" in caplog.text
    assert "ann@example.com" not in caplog.text


def test_a_target_that_failed_takes_what_its_tap_still_sends(tmp_path):
    """Or Meltano, which writes into the pipe, would add tracebacks of its own."""
    (tmp_path / "config.json").write_text("{}")
    target = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "target_annex", "--config", str(tmp_path / "config.json")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for _ in range(200):
        target.stdin.write(b"x" * 10_000)
        target.stdin.flush()
    target.stdin.close()
    assert target.wait(timeout=30) != 0
    assert b"Traceback" not in target.stderr.read()
    target.stderr.close()


def test_a_tap_that_is_stopped_does_not_say_that_all_is_well():
    tap = TapD365(config={"client_id": "app"}, setup_mapper=False)
    with pytest.raises(SystemExit) as stop:
        tap._handle_termination(15, None)
    assert stop.value.code == 143


def test_a_signal_ends_all_waiting_and_a_second_one_everything(monkeypatch):
    tap = TapD365(config={"client_id": "app"}, setup_mapper=False)
    tap.dataverse = SimpleNamespace(http=Client("Service", host_setting="x"))
    with pytest.raises(SystemExit):
        tap._handle_termination(15, None)
    with pytest.raises(Closing):
        tap.dataverse.http.gate.sleep(300)
    ended = []
    monkeypatch.setattr("os._exit", lambda code: ended.append(code) or sys.exit())
    with pytest.raises(SystemExit):
        tap._handle_termination(2, None)
    assert ended == [130]


def test_noise_of_the_sdk_is_left_out():
    record = logging.makeLogRecord({"msg": "An unhandled error occurred while syncing '%s'", "args": ("contacts",)})
    assert not plugin._no_noise(record)
    assert plugin._no_noise(logging.makeLogRecord({"msg": "Setting `x`: is wrong."}))
