"""What the statements of the ledger have in common, in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Dialect, Table, TypeDecorator, inspect
from sqlalchemy.types import TypeEngine

from annex_d365.ledger.tables import encode_text, metadata

#: Values in one statement: old builds of SQLite take 999.
CHUNK = 500

_Convert = Callable[[Any], Any]


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT that can say what becomes of rows that are there."""
    # Loaded is only the dialect that is in use: PostgreSQL's takes a twentieth of the time to start.
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def write(connection: Connection, table: Table, rows: Collection[Mapping[str, Any]]) -> None:
    """Insert rows, or write them over those with the same primary key."""
    names = [column.name for column in table.columns]
    given = [name for name in names if any(name in row for row in rows)]
    write_tuples(connection, [table.c[name] for name in given], [tuple(row[name] for name in given) for row in rows])


def write_tuples(connection: Connection, columns: Sequence[Column[Any]], rows: Sequence[tuple[Any, ...]]) -> None:
    """As :func:`write`, for the values of these columns: what the driver takes, without an object for each value."""
    if not rows:
        return
    converted = [
        _converted(convert, values)
        for convert, values in zip(_binders(connection, columns), zip(*rows, strict=True), strict=True)
    ]
    table = columns[0].table
    names = [column.name for column in columns]
    places = [names.index(key.name) for key in table.primary_key]
    # All processes lock rows in the same order, so that none waits in a circle.
    sorted_rows = sorted(zip(*converted, strict=True), key=itemgetter(*places))
    connection.exec_driver_sql(_upsert(connection.dialect, tuple(columns)), sorted_rows)


def find(
    connection: Connection, columns: Sequence[Column[Any]], where: Mapping[str, str], name: str, values: Iterable[str]
) -> Iterator[tuple[Any, ...]]:
    """Columns of the rows that have one of these values in a column, in as many statements as it takes."""
    table, dialect = columns[0].table, connection.dialect
    readers = [_reader(dialect, column) for column in columns]
    *binders, bind = _binders(connection, [table.c[each] for each in (*where, name)])
    fixed = [each(value) if each else value for each, value in zip(binders, where.values(), strict=True)]
    wanted = list(dict.fromkeys(_converted(bind, list(values))))
    for start in range(0, len(wanted), CHUNK):
        some = wanted[start : start + CHUNK]
        statement = _select(dialect, tuple(columns), tuple(where), name, len(some))
        found = connection.exec_driver_sql(statement, (*fixed, *some)).all()
        read = [
            map(each, values) if each else values
            for each, values in zip(readers, zip(*found, strict=True), strict=False)
        ]
        yield from zip(*read, strict=True)


def _converted(convert: _Convert | None, values: Sequence[Any]) -> Sequence[Any]:
    """The values of one column as the driver takes them."""
    if convert is None or (convert is encode_text and "".join(values).isprintable()):
        return values  # no character of any of them is escaped
    return list(map(convert, values))


def _reader(dialect: Dialect, column: Column[Any]) -> _Convert | None:
    """How a value comes out; drivers give texts, bytes and numbers as they are."""
    if isinstance(column.type, TypeDecorator):
        return column.type.result_processor(dialect, None)
    return bool if isinstance(column.type, Boolean) else None


def _impl(dialect: Dialect, column: Column[Any]) -> TypeEngine[Any]:
    return column.type.dialect_impl(dialect)


def _binders(connection: Connection, columns: Iterable[Column[Any]]) -> list[_Convert | None]:
    dialect = connection.dialect
    return [_impl(dialect, column).bind_processor(dialect) for column in columns]


def _placeholder(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"


@lru_cache(maxsize=64)
def _upsert(dialect: Dialect, columns: tuple[Column[Any], ...]) -> str:
    quote = dialect.identifier_preparer.quote
    table = columns[0].table
    keys = [key.name for key in table.primary_key]
    names = ", ".join(quote(column.name) for column in columns)
    news = ", ".join(f"{quote(each.name)} = excluded.{quote(each.name)}" for each in columns if not each.primary_key)
    places = ", ".join([_placeholder(dialect)] * len(columns))
    return (
        f"INSERT INTO {quote(table.name)} ({names}) VALUES ({places}) "  # noqa: S608 - names of our own tables
        f"ON CONFLICT ({', '.join(map(quote, keys))}) DO {f'UPDATE SET {news}' if news else 'NOTHING'}"
    )


@lru_cache(maxsize=64)
def _select(dialect: Dialect, columns: tuple[Column[Any], ...], where: tuple[str, ...], name: str, count: int) -> str:
    quote, mark = dialect.identifier_preparer.quote, _placeholder(dialect)
    conditions = [f"{quote(each)} = {mark}" for each in where] + [f"{quote(name)} IN ({', '.join([mark] * count)})"]
    names = ", ".join(quote(column.name) for column in columns)
    table = quote(columns[0].table.name)
    return f"SELECT {names} FROM {table} WHERE {' AND '.join(conditions)}"  # noqa: S608 - names of our own tables


def missing_columns(connection: Connection) -> list[Column[Any]]:
    """The columns that tables do not have yet, because an earlier version of this program made them."""
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    return [
        column
        for table in metadata.tables.values()
        if table.name in there
        for column in table.columns
        if column.name not in {each["name"] for each in inspector.get_columns(table.name)}
    ]
