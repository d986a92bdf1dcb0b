"""What the target reads: messages of our own taps and of others, spoilt."""

from __future__ import annotations

import io
import json
from pathlib import Path

from loyalty import contact, record, schema, state
from programme import SCHEMAS, segment, whole
from support import tap_config, target_config

from annex_d365_sandbox.sandbox import Sandbox
from fuzz import hostile
from fuzz.rounds import BrokenError, Fuzzer
from target_annex.target import TargetAnnex, TargetD365

CONTACTS = 20
POSTING = {"id": {"type": "string"}, "member": {"type": "string"}, "points": {"type": "integer"}}
STREAMS = {"postings": {"object": "points", "fields": {"id": "member", "points": "points"}}}
TEXT = {"type": ["string", "null"]}
MEMBER = dict.fromkeys(("id", "email", "firstName", "lastName", "phone", "birthDate"), TEXT)


class Stdin(Fuzzer):
    """Good messages for people who are there, spoilt; nobody else may change."""

    name = "stdin"

    def run(self, seconds, fewest=0):
        self.sandbox = Sandbox(contacts=CONTACTS, segments_api="journeys", seed=7)
        with self.sandbox:
            people = list(self.sandbox.site.members())
            self.members = [each["id"] for each in people[:3]]
            self.others = self._others()
            super().run(seconds, fewest)

    def _others(self):
        """Who is in no message: members and contacts."""
        rows = self.sandbox.organisation.rows("contact")
        contacts = {row["contactid"]: row for row in rows if row["cr0dd_loyaltyid"] not in self.members}
        return [each for each in self.sandbox.site.members() if each["id"] not in self.members], contacts

    def round(self, chance):
        into_annex = chance.random() < 0.7
        messages = self._into_annex(chance) if into_annex else self._into_dynamics(chance)
        data = b"\n".join(self._spoilt(messages, chance)) + b"\n"
        settings = {"ledger_url": f"sqlite:///{self.directory}/{chance.random()}.db", "max_reject_percent": 100}
        settings["rejects_path"] = str(self.directory / "fuzz.rejects")
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
        if into_annex:
            config = target_config(self.sandbox, self.directory, streams=STREAMS, **settings)
            error = self.attempt(lambda: TargetAnnex(config=config).listen(text))
        else:
            # Rows of strangers make no contacts.
            streams = {"members": {"object": "contact", "mode": "update"}}
            config = {**tap_config(self.sandbox), "streams": streams, **settings}
            error = self.attempt(lambda: TargetD365(config=config).listen(text))
        self._clean()
        if error and not any(word in str(error) for word in ("line ", "tream", "etting", "`")):
            raise BrokenError(f"the error names neither line, stream nor setting: {error}")
        members, contacts = self._others()
        if members != self.others[0] or (not into_annex and contacts.keys() - self.others[1].keys()):
            changed = [each for each, before in zip(members, self.others[0], strict=False) if each != before]
            raise BrokenError(f"somebody was changed, made or lost who is in no message: {changed}")

    def _clean(self):
        for path in self.directory.glob("*.db*"):
            path.unlink()
        rejects = Path(self.directory / "fuzz.rejects")
        if rejects.exists():
            for line in rejects.read_bytes().splitlines():
                json.loads(line)  # whole, always
                self.counts["rejected rows"] += 1
            rejects.unlink()

    def _into_annex(self, chance):
        rows = [
            contact(number, cr0dd_loyaltyid=member, birthdate="1990-01-01", modifiedon="2026-03-01T00:00:00Z")
            for number, member in enumerate(self.members)
        ]
        postings = [{"id": f"P{chance.random()}", "member": each, "points": 5} for each in self.members]
        return [
            schema(bookmark="modifiedon"),
            *map(record, rows),
            schema("postings", POSTING, ["id"]),
            *(record(each, "postings") for each in postings),
            *SCHEMAS,
            segment(1),
            *whole([1]),
            state(1),
        ]

    def _into_dynamics(self, chance):
        rows = [{"id": each, "lastName": "Díaz", "birthDate": "1990-01-01"} for each in self.members]
        return [schema("members", MEMBER, ["id"]), *(record(each, "members") for each in rows), state(1)]

    def _spoilt(self, messages, chance):
        """Lines: mostly rows are spoilt, under schemas that may let all pass; else whole messages, or lines."""
        if chance.random() < 0.5:
            messages = [_open(each) for each in messages]
        for _ in range(chance.randint(1, 4)):
            at, messages = chance.randrange(len(messages)), [*messages]
            match chance.randrange(20):
                case 0:
                    del messages[at]
                case 1 | 2:
                    messages.append(messages[at])
                case 3:
                    messages = chance.sample(messages, len(messages))
                case 4 | 5:
                    messages[at] = hostile.spoil(messages[at], chance)
                case _ if "record" in messages[at]:
                    messages[at] = {**messages[at], "record": hostile.spoil(messages[at]["record"], chance)}
            messages = messages or [state(0)]
        for message in messages:
            line = hostile.written(message, chance)
            yield hostile.cut(line, chance) if chance.random() < 0.005 else line


def _open(message):
    """A SCHEMA that says nothing of its columns."""
    if message["type"] != "SCHEMA":
        return message
    names = message["schema"]["properties"]
    return {**message, "schema": {"type": "object", "properties": {name: {} for name in names}}}
