"""What a query says, as a tree (Dataverse page 8.5). Interactions are left out: the sandbox has no events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias


class QueryError(ValueError):
    """The text is no query, or it names what is not there."""


Part: TypeAlias = Literal["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND"]


@dataclass(frozen=True)
class Constant:
    """A text, a number or a truth value."""

    value: str | int | Decimal | bool


@dataclass(frozen=True)
class Column:
    """A column of the profile of this alias; without one, of the profile that the filter stands behind."""

    name: str
    alias: str | None = None


@dataclass(frozen=True)
class Arithmetic:
    """``left operator right`` with one of ``+ - * /``."""

    operator: str
    left: Value
    right: Value


@dataclass(frozen=True)
class DateDiff:
    """``DATEDIFF(part, start, end)``."""

    part: Part
    start: Value
    end: Value


@dataclass(frozen=True)
class DateAdd:
    """``DATEADD(part, number, moment)``."""

    part: Part
    number: Value
    moment: Value


@dataclass(frozen=True)
class Date:
    """``DATE(year, month, day[, hour[, minute[, second[, millisecond]]]])``."""

    parts: tuple[Value, ...]


@dataclass(frozen=True)
class Now:
    """``DATETIMEUTCNOW()``."""


Value: TypeAlias = Constant | Column | Arithmetic | DateDiff | DateAdd | Date | Now


@dataclass(frozen=True)
class Comparison:
    """``left operator right`` with one of ``== != > >= < <=``."""

    operator: str
    left: Value
    right: Value


@dataclass(frozen=True)
class TextTest:
    """``column CONTAINS|STARTSWITH|ENDSWITH 'text'``."""

    operator: str
    column: Column
    text: str


@dataclass(frozen=True)
class NullTest:
    """``ISNULL(column)``, negated ``ISNOTNULL(column)``."""

    column: Column
    negated: bool = False


@dataclass(frozen=True)
class Not:
    """``NOT(condition)``."""

    of: Condition


@dataclass(frozen=True)
class Junction:
    """Conditions joined by ``&&`` or ``||``."""

    operator: str
    of: tuple[Condition, ...]


Condition: TypeAlias = Comparison | TextTest | NullTest | Not | Junction
CONDITIONS = (Comparison, TextTest, NullTest, Not, Junction)


@dataclass(frozen=True)
class Step:
    """One profile on the way: where from over which ``relation`` (``None`` for the first), and its filters."""

    name: str
    alias: str | None
    filters: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Profile:
    """``PROFILE(table)`` with its traversals: the rows of the last profile."""

    start: Step
    traversals: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Segment:
    """``SEGMENT(name)``: the members of another segment."""

    name: str


@dataclass(frozen=True)
class SetOperation:
    """``left UNION|INTERSECT|EXCEPT right``."""

    operator: str
    left: Members
    right: Members


Members: TypeAlias = Profile | Segment | SetOperation


@dataclass(frozen=True)
class Order:
    """A column of ``ORDERBY``."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Listing:
    """Members in an order, one page of them, and the columns to show."""

    of: Members
    order: tuple[Order, ...] = ()
    skip: int | None = None
    take: int | None = None
    select: tuple[str, ...] = ()


def segments(of: Members) -> Iterator[str]:
    """The names of all segments that a query is made of."""
    if isinstance(of, Segment):
        yield of.name
    elif isinstance(of, SetOperation):
        yield from segments(of.left)
        yield from segments(of.right)
