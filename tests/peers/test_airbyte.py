"""Airbyte's connector for Dataverse discovers and reads the sandbox, fully and by change tracking.

``AIRBYTE_PYTHON`` names an interpreter that has ``airbyte-source-microsoft-dataverse``; without it nothing runs.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from annex_d365_sandbox.sandbox import Sandbox

PYTHON = os.environ.get("AIRBYTE_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="AIRBYTE_PYTHON names no interpreter with Airbyte's connector")


@pytest.fixture(scope="module")
def open_sandbox():
    with Sandbox(contacts=120, extra_tables=12, http_port=0) as sandbox:
        yield sandbox


@pytest.fixture
def airbyte(open_sandbox, tmp_path):
    """Run a command of the connector; returns its messages by type."""

    def file(name, content):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        return [f"--{name}", str(path)]

    names = open_sandbox.info["credentials"]
    config = {
        "url": open_sandbox.url,
        "tenant_id": names["tenant_id"],
        "client_id": names["client_id"],
        "client_secret_value": names["client_secret"],
        "odata_maxpagesize": 50,
    }

    def run(command, status=0, **files):
        script = Path(__file__).with_name("airbyte_source.py")
        more = [part for name, content in files.items() for part in file(name, content)]
        done = subprocess.run(
            [PYTHON, script, open_sandbox.directory / "sandbox.json", command, *file("config", config), *more],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
        messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return {kind: [m for m in messages if m["type"] == kind] for kind in {m["type"] for m in messages}}

    return run


def test_it_reads_all_and_then_the_changes(airbyte, open_sandbox):
    org = open_sandbox.organisation
    (found,) = airbyte("discover")["CATALOG"]
    streams = {stream["name"]: stream for stream in found["catalog"]["streams"]}
    assert set(streams) == set(org.tables)
    contact = streams["contact"]
    assert contact["json_schema"]["properties"]["birthdate"]["format"] == "date"

    def read(mode, status=0, **files):
        stream = {
            "stream": contact, "sync_mode": mode, "destination_sync_mode": "append", "cursor_field": ["modifiedon"],
            "primary_key": [["contactid"]],
        }  # fmt: skip
        messages = airbyte("read", status, catalog={"streams": [stream]}, **files)
        rows = [message["record"]["data"] for message in messages.get("RECORD", [])]
        return rows, [message["state"] for message in messages.get("STATE", [])][-1:]

    ids = {row["contactid"] for row in org.rows("contact")}
    assert {row["contactid"] for row in read("full_refresh")[0]} == ids
    rows, state = read("incremental")
    assert {row["contactid"] for row in rows} == ids
    changed, gone = sorted(ids)[:60], sorted(ids)[60:70]
    for row_id in changed:
        org.update("contact", row_id, {"nickname": "new"})
    for row_id in gone:
        org.delete("contact", row_id)
    rows, state = read("incremental", state=state)
    assert {row["contactid"] for row in rows if row.get("_ab_cdc_deleted_at")} == set(gone)
    assert {row["contactid"] for row in rows if row.get("nickname") == "new"} == set(changed)
    assert read("incremental", state=state)[0] == []
    open_sandbox.faults.add(kind="expired_delta_token")
    assert read("incremental", 1, state=state)[0] == []
