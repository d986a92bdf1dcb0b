"""Tables that clients made or changed, kept beside the rows so that a restart knows them."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.store import Store


class Customized:
    """Declarations by logical name, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as db:
            db.execute("CREATE TABLE IF NOT EXISTS d365_customized (name TEXT PRIMARY KEY, declaration BLOB NOT NULL)")
            found = db.execute("SELECT declaration FROM d365_customized ORDER BY rowid").fetchall()
        self.tables = {table.logical_name: table for table in (_read(row[0]) for row in found)}

    def keep(self, table: Table) -> None:
        """Write down a table as it is now."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO d365_customized VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration",
                [table.logical_name, msgspec.json.encode(table)],
            )
        self.tables[table.logical_name] = table

    def forget(self, name: str) -> None:
        """Take a table off the list."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM d365_customized WHERE name = ?", [name])
        self.tables.pop(name, None)


def _read(declaration: bytes) -> Table:
    """A table with the kinds of this program, which are compared by identity."""
    table = msgspec.json.decode(declaration, type=Table)
    attributes = tuple(a.but(kind=schema.KINDS[a.kind.type_name, a.kind.edm]) for a in table.attributes)
    return replace(table, attributes=attributes)
