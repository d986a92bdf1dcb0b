"""Whether a posting is in a member's list of activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum, auto

from annex_d365.annexcloud.fields import plain
from annex_d365.annexcloud.points import Activity, Posting
from annex_d365.ledger import Entry, State, changed, digest

Facts = Mapping[str, str]


class Verdict(Enum):
    """What the list says of a posting."""

    THERE = auto()
    ABSENT = auto()
    UNCLEAR = auto()


def facts(posting: Posting) -> Facts:
    """What makes a posting the same; the ledger keeps digests of it."""
    return _facts(posting.member_id, posting)


class History:
    """The activities of a member, as far as they tell postings.

    The site may keep another amount than it was sent: rounded (Annex page 7: decimals are a site setting), or
    multiplied. So an activity with the same order, action and kind is a posting's, unless the ledger says that it is
    another row's.

    Args:
        member_id: whose they are.
        activities: all of them.
    """

    def __init__(self, member_id: str, activities: Iterable[Activity]) -> None:
        #: How many they are.
        self.size = 0
        self._member_id = member_id
        self._names_orders = False
        self._by_order: dict[str, list[Facts]] = {}
        for each in activities:
            self.size += 1
            self._names_orders |= "orderId" in each.raw
            self._by_order.setdefault(each.order_id, []).append(_facts(member_id, each))

    def verdict(self, posting: Posting, others: Sequence[Entry], *, tried: bool) -> Verdict:
        """Whether a posting was made.

        Args:
            posting: looked for.
            others: what the ledger has of other rows with the same order.
            tried: it may have been sent; if it is not in the list, the list has to be one that would show it.
        """
        wanted = facts(posting)
        digests = digest(wanted)
        alike, unseen = _without(self._alike(posting.order_id, digests), others)
        if any(_near(each, wanted["amount"]) for each in alike):
            return Verdict.THERE
        # Rows that were posted, with amounts that the list does not show: it may show them with others.
        settled = [each for each in unseen if each.state is State.SETTLED and _is_alike(wanted, each.digests)]
        if len(alike) > len(settled) or (tried and not self._decides(digests, wanted["amount"])):
            return Verdict.UNCLEAR
        return Verdict.ABSENT

    def verdict_on_entry(self, entry: Entry, others: Sequence[Entry]) -> Verdict:
        """The same for what a row may have posted when it had other values, of which only digests are left."""
        if changed({"id": self._member_id}, entry.digests):
            return Verdict.UNCLEAR  # that was for another member
        alike, _ = _without(self._alike(entry.target, entry.digests), others)
        if alike:
            return Verdict.THERE
        return Verdict.ABSENT if self._decides(entry.digests, "") else Verdict.UNCLEAR

    def _alike(self, order_id: str, digests: bytes) -> list[Facts]:
        return [each for each in self._by_order.get(order_id, ()) if _is_alike(each, digests)]

    def _decides(self, digests: bytes, amount: str) -> bool:
        """Whether the list would show a posting by its order.

        ASSUMPTION: a list may name no orders, or those of purchases only (Annex page 6 has the field, not when it is
        filled): an activity without an order may be this posting.
        """
        nameless = self._by_order.get("", ())
        unclear = any(_is_alike(each, digests) and _near(each, amount) for each in nameless)
        return not self.size or (self._names_orders and not unclear)


def _facts(member_id: str, of: Activity | Posting) -> Facts:
    return {
        "id": member_id,
        "orderId": of.order_id,
        "actionId": of.action_id,
        "activity": of.activity,
        "amount": "" if of.amount is None else _text(of.amount),
    }


def _text(amount: Decimal) -> str:
    """Equal for equal amounts; empty for one that nobody can have meant."""
    try:
        text = plain(amount)
    except ValueError:
        return ""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_alike(known: Facts, digests: bytes) -> bool:
    """Whether all is the same but the amount, as far as it is known."""
    return not changed({name: value for name, value in known.items() if value and name != "amount"}, digests)


def _near(known: Facts, amount: str) -> bool:
    """Whether one amount may be the other one, rounded."""
    return not (known["amount"] and amount) or abs(Decimal(known["amount"]) - Decimal(amount)) < 1


def _without(alike: Sequence[Facts], others: Sequence[Entry]) -> tuple[list[Facts], list[Entry]]:
    """The activities that are no other row's; and the other rows that have none."""
    left, unseen = list(alike), []
    for other in others:
        own = next((each for each in left if digest(each) == other.digests), None)
        if own is None:
            unseen.append(other)
        else:
            left.remove(own)
    return left, unseen
