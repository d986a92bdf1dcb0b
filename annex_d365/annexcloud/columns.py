"""What is read of members and their histories: flat columns, whose values have one JSON type whatever the wire says.

Types drift (Annex page 3): a number may come as a text, an id as a number, a date in several forms.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

from annex_d365.annexcloud.fields import moment, plain, to_field

logger = logging.getLogger(__name__)

Record = dict[str, Any]


class Kind(Enum):
    """The type of a column; its value is the type as JSON Schema has it."""

    TEXT = ("string", "")
    NUMBER = ("number", "")
    TIME = ("string", "date-time")
    DATE = ("string", "date")
    FLAG = ("boolean", "")
    OBJECT = ("object", "")


@dataclass(frozen=True)
class Column:
    """One column of a stream.

    Attributes:
        name: of the column; the API's own name wherever there is one.
        kind: of its values.
        others: further names that the API has for it.
        description: for the catalog, where the API's name does not say it.
    """

    name: str
    kind: Kind = Kind.TEXT
    others: tuple[str, ...] = ()
    description: str = ""

    @property
    def schema(self) -> Record:
        """As JSON Schema."""
        type_, form = self.kind.value
        schema: Record = {"type": [type_, "null"]}
        if form:
            schema["format"] = form
        if self.description:
            schema["description"] = self.description
        return schema

    def told_by(self, fields: Mapping[str, Any]) -> bool:
        """Whether an answer has the column."""
        return self.name in fields or any(name in fields for name in self.others)

    def value(self, fields: Mapping[str, Any]) -> Any:
        """Its value in an answer; None where there is none.

        Raises:
            ValueError: it is not of the column's kind.
        """
        raw = next((fields[name] for name in (self.name, *self.others) if fields.get(name) is not None), None)
        return None if raw is None or raw == "" else _READ[self.kind](raw)


class ColumnReader:
    """Reads some columns of answers. A value that does not suit its column is left out, with one warning a column.

    Args:
        columns: which ones.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self.columns = tuple(columns)
        self._warned: set[str] = set()

    def read(self, fields: Mapping[str, Any]) -> Record:
        """All columns, by name; null for those that have no value."""
        return {column.name: self._value(column, fields) for column in self.columns}

    def read_told(self, fields: Mapping[str, Any]) -> Record:
        """Those columns that are told, be it as null."""
        return {column.name: self._value(column, fields) for column in self.columns if column.told_by(fields)}

    def covered_by(self, fields: Mapping[str, Any]) -> bool:
        """Whether all columns are told, be it as null."""
        return all(column.told_by(fields) for column in self.columns)

    def _value(self, column: Column, fields: Mapping[str, Any]) -> Any:
        try:
            return column.value(fields)
        except ValueError:
            if column.name not in self._warned:
                self._warned.add(column.name)
                logger.warning("Values of `%s` that are no %s are null.", column.name, column.kind.name.lower())
            return None


def number(value: Any) -> int | Decimal:
    """An exact number, whatever its type: whole numbers as such.

    Raises:
        ValueError: it is none, or one of more than 40 digits.
    """
    if isinstance(value, bool):
        raise ValueError("is no number")  # noqa: TRY004 - told like any other wrong value
    try:
        exact = Decimal(plain(value))
        plain(exact)
    except InvalidOperation:
        raise ValueError("is no number") from None
    return int(exact) if exact == exact.to_integral_value() else exact


def is_yes(value: Any) -> bool:
    """A yes/no value of any usual spelling.

    Raises:
        ValueError: it is neither.
    """
    return to_field("optInStatus", value) == "YES"


def _time(value: Any) -> str:
    return moment(plain(value)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(value: Any) -> str:
    return date.fromisoformat(plain(value)[:10]).isoformat()


def _object(value: Any) -> Any:
    # PHP writes an empty map as a list.
    if value == []:
        return {}
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise ValueError("is no object")  # noqa: TRY004 - told like any other wrong value
    return found


_READ: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: plain,
    Kind.NUMBER: number,
    Kind.TIME: _time,
    Kind.DATE: _date,
    Kind.FLAG: is_yes,
    Kind.OBJECT: _object,
}


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.NUMBER) for name in names)


ID = Column("id", description="Member id; the site chooses what it is, often an e-mail address")

#: Annex page 5.2. `optOutDate` is an ASSUMPTION (5.3).
PROFILE: Sequence[Column] = (
    ID,
    Column("siteId"),
    Column("email"),
    Column("firstName"),
    Column("lastName"),
    Column("zipCode"),
    Column("optInStatus"),
    Column("optInDate", Kind.TIME),
    Column("optOutDate", Kind.TIME),
    Column("status"),
    Column("activityBasedStatus", Kind.OBJECT),
    Column("phone"),
    Column("birthDate", Kind.DATE),
    Column("anniversaryDate", Kind.DATE),
    Column("userProfileImageUrl"),
    Column("createDate", Kind.TIME),
    Column("updateDate", Kind.TIME, description="Points and tiers do not move it"),
    Column("extendedAttribute", Kind.OBJECT, description="The site's own fields"),
    Column("totalSpendCurrency"),
)
#: Annex page 7.
POINTS: Sequence[Column] = (
    *_numbers("availablePoints", "usedPoints", "negativePoints", "expiredPoints", "lifetimePoints", "earnedPoints"),
    Column("earnedPointsPeriod"),
    *_numbers("holdPoints", "usedPointsOnReward", "pointsToExpire"),
    Column("pointsToExpireDate", Kind.TIME),
    Column("spendToNextTier", Kind.NUMBER),
    Column("totalSpent", Kind.NUMBER, ("totalSpend",)),
    *_numbers("creditsToCurrencyRatio", "creditsToCurrencyValue", "ytdCreditPoints", "ytdDebitPoints"),
    *_numbers("availableRedemptionPoints", "usedRedemptionPoints"),
)
#: Annex page 8. The names of the two dates are an ASSUMPTION.
TIERS: Sequence[Column] = (
    Column("currentTier"),
    Column("nextTier"),
    Column("previousTier"),
    Column("pointsToNextTier", Kind.NUMBER),
    Column("purchaseRatio", Kind.NUMBER),
    Column("currentTierPurchaseRatio", Kind.NUMBER),
    Column("tierLimitType"),
    Column("tierLimitPeriod"),
    Column("tierAchieveDate", Kind.TIME),
    Column("tierExpirationDate", Kind.TIME),
)
#: Made of the member's rewards (Annex page 13.2, rows 23 and 24).
NEXT_REWARDS: Sequence[Column] = (
    Column("availableRewards", description="Names of the rewards that the member may have now, joined by ` | `"),
    Column("pointsToNextReward", Kind.NUMBER, description="To the cheapest reward that the member may not have yet"),
)
#: One reward of a member (Annex page 9).
REWARD: Sequence[Column] = (
    Column("rewardId"),
    Column("displayText"),
    Column("creditRequired", Kind.NUMBER),
    Column("eligible", Kind.FLAG, description="Whether the member may have it now"),
    Column("rewardUrl"),
    Column("rewardImageUrl"),
)
#: One entry of a member's history (Annex page 6).
ACTIVITY: Sequence[Column] = (
    Column("activityId"),
    Column("actionId"),
    Column("activity", description="Credit or Debit, in any case of letters"),
    Column("credit", Kind.NUMBER),
    Column("debit", Kind.NUMBER),
    Column("pointType"),
    Column("pointStatus"),
    Column("displayText"),
    Column("reason"),
    Column("rewardId"),
    Column("rewardCode"),
    Column("orderId"),
    Column("createDate", Kind.TIME),
    Column("expireDate", Kind.TIME),
)
