"""What a member's points amount to: balances, tier, rewards in reach (Annex page sections 7 to 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from annex_d365_sandbox.annexcloud import activities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from annex_d365_sandbox.annexcloud.catalogue import Tier
    from annex_d365_sandbox.annexcloud.models import Site


#: How a reward says whether it is in reach, by ``Switches.reward_eligible``.
_ELIGIBLE: Final[Mapping[str, tuple[str | bool, str | bool]]] = {
    "words": ("YES", "NO"),
    "booleans": (True, False),
    "digits": ("1", "0"),
}


def points(site: Site, member: Mapping[str, Any]) -> dict[str, Any]:
    """``GET /points/{memberId}``.

    Points on hold are neither available nor earned yet. ASSUMPTION: money is unknown without orders, all available
    points may buy rewards, the year of ``ytd...`` is the calendar's.
    """
    kept = site.activities
    sums = kept.sums(member["id"])
    expiring, expiring_at = kept.next_expiry(member["id"])
    year_credit, year_debit = kept.since(member["id"], f"{site.clock.now().year:04}")
    available = max(0, sums.balance)
    _, upper = _between(site, sums.earned)
    return {
        "siteId": site.site_id,
        "id": member["id"],
        "availablePoints": available,
        "usedPoints": sums.debited - sums.expired,
        "negativePoints": max(0, -sums.balance),
        "expiredPoints": sums.expired,
        "lifetimePoints": sums.earned,
        "holdPoints": sums.held,
        "usedPointsOnReward": sums.rewarded,
        "pointsToExpire": expiring,
        "pointsToExpireDate": expiring_at,
        "pointsToNextTier": upper.points - sums.earned if upper else 0,
        "spendToNextTier": None,
        site.switches.total_spent_key: 0,
        **_currency(site, available),
        "ytdCreditPoints": year_credit,
        "ytdDebitPoints": year_debit,
        "availableRedemptionPoints": available,
        "usedRedemptionPoints": sums.rewarded,
    }


def tiers(site: Site, member: Mapping[str, Any]) -> dict[str, Any]:
    """``GET /users/{memberId}/tiers``. The names of the dates are switches; a tier is never lost (ASSUMPTION)."""
    earned = site.activities.sums(member["id"]).earned
    current, upper = _between(site, earned)
    levels = site.catalogue.tiers
    below = levels.index(current) - 1
    achieved = site.activities.reached(member["id"], current.points) if current.points else member["createDate"]
    dates = {site.switches.tier_achieve_date_key: achieved, site.switches.tier_expiration_date_key: None}
    return {
        "siteId": site.site_id,
        "id": member["id"],
        "currentTier": current.name,
        "nextTier": upper.name if upper else None,
        "previousTier": levels[below].name if below >= 0 else None,
        "pointsToNextTier": upper.points - earned if upper else 0,
        "purchaseRatio": 1,
        "currentTierPurchaseRatio": 1,
        "tierLimitType": None,
        "tierLimitPeriod": None,
        **{name: value for name, value in dates.items() if name},
    }


def rewards(site: Site, member: Mapping[str, Any]) -> dict[str, Any]:
    """``GET /users/{memberId}/reward``: all rewards, and whether the points suffice."""
    available = max(0, site.activities.sums(member["id"]).balance)
    yes, no = _ELIGIBLE[site.switches.reward_eligible]
    return {
        **_currency(site, available),
        "rewardDetail": [
            {
                "rewardId": reward.reward_id,
                "displayText": reward.name,
                "creditRequired": reward.credits,
                "eligible": yes if reward.credits <= available else no,
                "rewardUrl": None,
                "rewardImageUrl": None,
            }
            for reward in site.catalogue.rewards.values()
        ],
    }


def used_reward(site: Site, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``GET /users/{memberId}/usedreward``."""
    reward = site.catalogue.rewards.get(entry["rewardId"])
    return {
        "rewardCode": activities.reward_code(entry),
        "pointsUsed": entry["debit"],
        "rewardName": reward.name if reward else None,
        "rewardStatus": "ACTIVE",  # ASSUMPTION: no source tells the words
        "reason": entry["reason"],
        "createDate": entry["createDate"],
    }


def activity(site: Site, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``GET /users/{memberId}/activity``; ``credit`` or ``debit``, never both (section 6)."""
    credits_points = bool(entry["credit"])
    word = "Credit" if credits_points else "Debit"
    statuses = {activities.HOLD: site.switches.hold_status}
    view = {
        "activityId": activities.activity_id(entry),
        "actionId": entry["actionId"],
        "activity": word.upper() if site.switches.activity_word == "CREDIT" else word,
        **({"credit": entry["credit"]} if credits_points else {"debit": entry["debit"]}),
        "pointType": entry["pointType"],
        "pointStatus": statuses.get(entry["status"], entry["status"].capitalize()),
        "displayText": entry["displayText"],
        "reason": entry["reason"],
        "rewardId": entry["rewardId"],
        "rewardCode": activities.reward_code(entry),
        "orderId": entry["orderId"],
        "createDate": entry["createDate"],
        "expireDate": entry["expireDate"],
    }
    if not site.switches.activity_id:
        del view["activityId"]
    return view


def _between(site: Site, earned: int) -> tuple[Tier, Tier | None]:
    """The tier that so many lifetime points give, and the next."""
    levels = site.catalogue.tiers
    reached = [tier for tier in levels if tier.points <= earned]
    return reached[-1], levels[len(reached)] if len(reached) < len(levels) else None


def _currency(site: Site, available: int) -> dict[str, Any]:
    ratio = site.catalogue.credits_to_currency_ratio
    return {"creditsToCurrencyRatio": ratio, "creditsToCurrencyValue": available / ratio}
