"""What the clients read: every reply of both services may come spoilt."""

from __future__ import annotations

import io
import json

import requests
from loyalty import contact, lines, record, schema, state
from programme import SCHEMAS, segment, whole
from support import tap_config, target_config

from annex_d365 import http
from annex_d365_sandbox.sandbox import Sandbox
from fuzz import hostile
from fuzz.rounds import Fuzzer
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.target import TargetAnnex, TargetD365

CONTACTS = 20
ANY = {"type": ["string", "null", "integer", "boolean"]}
STATUSES = (200, 201, 204, 206, 300, 304, 400, 401, 403, 404, 405, 409, 412, 413, 429, 500, 502, 503, 599)


class Spoiler(requests.adapters.HTTPAdapter):
    """Passes requests on, and spoils some of the answers."""

    chance, share, counts = None, 0.0, None

    def send(self, request, **kwargs):
        response = super().send(request, **{**kwargs, "stream": False})
        if Spoiler.chance and Spoiler.chance.random() < Spoiler.share:
            Spoiler.counts["spoilt replies"] += 1
            spoil(response, Spoiler.chance)
        return response


def spoil(response, chance):
    """Another body, status or type."""
    body = response.content
    match chance.randrange(10):
        case 0:
            body = chance.choice([b"", b"null", b"[]", b"{}", b"0", b'""', b"<html><body>Sign in</body></html>", b"{"])
        case 1:
            body = hostile.cut(body, chance)
        case 2:
            response.status_code = chance.choice(STATUSES)
        case 3:
            response.headers["Content-Type"] = chance.choice(["text/html", "", "application/json; charset=utf-16"])
        case _:
            try:
                body = hostile.written(hostile.spoil(json.loads(body), chance, chance.randint(1, 3)), chance)
            except ValueError:
                body = hostile.cut(body, chance)
    response._content = body


class Replies(Fuzzer):
    """All plugins, each on all that it does."""

    name = "replies"

    def run(self, seconds, fewest=0):
        self.sandbox = Sandbox(contacts=CONTACTS, segments_api="both", seed=7)
        self.works = [self._tap_d365, self._tap_annex, self._into_annex, self._into_dynamics]
        with self.sandbox:
            super().run(seconds, fewest)
            Spoiler.chance = None

    def prepare(self, patch):
        real = http.new_session

        def session(ca_bundle):
            made = real(ca_bundle)
            made.trust_env = False
            made.mount("https://", Spoiler())
            return made

        patch.setattr(http, "new_session", session)
        Spoiler.chance = None
        self.catalog = TapAnnex(config=self._annex()).catalog_dict
        for entry in self.catalog["streams"]:
            for each in entry["metadata"]:
                if not each["breadcrumb"]:
                    each["metadata"]["selected"] = True

    def _annex(self):
        return {**self.sandbox.info["annex"], "ca_bundle": self.sandbox.info["ca_bundle"], "members": {"by": "search"}}

    def round(self, chance):
        # Gate.sleep is quick here, so that expired deadlines are what ends a call that never succeeds.
        Spoiler.chance, Spoiler.share, Spoiler.counts = chance, chance.choice([0.02, 0.1, 0.3]), self.counts
        for path in self.directory.glob("replies*"):
            path.unlink()
        self.attempt(chance.choice(self.works))

    def _tap_d365(self):
        chance = Spoiler.chance
        tables = [
            {"name": "contacts", "replication": chance.choice(["LOG_BASED", "INCREMENTAL", "FULL_TABLE"])},
            "accounts",
        ]
        config = tap_config(
            self.sandbox,
            tables=tables,
            page_size=5,
            segments_api=chance.choice(["journeys", "outbound"]),
            include_labels=chance.random() < 0.3,
        )
        TapD365(config=config).sync_all()

    def _tap_annex(self):
        TapAnnex(config=self._annex(), catalog=json.loads(json.dumps(self.catalog))).sync_all()

    def _into_annex(self):
        chance = Spoiler.chance
        rows = [contact(number, emailaddress1=f"r.{chance.random()}@example.org") for number in range(12)]
        postings = [{"id": f"P{chance.random()}", "member": "AC0000102", "points": 5} for _ in range(2)]
        columns = {"id": {"type": "string"}, "member": {"type": "string"}, "points": {"type": "integer"}}
        messages = [
            schema(),
            *map(record, rows),
            schema("postings", columns, ["id"]),
            *(record(each, "postings") for each in postings),
            *SCHEMAS,
            segment(1, name=f"Segment {chance.random()}"),
            *whole([1, 2]),
            state(1),
        ]
        streams = {"postings": {"object": "points", "fields": {"id": "member", "points": "points"}}}
        config = target_config(self.sandbox, self.directory, **self._own(), streams=streams, enrol="all")
        TargetAnnex(config=config).listen(io.StringIO(lines(messages)))

    def _into_dynamics(self):
        chance = Spoiler.chance
        columns = dict.fromkeys(("id", "email", "lastName"), ANY)
        rows = [
            {"id": f"R{chance.random()}", "email": f"r.{chance.random()}@example.org", "lastName": "R"}
            for _ in range(12)
        ]
        segments = [
            schema(name, dict.fromkeys(columns, ANY), key)
            for name, columns, key in (
                ("segments", ("segment_id", "name", "kind", "status", "origin"), ["segment_id"]),
                ("segment_members", ("segment_id", "member_id", "version"), ["segment_id", "member_id"]),
                ("segment_snapshots", ("segment_id", "version", "member_count", "complete"), ["segment_id", "version"]),
            )
        ]
        name = str(chance.randrange(10**6))
        own = {"segment_id": name, "version": "1"}
        messages = [
            schema("members", columns, ["id"]),
            *(record(each, "members") for each in rows),
            *segments,
            record(
                {"segment_id": name, "name": name, "kind": "static", "status": "active", "origin": "annexcloud"},
                "segments",
            ),
            record({**own, "member_id": "AC0000102"}, "segment_members"),
            record({**own, "member_count": 1, "complete": True}, "segment_snapshots"),
            state(1),
        ]
        config = {
            **tap_config(self.sandbox),
            "site_id": "90365",
            "segments_api": chance.choice(["journeys", "outbound"]),
            **self._own(),
        }
        TargetD365(config=config).listen(io.StringIO(lines(messages)))

    def _own(self):
        return {
            "ledger_url": f"sqlite:///{self.directory}/replies.db",
            "rejects_path": str(self.directory / "replies.rejects"),
            "skip_unchanged": Spoiler.chance.choice(["ledger", "read", "off"]),
            "max_reject_percent": 100,
        }
