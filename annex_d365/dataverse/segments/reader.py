"""Reads the members of many segments at once, each by one worker."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.segments.members import Members
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import ConnectorError, OutageError, PrivilegeError, ServiceError
from annex_d365.gate import Gate


@dataclass(frozen=True)
class Part:
    """Some members of a segment, or its end.

    Attributes:
        segment: the segment.
        rows: contacts.
        last: whether it is done; then there are no rows.
        failure: why it could not be read to its end.
    """

    segment: Segment
    rows: Sequence[Row] = ()
    last: bool = False
    failure: ConnectorError | None = None


class SegmentReader:
    """Reads each of some segments once.

    Args:
        members: of the generation.
        gate: whose workers are used.
        parallel: segments at a time; so many pages, and one more, are in memory at most.
        harmless: a request that a service which is up answers; it raises an error where it does not.
    """

    def __init__(self, members: Members, gate: Gate, parallel: int, harmless: Callable[[], object]) -> None:
        self._members, self._gate, self._parallel, self._harmless = members, gate, parallel, harmless
        self._waiting: queue.SimpleQueue[Segment] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Part | BaseException] = queue.SimpleQueue()
        # A page is fetched only when there is room for it.
        self._room = threading.Semaphore(parallel + 1)
        self._stopped = False

    def parts(self, segments: Sequence[Segment]) -> Iterator[Part]:
        """Members, segment by segment in their own order, but those of several segments mixed.

        What concerns one segment only ends that one, as its last part says.

        Raises:
            ConnectorError: what concerns all: the service is down, a setting is wrong.
        """
        self._members.begin(segments)
        for segment in segments:
            self._waiting.put(segment)
        unfinished = len(segments)
        with self._gate.workers(self._parallel, "segment") as pool:
            for _ in range(min(self._parallel, unfinished)):
                pool.submit(self._work)
            try:
                while unfinished:
                    news = self._news.get()
                    if isinstance(news, BaseException):
                        raise news
                    yield news
                    unfinished -= news.last
                    del news  # or the page would be kept until the next one is there
                    self._room.release()
            finally:
                self._stopped = True
                self._room.release(self._parallel)

    def _work(self) -> None:
        try:
            while not self._stopped:
                self._read(self._waiting.get_nowait())
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised where the rows are used
            self._news.put(error)

    def _read(self, segment: Segment) -> None:
        with closing(self._members.pages(segment)) as pages:
            while True:
                self._room.acquire()
                if self._stopped:
                    return
                try:
                    rows = next(pages, None)
                except ConnectorError as error:
                    if not self._concerns_one(error):
                        raise
                    self._news.put(Part(segment, last=True, failure=error))
                    return
                self._news.put(Part(segment, rows or (), last=rows is None))
                if rows is None:
                    return

    def _concerns_one(self, error: ConnectorError) -> bool:
        """Whether it is this segment's fault: a service that stumbles over one answers other requests."""
        if isinstance(error, OutageError):
            try:
                self._harmless()
            except ConnectorError:
                return False
        return isinstance(error, ServiceError | PrivilegeError)
