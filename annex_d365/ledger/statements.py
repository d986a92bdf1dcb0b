"""What the statements of the ledger have in common, in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

#: Values in one statement: old builds of SQLite take 999.
CHUNK = 500

_INSERT: dict[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what becomes of rows that are there."""
    return _INSERT[connection.dialect.name](table)


def write(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or write them over those with the same primary key."""
    if not rows:
        return
    keys: list[Column[Any]] = list(table.primary_key)
    # All processes lock rows in the same order, so that none waits in a circle.
    rows.sort(key=lambda row: [row[key.name] for key in keys])
    statement = insert_into(connection, table)
    others = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)
