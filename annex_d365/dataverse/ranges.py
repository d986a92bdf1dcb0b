"""Reads a table in several ranges of its change times at once, each in order and from where it had come to.

One range is read by one worker, page by page. While there are more pages, idle workers cut the largest rest in two, at
half of its time: a bulk import of one afternoon ends in many ranges, whatever the years before look like, at the price
of some requests that find nothing.

All pages of a query have one size (Dataverse page 2.3). Where rows turn out to need another one, a new query goes on
with the time of the last row: other rows may have that time, so that it asks for them again, and leaves out what was
read.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import takewhile
from typing import Any

import msgspec

from annex_d365.dataverse.budget import PageSize
from annex_d365.dataverse.client import ETAG, Dataverse, RawPage, links_in_a_circle
from annex_d365.dataverse.query import Query, all_of, utc

FORM = "%Y-%m-%dT%H:%M:%SZ"

#: Key and version of a row.
Version = tuple[str, str]


@dataclass(eq=False)
class Range:
    """Rows with ``lo <= change time < hi``; without ``lo`` also those that have none, without ``hi`` to the end.

    Attributes:
        lo: first time.
        hi: time after the last one.
        pos: rows before this time are handed out; reading goes on with it.
    """

    lo: str | None = None
    hi: str | None = None
    pos: str | None = None

    def condition(self, column: str) -> str:
        """The OData condition for what is still to be read."""
        start = self.pos or self.lo
        since = f"{column} ge {start}" if start else ""
        if not self.hi:
            return since
        before = f"{column} lt {self.hi}"
        return all_of(since, before) if since else f"{before} or {column} eq null"


@dataclass(frozen=True)
class Part:
    """Some rows of a range, in order.

    Attributes:
        range: the range.
        rows: to be iterated before the next part is asked for.
        last: whether the range ends with them.
        cut: a new range that begins where this one ends from now on; then there are no rows.
    """

    range: Range
    rows: Iterable[Any] = ()
    last: bool = False
    cut: Range | None = None


@dataclass(eq=False)
class _Reading:
    """What a worker knows of the range that it reads; times in seconds."""

    range: Range
    end: float | None
    size: PageSize
    read: float | None = None
    #: Rows per second of change time in the latest page.
    density: float = 0.0
    more: bool = False


class RangeReader:
    """Reads the ranges of one table.

    Args:
        dataverse: the organisation.
        query: table, columns and condition, without an order. With ``top`` there is one worker, which fetches no page
            ahead: the caller stops when it has enough.
        column: the change time.
        key: the primary key. It decides between equal times, or rows would be skipped at the border of a page.
        page_size: rows per page, at most.
        parallel: workers.
        run_start: time after it is not cut.
        annotations: what to ask for besides the values.
        decode: makes rows; by default as :meth:`Dataverse.row`.
    """

    def __init__(
        self,
        dataverse: Dataverse,
        query: Query,
        *,
        column: str,
        key: str,
        page_size: int,
        parallel: int,
        run_start: str,
        annotations: str = "",
        decode: Callable[[msgspec.Raw], Any] | None = None,
    ) -> None:
        self._dataverse, self._column, self._decode_row = dataverse, column, decode or dataverse.row
        self._query = replace(query, orderby=(column, key))
        self._annotations = annotations
        self._parallel = 1 if query.top else parallel
        self._run_start = _seconds(run_start)
        fields = [("at", column), ("key", key), ("etag", ETAG)]
        struct = msgspec.defstruct(
            "Place", [(name, str | None, msgspec.field(default=None, name=each)) for name, each in fields]
        )
        self._place: msgspec.json.Decoder[Any] = msgspec.json.Decoder(struct)
        self._news: queue.SimpleQueue[tuple[_Reading, Iterable[Any], bool] | Part | BaseException] = queue.SimpleQueue()
        # A page is fetched only when there is room for it, so that memory holds few of them.
        pages = 1 if query.top else parallel + 1
        self._room = threading.Semaphore(pages)
        self._size = PageSize(page_size, pages)
        self._changed = threading.Condition()
        self._waiting: list[_Reading] = []
        self._reading: list[_Reading] = []
        self._unfinished = 0
        self._stopped = False

    def parts(self, ranges: Iterable[Range]) -> Iterator[Part]:
        """All rows of the ranges, part by part; cuts are told before the first row of the new range.

        The reader does not change the ranges: whoever keeps account of them does, part by part.

        Raises:
            ConnectorError: from any of the workers.
        """
        self._waiting = [_Reading(each, _seconds(each.hi) if each.hi else None, replace(self._size)) for each in ranges]
        self._unfinished = len(self._waiting)
        with self._dataverse.http.gate.workers(self._parallel, "range") as pool:
            for _ in range(self._parallel):
                pool.submit(self._work)
            try:
                while self._unfinished:
                    news = self._news.get()
                    if isinstance(news, BaseException):
                        raise news
                    if isinstance(news, Part):
                        yield news
                        continue
                    reading, rows, last = news
                    yield Part(reading.range, rows, last)
                    del news, rows  # or the page would be kept until the next one is there
                    self._room.release()
                    if last:
                        with self._changed:
                            self._unfinished -= 1
            finally:
                self._stop()

    def _rows(self, page: RawPage, end: str, known: Collection[Version]) -> Iterator[Any]:
        """The rows of a page, until ``end`` unless it is empty; they are decoded when they are wanted."""
        raws: Iterable[msgspec.Raw] = page.value
        if end:
            raws = takewhile(lambda raw: not (at := self._place.decode(raw).at) or utc(at)[: len(end)] < end, raws)
        if known:
            raws = (raw for raw in raws if _version(self._place.decode(raw)) not in known)
        return map(self._decode_row, raws)

    def _work(self) -> None:
        try:
            while reading := self._next():
                self._read(reading)
        except BaseException as error:  # noqa: BLE001 - it is raised where the rows are used
            self._news.put(error)

    def _next(self) -> _Reading | None:
        """A range to read: one that waits, else a part of one that is being read; None when all are read."""
        with self._changed:
            while not self._stopped:
                reading = self._waiting.pop(0) if self._waiting else self._cut()
                if reading:
                    self._reading.append(reading)
                    return reading
                if not self._reading:
                    return None
                self._changed.wait()
        return None

    def _read(self, reading: _Reading) -> None:
        range_, known = reading.range, frozenset[Version]()
        while True:
            rows = reading.size.rows
            condition = all_of(self._query.filter, range_.condition(self._column))
            url = replace(self._query, filter=condition).url
            seen = {url}
            while True:
                self._room.acquire()
                if self._stopped:
                    return
                page = self._dataverse.page(url, rows, self._annotations)
                with self._changed:
                    end = self._note(reading, page)
                    self._news.put((reading, self._rows(page, end, known), not reading.more))
                    self._changed.notify_all()
                    if not reading.more:
                        self._reading.remove(reading)
                        return
                if not reading.size.fits(rows) and (place := self._place_to_go_on(page)):
                    pos, known = place
                    range_ = replace(reading.range, pos=pos)
                    break
                if (
                    known
                    and page.value
                    and self._place.decode(page.value[-1]).at != self._place.decode(page.value[0]).at
                ):
                    known = frozenset()  # they are behind us: rows are in the order of their times
                url = page.next_link or ""
                if url in seen:
                    raise links_in_a_circle(url)
                seen.add(url)

    def _place_to_go_on(self, page: RawPage) -> tuple[str, frozenset[Version]] | None:
        """The time of the last row, and all rows that were read of this time; None when earlier pages may have some."""
        if not page.value:
            return None
        first, last = (self._place.decode(page.value[at]).at for at in (0, -1))
        if not last or first == last:
            return None
        known = set()
        for raw in reversed(page.value):
            place = self._place.decode(raw)
            if place.at != last:
                break
            if place.key and place.etag:
                known.add(_version(place))
        return utc(last), frozenset(known)

    def _note(self, reading: _Reading, page: RawPage) -> str:
        """How far the page goes; the range's end, in whole seconds, where it goes further, and else an empty text.

        The service was asked for the range as it was before it was cut: beyond its end there is nothing more to read.
        """
        reading.size.measure(len(page.value), page.size)
        times = [self._place.decode(raw).at for raw in (page.value[:1] + page.value[-1:])]
        end = ""
        if times and times[0] and times[-1]:
            first, reading.read = _seconds(times[0]), _seconds(times[-1])
            reading.density = len(page.value) / max(1.0, reading.read - first)
            if reading.end is not None and reading.read >= reading.end:
                page.next_link, end = None, _text(reading.end).removesuffix("Z")
        reading.more = bool(page.next_link)
        return end

    def _cut(self) -> _Reading | None:
        """Cut in two what is the most, not counting the page that is on its way, unless no more than a page is left."""
        rests = [(self._rest(each), each) for each in self._reading if each.more and each.read is not None]
        rest, reading = max(rests, key=lambda pair: pair[0], default=(0.0, None))
        if reading is None or rest < 2 or reading.density * rest <= reading.size.rows:  # noqa: PLR2004 - two seconds
            return None
        old_end = reading.end
        middle = float(int(self._until(reading) - rest / 2) + 1)
        new = Range(_text(middle), None if old_end is None else _text(old_end))
        self._unfinished += 1
        self._news.put(Part(reading.range, cut=new))
        reading.end = middle
        # As if it were like the first half, so that others can cut it at once.
        return _Reading(new, old_end, replace(reading.size), read=middle, density=reading.density, more=True)

    def _rest(self, reading: _Reading) -> float:
        """Seconds behind the page that is on its way."""
        assert reading.read is not None
        return self._until(reading) - reading.read - reading.size.rows / reading.density

    def _until(self, reading: _Reading) -> float:
        return self._run_start if reading.end is None else reading.end

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._room.release(self._parallel)


def _version(place: Any) -> Version:
    return place.key, place.etag


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(utc(moment).replace("Z", "+00:00")).timestamp()


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(FORM)
