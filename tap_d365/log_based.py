"""LOG_BASED: all rows once, then what was changed and deleted since, by the service's change tracking.

A full load begins with a sweep: the tracked query with the keys alone, for its token. Rows are read after that, in the
resumable way, and then the changes since the token, so that nothing is missed that changes while rows are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from annex_d365.dataverse.changes import ChangePage, tracked_pages
from annex_d365.dataverse.client import Row
from annex_d365.dataverse.errors import StaleTokenError
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.record_structs import Record, RecordStructs
from annex_d365.dataverse.types import JsonSchema
from annex_d365.errors import SettingError
from annex_d365.singer.plain import together
from tap_d365.snapshot import NoSnapshot, Snapshot

if TYPE_CHECKING:
    from tap_d365.streams import TableStream

#: In a record that has only its key besides: when the deletion of the row was seen.
DELETED_AT = "_sdc_deleted_at"

#: How the target learns what is gone, after a full load: key by key, or by ACTIVATE_VERSION.
BY_KEYS, BY_VERSION = "keys", "version"
#: What an incremental read keeps in the state.
_OF_INCREMENTAL = (
    "ranges",
    "since",
    "latest",
    "at_bookmark",
    "progress_markers",
    "replication_key",
    "replication_key_value",
)


class _Delta(msgspec.Struct):
    """What may be in the state; the token becomes part of a URL."""

    token: Annotated[str, msgspec.Meta(pattern=r"^[^&#?\s]+$")]
    fingerprint: str
    version: int | None = None
    load: Literal["keys", "version"] | None = None


def with_deletions(schema: JsonSchema) -> JsonSchema:
    """The schema of a table's records with the column for deletions."""
    column = {"type": ["string", "null"], "format": "date-time"}
    return {**schema, "properties": {**schema["properties"], DELETED_AT: column}}


class LogBased:
    """One run of one stream.

    ``delta`` in the stream's state::

        {"token": where the changes begin,
         "fingerprint": hash of host, table and columns: with others, all rows have to be sent again,
         "version": of the records, if deletions once were told by ACTIVATE_VERSION,
         "load": as long as a full load is not complete, how it tells deletions: "keys" or "version"}

    While rows are read, ``ranges`` are beside it (:mod:`tap_d365.progress`); an empty list says that all are read.

    Args:
        stream: the stream.
        structs: its columns, :data:`DELETED_AT` behind them.

    Raises:
        SettingError: the stream has options that the service excludes (Dataverse page 3).
    """

    def __init__(self, stream: TableStream, structs: RecordStructs) -> None:
        self._stream, self._structs = stream, structs
        self._records = records = structs.records
        self._query = stream.query(records)
        if self._query.filter or self._query.top or self._query.expand:
            raise self._error("LOG_BASED cannot be used with filter, top, expand or shard.")
        self._state: dict[str, Any] = stream.stream_state
        host = urlsplit(stream.dataverse.root).netloc
        self._fingerprint = _hash(host, stream.name, *sorted(records.names))
        directory = stream.config.get("snapshot_path")
        self._snapshot = Snapshot(directory, host, stream.name) if directory else NoSnapshot()

    def records(self) -> Iterator[Sequence[Row | Record]]:
        """The records of this run; when the last one is taken, the state is that of the next run.

        Raises:
            SettingError: the service forgets sooner than all rows can be read; the snapshot cannot be used.
        """
        with self._snapshot:
            delta = self._saved()
            exact = self._snapshot.begin(delta.get("token"), completed="load" not in delta)
            # Which state it was cannot be told: the target may have rows that the snapshot does not know.
            earlier = ("delta", "replication_key_value", "at_bookmark", "ranges")
            exact = exact and (bool(delta) or not any(self._state.get(key) for key in earlier))
            obstacle = self._obstacle(delta)
            if not obstacle:
                try:
                    yield from self._go_on(delta, exact=exact)
                except StaleTokenError as error:
                    obstacle = str(error)
                else:
                    return
            if delta:
                self._warn(obstacle, exact=exact)
            elif not self._snapshot.kept and "delta" not in self._state:
                # Once, and while it can still be helped: nobody asks for the keys before deletions are missing.
                self._stream.logger.warning(
                    "Deletions from %s are sent key by key only as long as the service remembers the last run (7 days "
                    "by default); after that, only ACTIVATE_VERSION tells of them. `snapshot_path` keeps them exact.",
                    self._stream.name,
                )
            yield from self._start(delta.get("version"), BY_KEYS if exact else BY_VERSION)

    def _saved(self) -> dict[str, Any]:
        """``delta``, or nothing if it cannot be used."""
        delta: dict[str, Any] = self._state.get("delta") or {}
        if delta:
            try:
                msgspec.convert(delta, _Delta)
            except msgspec.ValidationError:
                self._warn("The state says nothing usable of where to go on.", exact=False)
                return {}
        return delta

    def _obstacle(self, delta: dict[str, Any]) -> str:
        """Why it is not enough to go on from the state, or nothing."""
        if delta.get("fingerprint") != self._fingerprint:
            return "Host or columns of the stream have changed."
        if delta.get("load") == BY_KEYS and not self._snapshot.sweeps(delta["token"]):
            return "The snapshot does not belong to this state."
        return ""

    def _warn(self, obstacle: str, *, exact: bool) -> None:
        self._stream.logger.warning(
            "%s All rows of %s are read again; %s.",
            obstacle,
            self._stream.name,
            "deletions are found by the keys of its snapshot"
            if exact
            else "only ACTIVATE_VERSION at the end tells what was deleted, record by record nothing does "
            "(`snapshot_path` would)",
        )

    def _start(self, version: int | None, load: str) -> Iterator[Sequence[Row | Record]]:
        """A full load."""
        if load == BY_VERSION:
            version = max(self._stream.new_version(), (version or 0) + 1)
        self._snapshot.begin_sweep()
        token = self._sweep()
        self._snapshot.end_sweep(token)
        self._forget(*_OF_INCREMENTAL)
        self._state["delta"] = self._delta(token, version) | {"load": load}
        try:
            yield from self._load(load)
            yield from self._changes()
        except StaleTokenError:
            raise self._error(
                "the service forgets changes sooner than all rows can be read; raise ExpireChangeTrackingInDays of "
                "the organisation, or use INCREMENTAL."
            ) from None

    def _go_on(self, delta: dict[str, Any], *, exact: bool) -> Iterator[Sequence[Row | Record]]:
        """From where the state is."""
        if self._snapshot.kept and not exact:  # it is new, or of another state
            self._snapshot.begin_sweep()
            self._sweep()
        if "load" in delta:
            yield from self._load(delta["load"])
        yield from self._changes()

    def _sweep(self) -> str:
        """The token of now. The keys that are there become known.

        ASSUMPTION: the token is of the time of the first page, so that what is deleted during the sweep comes with the
        next changes. Were it of the last page, a key that is on an early page and deleted meanwhile would stay known.
        """
        key = self._stream.table.primary_id
        token = None
        for page in self._pages(Query(self._stream.name, select=(key,))):
            self._snapshot.add(change.key for change in page.changes)
            token = page.token
        assert token
        return token

    def _load(self, load: str) -> Iterator[Sequence[Row | Record]]:
        """All rows, or the rest of them; then what is gone, as far as it can be told."""
        self._stream.use_version(self._state["delta"].get("version"))
        if self._state.get("ranges") != []:
            for records in self._stream.backfill(self._structs):
                self._snapshot.add(record.key for record in records)
                yield records
            self._forget(*_OF_INCREMENTAL)
            self._state["ranges"] = []
        if load == BY_KEYS:
            for keys in self._snapshot.missing():
                self._snapshot.remove(keys)
                yield [self._deletion(key) for key in keys]

    def _changes(self) -> Iterator[Sequence[Row]]:
        """What changed since the token; then the new one goes into the state."""
        delta = self._state["delta"]
        self._stream.use_version(delta.get("version"))
        token = None
        for page in self._pages(self._query, delta["token"], self._records.annotations):
            self._snapshot.add(change.key for change in page.changes if change.row is not None)
            there = {change.key: change.row is not None for change in page.changes}
            self._snapshot.remove(key for key, is_there in there.items() if not is_there)
            for changes in together(page.changes):
                yield [
                    self._deletion(change.key) if change.row is None else self._record(change.row) for change in changes
                ]
            token = page.token
        assert token
        self._snapshot.end_run(token)
        if delta.get("load") == BY_VERSION:
            self._stream.activate_version()
        self._forget(*_OF_INCREMENTAL)
        self._state["delta"] = self._delta(token, delta.get("version"))

    def _pages(self, query: Query, token: str | None = None, annotations: str = "") -> Iterable[ChangePage]:
        return tracked_pages(
            self._stream.dataverse,
            query,
            self._stream.table.primary_id,
            token=token,
            page_size=self._stream.config["page_size"],
            annotations=annotations,
        )

    def _record(self, row: Row) -> Row:
        # Null, not absent: a row may come back after it was deleted.
        return {**self._records.build(row), DELETED_AT: None}

    def _deletion(self, key: str) -> Row:
        return {self._stream.table.primary_id: key, DELETED_AT: self._stream.run_start}

    def _delta(self, token: str, version: int | None) -> dict[str, Any]:
        return {"token": token, "fingerprint": self._fingerprint} | ({"version": version} if version else {})

    def _forget(self, *names: str) -> None:
        for name in names:
            self._state.pop(name, None)

    def _error(self, problem: str) -> SettingError:
        return SettingError(f"tables.{self._stream.name}.replication", problem)


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
