"""Lookups that are emptied, also where the service does not take null for it.

``"x@odata.bind": null`` is general knowledge, ``DELETE /set(id)/x/$ref`` is documented (Dataverse page 5.1). The first
needs no request of its own; where rows with it are refused and the same rows without it are not, the other is sent.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

import requests

from annex_d365.dataverse.writes.addresses import address
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import Effect, Guid, Operation, Written
from annex_d365.dataverse.writes.outcomes import refusal
from annex_d365.dataverse.writes.tasks import Result
from annex_d365.errors import RowError

_BIND = "@odata.bind"
#: After these the row may still have a lookup that was to be emptied.
_CHANGED = frozenset({Effect.UPDATED, Effect.UPSERTED})


class Lookups:
    """Empties lookups of one table. Safe for threads.

    Args:
        calls: sends.
        definition: of the table.
    """

    def __init__(self, calls: Calls, definition: TableDefinition) -> None:
        self._calls, self._definition = calls, definition
        self._lock = threading.Lock()
        self._refused = False

    def sent(self, operations: Iterable[Operation]) -> list[Operation]:
        """The operations as they are sent: without null, once that is known to be refused."""
        return [bare(each) if self._refused else each for each in operations]

    def suspicious(self, operation: Operation, result: Result) -> bool:
        """Whether null may be why a row was refused."""
        refused = isinstance(result, RowError) and result.status == requests.codes.bad_request
        return refused and not self._refused and bool(emptied(operation))

    def blame(self) -> None:
        """A row that was refused with null was written without."""
        with self._lock:
            self._refused = True

    def finish(self, operation: Operation, result: Result) -> Result:
        """Empty the lookups of a row that was written without null; what became of it."""
        if not isinstance(result, Written) or result.effect not in _CHANGED:
            return result
        where = address(self._definition.entity_set, Guid(result.id) if result.id else operation.key or Guid(""))
        for name in emptied(operation):
            for each in self._ways(name):
                route = f"DELETE /{self._definition.entity_set}/{each}/$ref"
                reply = self._calls.send("DELETE", f"{where}/{each}/$ref", route)
                if not reply.ok and reply.status != requests.codes.not_found:
                    error = refusal(operation, reply, self._definition)
                    if not isinstance(error, RowError):
                        raise error
                    return error
        return result

    def _ways(self, name: str) -> list[str]:
        """The navigation properties of a lookup: it may lead to several tables."""
        for column in self._definition.columns.values():
            ways = [each.property for each in column.lookups.values()]
            if name in ways:
                return ways
        return [name]

    @property
    def known(self) -> bool:
        """Whether null is known to be refused."""
        return self._refused


def emptied(operation: Operation) -> list[str]:
    """The navigation properties that an operation sets to null."""
    return [
        name.removesuffix(_BIND) for name, value in operation.values.items() if value is None and name.endswith(_BIND)
    ]


def bare(operation: Operation) -> Operation:
    """The operation without them."""
    if not emptied(operation):
        return operation
    values = {name: value for name, value in operation.values.items() if not (value is None and name.endswith(_BIND))}
    return replace(operation, values=values)
