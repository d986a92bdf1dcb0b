"""The activities of members, as records (Annex page 6)."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from annex_d365.annexcloud.columns import ACTIVITY, ColumnReader, Record
from annex_d365.annexcloud.errors import not_found
from annex_d365.annexcloud.points import CREDIT, DEBIT, Activity, Points
from annex_d365.errors import RowError

#: Begins the key of an activity that has no id of its own.
FALLBACK = "fallback:"
_KEY = "activityId"
_KEY_DIGITS = 40


class History:
    """Reads the activities of members. Safe for threads.

    Args:
        points: of the site.
    """

    def __init__(self, points: Points) -> None:
        self._points = points
        self._reader = ColumnReader(ACTIVITY)

    def since(self, member_id: str, start: dt.datetime | None) -> list[Record] | None:
        """The activities of a member that are not older than ``start``, and those without a readable date.

        The order of activities is not documented. Pages are read until one ends with an older activity, if all so far
        have shown that the newest come first; else to the end.

        Returns:
            None, if there is no such member, or it has no activities.

        Raises:
            ConnectorError: the service cannot be asked, or its answer is of no known shape.
        """
        found: dict[str, Record] = {}
        times: list[dt.datetime | None] = []
        try:
            for page in self._points.activity_pages(member_id):
                same: Counter[str] = Counter()
                for entry in page:
                    key = self._key(member_id, entry, same)
                    if start is None or entry.created is None or entry.created >= start:
                        found[key] = self._record(member_id, key, entry)
                times += [entry.created for entry in page]
                if start and newest_first(times) and (times[-1] or start) < start:
                    break
        except RowError as error:
            if not not_found(error):
                raise
            return None
        return list(found.values())

    @staticmethod
    def _key(member_id: str, entry: Activity, same: Counter[str]) -> str:
        own = entry.raw.get(_KEY)
        if own:
            return str(own)
        # ASSUMPTION (Annex page 6): what an activity without an id is known by. Those that are alike are counted by
        # page, for one that moves to the next page meanwhile is still the same.
        raw = entry.raw
        created = entry.created.isoformat() if entry.created else str(raw.get("createDate"))
        amount = "" if entry.amount is None else format(entry.amount.normalize(), "f")
        parts = [member_id, entry.action_id, created, entry.activity, amount, entry.order_id]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_KEY_DIGITS]
        same[digest] += 1
        return FALLBACK + digest + (f"-{same[digest]}" if same[digest] > 1 else "")

    def _record(self, member_id: str, key: str, entry: Activity) -> Record:
        signs = {CREDIT: 1, DEBIT: -1}
        record = self._reader.read(entry.raw)
        amount = record.get(entry.activity.lower()) if entry.activity in signs else None
        points = None if amount is None else signs[entry.activity] * amount
        return {**record, _KEY: key, "member_id": member_id, "points": points}


def newest_first(times: Sequence[dt.datetime | None]) -> bool:
    """Whether these times are known to descend: all are there, none rises, and not all are equal."""
    if not times or None in times:
        return False
    pairs: Sequence[tuple[Any, Any]] = list(pairwise(times))
    return all(before >= after for before, after in pairs) and times[0] != times[-1]
