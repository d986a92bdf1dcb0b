"""Work that is done while the next is read: in order, in threads of its own, two pieces at a time where they let it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from annex_d365.relay import Piece, Relay

#: Pieces in work at the same time (see :mod:`annex_d365.relay`). Each holds a batch of rows in memory.
IN_WORK = 2


class WriteBehind:
    """A queue of work. All methods are for one thread, which is not one of those that work."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._relay = Relay()
        self._pending: deque[Piece] = deque()
        #: What is to be done at the end of the last piece, in its thread.
        self._after: dict[Piece, deque[Callable[[], None]]] = {}
        self._lock = threading.Lock()

    def put(self, work: Callable[[], None], lane: str = "") -> None:
        """Do this once all is done that was put before. Waits while so many are in work already.

        Args:
            work: to be done.
            lane: work of the same lane may begin before that of the piece before it is done.

        Raises:
            Exception: what stopped an earlier piece; none that came after it begins.
        """
        while len(self._pending) >= IN_WORK:
            self._pending.popleft().over.wait()
        self._check()
        self._executor = self._executor or ThreadPoolExecutor(IN_WORK, "write-behind")
        piece = Piece(self._relay, self._pending[-1] if self._pending else None, lane)
        self._after[piece] = deque()
        self._pending.append(piece)
        self._executor.submit(self._do, piece, work)

    def then(self, work: Callable[[], None]) -> None:
        """Do this once all is done that was put before; at once and in this thread, if it is. Nothing waits for it."""
        with self._lock:
            if self._pending and (after := self._after.get(self._pending[-1])) is not None:
                after.append(work)
                return
        self.finish()
        self._check()
        work()

    def settle(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: what stopped a piece.
        """
        self.finish()
        self._check()

    def finish(self) -> None:
        """Wait until nothing is worked on any more, whatever became of it."""
        while self._pending:
            self._pending.popleft().over.wait()

    def close(self) -> None:
        """As :meth:`finish`; and let go of the threads."""
        self.finish()
        if self._executor:
            self._executor.shutdown()
            self._executor = None

    def _check(self) -> None:
        if self._relay.failure:
            raise self._relay.failure

    def _do(self, piece: Piece, work: Callable[[], None]) -> None:
        piece.run(work)
        while after := self._next_after(piece):
            self._relay.attempt(after)
        piece.end()

    def _next_after(self, piece: Piece) -> Callable[[], None] | None:
        with self._lock:
            if self._after[piece]:
                return self._after[piece].popleft()
            del self._after[piece]
            return None
