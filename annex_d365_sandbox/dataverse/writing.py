"""Creates, updates, upserts and deletes of rows, with their conditions (Dataverse page 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import duplicates, errors, payload, schema, values
from annex_d365_sandbox.dataverse.addresses import Address
from annex_d365_sandbox.dataverse.derived import USER_ID
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Table

_ETAG = re.compile(r'(?:W/)?"(\d+)"')
_NO_HEADERS: Mapping[str, str] = {}


class Writer:
    """Writes rows of one organisation. Every method raises ``DataverseError`` where the service would refuse."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation

    def create(self, table: Table, body: Any, headers: Mapping[str, str] = _NO_HEADERS) -> str:
        """Add a row; returns its id."""
        columns = self.new_row(table, body)
        if duplicates.wanted(headers):
            duplicates.check(self._organisation, table, columns, None)
        return self._organisation.create(table.logical_name, columns)

    def new_row(self, table: Table, body: Any, key: Mapping[str, Any] = _NO_HEADERS) -> dict[str, Any]:
        """The columns of a row to be created; those of the key win over the body's."""
        self.check_privilege(table, "Create")
        columns = {**payload.columns_of(self._organisation, table, body, creating=True), **_checked(table, key)}
        payload.check_status(table, None, columns)
        return columns

    def upsert(self, address: Address, body: Any, headers: Mapping[str, str] = _NO_HEADERS) -> tuple[str, bool]:
        """Change a row or, unless ``If-Match`` forbids it, create it; returns its id and whether it was created."""
        with self._organisation.store.transaction():
            row = address.find(self._organisation)
            _check_conditions(address, row, headers)
            if row is None:
                columns = self.new_row(address.table, body, address.key)
                if duplicates.wanted(headers):
                    duplicates.check(self._organisation, address.table, columns, None)
                return self._organisation.create(address.table.logical_name, columns), True
            return self._update(address, row, body, headers), False

    def update(self, address: Address, body: Any) -> str:
        """Change a row that must be there; returns its id."""
        return self.upsert(address, body, {"if-match": "*"})[0]

    def _update(self, address: Address, row: Mapping[str, Any], body: Any, headers: Mapping[str, str]) -> str:
        table, row_id = address.table, str(row[address.table.primary_id])
        self.check_privilege(table, "Write")
        columns = payload.columns_of(self._organisation, table, body, creating=False)
        for name in (table.primary_id, *address.key):  # what a row is addressed by does not change with it
            columns.pop(name, None)
        payload.check_status(table, row, columns)
        if duplicates.wanted(headers):
            duplicates.check(self._organisation, table, columns, row_id)
        self._organisation.update(table.logical_name, row_id, columns)
        return row_id

    def delete(self, address: Address, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Remove a row."""
        self.check_privilege(address.table, "Delete")
        with self._organisation.store.transaction():
            row = address.find(self._organisation)
            if row is None:
                raise address.missing()
            _check_conditions(address, row, headers)
            self._organisation.delete(address.table.logical_name, str(row[address.table.primary_id]))

    def check_privilege(self, table: Table, verb: str) -> None:
        """The user must be allowed to ``Create``, ``Write`` or ``Delete`` rows of the table."""
        if table.logical_name in self._organisation.switches.unwritable_tables:
            raise errors.missing_privilege(table, USER_ID, verb)


def _checked(table: Table, key: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of a key, as far as the columns take them: a row may be looked for by any."""
    for name, value in key.items():
        attribute = table.by_name[name]
        scaled = attribute.kind in schema.SCALED
        values.parse(table, attribute, values.decimal(attribute, value) if scaled else value)
    return key


def _check_conditions(address: Address, row: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
    if_match = headers.get("if-match")
    if row is None:
        if if_match is not None:
            raise address.missing()
        return
    if headers.get("if-none-match") == "*":
        raise errors.duplicate_row()
    if if_match in (None, "*"):
        return
    match = _ETAG.fullmatch(if_match or "")
    if not match:
        raise errors.bad_version()
    if int(match[1]) != row["versionnumber"]:
        raise errors.stale_version()
