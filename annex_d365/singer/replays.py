"""Rejected rows that are piped in again must not overwrite what came after them."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation

from annex_d365.ledger import Entry, State
from annex_d365.singer.rejects import rejected_at
from annex_d365.singer.rows import Row


def is_stale(row: Row, entry: Entry, run: str) -> bool:
    """Whether a row that was rejected earlier is older than what the ledger knows of it.

    Args:
        row: any row; only one that carries a reject can be stale.
        entry: of the ledger.
        run: this run, whose own entries come from the same file of rejects, in its order.
    """
    at = rejected_at(row.message)
    if at is None:
        return False
    older = is_older(row.version, entry.version)
    if older is not None:
        return older
    # A rival was put aside when it was rejected, and nothing newer has been written since.
    return entry.state is not State.RIVAL and entry.run != run and entry.at >= at.timestamp()


def is_older(version: str, than: str) -> bool | None:
    """Compare two versions of a row: times or numbers. None when they cannot be compared."""
    for read in (_number, _time):
        one, other = read(version), read(than)
        if one is not None and other is not None:
            return bool(one < other)  # type: ignore[operator]
    return None


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _time(text: str) -> dt.datetime | None:
    # Python 3.10 reads neither `Z` nor seven digits of a second.
    text = re.sub(r"[zZ]$", "+00:00", re.sub(r"\.(\d+)", lambda part: f".{part[1][:6]:0<6}", text))
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=dt.timezone.utc) if time.tzinfo is None else time
