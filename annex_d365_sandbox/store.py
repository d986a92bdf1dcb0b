"""The sandbox's memory: one SQLite database, so that a restart keeps what was there."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Store:
    """One connection behind a lock: requests are served one at a time, tests and the demo look in from outside."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self.connection = sqlite3.connect(
            str(path) if path else ":memory:",
            check_same_thread=False,
            isolation_level=None,  # transactions begin where transaction() says, not at the first write
        )
        self.connection.row_factory = sqlite3.Row
        weakref.finalize(self, self.connection.close)
        # Surviving a crash of the machine is not the sandbox's business; speed is.
        self.connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, alone; commits at the end, rolls back on an exception. May be nested."""
        with self._lock:
            if self.connection.in_transaction:
                yield self.connection
                return
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            except BaseException:
                self.connection.rollback()
                raise
            self.connection.commit()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self.connection.close()
