"""How far an incremental read has come, in the stream's state.

A bookmark is a time in whole seconds, and other rows may still get that very second when it has been read. So the next
run asks for rows since the bookmark, inclusive, and has to know which of them were sent. It knows them by their
version, the number in a row's ETag (Dataverse page 2.3), which no two rows and no two states of a row share (GENERAL:
it is SQL Server's ``rowversion``). That is exact, whatever the order in which rows were committed: what is new, or was
changed once more, has another version. Rows dated after the run's start, and rows without a date, are known likewise.

The versions of a time are kept as differences, compressed: about a byte per row. What does not fit into
:data:`MAX_REMEMBERED` is sent again, as are rows without such an ETag (elastic tables).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec

from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import utc
from annex_d365.dataverse.ranges import Part, Range
from annex_d365.dataverse.record_structs import Record
from annex_d365.singer.plain import RECORDS_TOGETHER, together

logger = logging.getLogger("tap-d365")

#: Values of the state become part of a query.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ANY = "2000-01-01T00:00:00Z"
_ETAG = re.compile(r'W/"(\d+)"')
#: Characters in the state for the rows that are not to be sent again: 30,000 rows at least, of one time.
MAX_REMEMBERED = 88 * 1024


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


@dataclass
class Chunk:
    """Rows that follow each other in a range.

    Attributes:
        new: those that were not sent yet.
        versions: ETag and change time of all, as far as they have them.
        entry: of the range, in the state.
    """

    new: Sequence[Record]
    versions: Sequence[tuple[str, str]]
    entry: dict[str, Any]


class Progress:
    """Keeps the state of one stream while it is read, and moves its bookmark when it is done.

    ``ranges``, while the stream is read: ``[{"lo", "hi", "pos"}]``, what is not read yet of all ``since`` the start. A
    run after a crash goes on with these, if it has the same start and ``query``. The last range is open, and stays
    until all are read: rows may change, and move there, in the meantime. Neither ``pos`` nor ``latest``, the latest
    change time so far, is ever one after the run's start: it would hide what changes before it.

    ``at_bookmark``, afterwards: ``{"modifiedon": bookmark, "rows": packed versions}`` of the rows that the next run
    reads once more and does not send; see above.

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
        #: Times of rows by their ETag: sent by earlier runs; read by this one at the latest time; read out of order.
        self._sent = _sent(state.get("at_bookmark"), bookmark)
        self._at_latest: set[str] = set()
        self._beyond: dict[str, str] = {}
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

    def chunks(self, part: Part, most: int = RECORDS_TOGETHER) -> Iterator[Chunk]:
        """The rows of a part, so many at a time; keeps account of the part. Those that were sent are to be noted."""
        entry = self._entries[part.range]
        if part.cut:
            # In this order: what is in two ranges is read twice, what is in none is lost.
            added = {"lo": part.cut.lo, "hi": part.cut.hi, "pos": None}
            self._state["ranges"].append(added)
            self._entries[part.cut] = added
            entry["hi"] = part.range.hi = part.cut.lo
            return
        for rows in together(part.rows, most):
            versions = [(row.etag or "", utc(row.at) if row.at else "") for row in rows]
            if self._sent:
                rows = [row for row, (etag, at) in zip(rows, versions, strict=True) if self._sent.get(etag) != at]  # noqa: PLW2901
            yield Chunk(rows, versions, entry)
        if part.last and entry["hi"]:
            self._state["ranges"].remove(entry)
            del self._entries[part.range]

    def note(self, chunk: Chunk) -> None:
        """Note that rows were read, and the new ones sent."""
        start, latest = self._run_start, self._state["latest"] or ""
        for etag, moment in chunk.versions:
            if not "" < moment <= start:  # dated by another clock, or by nobody's
                self._beyond[etag] = moment
                continue
            chunk.entry["pos"] = moment
            if moment > latest:
                latest, self._at_latest = moment, {etag}
            elif moment == latest:
                self._at_latest.add(etag)
        self._state["latest"] = latest or None

    def finish(self, column: str) -> None:
        """All is read, or as much as is wanted in one run: hand the SDK the bookmark."""
        del self._state["ranges"], self._state["since"], self._state["query"]
        latest = self._state.pop("latest")
        # The SDK's own marker may lie in the future.
        self._state["progress_markers"] = {}
        if latest:
            self._state["progress_markers"] = {"replication_key": column, "replication_key_value": latest}
        sent = {**self._sent, **self._beyond, **dict.fromkeys(self._at_latest, latest or "")}
        known = {etag: moment for etag, moment in sent.items() if etag and moment >= (latest or "")}
        self._state.pop("at_bookmark", None)
        if known:
            self._state["at_bookmark"] = {"modifiedon": latest, "rows": _packed(known)}


def _sent(at_bookmark: Any, bookmark: str | None) -> Mapping[str, str]:
    """Times of the rows that were sent with the bookmark's own time, or beyond, by their ETags."""
    if not isinstance(at_bookmark, Mapping) or at_bookmark.get("modifiedon") != bookmark:
        return {}
    try:
        kept = zlib.decompress(base64.b64decode(at_bookmark.get("rows") or "", validate=True))
        differences = msgspec.json.decode(kept, type=dict[str, list[int]])
    except (TypeError, ValueError, zlib.error):
        return {}
    sent = {}
    for moment, steps in differences.items():
        version = 0
        for step in steps:
            version += step
            sent[f'W/"{version}"'] = moment
    return sent


def _packed(sent: Mapping[str, str]) -> str:
    """The inverse of :func:`_sent`; of too many rows the first ones."""
    found = ((moment, _ETAG.fullmatch(etag)) for etag, moment in sent.items())
    rows = sorted((moment, int(etag[1])) for moment, etag in found if etag)
    while True:
        differences = {}
        for moment, group in groupby(rows, key=lambda row: row[0]):
            versions = [version for _moment, version in group]
            differences[moment] = [now - before for before, now in zip([0, *versions], versions, strict=False)]
        packed = base64.b64encode(zlib.compress(msgspec.json.encode(differences), 9)).decode()
        if len(packed) <= MAX_REMEMBERED:
            return packed
        del rows[int(0.95 * len(rows) * MAX_REMEMBERED / len(packed)) :]
