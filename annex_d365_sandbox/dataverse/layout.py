"""Tables as SQLite has them: their statements, and how alternate keys are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Attribute, Key, Table

#: Columns that queries sort and filter by most.
_INDEXED = ("modifiedon", "createdon", "versionnumber", "emailaddress1", "cr0dd_loyaltyid")


def creation(table: Table) -> Iterator[str]:
    """The statements that make a table with its indexes, where they are not there yet."""
    name = table.logical_name
    body = ",".join(f"{column} {kind}" for column, kind in table.sql_columns.items())
    yield f"CREATE TABLE IF NOT EXISTS {name} ({body}, PRIMARY KEY ({table.primary_id})) WITHOUT ROWID"
    for attribute in (table.by_name[name] for name in _INDEXED if name in table.by_name):
        column, text = attribute.name, attribute.kind in schema.TEXTS
        collation = " COLLATE NOCASE" if text else ""
        yield f"CREATE INDEX IF NOT EXISTS {name}_{column} ON {name} ({column}{collation}, {table.primary_id})"
        if text:  # what is not ASCII is compared otherwise (see ``filters.text_comparison``)
            yield f"CREATE INDEX IF NOT EXISTS {name}_{column}__folded ON {name} ({compared(attribute)})"
    for key in table.keys:
        if key.status == "Active":
            yield key_index(table, key)


def alteration(before: Table, after: Table) -> Iterator[str]:
    """The statements that make a table of ``before`` one of ``after``."""
    name = after.logical_name
    for key in before.keys:
        if key not in after.keys:
            yield f"DROP INDEX IF EXISTS {index_name(after, key)}"
    for column in before.sql_columns.keys() - after.sql_columns.keys():
        yield f"DROP INDEX IF EXISTS {name}_{column}"
        yield f"DROP INDEX IF EXISTS {name}_{column}__folded"
        yield f"ALTER TABLE {name} DROP COLUMN {column}"
    for column, kind in after.sql_columns.items():
        if column not in before.sql_columns:
            yield f"ALTER TABLE {name} ADD COLUMN {column} {kind}"
    for key in after.keys:
        if key not in before.keys and key.status == "Active":
            yield key_index(after, key)


def key_index(table: Table, key: Key) -> str:
    """The statement that makes the unique index behind a key; rows with a null in it are not compared."""
    terms = ",".join(compared(table.by_name[name]) for name in key.attributes)
    return f"CREATE UNIQUE INDEX IF NOT EXISTS {index_name(table, key)} ON {table.logical_name} ({terms})"


def index_name(table: Table, key: Key) -> str:
    """The name of the index behind a key."""
    return f"key_{table.logical_name}__{key.logical_name}"


def compared(attribute: Attribute, operand: str = "") -> str:
    """A column, or the operand that it is compared with: case does not count in text."""
    term = operand or attribute.name
    return f"d365_fold({term})" if attribute.kind in schema.TEXTS else term


def matches(attributes: Sequence[Attribute]) -> str:
    """The condition that columns have given values."""
    return " AND ".join(f"{compared(a)} = {compared(a, '?')}" for a in attributes)
