"""Work that is done while the next is read: one piece after the other, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

#: Pieces that wait while one is done. Each holds a batch of rows in memory.
WAITING = 1


class WriteBehind:
    """A queue of work. All methods are for one thread, which is not the one that works."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._pending: deque[Future[None]] = deque()
        self._failure: BaseException | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Do this once all is done that was put before. Waits while the queue is full.

        Raises:
            Exception: what stopped an earlier piece; none that came after it is done.
        """
        while len(self._pending) > WAITING:
            wait([self._pending.popleft()])
        self._check()
        self._executor = self._executor or ThreadPoolExecutor(1, "write-behind")
        self._pending.append(self._executor.submit(self._do, work))

    def then(self, work: Callable[[], None]) -> None:
        """As :meth:`put`; at once and in this thread, if all is done that was put before."""
        if all(each.done() for each in self._pending):
            self._check()
            work()
        else:
            self.put(work)

    def settle(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: what stopped a piece.
        """
        self.finish()
        self._check()

    def finish(self) -> None:
        """Wait until nothing is worked on any more, whatever became of it."""
        wait(self._pending)
        self._pending.clear()

    def close(self) -> None:
        """As :meth:`finish`; and let go of the thread."""
        self.finish()
        if self._executor:
            self._executor.shutdown()
            self._executor = None

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    def _do(self, work: Callable[[], None]) -> None:
        if self._failure:
            return
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that put it
            self._failure = error
