"""Reads the members of many segments at once, each by one worker."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.segments.members import Members
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import ConnectorError, OutageError, PrivilegeError, ServiceError
from annex_d365.gate import Gate

#: A segment that the service stumbles over each time, or a service that is down? So many in a row say the latter; where
#: half of the segments fail, chance brings ten.
MAX_SERVER_ERRORS = 20
_SERVER_ERROR = 500


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
    """

    def __init__(self, members: Members, gate: Gate, parallel: int) -> None:
        self._members, self._gate, self._parallel = members, gate, parallel
        self._waiting: queue.SimpleQueue[Segment] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Part | BaseException] = queue.SimpleQueue()
        # A page is fetched only when there is room for it.
        self._room = threading.Semaphore(parallel + 1)
        self._server_errors = 0
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
        pages = self._members.pages(segment)
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
                self._server_errors = 0
                return

    def _concerns_one(self, error: ConnectorError) -> bool:
        if isinstance(error, OutageError):
            self._server_errors += 1
            return error.status == _SERVER_ERROR and self._server_errors < MAX_SERVER_ERRORS
        return isinstance(error, ServiceError | PrivilegeError)
