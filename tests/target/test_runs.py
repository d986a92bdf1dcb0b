"""Runs as a user sees them: what is emitted, logged and survived. Against the sandbox."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from loyalty import contact, guid, lines, listened, load, load_rows, record, schema, state
from singer_sdk.exceptions import ConfigValidationError
from support import ROOT, run_cli

from annex_d365.errors import ConnectorError, OutageError, SettingError
from annex_d365.http import Session
from annex_d365.ledger import store
from annex_d365.singer import checkpoints
from target_annex.report import Outcome
from target_annex.target import TargetAnnex, TargetD365


@pytest.fixture
def process(site):
    """Starts the target as a process, with a pipe to each of its ends."""
    started = []

    def start(config):
        path = site.directory / "config.json"
        path.write_text(json.dumps(config))
        command = [sys.executable, "-W", "ignore", "-m", "target_annex", "--config", str(path)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen(command, text=True, cwd=site.directory, env={"PYTHONPATH": str(ROOT)}, **pipes))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)


def wait_until_it_reads(running):
    while "Skipping parse" not in running.stderr.readline():
        assert running.poll() is None
    time.sleep(0.4)


def enrolling(site, **more):
    return site.config(enrol="all", **more)


def test_throttling_is_waited_out(site):
    site.fault(route="/users", kind="status", status=429, retry_after=1, count=1)
    started = time.monotonic()
    load_rows(enrolling(site), [contact(1)])
    assert time.monotonic() - started >= 1
    assert "person.1@example.org" in site.ids()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "drop"},
        {"kind": "truncate"},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
    ],
)
@pytest.mark.usefixtures("short_pauses")
def test_a_passing_fault_is_survived(site, fault):
    site.fault(route="/users", count=1, **fault)
    load_rows(enrolling(site), [contact(1)])
    assert "person.1@example.org" in site.ids()


@pytest.mark.usefixtures("short_pauses")
def test_a_lost_reply_enrols_once(site):
    before = len(site.ids())
    site.fault(route="/users$", method="POST", kind="lost_reply", count=1)
    target = TargetAnnex(config=enrolling(site))
    listened(target, lines([schema(), record(contact(1))]))
    assert target.report("contacts").counts == {Outcome.CREATED: 1}
    assert len(site.ids()) == before + 1
    assert site.member("person.1@example.org")["optInStatus"] == "NO"
    assert site.rejects() == []


def test_a_dead_service_ends_the_run_with_the_state_of_what_is_written(site, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    site.fault(route="/users", kind="status", status=503, retry_after=0, after=3)
    messages = [schema(), record(contact(1)), state(1), record(contact(2)), state(2)]
    with pytest.raises(OutageError):
        load(enrolling(site, batch_size_rows=1), messages)
    assert site.rejects() == []


def test_a_refused_signature_names_the_setting(site):
    with pytest.raises(SettingError) as error:
        load_rows(site.config(secret_key="another-secret-marker"), [contact(1)])
    assert error.value.setting == "secret_key"
    assert "marker" not in str(error.value)


def test_a_wrong_address_names_the_setting(site):
    config = site.config(base_url=site.sandbox.info["url"] + "/api/2.0")
    with pytest.raises(SettingError) as error:
        load_rows(config, [contact(1)])
    assert error.value.setting == "base_url"


@pytest.mark.parametrize("setting", ["site_id", "site_name", "secret_key"])
def test_what_annex_cloud_needs_is_asked_for_at_the_start(site, setting):
    with pytest.raises(SettingError, match=f"Setting `{setting}`: is required"):
        TargetAnnex(config=site.config(**{setting: None}))


def test_dynamics_is_another_destination_with_settings_of_its_own():
    with pytest.raises(SettingError, match=r"Setting `organization_url`: is required"):
        TargetAnnex(config={"destination": "d365"})


def test_target_d365_is_the_same_target_with_its_destination_fixed(site):
    code = "from target_annex.__main__ import main_d365; main_d365()"
    command = [sys.executable, "-W", "ignore", "-c", code, "--config", "ENV"]
    environment = {"PYTHONPATH": str(ROOT), "TARGET_D365_ENROL": "everybody"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=site.directory)
    assert done.returncode == 1
    assert "Setting `enrol`: must be one of existing, flagged, all." in done.stderr
    with pytest.raises(SettingError) as error:
        TargetD365(config={})
    assert error.value.setting == "organization_url"
    assert TargetD365.name == "target-d365"


def test_a_failed_run_reports_too(site):
    rows = [contact(1), contact(2, emailaddress1="no address")]
    stdin = lines([schema(), *map(record, rows), state(2)])
    config = enrolling(site, on_error="fail")
    done = run_cli("target_annex", config=config, directory=site.directory, stdin=stdin)
    assert done.returncode == 1
    assert "1 rejected" in done.stderr
    assert "Annex Cloud: " in done.stderr
    assert done.stdout == ""


MARKED = {
    "emailaddress1": "marker.address@example.org",
    "firstname": "MarkerFirst",
    "lastname": "MarkerLast",
    "mobilephone": "+99-marker-phone",
    "cr0dd_loyaltyid": "MARKER-MEMBER-ID",
}


KEYED = {"keyed": {"object": "members", "fields": {"email": "emailaddress1"}}}


def marked_input():
    return [
        schema(),
        record(contact(1, **MARKED)),
        record(contact(2, **{**MARKED, "emailaddress1": "marker no address"})),
        record(contact(3, **{**MARKED, "birthdate": "marker-date"})),
        record(contact(4, **{**MARKED, "firstname": "MarkerFirst" * 10})),
        record(contact(5, **{**MARKED, "lastname": ["MarkerLast"]})),
        {**schema(key=["emailaddress1"]), "stream": "keyed"},
        record(contact(6, **{**MARKED, "firstname": 4}), "keyed"),
        state("MarkerState"),
    ]


def test_nothing_personal_and_no_secret_is_logged(site):
    site.fault(route="/users", kind="status", status=503, retry_after=0, count=1)
    config = enrolling(site, batch_size_rows=1, streams=KEYED)
    stdin = lines(marked_input())
    done = run_cli("target_annex", config=config, directory=site.directory, stdin=stdin, TARGET_ANNEX_LOGLEVEL="DEBUG")
    assert done.returncode == 0
    assert "rejected" in done.stderr
    assert "marker" not in done.stderr.lower()
    assert config["secret_key"] not in done.stderr


@pytest.mark.parametrize(
    "end",
    [
        '{"type": "RECORD", "stream": "contacts"}',
        '{"type": "RECORD", "stream": "contacts", "record": ["MarkerFirst"]}',
        '{"kind": "MarkerFirst"}',
        '{"type": "MarkerFirst"}',
        '["MarkerFirst"]',
        '{"type": "RECORD", "record": {"firstname": "MarkerFirst"',
        '{"type": "BATCH", "stream": "contacts", "MarkerFirst": 1}',
        '{"type": ["MarkerFirst"]}',
        '{"type": "RECORD", "stream": ["contacts"], "record": {"firstname": "MarkerFirst"}}',
        '{"type": "RECORD", "stream": 5, "record": {"firstname": "MarkerFirst"}}',
        '{"type": "RECORD", "record": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type": "SCHEMA", "stream": "contacts", "schema": null}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": ["MarkerFirst", "properties"]}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": {"title": "MarkerFirst"}}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": {"properties": null}}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": {"properties": ["MarkerFirst"]}}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": {"properties": {}}, "key_properties": "contactid"}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": {"properties": {}}, "key_properties": 5}',
        '{"type": "SCHEMA", "stream": "contacts", "schema": {"properties": {}}, "key_properties": [5]}',
        '{"type": "SCHEMA", "stream": 5, "schema": {"properties": {}}}',
        '{"type": "ACTIVATE_VERSION", "version": 1}',
        '{"type": "STATE", "value": "MarkerFirst\\ud800"}',
    ],
)
def test_a_line_that_is_no_message_ends_the_run_and_is_not_quoted(site, caplog, end):
    caplog.set_level("DEBUG")
    target = TargetAnnex(config=enrolling(site, streams=KEYED))
    with pytest.raises(ConnectorError) as error:
        listened(target, lines(marked_input()) + end)
    assert "marker" not in (str(error.value) + caplog.text).lower()
    assert type(error.value) is ConnectorError
    assert re.match(r"Input line 10 |Stream contacts: ", str(error.value))


@pytest.mark.parametrize(
    "message", [record(contact(1)), {"type": "ACTIVATE_VERSION", "stream": "contacts", "version": 1}]
)
def test_a_stream_without_schema_ends_the_run(site, message):
    with pytest.raises(ConnectorError, match=f"Stream contacts: a {message['type']} message came before its SCHEMA"):
        load(site.config(), [message])


def test_input_that_is_not_utf_8_ends_the_run_with_a_sentence(site, process):
    running = process(site.config())
    running.stdin.buffer.write(lines([schema()]).encode() + b'{"type": "RECORD", "marker": "\xff\xfe"}\n')
    running.stdin.flush()
    _, err = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "Input line 2 is no Singer message" in err
    assert "Traceback" not in err
    assert "marker" not in err


def test_a_state_that_nobody_takes_ends_the_run_with_a_sentence(site, process):
    running = process(enrolling(site))
    running.stdout.close()
    running.stdout = None
    _, err = running.communicate(lines([schema(), record(contact(1)), state(1)]), timeout=30)
    assert running.returncode == 1
    assert "STATE cannot be written to standard output (Broken pipe)" in err
    assert "1 created" in err
    assert not {"Traceback", "Exception ignored"} & set(re.findall("Traceback|Exception ignored", err))


def test_kill_9_in_the_middle_loses_nothing(site, process):
    rows = [contact(number, cr0dd_loyaltyid=f"N{number}") for number in range(120)]
    rows[50]["emailaddress1"] = "no address"
    messages = [schema()]
    for number, row in enumerate(rows):
        messages.append(record(row))
        if number % 10 == 9:
            messages.append(state(number + 1))
    config = enrolling(site, batch_size_rows=10)
    site.fault(route="/users", kind="latency", seconds=0.02)
    running = process(config)
    running.stdin.write(lines(messages[:80]))
    running.stdin.flush()
    emitted = json.loads(running.stdout.readline())
    running.send_signal(signal.SIGKILL)
    running.wait()
    rest = running.stdout.read()
    if rest.strip():
        emitted = json.loads(rest.splitlines()[-1])
    done = emitted["at"]
    assert 0 < done < len(rows)
    covered = {f"N{number}" for number in range(done)} - {"N50"}
    assert covered <= site.ids(), "a STATE came too early"
    site.sandbox.faults.clear()
    start = messages.index(state(done)) + 1
    assert load(config, [schema(), *messages[start:]])[-1] == {"at": 120}
    assert {f"N{number}" for number in range(120)} - site.ids() == {"N50"}
    assert guid(50) in {each["record"]["contactid"] for each in site.rejects() if each["type"] == "RECORD"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_what_was_read(site, process, number, code):
    running = process(enrolling(site))
    running.stdin.write(lines([schema(), record(contact(1)), record(contact(2)), state(2), record(contact(3))]))
    running.stdin.flush()
    wait_until_it_reads(running)
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert json.loads(out.splitlines()[-1]) == {"at": 2}
    assert {f"person.{each}@example.org" for each in (1, 2, 3)} <= site.ids()
    assert "3 created" in err
    assert "Traceback" not in err


def test_a_signal_in_the_middle_of_a_batch_waits_for_its_end(site, process):
    site.fault(route="/users", kind="latency", seconds=0.15)
    running = process(enrolling(site, batch_size_rows=2, max_parallel_requests=1))
    messages = [schema(), record(contact(1)), record(contact(2)), state(2), *(record(contact(n)) for n in range(3, 40))]
    running.stdin.write(lines(messages))
    running.stdin.flush()
    while not site.log():
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 143
    assert {"person.1@example.org", "person.2@example.org"} <= site.ids()
    assert "person.39@example.org" not in site.ids()
    assert out.splitlines() in ([], ['{"at":2}'])
    assert "Traceback" not in err


def test_the_second_signal_ends_at_once(site, process):
    site.fault(route="/users", kind="latency", seconds=2)
    running = process(enrolling(site, batch_size_rows=1))
    running.stdin.write(lines([schema(), record(contact(1))]))
    running.stdin.flush()
    wait_until_it_reads(running)
    running.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    started = time.monotonic()
    running.send_signal(signal.SIGTERM)
    running.wait(10)
    assert time.monotonic() - started < 1
    assert running.returncode == 143
    assert running.stdout.read() == ""
    while not site.log():  # the sandbox is still busy with the request
        time.sleep(0.05)


def test_streams_are_written_one_after_the_other(site):
    columns = {"id": {"type": "string"}, "mail": {"type": "string"}}
    streams = {"people": {"object": "members", "fields": {"id": "id", "email": "mail"}}}
    messages = [
        schema(),
        schema("people", columns, ["id"]),
        record(contact(1, cr0dd_loyaltyid="N1")),
        record({"id": "N2", "mail": "person.2@example.org"}, "people"),
        state(2),
    ]
    site.fault(route="/users", kind="latency", seconds=0.05)
    load(enrolling(site, streams=streams), messages)
    assert {"N1", "N2"} <= site.ids()
    touched = [path[-2:] for _, path, _ in site.log() if path.endswith(("/N1", "/N2"))]
    assert touched == sorted(touched)


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("streams", {"contacts": 5}, "Setting `streams.contacts`: must be an object"),
        ("streams", {"contacts": None}, "Setting `streams.contacts`: must be an object"),
        ("streams", {"contacts": {"key": ""}}, "Setting `streams.contacts.key`: is empty"),
        ("streams", {"contacts": {"fields": {}}}, "Setting `streams.contacts.fields`: is empty"),
        ("rejects_path", "missing/rejects.singer", "Setting `rejects_path`: there is no directory missing"),
        ("rejects_path", "", "Setting `rejects_path`: . is a directory"),
        ("base_url", "http://annex.example/api/3.0", "Setting `base_url`: must begin with https://"),
        ("base_url", "https://annex.example/api?marker=1", "Setting `base_url`: must not carry"),
        ("site_id", "marker id", "Setting `site_id`: must not hold blanks"),
        ("site_id", "marker\n", "Setting `site_id`: must not hold blanks"),
        ("site_id", "marker\u00e9", "Setting `site_id`: must not hold blanks"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_read(site, setting, value, sentence):
    with pytest.raises(SettingError) as error:
        TargetAnnex(config=site.config(**{setting: value}))
    assert str(error.value).startswith(sentence)
    assert "marker" not in str(error.value)


@pytest.mark.parametrize("streams", [{"contacts": 5}, {"contacts": None}, {"contacts": {"fields": 5}}, [5], "5"])
def test_settings_of_any_shape_are_told_in_a_sentence(site, streams):
    with pytest.raises((SettingError, ConfigValidationError)) as error:
        TargetAnnex(config=site.config(streams=streams))
    told = getattr(error.value, "errors", [str(error.value)])
    assert [each for each in told if not each.startswith("Setting `streams")] == []


def test_a_sentence_is_all_that_is_told_of_a_wrong_setting(site):
    done = run_cli("target_annex", config=site.config(streams={"contacts": {"fields": 5}}), directory=site.directory)
    assert done.returncode == 1
    assert "Setting `streams" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_rejects_nothing_needs_no_file_for_it(site):
    load_rows(site.config(on_error="fail", rejects_path="missing/rejects.singer"), [contact(1)])


def test_as_many_requests_are_in_flight_as_wanted(site, monkeypatch):
    now, most, lock = [], [], threading.Lock()
    request = Session.request

    def counted(*args, **kwargs):
        with lock:
            now.append(1)
            most.append(len(now))
        try:
            return request(*args, **kwargs)
        finally:
            with lock:
                now.pop()

    monkeypatch.setattr(Session, "request", counted)
    site.fault(route="/users", kind="latency", seconds=0.3)
    rows = [contact(number, cr0dd_loyaltyid=f"N{number}") for number in range(40)]
    load_rows(site.config(max_parallel_requests=16, skip_unchanged="read"), rows)
    assert max(most) == 16


@pytest.mark.parametrize(("number", "words"), [(0, "1 or more"), (53, "52 or less")])
def test_requests_in_flight_have_limits(site, number, words):
    with pytest.raises(ConfigValidationError) as error:
        TargetAnnex(config=site.config(max_parallel_requests=number))
    assert error.value.errors == [f"Setting `max_parallel_requests`: must be {words}."]


def test_rejects_are_on_the_disk_before_the_state_that_covers_them(site, monkeypatch):
    events = []
    synced = os.fsync
    monkeypatch.setattr("os.fsync", lambda descriptor: (events.append("rejects"), synced(descriptor)))
    monkeypatch.setattr(checkpoints, "_print", lambda _: events.append("STATE"))
    poison = record(contact(1, emailaddress1="no address"))
    load(
        enrolling(site, batch_size_rows=1), [schema(), poison, state(1), record(contact(2)), state(2), poison, state(3)]
    )
    assert events == ["rejects", "STATE", "STATE", "rejects", "STATE"]


def test_an_empty_setting_is_one_that_was_not_made(site):
    nothing = dict.fromkeys(("enrol", "streams", "max_parallel_requests", "max_reject_percent", "on_error"))
    before = site.ids()
    assert load_rows(site.config(**nothing), [contact(1)]) == [{"at": 1}]
    assert site.ids() == before


def test_a_signal_in_the_middle_of_the_ledgers_work_waits_for_its_end(site, monkeypatch):
    find, signals = store.find, [signal.SIGTERM]

    def interrupted(*args):
        while signals:
            signal.raise_signal(signals.pop())
        return find(*args)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(store, "find", interrupted)
    rows = [contact(number, cr0dd_loyaltyid=f"N{number}") for number in (1, 2)]
    try:
        with pytest.raises(SystemExit) as end:
            load_rows(enrolling(site), rows)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert end.value.code == 143
    assert {"N1", "N2"} <= site.ids()
    assert {target for target, _ in site.ledger().values()} == {"N1", "N2"}
