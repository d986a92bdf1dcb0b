"""Contacts against members."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from annex_d365.ledger import fold
from target_annex.reconcile.display import Display
from target_annex.reconcile.findings import Finding, Findings, Kind
from target_annex.reconcile.people import CONTACTS, MEMBERS, People
from target_annex.reconcile.reading import ContactReading, MemberReading
from target_annex.reconcile.side_by_side import side_by_side
from target_annex.reconcile.spill import AT_ONCE, Spill, Stranger
from target_annex.reconcile.systems import Systems

_Some = tuple[str, Sequence[dict[str, Any]]]


def compare_people(systems: Systems, display: Display, spill: Spill, findings: Findings, *, rewards: bool) -> None:
    """Read contacts and members, and take note of every difference.

    Args:
        systems: both sides.
        display: shows how far it is.
        spill: keeps what was read.
        findings: takes the notes.
        rewards: whether rewards are compared, too, by a call for each member.

    Raises:
        ConnectorError: a side cannot be read.
    """
    people = People(systems, rewards=rewards)
    contacts, members = ContactReading(systems, people), MemberReading(systems, people)

    def some_contacts() -> Generator[_Some]:
        display.expect(CONTACTS, contacts.total())
        for rows in contacts.lists():
            yield CONTACTS, rows

    def some_members() -> Generator[_Some]:
        for records in members.lists():
            yield MEMBERS, records

    for what, rows in side_by_side(some_contacts, some_members):
        # In lists, for what the ledger is asked about.
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            if what == CONTACTS:
                spill.add_contacts(people.contact_lines(part))
            else:
                spill.add_members(people.member_lines(part))
            display.advance(what, len(part))
    spill.join()
    found = False
    for strangers in spill.strangers():
        records = members.named([each for each in strangers if not each.taken])
        spill.add_members(people.member_lines(records))
        found = found or bool(records)
        display.advance("looked up", len(strangers))
    if found:
        spill.join()
    display.expect("compared", None)
    _note_all(people, members, display, spill, findings)


def _note_all(people: People, members: MemberReading, display: Display, spill: Spill, findings: Findings) -> None:
    there, known, pairs = spill.counts()
    findings.sizes |= {"contacts": there, "members": known, "pairs": pairs}
    for rows in spill.differing():
        for contact, member in rows:
            guid, member_id, differences = people.compare(contact, member)
            if differences:
                findings.add(Finding(Kind.DIFFERING, {"contact": guid, "member": member_id}, differences))
        display.advance("compared", len(rows))
    for strangers in spill.strangers():
        for each in strangers:
            if fold(each.member) not in members.refused:  # they are there, as far as is known
                findings.add(_without(each))
    alone = Kind.NO_CONTACT if people.makes_contacts else Kind.EXTRA_MEMBER
    for ids in spill.alone():
        for member_id in ids:
            findings.add(Finding(alone, {"member": member_id}))
    findings.unread += members.left
    if not members.whole:
        findings.notes.append("Whether there are members without a contact beyond these is not known (`members`).")


def _without(stranger: Stranger) -> Finding:
    kind = Kind.EXTRA_CONTACT if stranger.taken else Kind.NO_MEMBER
    named = {"member": stranger.member} if stranger.member else {}
    return Finding(kind, {"contact": stranger.id, **named})
