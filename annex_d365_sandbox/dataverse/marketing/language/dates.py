"""The date functions of the query language as functions of SQLite. Moments are texts, see ``dataverse.values``."""

from __future__ import annotations

import sqlite3
from calendar import monthrange
from datetime import datetime, timedelta

_EPOCH = datetime(1, 1, 1)  # noqa: DTZ001 - moments of the sandbox are UTC without saying so
_LENGTHS = {
    "DAY": timedelta(days=1),
    "HOUR": timedelta(hours=1),
    "MINUTE": timedelta(minutes=1),
    "SECOND": timedelta(seconds=1),
    "MILLISECOND": timedelta(milliseconds=1),
}
_MONTHS = {"YEAR": 12, "MONTH": 1}


def difference(part: str, start: str | None, end: str | None) -> int | None:
    """How many borders of the part lie between two moments, as in SQL Server (assumed)."""
    if start is None or end is None:
        return None
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if part == "YEAR":
        return last.year - first.year
    if part == "MONTH":
        return (last.year - first.year) * 12 + last.month - first.month
    length = _LENGTHS[part]
    return (last - _EPOCH) // length - (first - _EPOCH) // length


def later(part: str, number: float | None, moment: str | None) -> str | None:
    """A moment so many parts later; the last day of a month that has fewer days; none outside of the calendar."""
    if number is None or moment is None:
        return None
    at = datetime.fromisoformat(moment)
    try:
        if part not in _MONTHS:
            return (at + _LENGTHS[part] * int(number)).isoformat()
        months = at.year * 12 + at.month - 1 + int(number) * _MONTHS[part]
        year, month = months // 12, months % 12 + 1
        return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1])).isoformat()
    except (OverflowError, ValueError):
        return None


def moment(*parts: float | None) -> str | None:
    """The moment of year, month, day, hour, minute, second, millisecond; none if there is no such moment."""
    if None in parts:
        return None
    numbers = [int(part or 0) for part in parts]
    try:
        at = datetime(*numbers[:6])  # type: ignore[arg-type] # noqa: DTZ001 - as above
        return (at + timedelta(milliseconds=sum(numbers[6:]))).isoformat()
    except (OverflowError, ValueError):
        return None


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to SQLite."""
    connection.create_function("d365_date_difference", 3, difference, deterministic=True)
    connection.create_function("d365_date_later", 3, later, deterministic=True)
    connection.create_function("d365_date", -1, moment, deterministic=True)
