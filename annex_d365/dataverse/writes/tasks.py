"""What the ways to write share: tasks, their results, and single requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from annex_d365.dataverse.writes.calls import Calls, Reply
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.forms import form
from annex_d365.dataverse.writes.health import FAILURE, ROW_TRIES, Health
from annex_d365.dataverse.writes.operations import Effect, Operation, Written
from annex_d365.dataverse.writes.outcomes import outcome
from annex_d365.errors import RowError
from annex_d365.frozen import frozen
from annex_d365.retry import MAX_TRIES

Result = Written | RowError


@frozen
class Task:
    """An operation with a key, and what is known of earlier requests for it.

    Attributes:
        operation: what to do.
        in_doubt: whether one of them may have carried it out.
        failures: how often the service had no answer.
        failing_since: since when; seconds of the monotonic clock.
    """

    operation: Operation
    in_doubt: bool = False
    failures: int = 0
    failing_since: float = 0.0

    def doubted(self, *, in_doubt: bool = True) -> Task:
        """The task after a request that may have carried it out."""
        return replace(self, in_doubt=True) if in_doubt and not self.in_doubt else self

    def failed(self, times: int, since: float, *, in_doubt: bool) -> Task:
        """The task after so many failures, of which the first was ``since``."""
        doubt = self.in_doubt or in_doubt
        return replace(self, in_doubt=doubt, failures=self.failures + times, failing_since=self.failing_since or since)


def clean(results: Iterable[Result]) -> bool:
    """Whether each row was written: one that was not fails a whole bulk message."""
    return all(isinstance(each, Written) and each.effect not in {Effect.EXISTS, Effect.MISSING} for each in results)


class Way(Protocol):
    """Carries out tasks of one kind, each of a row of its own."""

    def send(self, tasks: Mapping[Hashable, Task], results: dict[Hashable, Result]) -> None:
        """Carry out tasks; what became of each is in ``results`` as soon as it is known.

        Raises:
            ConnectorError: other than for a row; tasks without a result may have been carried out.
        """


class Singles:
    """One request per row, one after the other: what is sent at once is told by threads.

    Args:
        calls: sends.
        definition: of the table.
        find: as in :func:`~annex_d365.dataverse.writes.outcomes.outcome`.
    """

    def __init__(self, calls: Calls, definition: TableDefinition, find: Callable[[Operation], str]) -> None:
        self._calls, self._definition, self._find = calls, definition, find
        #: What rows tell of the service.
        self.health = Health(definition, find)

    def send(self, tasks: Mapping[Hashable, Task], results: dict[Hashable, Result]) -> None:
        """As in :class:`Way`."""
        for identity, task in tasks.items():
            results[identity] = self._one(task)

    def judge(self, task: Task, reply: Reply) -> Result:
        """What the answer says of the row."""
        reply = replace(reply, in_doubt=reply.in_doubt or task.in_doubt)
        result = outcome(task.operation, reply, self._definition, self._find)
        self.health.worked()
        return result

    def _one(self, task: Task) -> Result:
        made = form(task.operation, self._definition)
        route = f"{made.method} /{self._definition.entity_set}"
        # Few tries while rows beside it may show that it is to blame; then all that an outage gets.
        tries = ROW_TRIES
        while True:
            since = time.monotonic()
            reply = self._calls.send(made.method, made.url, route, made.body, made.headers, most_failures=tries)
            if reply.status != FAILURE:
                return self.judge(task, reply)
            task = task.failed(tries, since, in_doubt=True)
            if error := self.health.judge(task.operation, reply, failures=task.failures, since=task.failing_since):
                return error
            tries = MAX_TRIES
