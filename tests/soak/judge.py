"""Whether what was promised was kept. It reads the services' own database, and nothing of the connector."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict

from annex_d365_sandbox.annexcloud.activities import activity_id
from annex_d365_sandbox.annexcloud.balances import points, tiers
from annex_d365_sandbox.dataverse.schema import SCALED
from annex_d365_sandbox.dataverse.values import decimal
from annex_d365_sandbox.sandbox import Sandbox
from soak.world import COPIES

#: Member's field -> contact's column: what Dynamics 365 says, what Annex Cloud says.
IDENTITY = {
    "firstName": "firstname",
    "lastName": "lastname",
    "email": "emailaddress1",
    "phone": "mobilephone",
    "birthDate": "birthdate",
    "zipCode": "address1_postalcode",
}
LOYALTY = {
    "status": "cr0dd_loyaltystatus",
    "availablePoints": "cr0dd_availablepoints",
    "lifetimePoints": "cr0dd_earnedpoints",
    "currentTier": "cr0dd_currenttier",
}
ORIGIN = "annexcloud:90365/"
#: A rejected row that a newer one has replaced. Nothing is missing by it: what it is about is compared as all else.
REPLACED = ("a newer version of this row has come", "newer members of this segment have come")
LIVE_OUTBOUND, LIVE_JOURNEYS = {192350001, 192350008}, {1, 7}


class LostError(AssertionError):
    """A promise that was not kept."""


class Watch:
    """What may not happen at any moment. Called often, from one thread."""

    def __init__(self, services, world):
        self._services, self._world = services, world
        self._settled: dict = {}
        self.looks = 0

    def __call__(self):
        """Look; raises :class:`LostError`."""
        self.looks += 1
        for row in self._services.select(
            "SELECT reason, count(*) AS times FROM annex_activities WHERE reason LIKE 'Goodwill %' GROUP BY reason"
            " HAVING count(*) > 1"
        ):
            raise LostError(f"posting {row['reason']} was made {row['times']} times")
        there = self._there()
        for name, known in self._settled.items():
            if missing := known - there.get(name, set()):
                raise LostError(f"{name}: lost {sorted(missing)}")
        for name, known in there.items():
            self._settled.setdefault(name, set()).update(known)

    def _there(self):
        """What never changes, once it is there: name -> facts."""
        facts: dict[str, set] = defaultdict(set)
        contacts, members = list(self._world.steady), list(self._world.steady.values())
        for row in self._services.select(f"SELECT * FROM annex_members WHERE id IN ({_marks(members)})", *members):
            facts[f"member {row['id']}"] |= {("status", row["status"]), ("consent", row["optInStatus"])}
        for segment in self._world.segments:
            if segment.steady and segment.api != "annex":
                facts[f"copy of {segment.api} in Annex Cloud"] |= {
                    row["memberId"]
                    for row in self._services.select(
                        "SELECT memberId FROM annex_segment_members JOIN annex_segments ON segment = id"
                        f" WHERE externalId = ? AND memberId IN ({_marks(members)})",
                        f"dynamics:{segment.id}",
                        *members,
                    )
                }
            elif segment.steady:
                for api, (table, _, origin, key) in COPIES.items():
                    facts[f"copy in {api}"] |= {
                        row["member_id"]
                        for row in self._services.select(
                            f"SELECT member_id FROM d365_segment_member JOIN {table} ON segment_id = lower({key})"
                            f" WHERE {origin} = ? AND member_id IN ({_marks(contacts)})",
                            f"{ORIGIN}{segment.id}",
                            *contacts,
                        )
                    }
        return facts


def _marks(values):
    return ",".join("?" * len(values))


def judged(directory, world, rejects):
    """What differs, in sentences, and how much was compared."""
    judge = Judge(directory, world, rejects)
    try:
        return list(judge.differences()), judge.checked
    finally:
        judge.close()


class Judge:
    """Both services as they are at the end; they must not run.

    Args:
        directory: of the services.
        world: what people did.
        rejects: what the jobs still reject, after it was piped in again.
    """

    def __init__(self, directory, world, rejects):
        self._box = Sandbox(directory)
        self._world = world
        #: Those that say what is missing.
        self._rejects = [each for each in rejects if not each[3]["reason"].startswith(REPLACED)]
        self._replaced = len(rejects) - len(self._rejects)
        self._site, self._organisation = self._box.site, self._box.organisation
        self._contacts = {row["contactid"]: row for row in self._organisation.rows("contact")}
        self._members = {member["id"]: member for member in self._site.members()}
        self._by_member: dict[str, list] = defaultdict(list)
        for row in self._contacts.values():
            if row["cr0dd_loyaltyid"]:
                self._by_member[row["cr0dd_loyaltyid"]].append(row)
        self.checked: Counter[str] = Counter()

    def differences(self):
        """Sentences, one for each promise that was not kept."""
        for check in (
            self._people,
            self._accidents,
            self._opted_out,
            self._profiles,
            self._enrolled,
            self._activities,
            self._postings,
            self._into_annex,
            self._into_dynamics,
            self._rejected,
        ):
            yield from check()

    def close(self):
        """Let go of the database."""
        self._box._server._loop.close()  # it was never started, so that it cannot be stopped
        self._box._close()

    def _clear(self, row):
        return not ({row["contactid"], row["cr0dd_loyaltyid"]} & self._world.tangled)

    def _pairs(self):
        for row in self._contacts.values():
            member = self._members.get(row["cr0dd_loyaltyid"] or "")
            if member and self._clear(row) and not row["statecode"]:
                yield row, member

    def _people(self):
        """Nobody is lost, nobody is there twice."""
        world = self._world
        for contact in world.first_contacts - self._contacts.keys() - world.deleted.keys() - world.tangled:
            yield f"contact {contact} is lost"
        for member in world.first_members - self._members.keys() - world.erased - world.tangled:
            yield f"member {member} is lost"
        for contact in world.deleted.keys() & self._contacts.keys():
            yield f"contact {contact} was deleted and is back"
        for member in world.erased & self._members.keys():
            yield f"member {member} was erased and is back"
        for member, rows in self._by_member.items():
            if len(rows) > 1 and not world.tangled & {member, *(row["contactid"] for row in rows)}:
                yield f"member {member} has {len(rows)} contacts"
        addresses = Counter((each["email"] or "").lower() for each in self._members.values())
        for address, count in addresses.items():
            if address.startswith("soak.") and count > 1:
                yield f"{count} members have the address {address}"

    def _accidents(self):
        """Nobody is enrolled, or made, by accident."""
        world = self._world
        for member in self._members.keys() - world.first_members - world.joined - world.enrolling:
            yield f"member {member} was enrolled by accident"
        for contact in self._contacts.keys() - world.first_contacts - world.contacts:
            row = self._contacts[contact]
            if row["cr0dd_loyaltyid"] not in world.joined | world.first_members:
                yield f"contact {contact} was made for nobody"
        for contact, member in world.steady.items():
            if self._contacts.get(contact, {}).get("cr0dd_loyaltyid") != member:
                yield f"contact {contact} has another member now"

    def _opted_out(self):
        """Nobody is opted in by accident, and whose contact was deleted is out."""
        world = self._world
        for member in world.out & self._members.keys():
            self.checked["opt-outs"] += 1
            if self._members[member]["optInStatus"] != "NO":
                yield f"member {member} had opted out, and is in again"
        for contact, member in world.deleted.items():
            if member in self._members and not self._by_member[member]:
                self.checked["deleted contacts"] += 1
                if self._members[member]["optInStatus"] != "NO":
                    yield f"contact {contact} was deleted, and its member {member} is not opted out"

    def _profiles(self):
        """Each side has what the other one owns."""
        refused = {record.get("contactid") for _, stream, record, _ in self._rejects if stream == "contacts"}
        for row, member in self._pairs():
            if row["contactid"] in refused:
                continue
            self.checked["profiles"] += 1
            for name, column in IDENTITY.items():
                if row[column] and _plain(name, row[column]) != _plain(name, member[name]):
                    yield f"member {member['id']}: {name} is {member[name]!r}, its contact has {row[column]!r}"
            if row["cr0dd_optinstatus"] == "NO" and member["optInStatus"] != "NO":
                yield f"member {member['id']} is opted in, its contact says no"
            owned = {**member, **points(self._site, member), **tiers(self._site, member)}
            for name, column in LOYALTY.items():
                if (held := self._value(row, column)) != owned[name]:
                    yield f"contact {row['contactid']}: {column} is {held!r}, its member has {owned[name]!r}"

    def _value(self, row, column):
        attribute = self._organisation.tables["contact"].by_name[column]
        value = row[column]
        return float(decimal(attribute, value)) if value is not None and attribute.kind in SCALED else value

    def _enrolled(self):
        """Who asked for it is a member; who was made a member is a contact."""
        refused = {record.get("contactid") for _, _, record, _ in self._rejects}
        addresses = {(each["email"] or "").lower() for each in self._members.values()}
        for row in self._contacts.values():
            clear = self._clear(row) and not row["statecode"] and row["contactid"] not in refused
            if clear and row["cr0dd_loyaltyenrol"]:
                self.checked["enrolments"] += 1
                if row["emailaddress1"].lower() not in addresses:
                    yield f"contact {row['contactid']} asked for enrolment, and is no member"
        for member in self._members.keys() - self._world.tangled:
            deleted = member in self._world.deleted.values()
            if not deleted and not self._by_member[member]:
                yield f"member {member} has no contact"

    def _activities(self):
        """Each activity is there once."""
        entries = [dict(row) for row in self._select("SELECT * FROM annex_activities")]
        there = Counter(row["cr0dd_activityid"] for row in self._organisation.rows("cr0dd_loyaltyactivity"))
        for name, count in there.items():
            if count > 1:
                yield f"activity {name} is there {count} times"
        for entry in entries:
            if entry["memberId"] in self._members and entry["memberId"] not in self._world.tangled:
                self.checked["activities"] += 1
                if not there[activity_id(entry)]:
                    yield f"activity {activity_id(entry)} of member {entry['memberId']} is not in Dynamics 365"

    def _postings(self):
        """Each posting is made once, or in the rejects."""
        made = defaultdict(list)
        for row in self._select("SELECT * FROM annex_activities WHERE reason LIKE 'Goodwill %'"):
            made[row["reason"]].append(row)
        refused = {record["id"]: why for _, stream, record, why in self._rejects if stream == "loyalty_postings"}
        for key, record in self._world.postings.items():
            rows = made.pop(record["why"], [])
            self.checked["postings"] += 1
            if len(rows) > 1:
                yield f"posting {key} was made {len(rows)} times"
            elif rows and rows[0]["credit"] != record["points"]:
                yield f"posting {key} has {rows[0]['credit']} points instead of {record['points']}"
            elif not rows and key not in refused and record["member"] not in self._world.erased | self._world.tangled:
                yield f"posting {key} is neither made nor rejected"
        for why in made:
            yield f"posting {why!r} was made for nobody"

    def _into_annex(self):
        """Copies of segments of Dynamics 365 have their members."""
        copies = {each["externalId"]: each for each in self._site.segments.all() if each["externalId"]}
        for api, (table, key, origin, inner) in COPIES.items():
            for row in self._organisation.rows(table):
                if row[origin] or not _live(api, row):
                    continue
                owned = set(self._organisation.marketing.memberships.ids(row[inner].lower()))
                wanted = {self._contacts[each]["cr0dd_loyaltyid"] for each in owned if each in self._contacts}
                copy = copies.get(f"dynamics:{row[key]}")
                if copy is None:
                    yield f"segment {row[key]} of {api} has no copy"
                    continue
                self.checked["copies in Annex Cloud"] += 1
                yield from self._compare(
                    f"copy of {api} {row[key]}", wanted & self._members.keys(), set(self._site.segments.members(copy))
                )

    def _into_dynamics(self):
        """Copies of segments of Annex Cloud have their members."""
        for api, (table, _, origin, inner) in COPIES.items():
            copies = {row[origin]: row for row in self._organisation.rows(table) if row[origin]}
            for segment in self._site.segments.all():
                if segment["externalId"] or segment["status"] != "ACTIVE":
                    continue
                people = self._site.segments.members(segment)
                wanted = {row["contactid"] for each in people for row in self._by_member[each]}
                copy = copies.get(f"{ORIGIN}{segment['id']}")
                if copy is None:
                    yield f"segment {segment['id']} has no copy in {api}"
                    continue
                self.checked["copies in Dynamics 365"] += 1
                there = set(self._organisation.marketing.memberships.ids(copy[inner].lower()))
                yield from self._compare(f"copy in {api} of {segment['id']}", wanted, there & self._contacts.keys())

    def _compare(self, name, wanted, there):
        for each in sorted(wanted - there - self._world.tangled):
            yield f"{name}: {each} is missing"
        for each in sorted(there - wanted - self._world.tangled):
            yield f"{name}: {each} has not left"

    def _rejected(self):
        """Every reject has a reason that people gave, or a newer row that replaced it."""
        world = self._world
        self.checked["rejects replaced by newer rows"] += self._replaced
        for job, stream, record, why in self._rejects:
            self.checked["rejects"] += 1
            concerned = {str(value) for value in record.values() if isinstance(value, str)}
            gone = world.erased | world.tangled | world.deleted.keys() | set(world.deleted.values())
            if concerned & gone or record.get("segment_id") in world.removed_segments:
                continue
            member = record.get("member") or record.get("member_id") or record.get("cr0dd_loyaltyid")
            if stream == "loyalty_postings" and self._members.get(member, {}).get("optInStatus") == "NO":
                continue  # who opted out cannot earn
            yield f"{job}: a row of {stream} is rejected: {why['reason']} ({why['code']}): {record}"

    def _select(self, sql):
        with self._box.control._store.transaction() as database:
            return database.execute(sql).fetchall()


def _live(api, row):
    if api == "outbound":
        return row["statuscode"] in LIVE_OUTBOUND
    return row["statuscode"] in LIVE_JOURNEYS and row["msdynmkt_baseentitylogicalname"] in (None, "contact")


def _plain(name, value):
    text = unicodedata.normalize("NFC", str(value or "")).strip()
    if name == "phone":
        return re.sub(r"[^+0-9]", "", text)
    return text.casefold() if name == "email" else text
