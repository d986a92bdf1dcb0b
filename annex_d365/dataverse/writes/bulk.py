"""Bulk messages: many rows by one request, all or none of them (Dataverse page 5.3)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Hashable, Mapping
from itertools import islice

import msgspec
import requests

from annex_d365.dataverse.errors import details
from annex_d365.dataverse.writes.batches import BATCH_ROWS, MAX_REFUSALS, Batches
from annex_d365.dataverse.writes.calls import TOO_LARGE, Calls, Reply, TooMuchError
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.forms import target
from annex_d365.dataverse.writes.operations import Effect, Guid, Kind, Written
from annex_d365.dataverse.writes.sizes import Size
from annex_d365.dataverse.writes.tasks import Result, Task, clean
from annex_d365.errors import ConnectorError, ServiceError

logger = logging.getLogger(__name__)

#: The largest body that every service is expected to take; the limit is UNCONFIRMED.
MAX_BODY_BYTES = 16 * 1024 * 1024

MESSAGES = {Kind.CREATE: "CreateMultiple", Kind.UPDATE: "UpdateMultiple", Kind.UPSERT: "UpsertMultiple"}
_EFFECTS = {Kind.CREATE: Effect.CREATED, Kind.UPDATE: Effect.UPDATED, Kind.UPSERT: Effect.UPSERTED}
#: The table has no such message, whatever metadata says.
_UNSUPPORTED_CODES = frozenset({"0x80100008", "0x80060888"})
_UNSUPPORTED_STATUSES = frozenset({requests.codes.method_not_allowed, requests.codes.not_implemented})


class Bulk:
    """One bulk message of a table, and what is learnt about it. A call that fails is sent again as batches.

    Args:
        calls: sends.
        definition: of the table.
        kind: what is done to the rows.
        batches: for what the message does not take; they name the bad row.
        limit: most rows of a call.
    """

    def __init__(self, calls: Calls, definition: TableDefinition, kind: Kind, batches: Batches, limit: int) -> None:
        self._calls, self._definition, self._kind, self._batches = calls, definition, kind, batches
        self._health = batches.health
        self._size = Size(limit)
        # Below it a batch needs no more requests than calls, and tells more.
        self._least = min(limit, BATCH_ROWS)
        self._supported = True
        self._needless = 0

    @property
    def rows(self) -> int:
        """Rows of a call, now; those of a batch where calls are none of its strengths."""
        return max(self._size.rows, self._least) if self._supported else self._least

    def send(self, tasks: Mapping[Hashable, Task], results: dict[Hashable, Result]) -> None:
        """As in :class:`~annex_d365.dataverse.writes.tasks.Way`."""
        rest = dict(tasks)
        while rest:
            together = {name: rest[name] for name in islice(rest, self.rows)}
            if not self._supported or self._size.rows < self._least or len(together) == 1:
                if self._by_batches(together, results):
                    self._size.worked(len(together))
            else:
                try:
                    self._together(together, results)
                except TooMuchError as failure:
                    self._size.failed(len(together))
                    rest |= {name: task.doubted(in_doubt=failure.in_doubt) for name, task in together.items()}
                    continue
            for name in together:
                del rest[name]

    def _by_batches(self, tasks: Mapping[Hashable, Task], results: dict[Hashable, Result]) -> bool:
        self._batches.send(tasks, results)
        return clean(results[name] for name in tasks)

    def _together(self, tasks: Mapping[Hashable, Task], results: dict[Hashable, Result]) -> None:
        reply = self._post(tasks.values())
        if reply.ok:
            self._size.worked(len(tasks))
            self._needless = 0
            self._health.worked()
            ids = reply.content or [""] * len(tasks)
            results.update(
                (name, self._written(task, row_id)) for (name, task), row_id in zip(tasks.items(), ids, strict=True)
            )
            return
        if reply.status == TOO_LARGE:
            raise TooMuchError(in_doubt=reply.in_doubt)
        supported = not self._lacks(reply)
        error = reply.error
        if supported and not isinstance(error, ServiceError):
            raise error
        doubted = {name: task.doubted(in_doubt=reply.in_doubt) for name, task in tasks.items()}
        if not self._by_batches(doubted, results) and supported:
            self._size.failed(len(tasks))
            self._needless = 0
        else:
            self._needless += 1
            if not supported or self._needless == MAX_REFUSALS:
                self._give_up(error)

    def _post(self, tasks: Collection[Task]) -> Reply:
        targets = [target(task.operation, self._definition) for task in tasks]
        body = b'{"Targets":[' + b",".join(targets) + b"]}"
        if len(body) > MAX_BODY_BYTES:
            raise TooMuchError(in_doubt=False)

        def read(response: requests.Response) -> list[str]:
            decoded = msgspec.json.decode(response.content) if response.content else None
            ids = decoded.get("Ids", []) if isinstance(decoded, dict) else []
            if ids and len(ids) != len(tasks):
                raise ValueError("not one id for each row")
            return ids

        path = f"{self._definition.entity_set}/Microsoft.Dynamics.CRM.{MESSAGES[self._kind]}"
        return self._calls.send("POST", path, f"POST /{path}", body, check=read, divisible=True)

    def _written(self, task: Task, row_id: str) -> Written:
        key = task.operation.key
        return Written(_EFFECTS[self._kind], key.value.lower() if isinstance(key, Guid) else row_id.lower())

    def _lacks(self, reply: Reply) -> bool:
        code = details(reply.response)[0].lower()
        return reply.status in _UNSUPPORTED_STATUSES or code in _UNSUPPORTED_CODES

    def _give_up(self, error: ConnectorError) -> None:
        if self._supported:
            logger.warning("%s Batches are sent instead from now on.", error)
        self._supported = False
