"""How far an incremental read has come, in the stream's state."""

from __future__ import annotations

from typing import Any

from annex_d365.dataverse.client import ETAG, Row
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import utc

#: Of rows with the bookmark's very time so many are remembered; where there are more, all are read again.
MAX_REMEMBERED = 100


class Progress:
    """Keeps two keys beside the SDK's own bookmark, which moves only when the stream is done.

    ``ranges``, while the stream is read: ``[{"lo": bookmark, "pos": modifiedon}]``. A run after a crash goes on at
    ``pos``, which never passes the run's start: dates in the future would hide what changes in the meantime.

    ``at_bookmark``, afterwards: ``{"modifiedon": bookmark, "rows": {key: ETag}}``. The next run asks for rows since the
    bookmark, inclusive, because others may have got the very same time later; those it has sent already, in this very
    version, it knows by this.

    Args:
        state: of the stream; is written to.
        table: names the key and bookmark columns.
        start: the SDK's bookmark or start date.
        run_start: when this run began.
    """

    def __init__(self, state: dict[str, Any], table: Table, start: str | None, run_start: str) -> None:
        self._state, self._table, self._run_start = state, table, run_start
        at_bookmark = state.pop("at_bookmark", None) or {}
        self._sent: dict[str, str] = at_bookmark.get("rows", {}) if at_bookmark.get("modifiedon") == start else {}
        self._range = state.setdefault("ranges", [{"lo": start, "pos": start}])[0]
        self._moment: str | None = None
        self._rows: dict[str, str] = {}
        # The SDK would add a note that this run cannot be resumed; it can.
        state.setdefault("progress_markers", {})

    @property
    def position(self) -> str | None:
        """Where to begin to read."""
        position: str | None = self._range["pos"]
        return position

    def is_new(self, row: Row) -> bool:
        """Whether the row has to be sent; notes that it was read."""
        key, etag = row[self._table.primary_id], row.get(ETAG) or ""
        if moment := row["modifiedon"]:
            moment = utc(moment)
            if moment != self._moment:
                self._moment, self._rows = moment, {}
            self._rows[key] = etag
            self._range["pos"] = min(moment, self._run_start)
        return not etag or self._sent.get(key) != etag

    def finish(self) -> None:
        """All is read."""
        del self._state["ranges"]
        if self._moment and len(self._rows) <= MAX_REMEMBERED:
            self._state["at_bookmark"] = {"modifiedon": self._moment, "rows": self._rows}
