"""Streams with change tracking, run after run, killed or not, against the sandbox."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mirror import (
    DELETED_AT,
    KEYS,
    Mirror,
    bookmark,
    forget,
    last_state,
    log_based,
    one_by_one,
    people,
    requests_for,
    run,
    table,
)
from support import ROOT, Messages, run_tap, tap_config

from annex_d365.errors import SettingError


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
