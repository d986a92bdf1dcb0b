"""``POST /points``: what members earn, spend and are corrected by (Annex page section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import activities, catalogue, errors, fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from annex_d365_sandbox.annexcloud.catalogue import Action, Reward
    from annex_d365_sandbox.annexcloud.models import Site

_CREDIT, _DEBIT = "CREDIT", "DEBIT"
_ACTIVITY = fields.one_of(_CREDIT, _DEBIT)
_TEXTS = ("reason", "orderId", "pointType")


@dataclass(frozen=True)
class Posting:
    """A posting as requested; ``amount`` is None where the action or the reward says it."""

    member_id: str
    action_id: int
    activity: str
    amount: int | None
    reward_id: str | None
    once: bool
    texts: dict[str, str]


def read_posting(body: Mapping[str, Any]) -> Posting:
    """A posting of ``POST /points`` or of one item of ``POST /bulkpoints``.

    Without an action a reason must say why, and the action is the manual one.

    Raises:
        ApiError: 400, AC1004 for what is absent, AC1007 for what breaks its format.
    """
    fields.require(body, "id", "activity", *([] if fields.given(body, "actionId") else ["reason"]))
    try:
        activity = _ACTIVITY(fields.scalar("activity", body["activity"]))
    except ValueError:
        raise errors.invalid("activity") from None
    action_id = _whole("actionId", body["actionId"]) if fields.given(body, "actionId") else catalogue.MANUAL
    amount_field = activity.lower()
    redeems = action_id == catalogue.REDEMPTION
    if redeems:
        if activity != _DEBIT:
            raise errors.invalid("activity")
        fields.require(body, "rewardId")
    return Posting(
        member_id=fields.scalar("id", body["id"]),
        action_id=action_id,
        activity=activity,
        amount=_whole(amount_field, body[amount_field]) if not redeems and fields.given(body, amount_field) else None,
        reward_id=fields.scalar("rewardId", body["rewardId"]) if redeems else None,
        once=redeems and str(body.get("retry")).upper() == "YES",
        texts={name: fields.scalar(name, body[name]) for name in _TEXTS if fields.given(body, name)},
    )


class Points:
    """Posts to the activities of a site's members."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Credit or debit a member; the new entry of :class:`~.activities.Activities`.

        Nothing guards against repetition: the same request again is a second posting, also with the same ``orderId``.
        Only a redemption with ``retry`` ``YES`` is refused for an order that the member has (ASSUMPTION: as 409).

        Raises:
            ApiError: 404 AC1005 for an unknown member or reward; 400 for what is missing, malformed or, by assumption,
                not allowed: an unknown action, points for a member who opted out, a debit beyond the balance.
        """
        posting = read_posting(body)
        with self._site.store.transaction():
            member = self._site.member(posting.member_id)
            if member is None:
                raise errors.no_data()
            self._site.activities.settle()
            action = self._site.catalogue.actions.get(posting.action_id)
            if action is None:
                raise errors.invalid("actionId")
            if posting.activity == _CREDIT:
                return self._credit(posting, action, member)
            return self._debit(posting, action)

    def _credit(self, posting: Posting, action: Action, member: Mapping[str, Any]) -> dict[str, Any]:
        if member["optInStatus"] == "NO" and not self._site.switches.opted_out_earn:
            raise errors.invalid("optInStatus")
        amount = action.points if posting.amount is None else posting.amount
        if not amount:
            raise errors.missing("credit")
        now = self._site.clock.now()
        return self._site.activities.credit(
            {
                **self._entry(posting, action.name),
                "credit": amount,
                "releaseDate": _later(now, action.hold_days),
                "expireDate": _later(now, action.expire_days),
            }
        )

    def _debit(self, posting: Posting, action: Action) -> dict[str, Any]:
        switches, kept = self._site.switches, self._site.activities
        reward = self._reward(posting)
        amount = reward.credits if reward else posting.amount
        if not amount:
            raise errors.missing("debit")
        if posting.once and kept.has_order(posting.member_id, posting.texts.get("orderId", "")):
            raise errors.exists()
        # Overdrawing a reward is never meant; correcting an account below zero may be (there is `negativePoints`).
        if amount > kept.sums(posting.member_id).balance and (reward or not switches.overdraft):
            raise errors.invalid("debit exceeds the available points")
        entry = self._entry(posting, reward.name if reward else action.name)
        return kept.debit({**entry, "debit": amount, "rewardId": posting.reward_id})

    def _reward(self, posting: Posting) -> Reward | None:
        if posting.reward_id is None:
            return None
        reward = self._site.catalogue.rewards.get(posting.reward_id)
        if reward is None:
            raise errors.no_data()
        return reward

    def _entry(self, posting: Posting, text: str) -> dict[str, Any]:
        return {
            "memberId": posting.member_id,
            "actionId": posting.action_id,
            "displayText": text,
            "createDate": fields.stamp(self._site.clock.now()),
            **posting.texts,
        }


def view(site: Site, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A new entry as ``POST /points`` answers it."""
    held = entry["status"] == activities.HOLD
    return {
        "siteId": site.site_id,
        "id": entry["memberId"],
        "actionId": entry["actionId"],
        "rewardId": entry["rewardId"],
        "rewardCode": activities.reward_code(entry),
        "activity": _CREDIT if entry["credit"] else _DEBIT,
        "credit": entry["credit"] or None,
        "debit": entry["debit"] or None,
        "reason": entry["reason"],
        "orderId": entry["orderId"],
        "holdPoints": entry["credit"] if held else 0,
        "releaseDate": entry["releaseDate"],
    }


def _whole(name: str, value: Any) -> int:
    """A positive whole number, as number or text. ASSUMPTION: the site's precision of points is 0."""
    text = fields.scalar(name, value)
    whole = text.removesuffix(".0") if isinstance(value, float) else text
    if not (whole.isascii() and whole.isdigit() and 0 < len(whole) <= 12 and int(whole)):  # noqa: PLR2004 - fits a column
        raise errors.invalid(name)
    return int(whole)


def _later(moment: datetime, days: int) -> str | None:
    return fields.stamp(moment + timedelta(days=days)) if days else None
