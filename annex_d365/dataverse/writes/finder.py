"""Finds the row of a key."""

from __future__ import annotations

from typing import Any

import msgspec
import requests

from annex_d365.dataverse.query import Query
from annex_d365.dataverse.writes.addresses import address, condition
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import Guid, Key


class Finder:
    """Finds rows of a table by their keys. Safe for threads."""

    def __init__(self, calls: Calls, definition: TableDefinition) -> None:
        self._calls, self._definition = calls, definition

    def find(self, key: Key) -> str:
        """The GUID of the row; "" if there is none. A key in a query may hold any sign, in an address not.

        Raises:
            ConnectorError: the service refuses to tell.
        """
        name, entity_set = self._definition.primary_id, self._definition.entity_set
        if isinstance(key, Guid):
            row = self._get(f"{address(entity_set, key)}?$select={name}")
            return str(row[name]).lower() if row else ""
        rows = self._get(Query(entity_set, select=(name,), filter=condition(key)).url)
        return str(rows["value"][0][name]).lower() if rows and rows["value"] else ""

    def _get(self, url: str) -> Any:
        reply = self._calls.send("GET", url, f"GET /{self._definition.entity_set}", check=_decode)
        if reply.status == requests.codes.not_found:
            return None
        if not reply.ok:
            raise reply.error
        return reply.content


def _decode(response: requests.Response) -> Any:
    return msgspec.json.decode(response.content)
