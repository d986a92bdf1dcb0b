"""What tests of streams with change tracking share.

What a target would hold is a mirror of the records: by key, less what was deleted. Whatever happens between runs and in
them, after a completed run it holds what the table holds.
"""

from __future__ import annotations

import gc
import io
import json
from contextlib import redirect_stdout
from unittest.mock import patch
from urllib.parse import parse_qs

from support import Messages, tap_config

from annex_d365.dataverse.client import Dataverse
from annex_d365.singer.writer import Writer
from tap_d365.streams import TableStream
from tap_d365.tap import TapD365

DELETED_AT = "_sdc_deleted_at"
KEYS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 9)]


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

    A STATE follows every second record at least. ``fails``: errors that are an end like that, too.
    """
    requests, records = Countdown(request), Countdown(record, meanwhile)
    read, write = Dataverse._read, Writer.write_records

    def reading(self, url, *arguments):
        if "contacts" in url:
            requests.tick()
        return read(self, url, *arguments)

    def writing(self, together):
        for each in together:
            write(self, [each])
            records.tick()

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with (
        patch.object(Dataverse, "_read", reading),
        patch.object(Writer, "write_records", writing),
        patch.object(TableStream, "STATE_MSG_FREQUENCY", 1),
        patch("tap_d365.streams.RECORDS_TOGETHER", 2),
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


def forget(sandbox, **fault):
    sandbox.faults.add(kind="expired_delta_token", route="/contacts", **{"count": 1, **fault})


def gone(messages):
    return [record["contactid"] for record in messages.records() if record[DELETED_AT]]
