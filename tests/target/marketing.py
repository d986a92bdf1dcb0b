"""What tests of segments into Dynamics 365 share: an organisation, and runs that write into it."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from uuid import uuid4

from loyalty import lines
from support import tap_config

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.segments.generations import JOURNEYS, OUTBOUND
from annex_d365.ledger import Ledger
from target_annex.segments.dynamics import dynamics_side
from target_annex.segments.side import SegmentSpec
from target_annex.settings import CONFIG_D365
from target_annex.target import TargetD365

GENERATIONS = {each.name: each for each in (JOURNEYS, OUTBOUND)}
DEFAULTS = {name: each["default"] for name, each in CONFIG_D365["properties"].items() if "default" in each}
KEYS = {
    "segments": ["segment_id"],
    "segment_members": ["segment_id", "member_id"],
    "segment_snapshots": ["segment_id", "version"],
}
ORIGIN = "annexcloud:90365/550"
QUERY = "PROFILE(contact).FILTER(ISNOTNULL(cr0dd_loyaltyid))"


class Marketing:
    """An organisation, and runs that write into it."""

    def __init__(self, sandbox, generation, directory):
        self.sandbox, self.generation, self.directory = sandbox, generation, directory
        self.organisation, self.marketing = sandbox.organisation, sandbox.organisation.marketing

    @contextmanager
    def run(self, **config):
        """The adapter, as a new run has it."""
        config = {**DEFAULTS, **tap_config(self.sandbox), "segments_api": self.generation.name, **config}
        opened = Ledger(f"sqlite:///{self.directory}/ledger.db", site="test", run=uuid4().hex)
        with closing(opened) as ledger, ThreadPoolExecutor(4) as executor:
            yield dynamics_side(connect(config), config, ledger, executor)

    def write(self, *streams, state=None, **config):
        """A run of the target; each stream is its name and records; after them a STATE, if one is given."""
        messages = []
        for name, records in streams:
            columns = {
                "segment_id",
                "member_id",
                "name",
                "origin",
                "version",
                "complete",
                *(records[0] if records else ()),
            }
            schema = {"type": "object", "properties": {each: {} for each in columns}}
            messages.append({"type": "SCHEMA", "stream": name, "schema": schema, "key_properties": KEYS[name]})
            messages += [{"type": "RECORD", "stream": name, "record": record} for record in records]
        messages += [{"type": "STATE", "value": {"at": state}}] if state else []
        config = {
            **tap_config(self.sandbox),
            "site_id": "90365",
            "segments_api": self.generation.name,
            "ledger_url": f"sqlite:///{self.directory}/ledger.db",
            "rejects_path": f"{self.directory}/rejects.singer",
            "max_removal_percent": 100,
            **config,
        }
        target = TargetD365(config=config)
        try:
            target.listen(io.StringIO(lines(messages)))
        finally:
            target.let_go()
        return target

    def copies(self):
        """Targets by id of the segment in Annex Cloud."""
        rows = self.organisation.rows(self.generation.logical_name)
        found = {str(row[self.generation.origin]).rpartition("/")[2]: row[self.generation.id] for row in rows}
        return {key: target for key, target in found.items() if key.isdecimal()}

    def copies_of(self, key):
        """Targets of all copies of a segment, of whatever site."""
        rows = self.organisation.rows(self.generation.logical_name)
        return [row[self.generation.id] for row in rows if str(row[self.generation.origin]).endswith(f"/{key}")]

    def wait(self, seconds=120):
        self.sandbox.clock.advance(seconds)

    def row(self, target):
        self.members(target)  # makes the service see what time it is
        return self.organisation.get(self.generation.logical_name, target)

    def status(self, target):
        return self.generation.statuses[self.row(target)["statuscode"]]

    def members(self, target):
        return set(self.marketing.members(target))

    def count(self):
        return sum(1 for _ in self.organisation.rows(self.generation.logical_name))

    def sent(self, method="POST", path=""):
        log = self.sandbox.control.log.entries()
        return [each for each in log if each["method"] == method and path in each["path"]]

    @property
    def contacts(self):
        """GUIDs of contacts by member id."""
        rows = self.organisation.rows("contact")
        return {row["cr0dd_loyaltyid"]: row["contactid"] for row in rows if row["cr0dd_loyaltyid"]}


def spec(**more):
    return SegmentSpec(**{"key": "550", "origin": ORIGIN, "name": "Gold", **more})


def made(crm, keys=(), **more):
    """A live copy."""
    with crm.run() as side:
        target = side.create(spec(**more))
        side.add(target, list(keys))
        side.finish(target)
    crm.wait()
    return target


def streams(memberships, version, *, complete=True):
    """What tap-annex says of segments: members by id of the segment, those of all segments mixed."""
    rows = [(key, member) for key, members in memberships.items() for member in members]
    rows.sort(key=lambda row: row[1])
    return (
        ("segments", [{"segment_id": key, "name": f"S{key}", "origin": "annexcloud"} for key in memberships]),
        (
            "segment_members",
            [{"segment_id": key, "member_id": member, "version": version} for key, member in rows],
        ),
        (
            "segment_snapshots",
            [
                {"segment_id": key, "version": version, "member_count": len(members), "complete": complete}
                for key, members in memberships.items()
            ],
        ),
    )
