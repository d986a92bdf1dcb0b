"""Creates, updates, upserts and deletes of single rows, with their conditions (Dataverse page 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.payload import columns_of
from annex_d365_sandbox.dataverse.schema import Table

_ETAG = re.compile(r'(?:W/)?"(\d+)"')


class Writer:
    """Writes rows of one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation

    def create(self, table: Table, body: Any) -> str:
        """Add a row; returns its id. Raises ``DataverseError``."""
        return self._organisation.create(table.logical_name, columns_of(self._organisation, table, body, creating=True))

    def upsert(self, table: Table, row_id: str, body: Any, headers: Mapping[str, str]) -> bool:
        """Change a row or, unless ``If-Match`` forbids it, create it; returns whether it was created.

        Raises:
            DataverseError: a condition fails or a value does not fit.
        """
        with self._organisation.store.transaction():
            row = self._organisation.get(table.logical_name, row_id)
            self._check(table, row_id, row, headers)
            columns = columns_of(self._organisation, table, body, creating=row is None)
            if row is None:
                self._organisation.create(table.logical_name, {**columns, table.primary_id: row_id})
                return True
            columns.pop(table.primary_id, None)
            self._organisation.update(table.logical_name, row_id, columns)
            return False

    def delete(self, table: Table, row_id: str, headers: Mapping[str, str]) -> None:
        """Remove a row. Raises ``DataverseError``."""
        with self._organisation.store.transaction():
            self._check(table, row_id, self._organisation.get(table.logical_name, row_id), headers)
            self._organisation.delete(table.logical_name, row_id)

    def _check(self, table: Table, row_id: str, row: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
        if_match = headers.get("if-match", "")
        if row is None:
            if if_match:
                raise errors.missing_row(table, row_id)
        elif headers.get("if-none-match") == "*":
            raise errors.duplicate_row()
        elif (match := _ETAG.fullmatch(if_match)) and int(match[1]) != row["versionnumber"]:
            raise errors.stale_version()
