"""Points of members: postings, balances, and the activities that made them (Annex pages 6, 7)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.errors import not_understood
from annex_d365.annexcloud.fields import moment, plain
from annex_d365.annexcloud.paging import pages
from annex_d365.errors import RowError

CREDIT, DEBIT = "CREDIT", "DEBIT"

#: Action ids (Annex page 6, "Known action ids").
MANUAL = "100"
REDEMPTION = "107"

_ACTIVITIES = "activityDetail"


@dataclass(frozen=True)
class Posting:
    """Points to credit or to debit.

    Attributes:
        member_id: whose they are.
        activity: ``CREDIT`` or ``DEBIT``.
        amount: how many; None where the action or the reward says it.
        action_id: of the site's action; empty for none, and then ``reason`` is mandatory.
        reason: for people; empty for none.
        order_id: the caller's own key; empty for none.
        extra: further fields by API name, ``storeId``, ``source``, ``rewardId``, ``customId``.
    """

    member_id: str
    activity: str
    amount: Decimal | None = None
    action_id: str = MANUAL
    reason: str = ""
    order_id: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Activity:
    """An entry in the history of a member.

    Attributes:
        order_id: as it was posted; empty for none.
        action_id: of the site's action.
        activity: ``CREDIT`` or ``DEBIT``; empty if that is not known.
        amount: points; None if there is no readable number.
        created: in UTC; None if there is no readable date.
        raw: as the service gave it.
    """

    order_id: str
    action_id: str
    activity: str
    amount: Decimal | None
    created: dt.datetime | None
    raw: Mapping[str, Any] = field(repr=False)


class Points:
    """Posts and reads points. Safe for threads."""

    def __init__(self, service: AnnexCloud) -> None:
        self._service = service

    def post(self, posting: Posting) -> None:
        """Credit or debit points. The service does so as often as it is asked to.

        Raises:
            RowError: refused; no points were posted.
            InDoubtError: they may have been posted, or not.
            OutageError: nothing was posted; the service could not be reached, or did not want to be asked.
        """
        self._service.post("points", _body(posting), repeatable=False)

    def activities(self, member_id: str) -> Iterator[Activity]:
        """All activities of a member, in the service's order. One may come twice, if others are added meanwhile.

        Raises:
            RowError: 404 if there is no such member, or it has none.
        """
        for page in self.activity_pages(member_id):
            yield from page

    def activity_pages(self, member_id: str) -> Iterator[list[Activity]]:
        """The same by pages, for those who need not read all.

        Raises:
            RowError: as :meth:`activities`.
        """

        def ask(page: int) -> Any:
            return self._service.get("users", member_id, part="activity", query={"page": page})

        for page in pages(ask, _entries):
            yield list(map(_activity, page))

    def balance(self, member_id: str) -> Mapping[str, Any]:
        """The balances of a member, by API name; numbers may be numbers or texts.

        Raises:
            RowError: 404 if there is no such member.
        """
        body = self._service.get("points", member_id)
        if not isinstance(body, Mapping):
            raise not_understood("GET /points/{id}")
        return body


def _body(posting: Posting) -> dict[str, Any]:
    """The body of POST /points (Annex page 7); it says which fields go with which action.

    Raises:
        RowError: a mandatory field is missing, or one is not valid.
    """
    activity = posting.activity.strip().upper()
    problem = _problem(posting, activity)
    if problem:
        raise RowError(f"These points cannot be posted: {problem}.")
    amount = {} if posting.amount is None else {activity.lower(): _number(posting.amount)}
    fields = {
        **{name: value for name, value in posting.extra.items() if name.upper() not in {CREDIT, DEBIT}},
        "id": posting.member_id,
        "activity": activity,
        "actionId": posting.action_id,
        "reason": posting.reason,
        "orderId": posting.order_id,
    }
    return {name: value for name, value in fields.items() if value} | amount


def _number(amount: Decimal) -> int | Decimal:
    """For JSON: exact, and without a fraction where there is none."""
    return int(amount) if amount == amount.to_integral_value() else amount


def _problem(posting: Posting, activity: str) -> str:
    by_hand = posting.action_id in {"", MANUAL}
    rules = {
        "there is no member id": not posting.member_id,
        "the activity is neither CREDIT nor DEBIT": activity not in {CREDIT, DEBIT},
        "the amount is not a positive number": posting.amount is not None and not _countable(posting.amount),
        "an amount is mandatory without an action that knows it": by_hand and posting.amount is None,
        "a reason is mandatory without an action": not posting.action_id and not posting.reason,
        "a redemption is a DEBIT of a rewardId": posting.action_id == REDEMPTION
        and not (activity == DEBIT and posting.extra.get("rewardId")),
    }
    return next((problem for problem, applies in rules.items() if applies), "")


def _countable(amount: Decimal) -> bool:
    try:
        plain(amount)
    except ValueError:
        return False
    return amount > 0


def _entries(body: Any) -> Sequence[Mapping[str, Any]]:
    """The activities in an answer: documented as an object, in code a list (Annex page 6).

    Raises:
        ServiceError: it is of no known shape. Taken for a member without activities, it might get points twice.
    """
    listed = body
    if isinstance(body, Mapping):
        # Only numbers and texts: a page with nothing on it.
        plain_page = not any(isinstance(each, (list, Mapping)) and each for each in body.values())
        listed = [] if plain_page else body.get(_ACTIVITIES)
    if isinstance(listed, Mapping):
        numbered = all(isinstance(each, Mapping) for each in listed.values())
        listed = list(listed.values()) if numbered else [listed]
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise not_understood("GET /users/{id}/activity")
    return [each for each in listed if each]


def _activity(entry: Mapping[str, Any]) -> Activity:
    kind = _text(entry.get("activity")).upper()
    amounts = {name: _amount(entry.get(name.lower())) for name in (CREDIT, DEBIT)}
    if kind not in amounts:
        # One of the two is there, or says more than nothing.
        present = [name for name, amount in amounts.items() if amount]
        kind = present[0] if len(present) == 1 else ""
    try:
        created = moment(_text(entry.get("createDate")))
    except ValueError:
        created = None
    return Activity(
        order_id=_text(entry.get("orderId")),
        action_id=_text(entry.get("actionId")),
        activity=kind,
        amount=amounts.get(kind),
        created=created,
        raw=entry,
    )


def _amount(value: Any) -> Decimal | None:
    text = _text(value)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (bool, list, Mapping)) else str(value).strip()
