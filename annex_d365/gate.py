"""How many requests to a service may be in flight, and from when on: what it asks for, to the letter."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: So many answers in a row without a complaint earn one more request in flight.
CALM_ANSWERS = 20


class Gate:
    """Lets requests through: at most so many at once, none before a pause is over. Safe for threads.

    A pause asked of one request holds back all: the service counts per user, and a client that keeps pushing is held
    off longer (Dataverse page 6). After a pause half as many are let through, then, while it stays calm, one more at a
    time, up to the limit.

    Args:
        limit: most requests in flight.
    """

    def __init__(self, limit: int) -> None:
        self._condition = threading.Condition()
        self._limit = self._allowed = max(1, limit)
        self._advised: int | None = None
        self._in_flight = self._calm = 0
        self._closed_until = 0.0
        #: Seconds during which nothing was sent because the service asked for it.
        self.paused_seconds = 0.0

    @property
    def allowed(self) -> int:
        """Requests that may be in flight now."""
        return self._allowed

    @contextmanager
    def pass_one(self) -> Iterator[None]:
        """Wait for a place, and keep it for the time of the block."""
        with self._condition:
            while True:
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

    def answered(self, hint: int | None = None) -> None:
        """An answer without a complaint; ``hint`` is how many requests at once the service advises, from now on."""
        with self._condition:
            self._calm += 1
            self._advised = hint or self._advised
            most = min(self._limit, self._advised or self._limit)
            if self._allowed > most:
                self._allowed = max(1, most)
            elif self._allowed < most and self._calm >= CALM_ANSWERS:
                self._allowed, self._calm = self._allowed + 1, 0
                self._condition.notify_all()
