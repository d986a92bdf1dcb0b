"""How many rows one request takes: fewer after one that was too much, slowly more again."""

from __future__ import annotations

import threading

#: A request of full size that worked lets the next be larger by this part of it.
GROWTH = 8


class Size:
    """Rows per request. Safe for threads.

    Args:
        limit: most rows; where it begins.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._limit = self._rows = max(1, limit)

    @property
    def rows(self) -> int:
        """Rows for the next request."""
        return self._rows

    def failed(self, rows: int) -> None:
        """So many rows were too many. Requests that fail together count once."""
        with self._lock:
            self._rows = max(1, min(self._rows, rows // 2))

    def worked(self, rows: int) -> None:
        """So many rows were not too many."""
        with self._lock:
            if rows >= self._rows:
                self._rows = min(self._limit, self._rows + max(1, self._rows // GROWTH))
