"""What tests of the target share: a site of the sandbox, and ways to run the target against it."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing, redirect_stdout

import requests
from support import target_config

from target_annex.target import TargetAnnex

#: As tap-d365 sends contacts.
COLUMNS = {
    "contactid": {"type": "string", "format": "uuid"},
    "cr0dd_loyaltyid": {"type": ["string", "null"], "maxLength": 100},
    "cr0dd_loyaltyenrol": {"type": ["boolean", "null"]},
    "emailaddress1": {"type": ["string", "null"], "maxLength": 100},
    "firstname": {"type": ["string", "null"], "maxLength": 50},
    "lastname": {"type": ["string", "null"], "maxLength": 50},
    "mobilephone": {"type": ["string", "null"], "maxLength": 50},
    "birthdate": {"type": ["string", "null"], "format": "date"},
    "address1_postalcode": {"type": ["string", "null"]},
    "statecode": {"type": ["integer", "null"]},
    "optedin": {"type": ["boolean", "null"]},
    "modifiedon": {"type": ["string", "null"], "format": "date-time"},
}
FIELDS = {"email": "emailaddress1", "firstName": "firstname", "lastName": "lastname"}


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def contact(number: int, **columns):
    return {
        "contactid": guid(number),
        "cr0dd_loyaltyid": None,
        "emailaddress1": f"person.{number}@example.org",
        "firstname": "Ana",
        "lastname": "Díaz",
        **columns,
    }


def deletion(number, at="2026-03-01T00:00:00Z"):
    """What tap-d365 sends for a contact that is gone: its key, and when it was seen to be gone."""
    return {"contactid": guid(number), "_sdc_deleted_at": at}


def schema(stream="contacts", columns=None, key=("contactid",), bookmark=None):
    properties = COLUMNS if columns is None else columns
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties},
        "key_properties": list(key),
        **({"bookmark_properties": [bookmark]} if bookmark else {}),
    }


def record(row, stream="contacts"):
    return {"type": "RECORD", "stream": stream, "record": row}


def state(value):
    return {"type": "STATE", "value": {"at": value}}


def lines(messages) -> str:
    return "".join(json.dumps(message) + "\n" for message in messages)


def listened(target, text, out=None):
    """Let a target read this in this process; what it says. What it has opened is closed, however it ends."""
    out = out or io.StringIO()
    try:
        with redirect_stdout(out):
            target.listen(io.StringIO(text))
    finally:
        target.let_go()
    return out.getvalue()


def load(config, messages, target_class=TargetAnnex):
    """Runs the target in this process; the STATE values that it emits."""
    out = listened(target_class(config=dict(config)), lines(messages))
    return [json.loads(line) for line in out.splitlines()]


def load_rows(config, rows):
    """Contacts, with a STATE after the last one."""
    return load(config, [schema(), *map(record, rows), state(len(rows))])


def load_and_count(config, messages, stream="contacts"):
    """Runs the target in this process; outcome, as the report names it -> how many rows of a stream had it."""
    target = TargetAnnex(config=dict(config))
    listened(target, lines(messages))
    return {outcome.value: count for outcome, count in target.report(stream).counts.items()}


def count_rows(config, rows):
    """Contacts, as :func:`load_and_count` has them."""
    return load_and_count(config, [schema(), *map(record, rows)])


class Site:
    """The sandbox's loyalty programme, seen from outside."""

    def __init__(self, sandbox, directory):
        self.sandbox, self.directory = sandbox, directory
        self.reset()

    def config(self, **more):
        return target_config(self.sandbox, self.directory, **more)

    def post(self, control, body):
        url = f"{self.sandbox.info['url']}/_sandbox/{control}"
        response = requests.post(url, json=body, verify=self.sandbox.info["ca_bundle"], timeout=10)
        response.raise_for_status()

    def reset(self):
        """A site with a few members. The organisation stays as it is: to seed it takes most of a reset's time."""
        control = self.sandbox.control
        for each in (control.clock, control.limits, self.sandbox.site):
            each.reset()
        for each in (control.faults, control.log):
            each.clear()
        self.sandbox.site.put_members([{"id": f"A{number}", "email": f"a{number}@example.net"} for number in range(3)])

    def seed(self):
        """Both services as seeded."""
        self.post("reset", {})

    def fault(self, **settings):
        self.post("faults", settings)

    def switch(self, **switches):
        self.post("switches", {"annex": switches})

    def log(self, method=None):
        """Requests to the Loyalty API: (method, path, status)."""
        url = f"{self.sandbox.info['url']}/_sandbox/log"
        entries = requests.get(url, verify=self.sandbox.info["ca_bundle"], timeout=10).json()
        return [
            (each["method"], each["path"].removeprefix("/api/3.0"), each["status"])
            for each in entries
            if each["path"].startswith("/api/3.0") and method in {None, each["method"]}
        ]

    def writes(self):
        """POST /users and PATCH: what changes a member."""
        return [each for each in self.log() if each[0] == "PATCH" or each[:2] == ("POST", "/users")]

    def ledger(self):
        """The ledger's rows: key -> (target, state)."""
        with closing(sqlite3.connect(self.directory / "ledger.db")) as database:
            return {key: rest for key, *rest in database.execute("SELECT key, target, state FROM annex_d365_rows")}

    def age_ledger(self, seconds):
        """Make all that the ledger knows older."""
        with closing(sqlite3.connect(self.directory / "ledger.db")) as database, database:
            database.execute("UPDATE annex_d365_rows SET at = at - ?", (seconds,))

    def lose_ledger(self):
        for path in self.directory.glob("ledger.db*"):
            path.unlink()

    def merge(self, primary, secondary):
        """As the service's own page does."""
        who = {"primaryUID": primary, "secondaryUID": secondary, "mergedBy": "clerk@example.org"}
        self.sandbox.site.merges.merge(who)

    def postings(self, member_id):
        """A member's activities, oldest first: (order, credit, debit)."""
        entries = self.sandbox.site.activities.entries(member_id, newest_first=False)
        return [(each["orderId"], each["credit"], each["debit"]) for each in entries]

    def forget_log(self):
        self.post("log", {})

    def put(self, **member):
        self.sandbox.site.put_members([{"optInStatus": "YES", "status": "ACTIVE", **member}])

    def member(self, member_id):
        return self.sandbox.site.member(member_id)

    def ids(self):
        return {member["id"] for member in self.sandbox.site.members()}

    def rejects(self):
        path = self.directory / "rejects.singer"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def reasons(self):
        return [message["reject"]["reason"] for message in self.rejects() if message["type"] == "RECORD"]
