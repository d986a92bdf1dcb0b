"""A round of all jobs of one service, small, and what it has moved: the same whatever a service is like."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stdout

import loyalty
import marketing
import programme
from support import Messages, target_config

from annex_d365.dataverse.segments.generations import JOURNEYS, OUTBOUND
from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.target import TargetD365

#: A moment says when a sandbox was seeded, or a job run; that there is one is compared.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\"]*")
#: Ids with all signs that forms of signatures treat differently.
_IDS = ("M1", "ana@example.org", "a/é@example.org")
_SEGMENT_STREAMS = ("segments", "segment_members", "segment_snapshots")


class Rounds:
    """Rounds against one sandbox."""

    def __init__(self, sandbox, directory):
        self.sandbox, self.directory = sandbox, directory

    def begin(self, switches):
        """As seeded, with switches turned."""
        sandbox = self.sandbox
        for each in self.directory.glob("ledger.db*"):
            each.unlink()
        (self.directory / "rejects.singer").unlink(missing_ok=True)
        sandbox.control.reset()
        sandbox.organisation.create("account", {"name": "Shop"})
        sandbox.site.put_members(
            [
                {
                    "id": member_id,
                    "email": f"m{number}@example.org",
                    "firstName": "Ana",
                    "lastName": "Diaz",
                    "phone": "+34600000000",
                    "zipCode": "08001",
                    "optInStatus": "YES",
                    "status": "ACTIVE",
                }
                for number, member_id in enumerate(_IDS, 1)
            ]
        )
        left = {"id": "left", "optInStatus": "NO", "optOutDate": "2026-01-05T08:00:00+0000", "status": "ACTIVE"}
        sandbox.site.put_members([left])
        sandbox.control.turn(switches)

    def annex(self, settings):
        """tap-annex and target-annex into Annex Cloud."""
        site = self.sandbox.site
        config = {**settings[TAP_ANNEX]}
        catalog = TapAnnex(config=config).catalog_dict
        for entry in catalog["streams"]:
            for each in entry["metadata"]:
                each["metadata"]["selected"] = True
        told = records(TapAnnex, config, catalog)
        rows = [
            loyalty.contact(number, cr0dd_loyaltyid=member_id, emailaddress1=f"m{number}@example.org", firstname="Eva")
            for number, member_id in enumerate(_IDS, 1)
        ]
        new = loyalty.contact(4, cr0dd_loyaltyid="M4", emailaddress1="m4@example.org", address1_postalcode="08002")
        out = loyalty.contact(1, cr0dd_loyaltyid="M1", emailaddress1="m1@example.org", firstname="Eva", optedin=False)
        fields = {**loyalty.FIELDS, "optInStatus": "optedin", "zipCode": "address1_postalcode"}
        config = {
            **target_config(self.sandbox, self.directory),
            **settings[TARGET_ANNEX],
            "enrol": "all",
            "streams": {"contacts": {"object": "members", "fields": fields}},
            "max_removal_percent": 100,
            # The CRM's word counts.
            "field_owners": {"identity": "d365", "consent": "d365"},
        }
        people = [loyalty.schema(), *map(loyalty.record, [*rows, new]), loyalty.record(out), loyalty.state(1)]
        loyalty.load(config, people)
        # Once the opt-out is known, a change of another field must not undo it.
        loyalty.load(config, [loyalty.schema(), loyalty.record({**out, "lastname": "Lopez"}), loyalty.record(new)])
        for numbers, at in (([1, 4], 1), ([4], 2)):
            segment = [programme.segment(modified_on=programme.version(at)), *programme.whole(numbers, at=at)]
            loyalty.load(config, [*programme.SCHEMAS, *segment])
        loyalty.load(config, [*programme.SCHEMAS, programme.segment(2, status="stopped")])
        found = {each["name"]: each for each in site.segments.all()}
        return {
            "told": told,
            "members": {each: masked(site.member(each)) for each in (*_IDS, "M4")},
            "segments": {
                name: (each["type"], each["status"], sorted(site.segments.members(each)))
                for name, each in found.items()
                if name.startswith("Segment ")
            },
            "rejects": (self.directory / "rejects.singer").exists(),
        }

    def d365(self, settings):
        """tap-d365 and target-d365."""
        organisation = self.sandbox.organisation
        (account,) = [each["accountid"] for each in organisation.rows("account") if each["name"] == "Shop"]
        known = [each for each in organisation.rows("contact") if each["cr0dd_loyaltyid"]][:4]
        config = settings[TAP_D365]
        first = messages(TapD365, config)
        second = messages(TapD365, config, first.states[-1])
        told = {stream: sorted_records(first, stream) for stream in ("contacts", *_SEGMENT_STREAMS)}
        told["changes"] = sorted_records(second, "contacts")
        config = {
            **settings[TARGET_D365],
            "ledger_url": f"sqlite:///{self.directory}/ledger.db",
            "rejects_path": str(self.directory / "rejects.singer"),
            "field_owners": {"identity": "annex_cloud", "consent": "annex_cloud"},
            "site_id": "90365",
            "max_removal_percent": 100,
            "streams": {
                "shops": {
                    "object": "accounts",
                    "clear_nulls": True,
                    "fields": {"name": "name", "primarycontactid": "who"},
                }
            },
        }
        self.load(config, "members", ["id"], [person(1), person(2), person(2)])
        cleared = []
        for who in (known[0]["contactid"], None):
            self.load(config, "shops", ["accountid"], [{"accountid": account, "name": "Shop", "who": who}])
            cleared.append((organisation.get("account", account) or {}).get("primarycontactid"))
        target = marketing.Marketing(self.sandbox, self.generation(settings), self.directory)
        ids = [each["cr0dd_loyaltyid"] for each in known]
        for at, members in enumerate((ids, ids[1:]), 1):
            streams = dict(marketing.streams({"550": members}, programme.version(at)))
            streams["segments"].append(RULE)
            self.load_all(config, {name: (marketing.KEYS[name], rows) for name, rows in streams.items()})
        copies = target.copies()
        target.wait(600)
        people = {row["cr0dd_loyaltyid"]: row for row in organisation.rows("contact") if row["cr0dd_loyaltyid"]}
        return {
            "told": told,
            "contacts": {
                each: [people[each][name] for name in ("firstname", "lastname")]
                for each in ("P1", "P2")
                if each in people
            },
            "lookup": [bool(each) for each in cleared],
            "segments": {key: (target.status(each), sorted(target.members(each))) for key, each in copies.items()},
            "rejects": (self.directory / "rejects.singer").exists(),
        }

    @staticmethod
    def generation(settings):
        return OUTBOUND if settings[TARGET_D365].get("segments_api") == "outbound" else JOURNEYS

    def load(self, config, stream, key, rows):
        self.load_all(config, {stream: (key, rows)})

    @staticmethod
    def load_all(config, streams):
        lines = []
        for stream, (key, rows) in streams.items():
            lines.append(loyalty.schema(stream, {name: {} for row in rows for name in row}, key))
            lines += [loyalty.record(row, stream) for row in rows]
        loyalty.load(config, [*lines, loyalty.state(1)], TargetD365)


#: A segment with a rule, as Dynamics 365 would have it.
RULE = {"segment_id": "551", "name": "S551", "origin": "annexcloud", "kind": "dynamic", "query": marketing.QUERY}


def person(number):
    return {"id": f"P{number}", "email": f"p{number}@example.org", "firstName": "Eva", "lastName": f"Diaz {number}"}


def messages(tap, config, state=None, catalog=None):
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(out):
        tap(config=dict(config), catalog=catalog, state=state).sync_all()
    return Messages.read(out.buffer.getvalue().decode())


def records(tap, config, catalog):
    found = messages(tap, config, catalog=catalog)
    return {each["stream"]: sorted_records(found, each["stream"]) for each in found.of("SCHEMA")}


def sorted_records(found, stream):
    return sorted(masked(each) for each in found.records(stream))


def masked(record):
    """What a record says, as a text: moments are alike, and nothing is as good as no field."""
    said = {name: value for name, value in record.items() if value not in (None, "", {})}
    return _MOMENT.sub("<moment>", json.dumps(said, sort_keys=True, ensure_ascii=False))
