"""Dataverse's service protection limits (Dataverse page 6). Off until asked for; there is one user and one server."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.wire import Reply


@dataclass
class Figures:
    """The limits; ``None`` is no limit. As published: 6,000 requests, 1,200 s, 52 at once, in 300 s."""

    requests: int | None = None
    seconds: float | None = None
    concurrent: int | None = None
    window: float = 300


_MOST = 1e9
PUBLISHED = Figures(6000, 1200, 52)


class Limits:
    """Counts requests, their time and how many are at work; refuses beyond the figures."""

    def __init__(self, clock: Clock, decimal: Callable[[], bool] = lambda: False) -> None:
        self._clock, self._lock = clock, threading.Lock()
        #: Whether codes are decimal; which they are is not known (Dataverse page 6).
        self._decimal = decimal
        self._seen: deque[tuple[datetime, float]] = deque()
        #: The sum of the seconds in ``_seen``: thousands of requests a second do not add it up each time.
        self._spent = 0.0
        self._busy = 0
        self.figures = Figures()

    def set(self, settings: dict[str, Any]) -> None:
        """Change figures; ``{"published": true}`` takes the published ones. Raises ``ValueError``."""
        known = {f.name for f in fields(Figures)}
        if settings.pop("published", False):
            self.figures = Figures(PUBLISHED.requests, PUBLISHED.seconds, PUBLISHED.concurrent)
        for name, value in settings.items():
            fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST
            if name not in known or not (fits or (value is None and name != "window")):
                raise ValueError(f"no limit {name} = {value!r}; there are {', '.join(sorted(known))}")
            setattr(self.figures, name, value)

    def reset(self) -> None:
        """No limits, and nothing counted."""
        with self._lock:
            self.figures = Figures()
            self._seen.clear()
            self._spent = 0.0

    def enter(self) -> Reply | None:
        """Begin a request: ``None``, or the refusal. After ``None`` :meth:`leave` must follow."""
        with self._lock:
            self._forget()
            refusal = self._refusal()
            if refusal is None:
                self._busy += 1
            else:  # it counts too: Retry-After grows when the client keeps pushing
                self._count(0.0)
            return refusal

    def leave(self, seconds: float) -> dict[str, str]:
        """End a request that took so long; returns what the reply says of the remaining room."""
        with self._lock:
            self._busy -= 1
            self._count(seconds)
            calls = (self.figures.requests or PUBLISHED.requests or 0) - len(self._seen)
            time = (self.figures.seconds or PUBLISHED.seconds or 0) - self._spent
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(calls, 0)),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{max(time, 0):.2f}",
        }

    def _count(self, seconds: float) -> None:
        self._forget()
        self._seen.append((self._clock.now(), seconds))
        self._spent += seconds

    def _forget(self) -> None:
        now = self._clock.now()
        while self._seen and (now - self._seen[0][0]).total_seconds() > self.figures.window:
            self._spent -= self._seen.popleft()[1]

    def _refusal(self) -> Reply | None:
        figures, window = self.figures, self.figures.window
        if figures.concurrent is not None and self._busy >= figures.concurrent:
            return self._refused(
                "0x80072326", f"Number of concurrent requests exceeded the limit of {figures.concurrent}.", 1
            )
        if figures.requests is not None and len(self._seen) >= figures.requests:
            over = f"over time window of {window:g} seconds."
            text = f"Number of requests exceeded the limit of {figures.requests} {over}"
            return self._refused("0x80072322", text, self._wait(len(self._seen) - figures.requests))
        if figures.seconds is not None and self._spent >= figures.seconds:
            limit = f"{figures.seconds * 1000:,.0f} milliseconds over time window of {window:g} seconds"
            text = (
                f"Combined execution time of incoming requests exceeded limit of {limit}. Decrease number of concurrent"
                " requests or reduce the duration of requests and try again later."
            )
            return self._refused("0x80072321", text, self._wait(self._surplus(figures.seconds)))
        return None

    def _surplus(self, limit: float) -> int:
        """How many of the oldest requests must leave the window, but the last of them, for time to be free again."""
        left = self._spent
        for number, (_, spent) in enumerate(self._seen):
            left -= spent
            if left < limit:
                return number
        return len(self._seen)

    def _wait(self, surplus: int) -> int:
        """Seconds until the window has room again: until its ``surplus`` + 1 oldest requests have left it."""
        if not self._seen:
            return 1
        oldest = self._seen[min(surplus, len(self._seen) - 1)][0]
        return max(1, math.ceil(self.figures.window - (self._clock.now() - oldest).total_seconds()))

    def _refused(self, code: str, message: str, wait: int) -> Reply:
        if self._decimal():
            code = str(int(code, 16) - 2**32)
        return Reply.json({"error": {"code": code, "message": message}}, 429, {"Retry-After": str(wait)})
