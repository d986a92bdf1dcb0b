"""What people have done on purpose, as far as the judge has to know it: the rest both services tell."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

#: A contact with the id of its member, of the organisation's own database.
LINKED = """SELECT contactid AS contact, cr0dd_loyaltyid AS member FROM contact JOIN annex_members
    ON annex_members.id = cr0dd_loyaltyid WHERE contact.statecode = 0
    ORDER BY contactid"""
COPIES = {
    "outbound": ("msdyncrm_segment", "msdyncrm_segmentid", "msdyncrm_externalsegmenturl", "msdyncrm_segmentid"),
    "journeys": (
        "msdynmkt_segment",
        "msdynmkt_segmentid",
        "msdynmkt_sourcesegmenturi",
        "msdynmkt_sourcesegmentuid",
    ),
}
#: Nobody edits them, and they are in a segment of each side and generation from the beginning to the end.
STEADY = 3


@dataclass
class Segment:
    """A static segment that people made.

    Attributes:
        api: ``annex``, ``outbound`` or ``journeys``: whose it is.
        id: there.
        group: of journeys, the group of its members.
        steady: whether the steady people stay in it.
    """

    api: str
    id: str
    name: str
    group: str = ""
    definition: str = ""
    steady: bool = False


@dataclass
class World:
    """People, and what they did.

    Attributes:
        linked: contact -> member, of those who may be edited.
        steady: contact -> member, of those who may not.
        tangled: ids of contacts and members who were merged or erased, or share an address: who is who is not what
            this judge decides.
        enrolling: e-mail addresses of contacts who asked to be enrolled at any time.
        joined: ids of members who were made at Annex Cloud.
        deleted: contact -> its member, or "".
        erased: members whom Annex Cloud deleted, or merged into others.
        out: members who opted out, or whose contact was deleted.
        postings: id -> record of the stream of postings.
        segments: that are there.
        removed_segments: ids of those that were removed.
    """

    linked: dict = field(default_factory=dict)
    steady: dict = field(default_factory=dict)
    tangled: set = field(default_factory=set)
    enrolling: set = field(default_factory=set)
    joined: set = field(default_factory=set)
    contacts: set = field(default_factory=set)
    deleted: dict = field(default_factory=dict)
    erased: set = field(default_factory=set)
    out: set = field(default_factory=set)
    postings: dict = field(default_factory=dict)
    segments: list = field(default_factory=list)
    removed_segments: set = field(default_factory=set)
    first_contacts: set = field(default_factory=set)
    first_members: set = field(default_factory=set)

    def look(self, services):
        """What there is before anything is edited."""
        rows = services.select("SELECT contactid, emailaddress1, cr0dd_loyaltyid, cr0dd_loyaltyenrol FROM contact")
        self.first_contacts = {row["contactid"] for row in rows}
        self.first_members = {row["id"] for row in services.select("SELECT id FROM annex_members")}
        self.enrolling = {row["emailaddress1"] for row in rows if row["cr0dd_loyaltyenrol"]}
        self.out = {row["id"] for row in services.select("SELECT id FROM annex_members WHERE optInStatus = 'NO'")}
        owners: dict[str, list[str]] = {}
        for row in rows:
            owners.setdefault((row["emailaddress1"] or "").lower(), []).append(row["contactid"])
        shared = {address: found for address, found in owners.items() if len(found) > 1 or not address}
        # Who is enrolled has the address for an id.
        self.tangled = {each for address, found in shared.items() for each in (address, *found)}
        people = [
            (row["contact"], row["member"])
            for row in services.select(LINKED)
            if row["contact"] not in self.tangled and row["member"] not in self.out
        ]
        self.steady, self.linked = dict(people[:STEADY]), dict(people[STEADY:])

    def refresh(self, services):
        """Have those edited, too, who have become members."""
        for row in services.select(LINKED):
            people = {row["contact"], row["member"]}
            if not people & self.tangled and row["contact"] not in self.steady:
                self.linked[row["contact"]] = row["member"]

    def tangle(self, *people):
        """These are nobody's example any more."""
        self.tangled.update(people)
        for contact, member in list(self.linked.items()):
            if self.tangled & {contact, member}:
                self.tangled |= {contact, member}
                del self.linked[contact]


POSTING_SCHEMA = {
    "type": "SCHEMA",
    "stream": "loyalty_postings",
    "schema": {
        "properties": {
            "id": {"type": "string"},
            "member": {"type": "string"},
            "points": {"type": "integer"},
            "why": {"type": "string"},
            "receipt": {"type": ["string", "null"]},
        }
    },
    "key_properties": ["id"],
}


def line(message) -> str:
    """A Singer message."""
    return json.dumps(message) + "\n"
