"""Backfills: shards on several machines, several ranges at once, look-back, long URLs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from support import CONTACTS, discover, run_tap, select, tap_config

from annex_d365 import http
from annex_d365.dataverse.connect import connect
from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture
def config(sandbox):
    return tap_config(sandbox)


def test_shards_of_a_plan_hold_every_contact_once(sandbox, config, tmp_path):
    (tmp_path / "tap.json").write_text(json.dumps(config))
    planned = subprocess.run(
        [sys.executable, "-m", "annex_d365", "plan", "--config", str(tmp_path / "tap.json"), "--shards", "4"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert planned.returncode == 0, planned.stderr
    shards = [json.loads(line) for line in planned.stdout.splitlines()]
    assert len(shards) == 4
    sizes, seen = [], []
    for shard in shards:
        records = run_tap({**config, "shard": shard}).records()
        sizes.append(len(records))
        seen += [record["contactid"] for record in records]
    assert len(seen) == len(set(seen)) == CONTACTS
    assert max(sizes) < 1.5 * CONTACTS / 4


def test_lookback(sandbox, config):
    first = run_tap(config)
    times = sorted(record["modifiedon"] for record in first.records())
    again = run_tap({**config, "lookback_seconds": 30 * 86400}, state=first.states[-1])
    assert 0 < len(again.records()) < CONTACTS
    assert again.states[-1]["bookmarks"]["contacts"]["replication_key_value"] == times[-1]


def test_a_query_too_long_for_a_url_goes_in_a_batch(sandbox, config, monkeypatch):
    monkeypatch.setattr("annex_d365.dataverse.client.MAX_URL", 600)
    sandbox.control.log.clear()
    records = run_tap({**config, "page_size": 50}).records()
    assert len({record["contactid"] for record in records}) == CONTACTS
    asked = [(entry["method"], entry["path"].rpartition("/")[2]) for entry in sandbox.control.log.entries()]
    assert ("POST", "$batch") in asked
    assert ("GET", "contacts") not in asked
    assert set(records[0]) == set(run_tap(config).records()[0])


def test_errors_inside_a_batch_are_told(sandbox, config, monkeypatch):
    monkeypatch.setattr("annex_d365.dataverse.client.MAX_URL", 10)
    with pytest.raises(Exception, match="no column `nosuch`"):
        connect(config).page("contacts?$select=nosuch")


@pytest.mark.parametrize("replication", ["INCREMENTAL", "FULL_TABLE", "LOG_BASED"])
def test_wide_rows_come_in_smaller_pages(sandbox, monkeypatch, replication):
    monkeypatch.setattr("annex_d365.dataverse.budget.BYTES_IN_FLIGHT", 100_000)
    monkeypatch.setattr("annex_d365.dataverse.budget.PROBE_ROWS", 10)
    config = tap_config(sandbox, tables=[{"name": "contacts", "replication": replication}], max_parallel_requests=2)
    catalog, requests, state = discover(config), [], None
    # In the second run of LOG_BASED all rows have changed.
    for columns in ((), ("firstname",)):
        if columns:
            catalog = select(catalog, *columns)
        if replication == "LOG_BASED":
            state = run_tap(config, catalog=catalog).states[-1]
            for contact in list(sandbox.organisation.rows("contact")):
                sandbox.organisation.update("contact", contact["contactid"], {"jobtitle": "x"})
        sandbox.control.log.clear()
        assert len(run_tap(config, catalog=catalog, state=state).records()) == CONTACTS
        requests.append(sum(entry["path"].endswith("/contacts") for entry in sandbox.control.log.entries()))
    wide, narrow = requests
    assert wide > 2 * narrow


WIDE = 300


@pytest.fixture
def wide_table():
    """A sandbox with a table of 300 columns, whose names alone are longer than a URL may be."""
    with Sandbox(contacts=0) as sandbox:
        columns = (col.text(f"cr0dd_{'long' * 25}{number:03}", 100) for number in range(WIDE))
        own = (col.primary_id("cr0dd_wideid"), col.text("cr0dd_name", 100), *columns, *col.standard())
        table = Table("cr0dd_wide", "cr0dd_wides", "cr0dd_Wide", "Wide", 12_000, "cr0dd_name", own, custom=True)
        sandbox.organisation.define(table)
        for number in range(25):
            sandbox.organisation.create("cr0dd_wide", {own[2].name: f"{number}", own[-20].name: None})
        yield sandbox


@pytest.mark.parametrize("replication", ["INCREMENTAL", "FULL_TABLE", "LOG_BASED"])
def test_a_table_of_300_columns(wide_table, replication):
    tables = [{"name": "cr0dd_wides", "replication": replication}]
    config = tap_config(wide_table, tables=tables, page_size=10)
    catalog = discover(config)
    wide_table.control.log.clear()
    messages = run_tap(config, catalog=catalog)
    records = messages.records("cr0dd_wides")
    assert sum(name.startswith("cr0dd_long") for name in records[0]) == WIDE
    assert {record[f"cr0dd_{'long' * 25}000"] for record in records} == {str(number) for number in range(25)}
    asked = [(entry["method"], entry["path"].rpartition("/")[2]) for entry in wide_table.control.log.entries()]
    assert asked.count(("POST", "$batch")) >= 3
    if replication == "LOG_BASED":
        wide_table.organisation.delete("cr0dd_wide", records[0]["cr0dd_wideid"])
        (gone,) = run_tap(config, catalog=catalog, state=messages.states[-1]).records("cr0dd_wides")
        assert gone["cr0dd_wideid"] == records[0]["cr0dd_wideid"]
    else:
        assert ("GET", "cr0dd_wides") not in asked


@pytest.mark.parametrize("advised", [1, 3])
def test_no_more_at_once_than_advised(sandbox, config, advised):
    sandbox.organisation.switches.dop_hint = advised
    sandbox.faults.add(route="/contacts", kind="latency", seconds=0.02)
    most, lock, in_flight = [0], threading.Lock(), [0]
    send = http._Call._send

    def counted(call):
        with lock:
            in_flight[0] += 1
            most[0] = max(most[0], in_flight[0])
        try:
            return send(call)
        finally:
            with lock:
                in_flight[0] -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http._Call, "_send", counted)
        assert len(run_tap({**config, "page_size": 5}).records()) == CONTACTS
    assert most[0] == advised
