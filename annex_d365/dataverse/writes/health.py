"""Whether the service fails, or only on one row: a plug-in that crashes on a row answers 500 for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import requests

from annex_d365.dataverse.errors import details
from annex_d365.dataverse.writes.calls import Reply
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import Operation
from annex_d365.errors import OutageError, RowError, ServiceError
from annex_d365.retry import MAX_TRIES

FAILURE = requests.codes.internal_server_error
#: After so many failures a row is to blame for them, if rows beside it are written.
ROW_TRIES = 5
#: So many rows may fail to the end while no other is written; more of them are an outage.
LONE_ROWS = 3


class Health:
    """What is known of the service, from the rows of one table. Safe for threads.

    Args:
        definition: of the table.
        find: as in :func:`~annex_d365.dataverse.writes.outcomes.outcome`.
    """

    def __init__(self, definition: TableDefinition, find: Callable[[Operation], str]) -> None:
        self._definition, self._find = definition, find
        self._lock = threading.Lock()
        self._worked_at = 0.0
        self._lone = 0

    def worked(self) -> None:
        """The service has written a row, or refused it for a reason."""
        with self._lock:
            self._worked_at, self._lone = time.monotonic(), 0

    def judge(
        self, operation: Operation, reply: Reply, *, failures: int, since: float, rows: int = 1
    ) -> RowError | None:
        """Whether a row is to blame.

        Args:
            operation: that fails.
            reply: the last failure.
            failures: how many there were.
            since: when the first of them was; seconds of the monotonic clock.
            rows: how many rows of the request failed.

        Returns:
            Why the row is given up; None if it is to be tried again.

        Raises:
            OutageError: the service fails.
        """
        if reply.status == FAILURE and failures >= ROW_TRIES:
            if self._worked_at >= since:
                return self._rejected(operation, reply)
            if failures >= MAX_TRIES and self._alone(rows):
                # The service answers at all.
                self._find(operation)
                return self._rejected(operation, reply)
        if failures >= MAX_TRIES:
            raise OutageError(f"{reply.error} Gave up after {failures} tries.", status=reply.status)
        return None

    def _alone(self, rows: int) -> bool:
        with self._lock:
            self._lone += 1
            return max(self._lone, rows) <= LONE_ROWS

    def _rejected(self, operation: Operation, reply: Reply) -> RowError:
        code, error = details(reply.response)[0], reply.error
        facts = ", ".join(filter(None, [str(reply.status), code]))
        return RowError(
            f"Dataverse fails each time it is to {operation.kind.value} this row of {self._definition.entity_set}, and "
            f"works otherwise ({facts}).",
            status=reply.status,
            code=code,
            request_id=error.request_id if isinstance(error, ServiceError) else "",
        )
