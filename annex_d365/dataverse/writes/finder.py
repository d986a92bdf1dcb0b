"""Finds the rows of keys."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import requests

from annex_d365.dataverse.query import Query
from annex_d365.dataverse.writes.addresses import address, condition, identity
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import AlternateKey, Guid, Key, Operation

# Numbers with a fraction stay exact.
_exact = msgspec.json.Decoder(float_hook=Decimal)


class Finder:
    """Finds rows of a table by their keys. Safe for threads. A key in a query may hold any sign, in an address not."""

    def __init__(self, calls: Calls, definition: TableDefinition) -> None:
        self._calls, self._definition = calls, definition

    def find(self, key: Key) -> str:
        """The GUID of the row; "" if there is none.

        Raises:
            ConnectorError: the service refuses to tell.
        """
        name, entity_set = self._definition.primary_id, self._definition.entity_set
        if isinstance(key, Guid):
            row = self._get(f"{address(entity_set, key)}?$select={name}")
            return str(row[name]).lower() if row else ""
        rows = self._rows([key], ())
        return str(rows[0][name]).lower() if rows else ""

    def of(self, operation: Operation) -> str:
        """The GUID of the row that an operation is for, as in :meth:`find`."""
        return self.find(operation.key) if operation.key else ""

    def find_together(self, keys: Sequence[AlternateKey]) -> list[str]:
        """As :meth:`find`, for keys over the same columns, by one query.

        Raises:
            ConnectorError: the service refuses to tell.
        """
        names = tuple(keys[0].values)
        found = {
            identity(AlternateKey({name: row[name] for name in names})): str(row[self._definition.primary_id]).lower()
            for row in self._rows(keys, names)
        }
        wanted = [identity(key) for key in keys]
        # What else the service takes for equal (accents, say) is its own affair: it is asked for by itself.
        unclear = not found.keys() <= set(wanted)
        return [found.get(text) or (self.find(key) if unclear else "") for key, text in zip(keys, wanted, strict=True)]

    def _rows(self, keys: Sequence[AlternateKey], names: Sequence[str]) -> list[Any]:
        any_of = " or ".join(f"({condition(key)})" for key in keys) if len(keys) > 1 else condition(keys[0])
        select = list(dict.fromkeys([self._definition.primary_id, *names]))
        rows = self._get(Query(self._definition.entity_set, select, any_of).url)
        return list(rows["value"]) if rows else []

    def _get(self, url: str) -> Any:
        reply = self._calls.send("GET", url, f"GET /{self._definition.entity_set}", check=_decode)
        if reply.status == requests.codes.not_found:
            return None
        if not reply.ok:
            raise reply.error
        return reply.content


def _decode(response: requests.Response) -> Any:
    return _exact.decode(response.content)
