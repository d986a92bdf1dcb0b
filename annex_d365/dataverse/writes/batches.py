"""``$batch``, in which each request has an answer of its own (Dataverse page 5.2)."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence

import requests

from annex_d365.dataverse.batch import Part, batch, replies
from annex_d365.dataverse.writes.calls import TOO_LARGE, Calls, Reply, TooMuchError
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.forms import form
from annex_d365.dataverse.writes.sizes import Size
from annex_d365.dataverse.writes.tasks import Result, Singles, Task
from annex_d365.errors import OutageError, ServiceError
from annex_d365.retry import IN_DOUBT, NOT_STARTED, PATIENCE_SECONDS, pause, retry_after

logger = logging.getLogger(__name__)

#: Rows of a batch: more are handled one after the other, in one request that must end in two minutes.
BATCH_ROWS = 100
#: After so many batches in a row that were refused as a whole no more are tried.
MAX_REFUSALS = 3

_Named = tuple[Hashable, Task]


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
        #: What rows tell of the service.
        self.health = singles.health
        self._size = Size(min(limit, BATCH_ROWS))
        self._refusals = 0

    def send(self, tasks: Mapping[Hashable, Task], results: dict[Hashable, Result]) -> None:
        """As in :class:`~annex_d365.dataverse.writes.tasks.Way`."""
        waiting = deque(tasks.items())
        while waiting:
            together = [waiting.popleft() for _ in range(min(len(waiting), self._size.rows))]
            if len(together) == 1 or self._refusals >= MAX_REFUSALS:
                self._singles.send(dict(together), results)
            else:
                waiting.extendleft(reversed(self._together(together, results)))

    def _together(self, tasks: Sequence[_Named], results: dict[Hashable, Result]) -> list[_Named]:
        """Send one batch; returns what is to be sent once more."""
        try:
            reply = self._post([task for _, task in tasks])
        except TooMuchError as failure:
            self._size.failed(len(tasks))
            return [(name, task.doubted(in_doubt=failure.in_doubt)) for name, task in tasks]
        if not reply.ok:
            return self._refused(tasks, results, reply)
        self._refusals = 0
        failed: list[tuple[Hashable, Task, Reply]] = []
        since = time.monotonic()
        for (name, task), part in zip(tasks, reply.content, strict=True):
            answer = Reply(
                part, reply.in_doubt, f"the {task.operation.kind.value} of a row of {self._definition.entity_set}"
            )
            if part.status_code in NOT_STARTED | IN_DOUBT:
                doubt = answer.in_doubt or part.status_code not in NOT_STARTED
                failed.append((name, task.failed(1, since, in_doubt=doubt), answer))
            else:
                results[name] = self._singles.judge(task, answer)
        if not failed:
            self._size.worked(len(tasks))
        return self._again(failed, results)

    def _again(self, failed: Sequence[tuple[Hashable, Task, Reply]], results: dict[Hashable, Result]) -> list[_Named]:
        """Of the tasks that failed, those that are to be sent once more, after a pause."""
        again = []
        for name, task, answer in failed:
            if time.monotonic() - task.failing_since > PATIENCE_SECONDS:
                raise OutageError(f"{answer.error} Gave up after {task.failures} tries.", status=answer.status)
            throttled = answer.status in NOT_STARTED
            error = (
                None
                if throttled
                else self.health.judge(
                    task.operation, answer, failures=task.failures, since=task.failing_since, rows=len(failed)
                )
            )
            if error:
                results[name] = error
            else:
                again.append((name, task))
        if again:
            self._pause([answer for _, _, answer in failed], max(task.failures for _, task in again))
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

    def _refused(self, tasks: Sequence[_Named], results: dict[Hashable, Result], reply: Reply) -> list[_Named]:
        """The service takes no such batch: fewer rows may do, or each alone."""
        error = reply.error
        if reply.status == TOO_LARGE:
            self._size.failed(len(tasks))
            return [(name, task.doubted(in_doubt=reply.in_doubt)) for name, task in tasks]
        if not isinstance(error, ServiceError):
            raise error
        self._refusals += 1
        if self._refusals == MAX_REFUSALS:
            logger.warning("%s Rows are sent one by one from now on.", error)
        self._singles.send({name: task.doubted(in_doubt=reply.in_doubt) for name, task in tasks}, results)
        return []

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
