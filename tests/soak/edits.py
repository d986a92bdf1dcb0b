"""What people do at random, each where the field is owned. Segments of all three kinds, members, contacts, points."""

from __future__ import annotations

import json
import threading
from collections import Counter
from string import ascii_lowercase, ascii_uppercase
from uuid import UUID

from soak.people import Clerk, Crm, RefusedError
from soak.world import POSTING_SCHEMA, Segment, line

STATIC_OUTBOUND, GOING_LIVE = 192350001, 192350006
DRAFT_DEFINITION = 723270001
NAMES = ("Ana", "Ødegård", "李", "O'Neil", "Zoë & Co", "de la Cruz", "Müller-Lüdenscheidt", "علي", "Nguyễn", "x" * 40)
SEGMENTS_MOST = 5
#: Who is merged or erased is missing among those who can be edited.
FEW = 15


class Edits:
    """People of both sides.

    Args:
        services: that they work at.
        world: where they leave word of what the judge must know.
        chance: what they do.
        directory: for the file of postings.
    """

    def __init__(self, services, world, chance, directory):
        self.services, self.world, self.chance = services, world, chance
        self.crm, self.clerk = Crm(services), Clerk(services)
        self.counts: Counter[str] = Counter()
        self._number = 0
        self._postings, self._lines = directory / "postings.singer", 0
        self._lock = threading.Lock()
        self._postings.write_text(line(POSTING_SCHEMA))
        often = [(self.rename, 8), (self.move, 6), (self.opt_out, 1), (self.change_status, 3), (self.buy, 8)]
        often += [(self.post, 10), (self.join_segment, 8), (self.leave_segment, 8), (self.rename_segment, 3)]
        rare = [self.enrol, self.enrol, self.arrive, self.join, self.join, self.deactivate, self.delete_contact]
        rare += [self.merge_members, self.erase, self.make_segment, self.remove_segment]
        self._all = [*often, *((each, 1) for each in rare)]

    def make_one(self):
        """One edit; a service that is down, or breaks off, prevents it, or nobody knows."""
        edit = self.chance.choices([each for each, _ in self._all], [weight for _, weight in self._all])[0]
        try:
            edit()
        except RefusedError:
            self.counts["prevented"] += 1
        else:
            self.counts["edits"] += 1
            self.counts[edit.__name__] += 1

    def number(self):
        """A new one."""
        self._number += 1
        return self._number

    def guid(self):
        """A new one."""
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def one(self):
        """A contact and its member; who came in the meantime is one, too."""
        if len(self.world.linked) < FEW:
            self.world.refresh(self.services)
        return self.chance.choice(list(self.world.linked.items()))

    def address(self):
        """Nobody has it yet."""
        return f"soak.{self.number()}@example.org"

    def last_name(self):
        """Begins otherwise than others: a search shows 50 members, and cannot divide namesakes (docs/tap-annex.md)."""
        return f"{self.chance.choice(ascii_uppercase)}{self.chance.choice(ascii_lowercase)}{self.number()}"

    # Dynamics 365

    def rename(self):
        contact, _ = self.one()
        name = self.chance.choice(NAMES)
        self.crm.send("PATCH", f"contacts({contact})", {"firstname": name, "lastname": f"{name} {self.number()}"})

    def move(self):
        contact, _ = self.one()
        changes = {
            "emailaddress1": self.address(),
            "mobilephone": f"+49 30 {self.number():06}",
            "address1_postalcode": f"{self.chance.randint(10000, 99999)}",
            "birthdate": f"19{self.chance.randint(50, 99)}-0{self.chance.randint(1, 9)}-1{self.chance.randint(0, 9)}",
        }
        chosen = self.chance.sample(sorted(changes), self.chance.randint(1, len(changes)))
        self.crm.send("PATCH", f"contacts({contact})", {name: changes[name] for name in chosen})

    def opt_out(self):
        contact, member = self.one()
        if self.chance.random() < 0.5:
            self.crm.send("PATCH", f"contacts({contact})", {"cr0dd_optinstatus": "NO"})
        else:
            self.clerk.change(member, optInStatus="NO")
        self.world.out.add(member)

    def enrol(self):
        address = self.address()
        self.world.enrolling.add(address)
        names = {"firstname": self.chance.choice(NAMES), "lastname": self.last_name()}
        row = {"contactid": self.guid(), **names, "emailaddress1": address, "cr0dd_loyaltyenrol": True}
        self._create_contact(row)

    def arrive(self):
        self._create_contact({"contactid": self.guid(), "lastname": "Stranger", "emailaddress1": self.address()})

    def _create_contact(self, row):
        self.world.contacts.add(row["contactid"])
        self.crm.send("POST", "contacts", row)

    def deactivate(self):
        contact, _ = self.one()
        self.crm.send("PATCH", f"contacts({contact})", {"statecode": 1, "statuscode": 2})

    def delete_contact(self):
        if len(self.world.linked) < FEW:
            return
        contact, member = self.one()
        self.world.tangle(contact)
        self.crm.send("DELETE", f"contacts({contact})")
        self.world.deleted[contact] = member

    # Annex Cloud

    def change_status(self):
        _, member = self.one()
        self.clerk.change(member, status=self.chance.choice(["ACTIVE", "INACTIVE"]))

    def buy(self):
        _, member = self.one()
        credit = {"id": member, "activity": "CREDIT", "credit": self.chance.randint(1, 2000), "reason": "Purchase"}
        self.clerk.send("POST", "points", {**credit, "orderId": f"SHOP-{self.number()}"}, tries=1)

    def join(self):
        member = f"J{self.number()}"
        self.world.joined.add(member)
        self.clerk.send("POST", "users", {"id": member, "email": self.address(), "lastName": self.last_name()})

    def merge_members(self):
        if len(self.world.linked) < FEW:
            return
        (one, primary), (other, secondary) = self.one(), self.one()
        if primary != secondary:
            self.world.tangle(one, other)
            body = {"primaryUID": primary, "secondaryUID": secondary, "mergedBy": "clerk@example.org"}
            self.clerk.send("POST", "mergeuser", body, tries=1)
            self.world.erased.add(secondary)

    def erase(self):
        if len(self.world.linked) < FEW:
            return
        contact, member = self.one()
        self.world.tangle(contact)
        self.clerk.send("POST", "userdelete", {"id": member, "requestedBy": "clerk@example.org"})
        self.services.control("POST", "deletions")
        self.world.erased.add(member)

    # The stream of postings

    def post(self):
        """A few postings more; each third without an order."""
        records = []
        for _ in range(self.chance.randint(1, 6)):
            _, member = self.one()
            number = self.number()
            row = {
                "id": f"P{number}",
                "member": member,
                "points": self.chance.randint(1, 500),
                "why": f"Goodwill {number}",
            }
            row["receipt"] = f"R{number}" if number % 3 else None
            self.world.postings[row["id"]] = row
            records.append(line({"type": "RECORD", "stream": "loyalty_postings", "record": row}))
        self._lines += len(records) + 1
        records.append(line({"type": "STATE", "value": {"at": self._lines}}))
        with self._postings.open("a") as file:
            file.write("".join(records))

    # Segments

    def begin_segments(self):
        """One of each kind with the steady people."""
        for api in ("annex", "outbound", "journeys"):
            self.make_segment(api, steady=True)

    def make_segment(self, api="", *, steady=False):
        api = api or self.chance.choice(["annex", "outbound", "journeys"])
        people = dict(self.world.steady) if steady else {}
        people |= dict(self.one() for _ in range(6))
        if sum(each.api == api for each in self.world.segments) < SEGMENTS_MOST:
            segment = getattr(self, f"_make_{api}")(f"Soak {api} {self.number()}", people)
            segment.steady = steady
            self.world.segments.append(segment)

    def _make_annex(self, name, people):
        body = {**_days(name), "type": "static", "status": "ACTIVE"}
        made = self.clerk.send("POST", "segment", {**body, "member": ",".join(people.values())}, tries=1)
        return Segment("annex", str(made["segmentId"]), name)

    def _make_outbound(self, name, people):
        row = {
            "msdyncrm_segmentid": self.guid(),
            "msdyncrm_segmentname": name,
            "msdyncrm_segmenttype": STATIC_OUTBOUND,
            "msdyncrm_segmentmemberids": json.dumps(list(people)),
            "statuscode": GOING_LIVE,
        }
        self.crm.send("POST", "msdyncrm_segments", row)
        return Segment("outbound", row["msdyncrm_segmentid"], name)

    def _make_journeys(self, name, people):
        segment = Segment("journeys", self.guid(), name, group=self.guid(), definition=self.guid())
        group = {"groupId": segment.group, "includeType": "Include", "name": name, "inputType": "manualSelect"}
        unit = self.services.select("SELECT businessunitid AS id FROM businessunit")[0]["id"]
        definition = {
            "msdynmkt_segmentdefinitionid": segment.definition,
            "statecode": 0,
            "statuscode": DRAFT_DEFINITION,
        }
        self.crm.send(
            "POST", "msdynmkt_segmentdefinitions", {**definition, "msdynmkt_staticlistmembers": json.dumps([group])}
        )
        row = {
            "msdynmkt_segmentid": segment.id,
            "msdynmkt_displayname": name,
            "msdynmkt_type": 11,
            "msdynmkt_source": 12,
            "msdynmkt_baseentitylogicalname": "contact",
            "msdynmkt_sourcesegmentuid": segment.definition,
            "owningbusinessunit@odata.bind": f"/businessunits({unit})",
            "statecode": 1,
            "statuscode": 2,
        }
        self.crm.send("POST", "msdynmkt_segments", row)
        self._journeys("Add", segment, people)
        self.crm.send("POST", "msdynmkt_PublishSegmentDefinition", {"SegmentId": segment.id})
        return segment

    def _journeys(self, verb, segment, contacts):
        body = {"SegmentId": segment.id, "GroupId": segment.group, "EntityIds": list(contacts)}
        self.crm.send("POST", f"msdynmkt_{verb}StaticMembers", body)

    def join_segment(self):
        self._change_members(self.chance.choice(self.world.segments), joins=True)

    def leave_segment(self):
        self._change_members(self.chance.choice(self.world.segments), joins=False)

    def _change_members(self, segment, *, joins):
        people = dict(self.one() for _ in range(self.chance.randint(1, 4)))
        if segment.api == "annex":
            body = {"member": ",".join(people.values()), "memberUpdate": "ADD" if joins else "REMOVE"}
            self.clerk.send("PATCH", f"segment/{segment.id}", {**_days(segment.name), **body})
        elif segment.api == "outbound":
            body = {"msdyncrm_segmentid": segment.id, "msdyncrm_operation": "addByIds" if joins else "removeByIds"}
            self.crm.send(
                "POST", "msdyncrm_SegmentMembersUpdate", {**body, "msdyncrm_memberids": json.dumps(list(people))}
            )
        else:
            self._journeys("Add" if joins else "Remove", segment, people)

    def rename_segment(self):
        segment = self.chance.choice(self.world.segments)
        name = f"Soak {segment.api} {self.chance.choice(NAMES)} {self.number()}"
        if segment.api == "annex":
            self.clerk.send("PATCH", f"segment/{segment.id}", _days(name))
        elif segment.api == "outbound":
            self.crm.send("PATCH", f"msdyncrm_segments({segment.id})", {"msdyncrm_segmentname": name})
        else:
            self.crm.send("PATCH", f"msdynmkt_segments({segment.id})", {"msdynmkt_displayname": name})
        segment.name = name

    def remove_segment(self):
        passing = [each for each in self.world.segments if not each.steady]
        if not passing:
            return
        segment = self.chance.choice(passing)
        self.world.segments.remove(segment)
        self.world.removed_segments.add(segment.id)
        if segment.api == "annex":
            self.clerk.send("PATCH", f"segment/{segment.id}", {**_days(segment.name), "status": "INACTIVE"})
        elif segment.api == "outbound":
            self.crm.send("DELETE", f"msdyncrm_segments({segment.id})")
        else:
            self.crm.send("DELETE", f"msdynmkt_segmentdefinitions({segment.definition})")
            self.crm.send("DELETE", f"msdynmkt_segments({segment.id})")


def _days(name):
    return {"name": name, "fromDate": "2025-01-01", "toDate": "2035-12-31"}
