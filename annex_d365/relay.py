"""Two pieces of work in flight, of which one runs at any moment: while one waits for answers, the next one goes on.

Why: a batch is prepared, waits for the service, and is saved. One batch after the other leaves the network idle during
the one, and the machine during the other.

How: whoever works holds the baton, and lets go of it nowhere but in :func:`waiting`. What pieces share (the ledger, a
stream's writer, its report) is so used by one thread at a time, as if there were only one.

What a piece may do while the one before it has not ended:

* It says by :func:`beside` what it touches, before it changes anything. There it waits for the earlier one's end, if
  both touch the same, or if one of them cannot say what it touches; and it goes no further if the earlier one failed.
* The earlier piece never waits for the later one. The later one is over after the earlier one.
* In all else, two such pieces are to each other as two parts of one batch are, where no order is promised either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

_Answer = TypeVar("_Answer")


class Stopped(Exception):  # noqa: N818 - a signal to a piece, not an error
    """A piece ends before it has touched anything, because the one before it has failed."""


class Relay:
    """What pieces that come one after the other have in common."""

    def __init__(self) -> None:
        self.baton = threading.Lock()
        #: Of the first piece, in their order, that failed.
        self.failure: BaseException | None = None

    def attempt(self, work: Callable[[], None]) -> None:
        """Do what comes at the end of a piece, unless something has failed."""
        if self.failure:
            return
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that wants to know
            self.failure = error


class Piece:
    """A piece of work, which runs in a thread of its own.

    Args:
        relay: that it is part of.
        before: the piece before it; None if there is none, or all are over.
        lane: pieces of one lane may go beside each other; empty for a piece that may not.

    Attributes:
        touched: what it has said that it touches.
        alone: whether it may not go beside any other.
        told: set once it has said what it touches, or is over.
        over: set at its end.
    """

    def __init__(self, relay: Relay, before: Piece | None, lane: str) -> None:
        self._relay, self._before, self.lane = relay, before, lane
        self.touched, self.alone = set[str](), not lane
        self.told, self.over = threading.Event(), threading.Event()

    def run(self, work: Callable[[], None]) -> None:
        """Do the work, and wait until the piece before it is over."""
        failure: BaseException | None = None
        try:
            if self._before and (self.alone or self.lane != self._before.lane):
                self._before.over.wait()
            if not self._relay.failure:
                with self._relay.baton:
                    _mine.piece = self
                    work()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that wants to know
            failure = error
        finally:
            _mine.piece = None
        if self._before:
            self._before.over.wait()
        self._relay.failure = self._relay.failure or failure

    def end(self) -> None:
        """Let those go on that wait for this piece."""
        self.told.set()
        self.over.set()
        # None of them would ever leave the memory.
        self._before, self.touched = None, set()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Let another piece run for the time of the block."""
        self._relay.baton.release()
        try:
            yield
        finally:
            self._relay.baton.acquire()

    def beside(self, names: Collection[str] | None) -> bool:
        """See :func:`beside`."""
        self.alone = self.alone or names is None
        before, waited = self._before, False
        if before and not before.over.is_set():
            if not before.told.is_set():
                with self.resting():
                    before.told.wait()
            if self.alone or before.alone or not before.touched.isdisjoint(names or ()):
                with self.resting():
                    before.over.wait()
            waited = before.over.is_set()
        if self._relay.failure:
            raise Stopped
        if not waited:
            self.touched.update(names or ())
            self.told.set()
        return waited


class _Mine(threading.local):
    """The piece that a thread works on."""

    piece: Piece | None = None


_mine = _Mine()


@contextmanager
def waiting() -> Iterator[None]:
    """For a block that only waits for what other threads do: another piece may run meanwhile."""
    if piece := _mine.piece:
        with piece.resting():
            yield
    else:
        yield


def result(future: Future[_Answer]) -> _Answer:
    """What a future has come to, as its method tells it; another piece may run until then."""
    if future.done():
        return future.result()
    with waiting():
        return future.result()


def beside(names: Collection[str] | None) -> bool:
    """Say what this piece touches from now on, in addition to what it said before.

    Args:
        names: of all that an earlier piece may change and this one relies on, or the other way round; None if that
            cannot be said, so that no other piece must be in flight.

    Returns:
        True if an earlier piece has ended meanwhile: what was read before may have changed, and this has to be said
        once more. Else False, and always in a thread that works on no piece.

    Raises:
        Stopped: an earlier piece has failed.
    """
    piece = _mine.piece
    return piece.beside(names) if piece else False
