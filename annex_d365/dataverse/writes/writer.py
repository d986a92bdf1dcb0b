"""Rows into a table, as fast as it takes them (Dataverse pages 5, 6)."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.writes.batches import BATCH_ROWS, Batches
from annex_d365.dataverse.writes.bulk import MESSAGES, Bulk
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.finder import Finder
from annex_d365.dataverse.writes.operations import Effect, Kind, Operation, WriteOptions, Written
from annex_d365.dataverse.writes.preparation import deduplicated, reachable
from annex_d365.dataverse.writes.tasks import Result, Singles, Task, Way
from annex_d365.errors import RowError

#: Rows of a task of single requests: enough to be worth a thread's while.
SINGLE_ROWS = 10


class TableWriter:
    """Writes rows of one table. Safe for threads.

    Bulk messages where the table has them, each sent again as batches if a row spoils it; else batches; else single
    requests. How many rows a request has adapts to what the service can do.

    Args:
        dataverse: the organisation.
        definition: of the table.
        options: how to write.
    """

    def __init__(self, dataverse: Dataverse, definition: TableDefinition, options: WriteOptions) -> None:
        self._definition = definition
        self._gate = dataverse.http.gate
        calls = Calls(dataverse, options)
        self._finder = Finder(calls, definition)
        singles = Singles(calls, definition, self._find)
        batches = Batches(calls, definition, singles, options.max_batch)
        self._plain: Way = batches
        self._rows = min(BATCH_ROWS, options.max_batch)
        if options.way == "single":
            self._plain, self._rows = singles, SINGLE_ROWS
        self._bulk = {
            kind: Bulk(calls, definition, kind, batches, options.max_batch)
            for kind, message in MESSAGES.items()
            if options.way == "multiple" or (options.way == "auto" and message in definition.messages)
        }

    def write(self, operations: Sequence[Operation], executor: Executor) -> list[Written | RowError]:
        """Carry out all operations; what became of each, in their order.

        Two operations for the same row are one: see :func:`~annex_d365.dataverse.writes.preparation.deduplicated`.

        Args:
            operations: what to do, in any order: they are not carried out one after the other.
            executor: runs requests; this must not be called from one of its own threads.

        Raises:
            ConnectorError: other than for a row; some operations may have been carried out. All may be repeated.
        """
        kept, keys = deduplicated(operations, self._definition)
        ready = reachable(kept, self._definition, self._finder, executor)
        results: dict[Hashable, Result] = {
            identity: Written(Effect.MISSING) for identity, operation in ready.items() if operation is None
        }
        found = {identity: operation for identity, operation in ready.items() if operation}
        futures: dict[Future[list[Result]], Sequence[Hashable]] = {}
        for way, identities in self._shares(found):
            tasks = [Task(found[identity]) for identity in identities]
            futures[executor.submit(way.send, tasks)] = identities
        _finish(futures)
        for future, identities in futures.items():
            results.update(zip(identities, future.result(), strict=True))
        return [results[identity] for identity in keys]

    def _shares(self, operations: dict[Hashable, Operation]) -> Iterator[tuple[Way, Sequence[Hashable]]]:
        """Operations as they are sent together, and how."""
        for kind in Kind:
            # A bulk message has no place for versions.
            for versioned in (False, True):
                same = [
                    key
                    for key, operation in operations.items()
                    if operation.kind is kind and bool(operation.etag) is versioned
                ]
                bulk = None if versioned else self._bulk.get(kind)
                way: Way = bulk or self._plain
                rows = self._share(len(same), bulk.rows if bulk else self._rows)
                for start in range(0, len(same), rows):
                    yield way, same[start : start + rows]

    def _share(self, count: int, most: int) -> int:
        """Rows of each task, so that all places of the gate are used; not less than makes a good request."""
        even = math.ceil(count / self._gate.allowed)
        return max(1, min(most, max(even, self._rows)))

    def _find(self, operation: Operation) -> str:
        return self._finder.find(operation.key) if operation.key else ""


def _finish(futures: Collection[Future[list[Result]]]) -> None:
    """Wait for all. After a failure what has not begun does not, and what has is waited for."""
    wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        future.cancel()
    wait(futures)
    for future in futures:
        if not future.cancelled() and (error := future.exception()):
            raise error
