"""The conditions of a rule-based segment as SQL over members (Annex page section 10.3).

ASSUMPTION throughout: conditions are ANDed, a list is met by any of its values, an end of a range that is not given is
open, a day may leave out its year. A segment without conditions has no members.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from annex_d365_sandbox.annexcloud import activities

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The documented conditions; those of ``UNEVALUATED`` are kept and shown, but nothing here could meet them.
CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "memberDetails": ("userId", "zipCode", "anniversaryDate", "birthDate"),
    "actionDetails": ("actions", "actionSeries"),
    "pointsDetails": (
        "availablePointRangeFrom",
        "availablePointRangeTo",
        "lifetimePointRangeFrom",
        "lifetimePointRangeTo",
        "redeemPointRangeFrom",
        "redeemPointRangeTo",
    ),
    "purchaseDetails": ("productPurchased", "productCategory", "source", "country"),
    "storeDetails": ("storeName", "country", "region", "state", "city"),
}
UNEVALUATED: Final = frozenset({"purchaseDetails", "storeDetails"})
_LISTS: Final = frozenset({"userId", "zipCode", "actions", "actionSeries", "productPurchased", "productCategory"})

_ANY = "IN (SELECT value FROM json_each(?))"
_ACTIONS = f"SELECT memberId FROM annex_activities WHERE CAST(actionId AS TEXT) {_ANY}"
_LISTED: Final = {
    "userId": f"m.id {_ANY}",
    "zipCode": f"m.zipCode {_ANY}",
    "actions": f"m.id IN ({_ACTIONS})",
    # ASSUMPTION: every action of the series, in any order
    "actionSeries": f"m.id IN ({_ACTIONS} GROUP BY memberId HAVING count(DISTINCT actionId) = json_array_length(?))",
}
_POINTS: Final = {
    "availablePointRange": "max(0, coalesce(p.earned - p.debited, 0))",
    "lifetimePointRange": "coalesce(p.earned, 0)",
    "redeemPointRange": "coalesce(p.rewarded, 0)",
}
_FULL_DAY = len("yyyy-MM-dd")


def blank() -> dict[str, dict[str, Any]]:
    """All conditions, none set."""
    return {group: {name: [] if name in _LISTS else None for name in names} for group, names in CONDITIONS.items()}


def check(rules: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ``ValueError`` for a condition that is not documented, or not evaluated here."""
    for group, given in rules.items():
        if group in UNEVALUATED or group not in CONDITIONS:
            raise ValueError(f"conditions of {group} are not evaluated")
        if unknown := given.keys() - set(CONDITIONS[group]):
            raise ValueError(f"{group} has no condition {', '.join(sorted(unknown))}")


def query(rules: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[Any]]:
    """A query for the ids of the members that meet all conditions, in order, and its values."""
    parts: list[str] = []
    values: list[Any] = []
    given = {name: value for group in rules.values() for name, value in group.items() if value not in (None, "", [])}
    for name, value in given.items():
        if name in _LISTED:
            parts.append(_LISTED[name])
            values += [json.dumps([str(item) for item in value])] * _LISTED[name].count("?")
        elif name in ("birthDate", "anniversaryDate"):
            parts.append(f"m.{name} = ?" if len(value) == _FULL_DAY else f"substr(m.{name}, 6) = ?")
            values.append(value)
        else:
            kind, end = (name.removesuffix("From"), ">=") if name.endswith("From") else (name.removesuffix("To"), "<=")
            parts.append(f"{_POINTS[kind]} {end} ?")
            values.append(int(value))
    by_points = given.keys() & set(CONDITIONS["pointsDetails"])
    joined = f"LEFT JOIN ({activities.ALL_SUMS}) p ON p.memberId = m.id" if by_points else ""
    return f"SELECT m.id FROM annex_members m {joined} WHERE {' AND '.join(parts) or '0'} ORDER BY m.id", values
