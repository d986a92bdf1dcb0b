"""Streams with change tracking, against the sandbox.

What a target would hold is a mirror of the records: by key, less what was deleted. Whatever happens between runs and in
them, after a completed run it holds what the table holds.
"""

from __future__ import annotations

import functools
import gc
import io
import itertools
import json
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ROOT, Messages, discover, run_cli, run_tap, select, tap_config

from annex_d365.dataverse.client import Dataverse
from annex_d365.errors import SettingError
from annex_d365_sandbox.sandbox import Sandbox
from tap_d365.snapshot import Snapshot
from tap_d365.streams import TableStream
from tap_d365.tap import TapD365

DELETED_AT = "_sdc_deleted_at"
KEYS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 9)]


@pytest.fixture(scope="module", autouse=True)
def _versions():
    """Versions are seconds; runs of a test begin in the same one."""
    versions = itertools.count(1)
    with patch.object(TableStream, "new_version", lambda _self: next(versions)):
        yield


@pytest.fixture(scope="module")
def small():
    """A sandbox of this module, without contacts at first."""
    with Sandbox(contacts=0) as sandbox:
        yield sandbox


@pytest.fixture
def crm(small):
    """The small sandbox with six contacts."""
    small.control.reset()
    people(small, KEYS[:6])
    return small


def people(sandbox, keys):
    for key in keys:
        sandbox.organisation.create("contact", {"contactid": key, "lastname": "First"})


def log_based(sandbox, **more):
    table = {"name": "contacts", "replication": "LOG_BASED", "select": ["lastname"]}
    return tap_config(sandbox, **{"tables": [table], "page_size": 2, "max_parallel_requests": 2, **more})


def table(sandbox):
    return {row["contactid"]: row["lastname"] for row in sandbox.organisation.rows("contact")}


def requests_for(sandbox, entity_set="contacts"):
    """The query of each request for rows of a table, as a dict."""
    return [
        {name: values[0] for name, values in parse_qs(entry["query"]).items()}
        for entry in sandbox.control.log.entries()
        if entry["path"].endswith(f"/{entity_set}")
    ]


class Mirror(dict):
    """What a target holds."""

    def __init__(self):
        super().__init__()
        self.versions = {}

    def take(self, messages):
        for message in messages:
            if message["type"] == "RECORD":
                record = message["record"]
                key = record["contactid"]
                if record[DELETED_AT]:
                    assert set(record) == {"contactid", DELETED_AT}
                    self.pop(key, None)
                else:
                    self[key], self.versions[key] = record["lastname"], message.get("version")
            elif message["type"] == "ACTIVATE_VERSION":
                for key in [key for key in self if self.versions[key] != message["version"]]:
                    del self[key]
        return self


class Killed(BaseException):
    """The process is gone."""


class Countdown:
    """Kills when it has come to its end; calls on the way what is to happen meanwhile."""

    def __init__(self, left, meanwhile=None):
        self.left, self.meanwhile = left, meanwhile

    def tick(self):
        if self.meanwhile:
            self.meanwhile()
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


def run(config, state=None, *, request=None, record=None, meanwhile=None, fails=()):
    """A run that may be killed at a request for rows, or after a record; its messages, and whether it came to an end.

    A STATE follows every record. ``fails``: errors that are an end like that, too.
    """
    requests, records = Countdown(request), Countdown(record, meanwhile)
    read, write = Dataverse._read, TapD365.write_message

    def reading(self, url, *arguments):
        if "contacts" in url:
            requests.tick()
        return read(self, url, *arguments)

    def writing(self, message):
        write(self, message)
        if message.type == "RECORD":
            records.tick()

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with (
        patch.object(Dataverse, "_read", reading),
        patch.object(TapD365, "write_message", writing),
        patch.object(TableStream, "STATE_MSG_FREQUENCY", 1),
        redirect_stdout(out),
    ):
        try:
            TapD365(config=dict(config), state=json.loads(json.dumps(state)) if state else None).sync_all()
            ended = True
        except (Killed, *fails):
            ended = False
    gc.collect()  # what the killed run had open is closed
    return Messages.read(out.buffer.getvalue().decode()), ended


def one_by_one(*actions):
    """Calls one of them at each call, as long as there are any."""
    left = list(actions)

    def act():
        if left:
            left.pop(0)()

    return act


def last_state(messages, state):
    return messages.states[-1] if messages.states else state


def bookmark(state):
    return state["bookmarks"]["contacts"]


def test_the_first_load(crm):
    crm.control.log.clear()
    messages = run_tap(log_based(crm))
    (schema,) = messages.of("SCHEMA")
    assert schema["schema"]["properties"][DELETED_AT] == {"type": ["string", "null"], "format": "date-time"}
    assert all(set(record) == set(schema["schema"]["properties"]) for record in messages.records())
    assert {record["contactid"]: record["lastname"] for record in messages.records()} == table(crm)
    assert {record[DELETED_AT] for record in messages.records()} == {None}
    assert set(bookmark(messages.states[-1])) == {"delta"}
    assert set(bookmark(messages.states[-1])["delta"]) == {"token", "fingerprint", "version"}
    queries = requests_for(crm)
    assert queries[0] == {"$select": "contactid"}
    assert "$deltatoken" in queries[-1]


def test_changes_and_deletions_in_the_order_of_the_service(crm):
    first = run_tap(log_based(crm))
    organisation = crm.organisation
    organisation.update("contact", KEYS[4], {"lastname": "Second"})
    organisation.update("contact", KEYS[1], {"lastname": "Second"})
    organisation.delete("contact", KEYS[2])
    people(crm, KEYS[6:8])
    organisation.delete("contact", KEYS[7])  # was never seen here
    organisation.delete("contact", KEYS[3])
    people(crm, [KEYS[3]])
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    second = run_tap(log_based(crm), state=first.states[-1])
    records = second.records()
    assert [record["contactid"] for record in records[:4]] == [KEYS[4], KEYS[1], KEYS[6], KEYS[3]]
    assert {record["contactid"] for record in records[4:]} == {KEYS[2], KEYS[7]}
    (seen,) = {record[DELETED_AT] for record in records[4:]}
    assert before <= datetime.strptime(seen, "%Y-%m-%dT%H:%M:%S%z") <= datetime.now(timezone.utc)
    assert seen.endswith("Z")
    assert Mirror().take(first).take(second) == table(crm)
    third = run_tap(log_based(crm), state=second.states[-1])
    assert third.records() == []
    assert third.of("ACTIVATE_VERSION") == []


def test_rows_that_change_while_all_are_read(crm):
    """Among them a row that is read already, one that is not, a new one, and one that is made again."""
    organisation = crm.organisation
    meanwhile = one_by_one(
        lambda: organisation.update("contact", KEYS[0], {"lastname": "Second"}),
        lambda: organisation.delete("contact", KEYS[1]),
        lambda: organisation.delete("contact", KEYS[5]),
        lambda: people(crm, [KEYS[6], KEYS[1]]),
        lambda: organisation.delete("contact", KEYS[0]),
    )
    messages, _ = run(log_based(crm), meanwhile=meanwhile)
    assert table(crm).keys() == {*KEYS[1:5], KEYS[6]}
    assert Mirror().take(messages) == table(crm)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("point", [{"request": n} for n in range(7)] + [{"record": n} for n in range(6)])
def test_a_first_load_that_is_killed_goes_on(crm, tmp_path, point, kept):
    config = log_based(crm, snapshot_path=str(tmp_path) if kept else None)
    killed, ended = run(config, **point)
    assert not ended
    crm.organisation.delete("contact", KEYS[0])
    crm.organisation.update("contact", KEYS[1], {"lastname": "Second"})
    crm.control.log.clear()
    state = last_state(killed, None)
    resumed = run_tap(config, state=state)
    assert Mirror().take(killed).take(resumed) == table(crm)
    if state:
        assert bookmark(state)["delta"]["load"] == ("keys" if kept else "version")
        assert {"$select": "contactid"} not in requests_for(crm), "the sweep is not repeated"
    versions = {
        message.get("version") for message in (killed if state else Messages()) + resumed if "record" in message
    }
    assert versions == ({None} if kept else {message["version"] for message in resumed.of("ACTIVATE_VERSION")})
    assert "load" not in bookmark(resumed.states[-1])["delta"]


@pytest.mark.parametrize("point", [{"request": 0}, {"request": 1}, {"record": 0}, {"record": 2}])
def test_changes_that_are_killed_come_again(crm, point):
    first = run_tap(log_based(crm))
    crm.organisation.update("contact", KEYS[4], {"lastname": "Second"})
    for key in KEYS[1:4]:
        crm.organisation.delete("contact", key)
    killed, ended = run(log_based(crm), first.states[-1], **point)
    assert not ended
    assert bookmark(last_state(killed, first.states[-1]))["delta"] == bookmark(first.states[-1])["delta"]
    resumed = run_tap(log_based(crm), state=last_state(killed, first.states[-1]))
    assert len(resumed.records()) == 4
    assert Mirror().take(first).take(killed).take(resumed) == table(crm)


def test_a_process_that_is_killed_for_real(crm, tmp_path):
    often = (
        "from tap_d365.__main__ import main\n"
        "from tap_d365.streams import TableStream\n"
        "TableStream.STATE_MSG_FREQUENCY = 1\n"
        "main()\n"
    )
    config = log_based(crm, snapshot_path=str(tmp_path / "keys"))
    (tmp_path / "config.json").write_text(json.dumps(config))
    crm.faults.add(route="/contacts", kind="latency", seconds=0.1)
    command = [sys.executable, "-c", often, "--config", str(tmp_path / "config.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if sum('"RECORD"' in each for each in lines) == 3:
                process.send_signal(signal.SIGKILL)
                break
    crm.faults.clear()
    killed = Messages.read("".join(lines))
    resumed = run_tap(config, state=killed.states[-1])
    assert Mirror().take(killed).take(resumed) == table(crm)


def test_a_table_without_change_time(crm):
    crm.organisation.have_extra_tables(10)
    stream = "cr0dd_extra0010s"
    for _ in range(3):
        crm.organisation.create("cr0dd_extra0010", {"cr0dd_name": "First"})
    config = tap_config(crm, tables=[{"name": stream, "replication": "LOG_BASED"}], page_size=1)
    killed, ended = run(config, record=1)
    assert not ended
    assert set(killed.states[-1]["bookmarks"][stream]["delta"]) == {"token", "fingerprint", "version", "load"}
    first = run_tap(config, state=killed.states[-1])
    assert len(first.records(stream)) == 3
    assert set(first.states[-1]["bookmarks"][stream]) == {"delta"}
    key = "cr0dd_extra0010id"
    gone = first.records(stream)[0][key]
    crm.organisation.delete("cr0dd_extra0010", gone)
    (record,) = run_tap(config, state=first.states[-1]).records(stream)
    assert record == {key: gone, DELETED_AT: record[DELETED_AT]}


def forget(sandbox, **fault):
    sandbox.faults.add(kind="expired_delta_token", route="/contacts", **{"count": 1, **fault})


def test_forgotten_changes_with_a_snapshot(crm, tmp_path, caplog):
    config = log_based(crm, snapshot_path=str(tmp_path))
    first = run_tap(config)
    assert first.of("ACTIVATE_VERSION") == []
    for key in KEYS[1:4]:
        crm.organisation.delete("contact", key)
    people(crm, [KEYS[6], KEYS[2]])
    crm.organisation.update("contact", KEYS[0], {"lastname": "Second"})
    crm.clock.advance(8 * 86400)
    second = run_tap(config, state=first.states[-1])
    assert [each["contactid"] for each in second.records() if each[DELETED_AT]] == [KEYS[1], KEYS[3]]
    assert Mirror().take(first).take(second) == table(crm)
    assert second.of("ACTIVATE_VERSION") == []
    (warning,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "by the keys of its snapshot" in warning
    assert set(bookmark(second.states[-1])["delta"]) == {"token", "fingerprint"}


@pytest.mark.parametrize(("days", "forgotten"), [(6, False), (8, True)])
def test_tokens_expire_by_the_clock_of_the_service(crm, tmp_path, days, forgotten):
    """The whole run, from the command line, a week later."""
    config = log_based(crm, snapshot_path=str(tmp_path / "keys"))
    first = run_cli("tap_d365", config=config, directory=tmp_path)
    assert first.returncode == 0, first.stderr
    mirror = Mirror().take(Messages.read(first.stdout))
    (tmp_path / "state.json").write_text(json.dumps(Messages.read(first.stdout).states[-1]))
    crm.clock.advance(days * 86400)
    for key in KEYS[1:3]:
        crm.organisation.delete("contact", key)
    people(crm, [KEYS[6]])
    second = run_cli("tap_d365", "--state", "state.json", config=config, directory=tmp_path)
    assert second.returncode == 0, second.stderr
    assert ("All rows of contacts are read again" in second.stderr) is forgotten
    messages = Messages.read(second.stdout)
    gone = [record["contactid"] for record in messages.records() if record[DELETED_AT]]
    assert sorted(gone) == sorted(KEYS[1:3])
    assert len(messages.records()) == len(gone) + (5 if forgotten else 1)
    assert messages.of("ACTIVATE_VERSION") == []
    assert mirror.take(messages) == table(crm)


def test_forgotten_changes_without_a_snapshot(crm, caplog):
    first = run_tap(log_based(crm))
    for key in KEYS[1:4]:
        crm.organisation.delete("contact", key)
    forget(crm)
    second = run_tap(log_based(crm), state=first.states[-1])
    (warning,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "ACTIVATE_VERSION" in warning
    assert not any(each[DELETED_AT] for each in second.records())
    kinds = [message["type"] for message in second if message["type"] != "STATE"]
    assert kinds == ["SCHEMA", "RECORD", "RECORD", "RECORD", "ACTIVATE_VERSION"]
    (activated,) = second.of("ACTIVATE_VERSION")
    assert {message["version"] for message in second.of("RECORD")} == {activated["version"]}
    assert activated["version"] > first.of("ACTIVATE_VERSION")[0]["version"]
    assert Mirror().take(first).take(second) == table(crm)
    crm.organisation.update("contact", KEYS[0], {"lastname": "Second"})
    third = run_tap(log_based(crm), state=second.states[-1])
    assert [message["version"] for message in third.of("RECORD")] == [activated["version"]]


@pytest.mark.parametrize("kept", [False, True])
def test_changes_that_are_forgotten_between_two_pages(crm, tmp_path, kept):
    config = log_based(crm, snapshot_path=str(tmp_path) if kept else None)
    first = run_tap(config)
    for key in KEYS[1:5]:
        crm.organisation.delete("contact", key)
    crm.organisation.update("contact", KEYS[5], {"lastname": "Second"})
    crm.faults.add(kind="status", route="/contacts", status=400, code="0x80044352", after=1, count=1)
    second = run_tap(config, state=first.states[-1])
    assert Mirror().take(first).take(second) == table(crm)
    assert bool(second.of("ACTIVATE_VERSION")) is not kept


@pytest.mark.parametrize(
    "said",
    [
        {"status": 500, "code": "0x80044352"},
        {"status": 503, "message": "Version stamp associated with the client has expired. Please perform a full sync."},
        {"status": 410, "code": "-2147204270"},
    ],
)
def test_the_status_of_forgetting_does_not_matter(crm, said):
    """And it is not tried again."""
    first = run_tap(log_based(crm))
    crm.organisation.delete("contact", KEYS[1])
    crm.faults.add(kind="status", route="/contacts", count=1, **said)
    second = run_tap(log_based(crm), state=first.states[-1])
    assert len(second.records()) == 5
    assert second.of("ACTIVATE_VERSION")


def test_a_token_of_another_organisation(crm):
    state = run_tap(log_based(crm)).states[-1]
    bookmark(state)["delta"]["token"] = "999999%2103%2f01%2f2026%2000%3a00%3a00"
    assert len(run_tap(log_based(crm), state=state).records()) == 6


@pytest.mark.parametrize(
    "wrong", [{"token": "1&$filter=lastname eq null"}, {"token": 7}, {"load": "all"}, {"version": "x"}, {"token": None}]
)
@pytest.mark.parametrize("kept", [False, True])
def test_a_state_that_cannot_be_used(crm, tmp_path, wrong, kept):
    config = log_based(crm, snapshot_path=str(tmp_path) if kept else None)
    first = run_tap(config)
    state = json.loads(json.dumps(first.states[-1]))
    bookmark(state)["delta"].update(wrong)
    crm.organisation.delete("contact", KEYS[0])
    second = run_tap(config, state=state)
    assert len(second.of("ACTIVATE_VERSION")) == 1
    assert Mirror().take(first).take(second) == table(crm)


def test_changes_that_are_always_forgotten(crm):
    forget(crm, count=None)
    with pytest.raises(SettingError, match=r"tables\.contacts\.replication.*ExpireChangeTrackingInDays"):
        run_tap(log_based(crm))


@pytest.mark.parametrize("kept", [False, True])
def test_other_columns_are_a_full_load(crm, tmp_path, kept):
    path = str(tmp_path) if kept else None
    first = run_tap(log_based(crm, snapshot_path=path))
    crm.organisation.delete("contact", KEYS[1])
    columns = {"name": "contacts", "replication": "LOG_BASED", "select": ["lastname", "firstname"]}
    second = run_tap(log_based(crm, tables=[columns], snapshot_path=path), state=first.states[-1])
    assert sum("firstname" in record for record in second.records()) == 5
    assert Mirror().take(first).take(second) == table(crm)


def test_another_host_is_a_full_load(crm):
    config = log_based(crm)
    state = run_tap(config).states[-1]
    elsewhere = {**config, "organization_url": config["organization_url"].replace("127.0.0.1", "localhost")}
    elsewhere["resource"] = config["organization_url"]
    assert len(run_tap(elsewhere, state=state).records()) == 6


def test_start_date_and_bookmarks(crm):
    """The start date counts for a full load; bookmarks of incremental runs do not, and go."""
    config = log_based(crm, tables=[{"name": "contacts", "select": ["lastname"]}])
    for minutes, key in enumerate(KEYS[:6]):
        crm.clock.freeze(datetime.now(timezone.utc) - timedelta(hours=1, minutes=-minutes))
        crm.organisation.update("contact", key, {"lastname": "Second"})
    crm.clock.reset()
    incremental = run_tap(config).states[-1]
    assert "replication_key_value" in bookmark(incremental)
    killed, _ = run(config, record=2)
    for state in (incremental, killed.states[-1]):
        messages = run_tap(log_based(crm, lookback_seconds=60), state=state)
        assert len(messages.records()) == 6
        assert set(bookmark(messages.states[-1])) == {"delta"}
    later = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert run_tap(log_based(crm, start_date=later)).records() == []


def in_catalog(catalog, method):
    for entry in catalog["streams"]:
        entry["replication_method"] = method
    return catalog


def test_a_catalog_can_ask_for_it(crm):
    config = log_based(crm, tables=[{"name": "contacts"}])
    catalog = in_catalog(select(discover(config), "lastname"), "LOG_BASED")
    first = run_tap(config, catalog=catalog)
    assert DELETED_AT in first.of("SCHEMA")[0]["schema"]["properties"]
    crm.organisation.delete("contact", KEYS[0])
    second = run_tap(config, catalog=catalog, state=first.states[-1])
    assert [set(record) for record in second.records()] == [{"contactid", DELETED_AT}]


def test_a_catalog_cannot_ask_for_it_with_a_filter(crm):
    config = log_based(crm, tables=[{"name": "contacts", "filter": "lastname ne null"}])
    with pytest.raises(SettingError, match=r"tables\.contacts\.replication.*LOG_BASED cannot be used with filter"):
        run_tap(config, catalog=in_catalog(discover(config), "LOG_BASED"))


def test_a_catalog_can_leave_it(crm):
    config = log_based(crm)
    catalog = in_catalog(discover(config), "INCREMENTAL")
    assert len(run_tap(config, catalog=catalog).records()) == 6


def test_a_catalog_cannot_leave_out_deletions(crm):
    config = log_based(crm)
    catalog = discover(config)
    state = run_tap(config, catalog=select(catalog)).states[-1]
    crm.organisation.delete("contact", KEYS[0])
    (record,) = run_tap(config, catalog=catalog, state=state).records()
    assert record[DELETED_AT]


def test_a_table_that_is_not_tracked_after_all(crm):
    config = log_based(crm, tables=[{"name": "contacts"}])
    catalog = in_catalog(discover(config), "LOG_BASED")
    crm.organisation.switches.change_tracking = {"contact": False}
    with pytest.raises(SettingError, match=r"tables\.contact\.replication.*not enabled"):
        run_tap(config, catalog=catalog)


def test_a_snapshot_that_comes_later(crm, tmp_path):
    """It begins with the keys of then, and is good from the next run on."""
    first = run_tap(log_based(crm))
    crm.organisation.delete("contact", KEYS[0])
    config = log_based(crm, snapshot_path=str(tmp_path))
    second = run_tap(config, state=first.states[-1])
    assert [record["contactid"] for record in second.records()] == [KEYS[0]]
    crm.organisation.delete("contact", KEYS[1])
    forget(crm)
    third = run_tap(config, state=second.states[-1])
    assert [each["contactid"] for each in third.records() if each[DELETED_AT]] == [KEYS[1]]
    assert third.of("ACTIVATE_VERSION") == []


@pytest.mark.parametrize("loading", [False, True])
def test_a_snapshot_that_is_lost(crm, tmp_path, loading):
    config = log_based(crm, snapshot_path=str(tmp_path))
    first, _ = run(config, record=2 if loading else None)
    (file,) = tmp_path.iterdir()
    file.unlink()
    crm.organisation.delete("contact", KEYS[0])
    if not loading:
        forget(crm)
    second = run_tap(config, state=first.states[-1])
    assert second.of("ACTIVATE_VERSION")
    assert Mirror().take(first).take(second) == table(crm)


def test_a_state_that_never_arrived(crm, tmp_path):
    """The deletion was sent, but neither it nor the state was kept by the target, and then the service forgot it."""
    config = log_based(crm, snapshot_path=str(tmp_path))
    first = run_tap(config)
    crm.organisation.delete("contact", KEYS[0])
    assert len(run_tap(config, state=first.states[-1]).records()) == 1
    forget(crm)
    again = run_tap(config, state=first.states[-1])
    assert [each["contactid"] for each in again.records() if each[DELETED_AT]] == [KEYS[0]]
    # This one did arrive: next time nobody needs to hear of it.
    assert run_tap(config, state=again.states[-1]).records() == []
    forget(crm)
    assert not [each for each in run_tap(config, state=again.states[-1]).records() if each[DELETED_AT]]


def gone(messages):
    return [record["contactid"] for record in messages.records() if record[DELETED_AT]]


def test_a_row_that_came_as_a_change_is_known(crm, tmp_path):
    config = log_based(crm, snapshot_path=str(tmp_path))
    first = run_tap(config)
    people(crm, [KEYS[6]])
    second = run_tap(config, state=first.states[-1])
    crm.organisation.delete("contact", KEYS[6])
    forget(crm)
    assert gone(run_tap(config, state=second.states[-1])) == [KEYS[6]]


def test_a_row_made_after_the_sweep_is_known_when_it_was_sent(crm, tmp_path):
    """Read with all rows, and gone when its changes would have come, which then are forgotten."""
    config = log_based(crm, snapshot_path=str(tmp_path))
    killed, _ = run(config, record=6, meanwhile=one_by_one(lambda: people(crm, [KEYS[6]])))
    assert KEYS[6] in {record["contactid"] for record in killed.records()}
    crm.organisation.delete("contact", KEYS[6])
    forget(crm)
    resumed = run_tap(config, state=killed.states[-1])
    assert gone(resumed) == [KEYS[6]]
    assert Mirror().take(killed).take(resumed) == table(crm)


def test_a_state_of_the_load_does_not_prove_its_deletions(crm, tmp_path):
    """Nothing changed meanwhile, so that the token of the completed load is that of its sweep."""
    config = log_based(crm, snapshot_path=str(tmp_path))
    crm.clock.freeze(datetime.now(timezone.utc).replace(microsecond=0))
    first = run_tap(config)
    crm.organisation.delete("contact", KEYS[0])
    forget(crm)
    second, _ = run(config, first.states[-1])
    within, after = (bookmark(state)["delta"] for state in second.states[-2:])
    assert within["token"] == after["token"]
    assert gone(second) == [KEYS[0]]
    assert gone(run_tap(config, state=second.states[-2])) == [KEYS[0]]


def test_rows_are_not_read_again_for_their_changes(crm):
    """Killed when all are read, and only the changes are missing."""
    crm.organisation.have_extra_tables(10)
    crm.organisation.create("cr0dd_extra0010", {"cr0dd_name": "First"})
    stream = "cr0dd_extra0010s"
    config = tap_config(crm, tables=[{"name": stream, "replication": "LOG_BASED"}])
    update = functools.partial(crm.organisation.create, "cr0dd_extra0010", {"cr0dd_name": "Second"})
    killed, _ = run(config, record=1, meanwhile=one_by_one(update))
    state = killed.states[-1]
    state["bookmarks"][stream]["ranges"] = []
    crm.control.log.clear()
    assert len(run_tap(config, state=state).records(stream)) == 1
    (query,) = requests_for(crm, stream)
    assert "$deltatoken" in query


def test_the_file_of_a_snapshot(crm, tmp_path):
    config = log_based(crm, snapshot_path=str(tmp_path / "new" / "keys"))

    def second_run():
        with pytest.raises(SettingError, match=r"snapshot_path.*in use by another run"):
            TapD365(config=config).sync_all()

    run(config, meanwhile=one_by_one(second_run))
    (file,) = (tmp_path / "new" / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"no database " * 100)
    with pytest.raises(SettingError, match="snapshot_path"):
        run_tap(config)


def test_a_full_disk_is_told_in_a_sentence(crm, tmp_path):
    real = Snapshot.__enter__

    def enter(self):
        real(self)
        self._db.execute(f"PRAGMA max_page_count = {self._db.execute('PRAGMA page_count').fetchone()[0]}")
        return self

    people(crm, [f"{number:08x}-0000-4000-8000-000000000001" for number in range(500)])
    config = log_based(crm, snapshot_path=str(tmp_path), page_size=500)
    with patch.object(Snapshot, "__enter__", enter), pytest.raises(SettingError, match=r"`snapshot_path`: .*full"):
        run_tap(config)


edits = st.lists(
    st.tuples(st.sampled_from(["save", "save", "delete"]), st.sampled_from(KEYS), st.sampled_from(["A", "B"])),
    max_size=6,
)
runs = st.lists(
    st.fixed_dictionaries(
        {
            "before": edits,
            "meanwhile": edits,
            "kill": st.one_of(
                st.none(),
                st.fixed_dictionaries({"request": st.integers(0, 12)}),
                st.fixed_dictionaries({"record": st.integers(0, 8)}),
            ),
            "arrives": st.booleans(),
            "forgotten": st.sampled_from([None, None, 0, 1]),
        }
    ),
    min_size=1,
    max_size=5,
)


def do(sandbox, edit):
    action, key, name = edit
    there = sandbox.organisation.get("contact", key) is not None
    if action == "delete":
        if there:
            sandbox.organisation.delete("contact", key)
    elif there:
        sandbox.organisation.update("contact", key, {"lastname": name})
    else:
        sandbox.organisation.create("contact", {"contactid": key, "lastname": name})


@settings(max_examples=15)
@given(plan=runs, kept=st.booleans())
def test_the_mirror_equals_the_table_after_every_completed_run(small, plan, kept):
    """A target keeps what came with a STATE that arrived; what came after that may be kept or lost."""
    small.control.reset()
    mirror, state = Mirror(), None
    with tempfile.TemporaryDirectory() as directory:
        config = log_based(small, snapshot_path=directory if kept else None)
        for step in [*plan, {"before": [], "meanwhile": [], "kill": None, "arrives": True, "forgotten": None}]:
            for edit in step["before"]:
                do(small, edit)
            if step["forgotten"] is not None:
                forget(small, after=step["forgotten"])
            meanwhile = one_by_one(*(functools.partial(do, small, edit) for edit in step["meanwhile"]))
            # A full load whose own token is forgotten fails.
            fails = () if step["forgotten"] is None else (SettingError,)
            messages, ended = run(config, state, meanwhile=meanwhile, fails=fails, **(step["kill"] or {}))
            small.faults.clear()
            if not step["arrives"]:
                last = max((at for at, each in enumerate(messages[:-1]) if each["type"] == "STATE"), default=-1)
                messages = Messages(messages[: last + 1])
            mirror.take(messages)
            state = last_state(messages, state)
            if ended and step["arrives"] and not step["meanwhile"]:
                assert mirror == table(small)
    assert ended
    assert mirror == table(small)


def test_directories_are_made_for_their_owner_only(crm, tmp_path):
    run_tap(log_based(crm, snapshot_path=str(tmp_path / "keys")))
    assert stat.S_IMODE(Path(tmp_path / "keys").stat().st_mode) == 0o700


def test_a_stream_that_was_incremental_before(crm, tmp_path):
    """The target may hold rows that no snapshot knows."""
    config = log_based(crm, snapshot_path=str(tmp_path / "keys"))
    first = run_tap({**config, "tables": ["contacts"]})
    crm.organisation.delete("contact", KEYS[0])
    second = run_tap(config, state=first.states[-1])
    assert len(second.of("ACTIVATE_VERSION")) == 1
