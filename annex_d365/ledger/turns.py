"""What one process at a time may do, because it can neither be repeated nor taken back.

A turn is a transaction that stays open, on a connection of its own: with an advisory lock in PostgreSQL; in SQLite of a
file next to the ledger's, because it would hold off what its own run writes into the ledger, too. It ends with its
process, whatever ends that: there is no lease that a slow process could outlive, or that the next one would sit out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from annex_d365.errors import ConnectorError
from annex_d365.ledger.database import Database, open_lock
from annex_d365.ledger.faults import LockedError

logger = logging.getLogger(__name__)

#: How often to wait for one's turn, a minute each (``PATIENCE`` in database.py).
WAITS = 15


class Turn:
    """Held for the time of a block. Safe for threads.

    Args:
        connection: whose transaction it is; None if nothing is locked, because nothing will be done.
    """

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._over = False

    def held(self) -> bool:
        """Whether it is not over: neither the block, nor the connection to the server."""
        with self._lock:
            if not self._over and self._connection is not None and self._connection.dialect.name == "postgresql":
                try:
                    self._connection.exec_driver_sql("SELECT 1")
                except SQLAlchemyError:
                    self._over = True
            return not self._over

    def check(self) -> None:
        """To be asked before each thing that must not be done twice.

        Raises:
            ConnectorError: the turn is over.
        """
        if not self.held():
            raise ConnectorError("The ledger lost its lock, and another run may have taken it: run again.")

    def end(self) -> None:
        """Threads that are still at work do nothing more."""
        with self._lock:
            self._over = True


@contextmanager
def take_turn(url: str, site: str, object_name: str) -> Iterator[Turn]:
    """Wait until no other process has this turn, and have it for the time of the block.

    Args:
        url: of the ledger.
        site: whose turn it is; in SQLite, one turn is for all sites and objects.
        object_name: what its rows become.

    Raises:
        ConnectorError: others had it all the time, or the database fails.
    """
    with closing(open_lock(url)) as database, ExitStack() as stack:
        turn = Turn(_wait(stack, database, site, object_name))
        stack.callback(turn.end)
        yield turn


def _wait(stack: ExitStack, database: Database, site: str, object_name: str) -> Connection:
    for _ in range(WAITS):
        with suppress(LockedError):
            return stack.enter_context(database.writing("turn", site, object_name))
        logger.info("Another run with this ledger is writing %s; waiting for it.", object_name)
    raise ConnectorError(
        f"Another run with this ledger has been writing {object_name} for {WAITS} minutes: run again when it has ended."
    )
