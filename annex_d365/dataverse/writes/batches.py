"""``$batch``, in which each request has an answer of its own (Dataverse page 5.2)."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence

import requests

from annex_d365.dataverse.batch import Part, batch, replies
from annex_d365.dataverse.writes.calls import TOO_LARGE, Calls, Reply, TooMuchError
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.forms import form
from annex_d365.dataverse.writes.sizes import Size
from annex_d365.dataverse.writes.tasks import Result, Singles, Task
from annex_d365.errors import OutageError, ServiceError
from annex_d365.retry import IN_DOUBT, MAX_TRIES, NOT_STARTED, PATIENCE_SECONDS, pause, retry_after

logger = logging.getLogger(__name__)

#: Rows of a batch: more are handled one after the other, in one request that must end in two minutes.
BATCH_ROWS = 100
#: After so many batches in a row that were refused as a whole no more are tried.
MAX_REFUSALS = 3

_Numbered = tuple[int, Task]


class Batches:
    """Many rows per request. What the service had no time for is sent once more, and nothing else.

    Args:
        calls: sends.
        definition: of the table.
        singles: for single rows, and for what no batch takes.
        limit: most rows of a batch.
    """

    def __init__(self, calls: Calls, definition: TableDefinition, singles: Singles, limit: int) -> None:
        self._calls, self._definition, self._singles = calls, definition, singles
        self._size = Size(min(limit, BATCH_ROWS))
        self._refusals = 0

    def send(self, tasks: Sequence[Task]) -> list[Result]:
        """As in :class:`~annex_d365.dataverse.writes.tasks.Way`."""
        results: dict[int, Result] = {}
        waiting = deque(enumerate(tasks))
        while waiting:
            together = [waiting.popleft() for _ in range(min(len(waiting), self._size.rows))]
            if len(together) == 1 or self._refusals >= MAX_REFUSALS:
                results.update(self._alone(together))
            else:
                waiting.extendleft(reversed(self._together(together, results)))
        return [results[number] for number in range(len(tasks))]

    def _together(self, tasks: Sequence[_Numbered], results: dict[int, Result]) -> list[_Numbered]:
        """Send one batch; returns what is to be sent once more."""
        try:
            reply = self._post([task for _, task in tasks])
        except TooMuchError as failure:
            self._size.failed(len(tasks))
            return [(number, task.doubted(in_doubt=failure.in_doubt)) for number, task in tasks]
        if not reply.ok:
            return self._refused(tasks, results, reply)
        self._refusals = 0
        again: list[_Numbered] = []
        failures: list[Reply] = []
        for (number, task), part in zip(tasks, reply.content, strict=True):
            answer = Reply(
                part, reply.in_doubt, f"the {task.operation.kind.value} of a row of {self._definition.entity_set}"
            )
            if part.status_code in NOT_STARTED | IN_DOUBT:
                failures.append(answer)
                again.append((number, _failed(task, answer)))
            else:
                results[number] = self._singles.judge(task, answer)
        if failures:
            self._pause(failures, max(task.failures for _, task in again))
        else:
            self._size.worked(len(tasks))
        return again

    def _post(self, tasks: Sequence[Task]) -> Reply:
        body, content_type = batch(self._part(task) for task in tasks)

        def read(response: requests.Response) -> list[requests.Response]:
            answers = replies(response)
            if len(answers) != len(tasks):
                raise ValueError("not one answer for each request")
            return answers

        headers = {"Content-Type": content_type, "Prefer": "odata.continue-on-error"}
        return self._calls.send("POST", "$batch", "POST /$batch", body, headers, check=read, divisible=True)

    def _part(self, task: Task) -> Part:
        made = form(task.operation, self._definition)
        headers = {**self._calls.headers, **made.headers}
        if made.body:
            headers["Content-Length"] = str(len(made.body))
        return Part(made.method, f"{self._calls.root}{made.url}", headers, made.body)

    def _refused(self, tasks: Sequence[_Numbered], results: dict[int, Result], reply: Reply) -> list[_Numbered]:
        """The service takes no such batch: fewer rows may do, or each alone."""
        error = reply.error
        if reply.status == TOO_LARGE:
            self._size.failed(len(tasks))
            return [(number, task.doubted(in_doubt=reply.in_doubt)) for number, task in tasks]
        if not isinstance(error, ServiceError):
            raise error
        self._refusals += 1
        if self._refusals == MAX_REFUSALS:
            logger.warning("%s Rows are sent one by one from now on.", error)
        results.update(self._alone(tasks, in_doubt=reply.in_doubt))
        return []

    def _alone(self, tasks: Sequence[_Numbered], *, in_doubt: bool = False) -> Iterator[tuple[int, Result]]:
        for number, task in tasks:
            yield number, self._singles.send([task.doubted(in_doubt=in_doubt)])[0]

    def _pause(self, failures: Sequence[Reply], tries: int) -> None:
        throttled = [each for each in failures if each.status in NOT_STARTED]
        asked = [retry_after(each.response.headers, time.time()) or 0.0 for each in failures]
        wait = pause(tries, max(asked))
        logger.warning(
            "%s So it was with %d rows of a batch; these are sent again in %.1f s.",
            failures[0].error, len(failures), wait,
        )  # fmt: skip
        if throttled:
            self._calls.gate.pause(wait)
        else:
            self._calls.gate.sleep(wait)


def _failed(task: Task, answer: Reply) -> Task:
    """The task after an answer that it was not done, or may not have been.

    Raises:
        OutageError: that has been so for too long.
    """
    now = time.monotonic()
    since = task.failing_since or now
    failures = task.failures + 1
    throttled = answer.status in NOT_STARTED
    if now - since > PATIENCE_SECONDS or (failures >= MAX_TRIES and not throttled):
        raise OutageError(f"{answer.error} Gave up after {failures} tries.", status=answer.status)
    in_doubt = task.in_doubt or answer.in_doubt or not throttled
    return Task(task.operation, in_doubt, failures, since)
