"""Says now and then how far a stream is: a line that a person can read, for runs that take hours."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS_BETWEEN_LINES = 10.0
#: The clock is not asked for every row.
ROWS_BETWEEN_LOOKS = 100


def _now() -> float:
    return time.monotonic()


@dataclass
class Pace:
    """Counts rows, and logs a line about every ten seconds, and one at the end of a long run.

    Args:
        logger: of the stream.
        pages: replies read so far.
        throttled: seconds spent waiting so far because the service asked for it.
        total: how many rows there will be, or None where that is not cheap to know; asked once, when the first line
            is due.
    """

    logger: logging.Logger
    pages: Callable[[], int] = lambda: 0
    throttled: Callable[[], float] = lambda: 0.0
    total: Callable[[], int | None] = lambda: None
    rows: int = 0
    _started: float = field(default_factory=_now)
    _said: float = field(default_factory=_now)
    _expected: int | None = None
    _lines: int = 0

    def read(self, rows: int = 1) -> None:
        """So many rows were read."""
        before, self.rows = self.rows, self.rows + rows
        if before // ROWS_BETWEEN_LOOKS == self.rows // ROWS_BETWEEN_LOOKS:
            return
        now = _now()
        if now - self._said >= SECONDS_BETWEEN_LINES:
            if not self._lines:
                self._expected = self.total()
            self._said, self._lines = now, self._lines + 1
            self.logger.info(self.sentence(now))

    def finish(self) -> None:
        """All is read; a run that was over at once says nothing."""
        if self._lines:
            self.logger.info("Done: %s", self.sentence(_now(), done=True))

    def sentence(self, now: float, *, done: bool = False) -> str:
        """``120,000 rows (34 %), 6,000 rows/s, 24 pages, 0 s throttled``; how many there are is known by about only."""
        percent = 100 if done else min(99, self.rows * 100 // (self._expected or 1))
        share = f" ({percent} %)" if self._expected else ""
        rate = self.rows / max(0.001, now - self._started)
        throttled = self.throttled()
        return f"{self.rows:,} rows{share}, {rate:,.0f} rows/s, {self.pages():,} pages, {throttled:.0f} s throttled"
