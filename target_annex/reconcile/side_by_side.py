"""Reads several things at once, each in a thread of its own, for one thread that works on what comes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

#: So many items wait in memory.
_MOST_WAITING = 16
_SECONDS_BETWEEN_LOOKS = 0.2


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _News(Generic[Item]):
    """What the threads have read."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Item | _End] = queue.Queue(_MOST_WAITING)
        self.stopped = threading.Event()

    def put(self, item: Item | _End) -> bool:
        """Wait for room; False if nobody wants any more."""
        while not self.stopped.is_set():
            try:
                self._queue.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Full:
                continue
            return True
        return False

    def take(self) -> Item | _End:
        """Wait for something."""
        return self._queue.get()

    def read(self, source: Callable[[], Generator[Item]]) -> None:
        """Put all that a source has."""
        error: BaseException | None = None
        items = source()
        try:
            while self.put(next(items)):
                pass
        except StopIteration:
            pass
        except BaseException as raised:  # noqa: BLE001 - it is raised where the items are used
            error = raised
        items.close()
        self.put(_End(error))


def side_by_side(*sources: Callable[[], Generator[Item]]) -> Iterator[Item]:
    """The items of all sources, each source's in its order.

    A source that is not read to its end is closed in its own thread.

    Raises:
        Exception: the first that a source has raised.
    """
    news: _News[Item] = _News()
    threads = [threading.Thread(target=news.read, args=(source,), name="reconcile") for source in sources]
    for thread in threads:
        thread.start()
    try:
        unfinished = len(threads)
        while unfinished:
            item = news.take()
            if not isinstance(item, _End):
                yield item
                continue
            unfinished -= 1
            if item.error:
                raise item.error
    finally:
        news.stopped.set()
        for thread in threads:
            thread.join()
