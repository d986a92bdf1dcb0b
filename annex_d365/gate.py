"""How many requests to a service may be in flight, and from when on: what it asks for, to the letter."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

#: So many answers in a row without a complaint earn one more request in flight.
CALM_ANSWERS = 20

#: Answers that take so many times longer than the quickest of their kind say that requests wait for each other.
SLOW_FACTOR = 3.0
#: Shorter ones say nothing: the machine's own noise.
NOTICEABLE_SECONDS = 0.02


class Closing(Exception):  # noqa: N818 - a signal to threads whose work nobody waits for, not an error
    """Whoever waits at a gate is sent home; it is not told to the user."""


class _Pace:
    """How long requests of one kind take."""

    def __init__(self) -> None:
        self._best = self._usual = 0.0
        self._answers = 0

    def slow(self, seconds: float) -> bool:
        """Take note of an answer; True if they have become slow, once for each :data:`CALM_ANSWERS`."""
        self._answers += 1
        if self._answers == 1:
            self._best = self._usual = seconds
        self._usual += (seconds - self._usual) / 10
        # The best one is forgotten slowly: a service may be slower today than it was.
        self._best = min(seconds, self._best + (self._usual - self._best) / 1000)
        slow = self._usual > SLOW_FACTOR * max(self._best, NOTICEABLE_SECONDS)
        if slow and self._answers > CALM_ANSWERS:
            self._answers = 1
            return True
        return False


class Gate:
    """Lets requests through: at most so many at once, none before a pause is over. Safe for threads.

    A pause asked of one request holds back all: the service counts per user, and a client that keeps pushing is held
    off longer (Dataverse page 6). After a pause half as many are let through, when answers become slow a quarter less;
    then, while it stays calm, one more at a time, up to the limit.

    Args:
        limit: most requests in flight.
    """

    def __init__(self, limit: int) -> None:
        self._condition = threading.Condition()
        self._limit = self._allowed = max(1, limit)
        self._advised: int | None = None
        self._in_flight = self._calm = 0
        self._closed_until = 0.0
        self._closed = False
        self._paces: dict[str, _Pace] = {}
        self._thread = threading.local()
        #: Seconds during which nothing was sent because the service asked for it.
        self.paused_seconds = 0.0

    @property
    def allowed(self) -> int:
        """Requests that may be in flight now."""
        return self._allowed

    @contextmanager
    def pass_one(self) -> Iterator[None]:
        """Wait for a place, and keep it for the time of the block.

        Raises:
            Closing: the gate is closed.
        """
        with self._condition:
            while True:
                self._check()
                wait = self._closed_until - time.monotonic()
                if wait <= 0 and self._in_flight < self._allowed:
                    break
                self._condition.wait(wait if wait > 0 else None)
            self._in_flight += 1
        try:
            yield
        finally:
            with self._condition:
                self._in_flight -= 1
                self._condition.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait so long; the others go on.

        Raises:
            Closing: the gate is closed.
        """
        with self._condition:
            self._condition.wait_for(self._is_closed, seconds)
            self._check()

    def close(self) -> None:
        """Nobody waits or passes any more: whoever tries is told that the gate is :class:`Closing`."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    @contextmanager
    def workers(self, count: int, name: str) -> Iterator[ThreadPoolExecutor]:
        """Threads for the time of the block; at its end the gate is closed for them, and none is left."""
        over = threading.Event()
        pool = ThreadPoolExecutor(count, name, self._enter, (over,))
        try:
            yield pool
        finally:
            with self._condition:
                over.set()
                self._condition.notify_all()
            pool.shutdown(cancel_futures=True)

    def _enter(self, over: threading.Event) -> None:
        self._thread.over = over

    def _is_closed(self) -> bool:
        over: threading.Event | None = getattr(self._thread, "over", None)
        return self._closed or (over is not None and over.is_set())

    def _check(self) -> None:
        if self._is_closed():
            raise Closing

    def pause(self, seconds: float) -> None:
        """The service wants nobody to ask for so long."""
        now = time.monotonic()
        with self._condition:
            if now >= self._closed_until:  # the first to be told; the others were in flight with it
                self._allowed = max(1, self._allowed // 2)
            self.paused_seconds += max(0.0, now + seconds - max(now, self._closed_until))
            self._closed_until = max(self._closed_until, now + seconds)
            self._calm = 0
            self._condition.notify_all()

    def answered(self, hint: int | None = None, *, kind: str = "", seconds: float = 0.0) -> None:
        """An answer without a complaint.

        Args:
            hint: how many requests at once the service advises, from now on.
            kind: of requests that take about the same time, unless they wait for each other; empty for others.
            seconds: that it took.
        """
        with self._condition:
            self._calm += 1
            if kind and self._paces.setdefault(kind, _Pace()).slow(seconds):
                self._allowed, self._calm = max(1, self._allowed * 3 // 4), 0
            self._advised = hint or self._advised
            most = min(self._limit, self._advised or self._limit)
            if self._allowed > most:
                self._allowed = max(1, most)
            elif self._allowed < most and self._calm >= CALM_ANSWERS:
                self._allowed, self._calm = self._allowed + 1, 0
                self._condition.notify_all()
