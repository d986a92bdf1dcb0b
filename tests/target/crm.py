"""What tests of rows into Dynamics 365 share: the sandbox's organisation, and ways to run the target against it."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing

from loyalty import lines, listened, record
from support import tap_config

from target_annex.target import TargetAnnex

#: The table of the presets, by entity set and logical name; tables of the sandbox.
ACTIVITIES = "cr0dd_loyaltyactivities"
ACTIVITY = "cr0dd_loyaltyactivity"
SPECIMENS = {"specimens": {"object": "cr0dd_specimens", "key": "id"}}
MEMBER = {
    name: {"type": ["string", "null"]}
    for name in ("id", "email", "firstName", "lastName", "phone", "birthDate", "currentTier")
} | {"availablePoints": {"type": ["number", "string", "null"]}, "updated": {"type": ["string", "null"]}}


def member(number, **columns):
    return {
        "id": f"M{number}",
        "email": f"member.{number}@example.org",
        "firstName": "Ana",
        "lastName": "Díaz",
        **columns,
    }


def members(*rows, columns=MEMBER, key=("id",), stream="members", bookmark=None):
    """Messages of a stream of members."""
    head = {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": columns},
        "key_properties": list(key),
        **({"bookmark_properties": [bookmark]} if bookmark else {}),
    }
    return [head, *(record(row, stream) for row in rows)]


def rows_of(stream, *rows, key):
    """Messages of a stream whose columns are those of its rows."""
    columns = {name: {} for row in rows for name in row}
    return members(*rows, columns=columns, key=key, stream=stream)


class Crm:
    """The sandbox's organisation, seen from outside."""

    def __init__(self, sandbox, directory):
        self.sandbox, self.directory = sandbox, directory
        self.organisation = sandbox.organisation

    def config(self, **more):
        return {
            **tap_config(self.sandbox),
            "destination": "d365",
            "rejects_path": str(self.directory / "rejects.singer"),
            "ledger_url": f"sqlite:///{self.directory}/ledger.db",
            # That a row was written shows in its names.
            "field_owners": {"identity": "annex_cloud", "consent": "annex_cloud"},
            **more,
        }

    def load(self, messages, **more):
        """Run the target in this process; outcome, as the report names it -> how many rows had it."""
        target = TargetAnnex(config=self.config(**more))
        out = io.StringIO()
        try:
            listened(target, lines(messages), out)
        finally:
            self.states = [json.loads(line) for line in out.getvalue().splitlines()]
        (report,) = target._reports.values()
        return {outcome.value: count for outcome, count in report.counts.items()}

    def put(self, table="contact", **row):
        """A row as a user of the CRM would make it; its GUID."""
        return self.organisation.create(table, row)

    def rows(self, table="contact"):
        return list(self.organisation.rows(table))

    def contact(self, loyalty_id):
        """The contact with a loyalty id; fails if there are several."""
        found = [row for row in self.rows() if row["cr0dd_loyaltyid"] == loyalty_id]
        assert len(found) <= 1
        return found[0] if found else None

    def activities(self):
        """By loyalty id."""
        return {row["cr0dd_loyaltyid"]: row for row in self.rows("cr0dd_loyaltyactivity")}

    def writes(self):
        """(method, path, status) of requests that change rows."""
        return [
            (entry["method"], entry["path"].partition("/api/data/v9.2/")[2], entry["status"])
            for entry in self.sandbox.control.log.entries()
            if entry["path"].startswith("/api/data") and entry["method"] != "GET"
        ]

    def reads(self, table="contacts"):
        """How often rows of a table were asked for."""
        entries = self.sandbox.control.log.entries()
        return sum(entry["method"] == "GET" and entry["path"].endswith(f"/{table}") for entry in entries)

    def forget_log(self):
        self.sandbox.control.log.clear()

    def fault(self, **settings):
        self.sandbox.faults.add(**settings)

    def ledger(self):
        """The ledger's rows: key -> state."""
        with closing(sqlite3.connect(self.directory / "ledger.db")) as database:
            return dict(database.execute("SELECT key, state FROM annex_d365_rows"))

    def lose_ledger(self):
        for path in self.directory.glob("ledger.db*"):
            path.unlink()

    def rejects(self):
        path = self.directory / "rejects.singer"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def reasons(self):
        return [message["reject"]["reason"] for message in self.rejects() if message["type"] == "RECORD"]
