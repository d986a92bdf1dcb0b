"""Rows into a table, as fast as it takes them (Dataverse pages 5, 6)."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait

from annex_d365 import relay
from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.writes.batches import BATCH_ROWS, Batches
from annex_d365.dataverse.writes.bulk import MESSAGES, Bulk
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.finder import Finder
from annex_d365.dataverse.writes.lookups import Lookups, bare
from annex_d365.dataverse.writes.operations import Effect, Kind, Operation, WriteOptions, Written
from annex_d365.dataverse.writes.preparation import deduplicated, reachable
from annex_d365.dataverse.writes.tasks import Result, Singles, Task, Way

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
        self._lookups = Lookups(calls, definition)
        singles = Singles(calls, definition, self._finder.of)
        batches = Batches(calls, definition, singles, options.max_batch)
        self._plain: Way = batches
        self._rows = min(BATCH_ROWS, options.max_batch)
        if options.way == "single":
            self._plain, self._rows = singles, SINGLE_ROWS
        self._bulk = {
            kind: Bulk(calls, definition, kind, batches, options.max_batch)
            for kind, message in MESSAGES.items()
            if options.way == "bulk" or (options.way == "auto" and message in definition.messages)
        }

    def write(self, operations: Sequence[Operation], executor: Executor) -> list[Result]:
        """As :meth:`written`; what became of each, in their order."""
        told = dict(self.written(operations, executor))
        return [told[number] for number in range(len(operations))]

    def written(self, operations: Sequence[Operation], executor: Executor) -> Iterator[tuple[int, Result]]:
        """Carry out all operations.

        Two operations for the same row are one: see :func:`~annex_d365.dataverse.writes.preparation.deduplicated`.

        Args:
            operations: what to do, in any order: they are not carried out one after the other.
            executor: runs requests; this must not be called from one of its own threads.

        Yields:
            Number of an operation, and what became of it. If an error stops the others, those that have an answer come
            first; then it is raised.

        Raises:
            ConnectorError: other than for a row; some operations may have been carried out. All may be repeated.
        """
        known = self._lookups.known
        refused: list[int] = []
        for number, result in self._sent(self._lookups.sent(operations), executor):
            if self._lookups.suspicious(operations[number], result):
                refused.append(number)
            else:
                yield number, self._lookups.finish(operations[number], result) if known else result
        for place, result in self._sent([bare(operations[number]) for number in refused], executor):
            if isinstance(result, Written):
                self._lookups.blame()
            yield refused[place], self._lookups.finish(operations[refused[place]], result)

    def _sent(self, operations: Sequence[Operation], executor: Executor) -> Iterator[tuple[int, Result]]:
        kept, keys = deduplicated(operations, self._definition)
        ready = reachable(kept, self._definition, self._finder, executor)
        results: dict[Hashable, Result] = {
            identity: Written(Effect.MISSING) for identity, operation in ready.items() if operation is None
        }
        found = {identity: operation for identity, operation in ready.items() if operation}
        futures = [
            executor.submit(way.send, {identity: Task(found[identity]) for identity in identities}, results)
            for way, identities in self._shares(found)
        ]
        failure = _finish(futures)
        yield from ((number, results[identity]) for number, identity in enumerate(keys) if identity in results)
        if failure:
            raise failure

    def _shares(self, operations: Mapping[Hashable, Operation]) -> Iterator[tuple[Way, Sequence[Hashable]]]:
        """Operations as they are sent together, and how."""
        alike: dict[tuple[Kind, bool], list[Hashable]] = {}
        for key, operation in operations.items():
            alike.setdefault((operation.kind, bool(operation.etag)), []).append(key)
        order = list(Kind)
        for kind, versioned in sorted(alike, key=lambda each: (order.index(each[0]), each[1])):
            same = alike[kind, versioned]
            # A bulk message has no place for versions.
            bulk = None if versioned else self._bulk.get(kind)
            way: Way = bulk or self._plain
            rows = self._share(len(same), bulk.rows if bulk else self._rows)
            for start in range(0, len(same), rows):
                yield way, same[start : start + rows]

    def _share(self, count: int, most: int) -> int:
        """Rows of each task, so that all places of the gate are used; not less than makes a good request.

        Not as many as a call may have. ASSUMPTION: a call takes about as long as it has rows (2 s for 100, Dataverse
        page 6), and the service works on several at once, so that 8 calls of 250 rows are over sooner than 2 of 1,000.
        They are farther from the two minutes of a request and from SQL timeouts, too; a bad row spoils fewer others.
        """
        even = math.ceil(count / self._gate.allowed)
        return max(1, min(most, max(even, self._rows)))


def _finish(futures: Collection[Future[None]]) -> BaseException | None:
    """Wait for all. After a failure, which is returned, what has not begun does not, and what has is waited for."""
    with relay.waiting():
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
        wait(futures)
    return next((error for future in futures if not future.cancelled() and (error := future.exception())), None)
