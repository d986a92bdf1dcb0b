"""Cuts a table into parts of about the same number of rows, by the time when rows were created.

For backfills on several machines: creation times never change, so that each row stays in its part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.query import Query, utc
from annex_d365.dataverse.ranges import FORM
from annex_d365.errors import ServiceError

#: The service does not count more rows than 50,000 at once (Dataverse page 2.2).
TOO_MANY = "0x8004e023"
#: Parts are put together from pieces of a part's size divided by this.
PIECES_PER_PART = 10
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Shard:
    """A part: rows created since ``lower`` and before ``upper``; None is no bound. The value of the setting `shard`."""

    lower: str | None
    upper: str | None
    rows: int


def plan(dataverse: Dataverse, entity_set: str, shards: int, *, parallel: int = 8) -> list[Shard]:
    """Bounds of about equal parts.

    Args:
        dataverse: the organisation.
        entity_set: the table.
        shards: how many parts; fewer come out of a table whose rows were created in fewer different seconds.
        parallel: requests at a time.

    Raises:
        ConnectorError: the table cannot be read, or has no ``createdon``.
    """
    first, last = (_edge(dataverse, entity_set, order) for order in ("createdon", "createdon desc"))
    if first is None or last is None:
        return [Shard(None, None, 0)]
    with dataverse.http.gate.workers(parallel, "count") as pool:
        total, pieces = 0, [_Piece(first, last + _SECOND, None)]
        while True:
            counted = list(pool.map(lambda piece: piece.counted(_counter(dataverse, entity_set)), pieces))
            total = sum(piece.rows or 0 for piece in counted)
            unknown = any(piece.rows is None for piece in counted)
            largest = max(1, total // (shards * PIECES_PER_PART))
            pieces = [half for piece in counted for half in piece.halves(None if unknown else largest)]
            if len(pieces) == len(counted):
                return list(_parts(counted, shards, total))


@dataclass(frozen=True)
class _Piece:
    """Rows created from ``start`` until before ``end``; ``rows`` is None while their number is not known."""

    start: datetime
    end: datetime
    rows: int | None

    def counted(self, count: Callable[[datetime, datetime], int | None]) -> _Piece:
        return self if self.rows is not None else _Piece(self.start, self.end, count(self.start, self.end))

    def halves(self, largest: int | None) -> list[_Piece]:
        """Two, if it has more rows than ``largest`` (None: than the service counts), and a moment lies between."""
        small = self.rows is not None and (largest is None or self.rows <= largest)
        if small or self.end - self.start <= _SECOND:
            return [self]
        middle = (self.start + (self.end - self.start) / 2).replace(microsecond=0)
        middle = max(middle, self.start + _SECOND)
        return [_Piece(self.start, middle, None), _Piece(middle, self.end, None)]


def _parts(pieces: list[_Piece], shards: int, total: int) -> Iterator[Shard]:
    """Put pieces together until each part has its share of what is left."""
    lower, rows, left, parts = None, 0, total, shards
    for number, piece in enumerate(pieces):
        rows += piece.rows or 0
        if parts > 1 and rows * parts >= left and number < len(pieces) - 1:
            yield Shard(lower, _text(piece.end), rows)
            lower, left, parts, rows = _text(piece.end), left - rows, parts - 1, 0
    yield Shard(lower, None, rows)


def _edge(dataverse: Dataverse, entity_set: str, order: str) -> datetime | None:
    query = Query(entity_set, select=("createdon",), filter="createdon ne null", orderby=(order,), top=1)
    row = next(dataverse.rows(query), None)
    if row is None:
        return None
    return datetime.fromisoformat(utc(row["createdon"]).replace("Z", "+00:00")).replace(microsecond=0)


def _counter(dataverse: Dataverse, entity_set: str) -> Callable[[datetime, datetime], int | None]:
    def count(start: datetime, end: datetime) -> int | None:
        """None for a moment that has more rows than can be counted, which no cut can help, is the most there is."""
        condition = f"createdon ge {_text(start)} and createdon lt {_text(end)}"
        query = Query(entity_set, apply=f"filter({condition})/aggregate($count as rows)")
        try:
            reply = dataverse.get(query.url)
        except ServiceError as error:
            if error.code.lower() != TOO_MANY:
                raise
            return 50_000 if end - start <= _SECOND else None
        return int(reply["value"][0]["rows"]) if reply["value"] else 0

    return count


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime(FORM)
