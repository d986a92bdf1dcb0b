"""What people do between two runs, each side with what it owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from annex_d365_sandbox.demo.sides import Sides

#: A static segment of Dynamics 365, a list and a rule of Annex Cloud.
GUESTS, NEWSLETTER, SPENDERS = "Guests of honour", "Newsletter test group", "Big spenders"
PURCHASE, SPENT = 109, 1500


@dataclass(frozen=True)
class Moves:
    """Members who come into a segment and go out of it."""

    joins: str
    leaves: str

    def after(self, before: set[str]) -> set[str]:
        """Members once both have moved."""
        return before - {self.leaves} | {self.joins}


@dataclass(frozen=True)
class Edits:
    """Who is edited how: five contacts, a shopper, and a move in a list of each side.

    Attributes:
        numbers: new mobile phones, by loyalty id.
        shopper: buys so much that she becomes a big spender.
    """

    numbers: Mapping[str, str]
    shopper: str
    guests: Moves
    readers: Moves

    @classmethod
    def choose(cls, sides: Sides) -> Edits:
        """The first people, in the order of their contacts, for whom each edit is one."""
        members = sides.members()
        linked = [
            member
            for member, contact in sides.contacts_by_member().items()
            if not contact["statecode"] and members.get(member, {}).get("optInStatus") == "YES"
        ]
        edited, others = linked[:5], linked[5:]

        def moves(into: set[str]) -> Moves:
            return Moves(_first(others, lambda each: each not in into), _first(others, into.__contains__))

        return cls(
            numbers={member: f"+49 30 555 {number:04}" for number, member in enumerate(edited)},
            shopper=_first(others, lambda each: sides.balance(each)["lifetimePoints"] < SPENT // 2),
            guests=moves(sides.annex_members(GUESTS)),
            readers=moves(sides.annex_members(NEWSLETTER)),
        )

    def make(self, sides: Sides) -> None:
        """Do it, and say so."""
        contacts = sides.contacts_by_member()
        for member, number in self.numbers.items():
            sides.organisation.update("contact", contacts[member]["contactid"], {"mobilephone": number})
        click.echo("  Dynamics 365: five contacts have a new mobile phone")
        ids = [contacts[each]["contactid"] for each in (self.guests.joins, self.guests.leaves)]
        sides.change_guests(GUESTS, ids[:1], ids[1:])
        click.echo(f"  Dynamics 365: one joins “{GUESTS}”, one leaves")
        sides.site.points.post(
            {"id": self.shopper, "activity": "CREDIT", "actionId": PURCHASE, "credit": SPENT, "orderId": "DEMO-1"}
        )
        click.echo(f"  Annex Cloud:  one buys for {SPENT} points, and so joins “{SPENDERS}”")
        self._move_readers(sides)
        click.echo(f"  Annex Cloud:  one joins “{NEWSLETTER}”, one leaves")

    def _move_readers(self, sides: Sides) -> None:
        segment = sides.annex_segments()[NEWSLETTER]
        mandatory: dict[str, Any] = {name: segment[name] for name in ("name", "fromDate", "toDate")}
        for how, member in (("ADD", self.readers.joins), ("REMOVE", self.readers.leaves)):
            sides.site.segments.update(str(segment["id"]), {**mandatory, "member": [member], "memberUpdate": how})


def _first(members: list[str], fits: Callable[[str], bool]) -> str:
    return next(filter(fits, members))
