"""What tests of the target share: a site of the sandbox, and ways to run the target against it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

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


def schema(stream="contacts", columns=None, key=("contactid",)):
    properties = COLUMNS if columns is None else columns
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties},
        "key_properties": list(key),
    }


def record(row, stream="contacts"):
    return {"type": "RECORD", "stream": stream, "record": row}


def state(value):
    return {"type": "STATE", "value": {"at": value}}


def lines(messages) -> str:
    return "".join(json.dumps(message) + "\n" for message in messages)


def load(config, messages, target_class=TargetAnnex):
    """Runs the target in this process; the STATE values that it emits."""
    out = io.StringIO()
    with redirect_stdout(out):
        target_class(config=dict(config)).listen(io.StringIO(lines(messages)))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def load_rows(config, rows):
    """Contacts, with a STATE after the last one."""
    return load(config, [schema(), *map(record, rows), state(len(rows))])


class Site:
    """The sandbox's loyalty programme, seen from outside."""

    def __init__(self, sandbox, directory):
        self.sandbox, self.directory = sandbox, directory
        self.post("reset", {})

    def config(self, **more):
        return target_config(self.sandbox, self.directory, **more)

    def post(self, control, body):
        url = f"{self.sandbox.info['url']}/_sandbox/{control}"
        response = requests.post(url, json=body, verify=self.sandbox.info["ca_bundle"], timeout=10)
        response.raise_for_status()

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
