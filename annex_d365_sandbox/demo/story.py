"""The story that the demo tells, and what it promises on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from annex_d365_sandbox.demo.edits import GUESTS, NEWSLETTER, SPENDERS, Edits
from annex_d365_sandbox.demo.pipelines import Pipelines
from annex_d365_sandbox.demo.sides import Row, Sides

CONTACTS = 600
JOB = "full-sync"
#: A member's field and the contact's column: what Dynamics 365 tells, and what Annex Cloud tells.
PROFILE = {
    "id": "cr0dd_loyaltyid",
    "firstName": "firstname",
    "lastName": "lastname",
    "email": "emailaddress1",
    "phone": "mobilephone",
    "birthDate": "birthdate",
    "zipCode": "address1_postalcode",
    "optInStatus": "",
}
LOYALTY = {
    "availablePoints": "cr0dd_availablepoints",
    "lifetimePoints": "cr0dd_earnedpoints",
    "currentTier": "cr0dd_currenttier",
    "pointsToNextTier": "cr0dd_pointsfornexttier",
}


def show(sides: Sides, pipelines: Pipelines) -> None:
    """The story, in order. Raises ``click.ClickException`` if something is not as promised."""
    first_run(sides, pipelines)
    second_run(sides, pipelines)
    third_run(pipelines)


def first_run(sides: Sides, pipelines: Pipelines) -> None:
    """Everything that is there comes to the other side."""
    before = sides.members()
    _title(f"Before (sandbox at {sides.sandbox.info['url']})")
    _count(sides)
    _title("Columns for points and tiers, and a table for activities, in Dynamics 365")
    click.echo(f"  {pipelines.command('annex-d365', 'provision', '--yes').splitlines()[-1]}")
    _title("First run: all four pipelines")
    pipelines.run(JOB)
    _count(sides)
    _members(sides, before)
    _points(sides)
    _title("Segments: each has one owner, and a copy on the other side")
    _promise(_segments(sides), "every copy has the members that its owner says")


def second_run(sides: Sides, pipelines: Pipelines) -> None:
    """People edit, join, leave and buy; that, and nothing else, comes to the other side."""
    _title("Then people go on working")
    edits = Edits.choose(sides)
    guests, readers = (sides.annex_members(name) for name in (GUESTS, NEWSLETTER))
    edits.make(sides)
    _title("Second run")
    run = pipelines.run(JOB)
    for method, path in run.writes:
        click.echo(f"  {method} {path}")
    edited = sorted(("PATCH", f"/api/3.0/users/{member}") for member in edits.numbers)
    _promise(sorted(each for each in run.into_annex if "/users/" in each[1]) == edited, "exactly those five travelled")
    _shopper(sides, edits.shopper)
    _promise(sides.annex_members(GUESTS) == edits.guests.after(guests), f"“{GUESTS}” is the same in Annex Cloud")
    _promise(sides.dynamics_members(NEWSLETTER) == edits.readers.after(readers), f"“{NEWSLETTER}” in Dynamics 365, too")
    _promise(edits.shopper in sides.dynamics_members(SPENDERS), "and the shopper is a big spender there")


def third_run(pipelines: Pipelines) -> None:
    """Both sides have settled."""
    _title("Third run: nobody has edited anything")
    _promise(not pipelines.run(JOB).writes, "nothing was written, on either side")


def _count(sides: Sides) -> None:
    contacts, members = sides.contacts(), sides.members().values()
    linked = sum(1 for contact in contacts if contact["cr0dd_loyaltyid"])
    inactive = sum(1 for contact in contacts if contact["statecode"])
    opted_out = sum(1 for member in members if member["optInStatus"] == "NO")
    segments, copies = sides.dynamics_segments(), sides.dynamics_copies()
    annex = sides.annex_segments().values()
    copied = sum(1 for segment in annex if segment["externalId"])
    click.echo(
        f"  Dynamics 365: {len(contacts)} contacts, {linked} with a loyalty id, {inactive} inactive; "
        f"{len(segments)} segments, {len(copies)} of them copies"
    )
    click.echo(
        f"  Annex Cloud:  {len(members)} members, {opted_out} of them opted out; "
        f"{len(annex)} segments, {copied} of them copies"
    )


def _members(sides: Sides, before: Mapping[str, Row]) -> None:
    """Two members that were changed and one that is new, beside their contacts."""
    _title("Three of the members that changed, beside their contacts")
    after, contacts = sides.members(), sides.contacts_by_member()
    changed = [each for each, was in before.items() if any(was.get(name) != after[each].get(name) for name in PROFILE)]
    created = [each for each in after if each not in before]
    for member in [*changed[:2], *created[:1]]:
        was, contact = before.get(member), contacts[member]
        _row("", "contact", "member before", "member after")
        for field, column in PROFILE.items():
            values = (contact.get(column), (was or {}).get(field), after[member].get(field))
            _row(field, *values, new=was is not None and values[1] != values[2])
        click.echo()


def _points(sides: Sides) -> None:
    """What the first contacts say of points, beside what Annex Cloud says of the members."""
    _title("Points and tiers on contacts")
    contacts, members = sides.contacts_by_member(), sides.members()
    linked = {member: contact for member, contact in contacts.items() if member in members}
    for member in list(linked)[:2]:
        _compare(sides, member, linked[member])
    true = all(told == held for each, contact in linked.items() for _, told, held in _loyalty(sides, each, contact))
    _promise(true, "every contact has the points and the tier of its member")


def _shopper(sides: Sides, member: str) -> None:
    contact = sides.contacts_by_member()[member]
    _compare(sides, member, contact)
    true = all(told == held for _, told, held in _loyalty(sides, member, contact))
    _promise(true, "her points and her tier are on the contact")


def _compare(sides: Sides, member: str, contact: Row) -> None:
    _row("", "contact", "Annex Cloud")
    _row("id", member, member)
    for row in _loyalty(sides, member, contact):
        _row(*row)
    click.echo()


def _loyalty(sides: Sides, member: str, contact: Row) -> list[tuple[str, Any, Any]]:
    """Field, the contact's value, the member's."""
    balance = sides.balance(member)
    return [(field, sides.value(contact, column), balance[field]) for field, column in LOYALTY.items()]


def _segments(sides: Sides) -> bool:
    """Owners and copies, with their members who are known on both sides; whether these are the same."""
    annex, known = sides.annex_segments(), sides.contacts_by_member().keys()
    pairs: list[tuple[str, set[str], str, set[str]]] = []
    for name, segment in annex.items():
        members = sides.annex_members(name) & known
        if segment["externalId"]:
            if members:
                pairs.append((f"Dynamics 365: {name}", sides.dynamics_members(name), "Annex Cloud", members))
        elif segment["status"] == "ACTIVE":
            pairs.append((f"Annex Cloud: {name}", members, "Dynamics 365", sides.dynamics_members(name)))
    for owner, own, side, copied in pairs:
        click.echo(f"  {owner:56} {len(own):4} -> {side}: {len(copied)}")
    return all(own == copied for _, own, _, copied in pairs)


def _row(label: str, *values: Any, new: bool = False) -> None:
    shown: Iterable[str] = (f"{'' if value is None else str(value)[:31]:32}" for value in values)
    click.echo(f"  {label:17} {' '.join(shown).rstrip()}{'  <- new' if new else ''}")


def _title(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _promise(kept: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence where it is called
    if not kept:
        raise click.ClickException(f"It is not true that {what}.")
    click.secho(f"  {what}", fg="green")
