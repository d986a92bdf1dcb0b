"""How far an incremental read has come, in the stream's state."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from annex_d365.dataverse.client import ETAG, Row
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import utc
from annex_d365.dataverse.ranges import Part, Range

logger = logging.getLogger("tap-d365")

#: Values of the state become part of a query.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ANY = "2000-01-01T00:00:00Z"
#: Of rows with the bookmark's very time so many are remembered; where there are more, all are read again.
MAX_REMEMBERED = 1000


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    lo: str | None
    hi: str | None
    pos: str | None


class _Left(msgspec.Struct):
    """What an interrupted run leaves in the state."""

    ranges: list[_Entry]
    since: str | None
    query: str
    latest: str | None


class Progress:
    """Keeps the state of one stream while it is read, and moves its bookmark when it is done.

    ``ranges``, while the stream is read: ``[{"lo", "hi", "pos"}]``, what is not read yet of all ``since`` the start. A
    run after a crash goes on with these, if it has the same start and ``query``. The last range is open, and stays
    until all are read: rows may change, and move there, in the meantime. Neither ``pos`` nor ``latest``, the latest
    change time so far, is ever one after the run's start: it would hide what changes before it.

    ``at_bookmark``, afterwards: ``{"modifiedon": bookmark, "rows": {key: ETag}}``. The next run asks for rows since the
    bookmark, inclusive, because others may have got the very same time later; those it has sent already, in this very
    version, it knows by this.

    Args:
        state: of the stream; is written to.
        table: names the key.
        bookmark: what was read up to here, or the start date.
        start: where to begin; before ``bookmark`` by the look-back.
        run_start: when this run began.
        query: what is asked for; ranges of another query are of no use.
    """

    def __init__(
        self,
        state: dict[str, Any],
        table: Table,
        bookmark: str | None,
        start: str | None,
        run_start: str,
        *,
        query: str = "",
    ) -> None:
        self._state, self._table, self._run_start = state, table, run_start
        self._sent = _sent(state.pop("at_bookmark", None), bookmark)
        self._rows: dict[str, str] = {}
        fingerprint = hashlib.sha256(query.encode()).hexdigest()[:16]
        if not self._resumable(start, fingerprint):
            entry = {"lo": start, "hi": None, "pos": None}
            state.update(ranges=[entry], since=start, query=fingerprint, latest=None)
        self._entries: dict[Range, dict[str, Any]] = {Range(**entry): entry for entry in state["ranges"]}
        state["latest"] = max(filter(None, (state["latest"], bookmark)), default=None)
        # The SDK would add a note that this run cannot be resumed; it can.
        state.setdefault("progress_markers", {})

    def _resumable(self, start: str | None, fingerprint: str) -> bool:
        """Whether an earlier run has left ranges, for the same start and query, that can be gone on with."""
        if "ranges" not in self._state:
            return False
        try:
            left = msgspec.convert(self._state, _Left)
            moments = [each for entry in left.ranges for each in (entry.lo, entry.hi, entry.pos) if each]
            good = bool(left.ranges) and all(_MOMENT.fullmatch(each) for each in [*moments, left.latest or _ANY])
        except msgspec.ValidationError:
            good = False
        if not good:
            logger.warning(
                "The state of %s says nothing usable of where to go on: it begins anew.", self._table.entity_set
            )
        return good and left.since == start and left.query == fingerprint

    @property
    def known(self) -> int:
        """Rows that an earlier run has sent, and this one reads once more."""
        return len(self._sent)

    @property
    def ranges(self) -> list[Range]:
        """What is to be read."""
        return list(self._entries)

    def new_rows(self, part: Part) -> Iterator[Row]:
        """The rows of a part that were not sent yet; keeps account of the part."""
        entry = self._entries[part.range]
        if part.cut:
            # In this order: what is in two ranges is read twice, what is in none is lost.
            added = {"lo": part.cut.lo, "hi": part.cut.hi, "pos": None}
            self._state["ranges"].append(added)
            self._entries[part.cut] = added
            entry["hi"] = part.range.hi = part.cut.lo
            return
        for row in part.rows:
            known = self._note(entry, row)
            if not known:
                yield row
        if part.last and entry["hi"]:
            self._state["ranges"].remove(entry)
            del self._entries[part.range]

    def _note(self, entry: dict[str, Any], row: Row) -> bool:
        """Note that the row was read; whether it was sent in an earlier run."""
        key, etag = row[self._table.primary_id], row.get(ETAG) or ""
        if row["modifiedon"]:
            moment = utc(row["modifiedon"])
            if moment > self._run_start:  # by another clock, or by nobody's
                return False
            entry["pos"] = moment
            if moment > (self._state["latest"] or ""):
                self._state["latest"], self._rows = moment, {}
            if moment == self._state["latest"] and len(self._rows) <= MAX_REMEMBERED:
                self._rows[key] = etag
        return bool(etag) and self._sent.get(key) == etag

    def finish(self, column: str) -> None:
        """All is read: hand the SDK the bookmark."""
        del self._state["ranges"], self._state["since"], self._state["query"]
        # The SDK's own marker may lie in the future.
        self._state["progress_markers"] = {}
        if latest := self._state.pop("latest"):
            self._state["progress_markers"] = {"replication_key": column, "replication_key_value": latest}
            if len(self._rows) <= MAX_REMEMBERED:
                self._state["at_bookmark"] = {"modifiedon": latest, "rows": self._rows}


def _sent(at_bookmark: Any, bookmark: str | None) -> Mapping[str, str]:
    """Keys and versions of the rows that were sent with the bookmark's own time."""
    if not isinstance(at_bookmark, Mapping) or at_bookmark.get("modifiedon") != bookmark:
        return {}
    rows = at_bookmark.get("rows")
    return rows if isinstance(rows, Mapping) else {}
