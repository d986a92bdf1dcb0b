"""Seeded members' past: what they earned and spent, and the segments they are in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import fields
from annex_d365_sandbox.annexcloud.catalogue import ACTIONS, REDEMPTION, REWARDS

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

_ACTIONS = {action.action_id: action for action in ACTIONS}
_JOINED, _PURCHASE, _REWARD = _ACTIONS[101], _ACTIONS[109], REWARDS[0]


def movements(rng: random.Random, member: Mapping[str, Any], latest: datetime) -> list[dict[str, Any]]:
    """Entries for ``Activities.put``: the award for joining, up to three purchases, sometimes a reward."""
    joined = datetime.strptime(member["optInDate"], "%Y-%m-%dT%H:%M:%S%z")
    base = {"memberId": member["id"], "createDate": member["optInDate"]}
    award = {"actionId": _JOINED.action_id, "credit": _JOINED.points, "displayText": _JOINED.name}
    entries: list[dict[str, Any]] = [{**base, **award}]
    moments = sorted(joined + (latest - joined) * rng.random() for _ in range(rng.randrange(4)))
    for number, moment in enumerate(moments, 1):
        purchase = {
            "actionId": _PURCHASE.action_id,
            "credit": rng.randrange(10, 900),
            "displayText": _PURCHASE.name,
            "orderId": f"{member['id']}-{number}",
            "createDate": fields.stamp(moment),
            "expireDate": fields.stamp(moment + timedelta(days=_PURCHASE.expire_days)),
        }
        entries.append({**base, **purchase})
    last = entries[-1]
    if last["credit"] >= _REWARD.credits and rng.random() < 0.3:  # noqa: PLR2004 - about one in ten members
        last["remaining"] = last["credit"] - _REWARD.credits
        spent = {"actionId": REDEMPTION, "debit": _REWARD.credits, "rewardId": _REWARD.reward_id}
        at = moments[-1] + (latest - moments[-1]) * rng.random()
        entries.append({**base, **spent, "displayText": _REWARD.name, "createDate": fields.stamp(at)})
    return entries


def segments(rng: random.Random, member_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Segments for ``Segments.put``: one listed, one found by rules, one that is over."""
    return [
        {"name": "Newsletter test group", "members": rng.sample(member_ids, len(member_ids) // 10)},
        {"name": "Big spenders", "rules": {"pointsDetails": {"lifetimePointRangeFrom": 1000}}},
        {
            "name": "Spring 2024",
            "fromDate": "2024-03-01",
            "toDate": "2024-05-31",
            "status": "INACTIVE",
            "members": rng.sample(member_ids, len(member_ids) // 20),
        },
    ]
