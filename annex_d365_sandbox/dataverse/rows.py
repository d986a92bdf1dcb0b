"""Rows as JSON: names, types, annotations (Dataverse page 2.4, 2.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

from annex_d365_sandbox.dataverse import schema, values
from annex_d365_sandbox.dataverse.preferences import FORMATTED, LOOKUP_TABLE, NAVIGATION, Preferences
from annex_d365_sandbox.dataverse.schema import Attribute, Table

#: SQLite takes this many parameters at least.
_CHUNK = 900


@dataclass(frozen=True)
class Shape:
    """How rows of a table look: which SQL columns are read, which members are written."""

    table: Table
    tables: Mapping[str, Table]
    select: Sequence[Attribute]
    preferences: Preferences

    @property
    def columns(self) -> list[str]:
        """SQL columns in the order in which :meth:`rows` wants them."""
        targets = [a.target_column for a in self.select if a.target_column]
        return ["versionnumber", *(a.name for a in self.select), *targets]

    def rows(self, db: Connection, found: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """The members of each row, etag first."""
        if not found:
            return []
        held = dict(zip(self.columns, zip(*found, strict=True), strict=False))
        members: dict[str, Sequence[Any]] = {"@odata.etag": [f'W/"{v}"' for v in held["versionnumber"]]}
        optional: set[str] = set()
        for attribute in self.select:
            column = held[attribute.name]
            name = attribute.property_name
            for annotation, annotated in self._annotations(db, attribute, column, held):
                members[f"{name}@{annotation}"] = annotated
                optional.add(f"{name}@{annotation}")
            members[name] = _encoded(values.encoder(attribute), column)
        names = list(members)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*members.values(), strict=True)]
        if optional:  # a null has no annotations
            rows = [{k: v for k, v in row.items() if v is not None or k not in optional} for row in rows]
        return rows

    def _annotations(
        self, db: Connection, attribute: Attribute, column: Sequence[Any], held: Mapping[str, Sequence[Any]]
    ) -> Iterable[tuple[str, Sequence[Any]]]:
        if attribute.kind in schema.LOOKUPS:
            yield from self._lookup_annotations(db, attribute, column, held)
        elif self.preferences.wants(FORMATTED) and attribute.kind is schema.ENTITY_NAME:
            yield FORMATTED, [self.tables[name].label if name in self.tables else name for name in column]
        elif self.preferences.wants(FORMATTED) and _has_format(attribute):
            known = {value: values.formatted(attribute, value) for value in set(column) if value is not None}
            yield FORMATTED, [known.get(value) for value in column]

    def _lookup_annotations(
        self, db: Connection, attribute: Attribute, column: Sequence[Any], held: Mapping[str, Sequence[Any]]
    ) -> Iterable[tuple[str, Sequence[Any]]]:
        tables = _targets(attribute, column, held)
        if self.preferences.wants(FORMATTED):
            names = {
                at: primary_names(db, self.tables[at], [v for v, t in zip(column, tables, strict=True) if t == at])
                for at in {t for t in tables if t}
            }
            yield FORMATTED, [names[t].get(v) if t else None for v, t in zip(column, tables, strict=True)]
        if self.preferences.wants(NAVIGATION):
            by_table = {nav.table: nav.name for nav in attribute.navigations}
            yield NAVIGATION, [by_table.get(t) if t else None for t in tables]
        if self.preferences.wants(LOOKUP_TABLE):
            yield LOOKUP_TABLE, tables


def _encoded(encoder: Callable[[Any], Any] | None, column: Sequence[Any]) -> Sequence[Any]:
    return column if encoder is None else [None if value is None else encoder(value) for value in column]


def _has_format(attribute: Attribute) -> bool:
    plain = schema.TEXTS | {schema.GUID, schema.IMAGE, schema.FILE}
    return bool(attribute.options) or attribute.kind not in plain


def _targets(attribute: Attribute, column: Sequence[Any], held: Mapping[str, Sequence[Any]]) -> Sequence[str | None]:
    if attribute.target_column:
        return held[attribute.target_column]
    only = attribute.navigations[0].table
    return [None if value is None else only for value in column]


def primary_names(db: Connection, table: Table, ids: Iterable[str]) -> dict[str, str]:
    """Primary names of rows by id."""
    return {row[0]: row[1] for row in by_id(db, table, [table.primary_id, table.primary_name], ids)}


def by_id(db: Connection, table: Table, columns: Sequence[str], ids: Iterable[str]) -> Iterator[Sequence[Any]]:
    """The rows with these ids, in any order."""
    wanted = list(set(ids))
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        yield from db.execute(
            f"SELECT {','.join(columns)} FROM {table.logical_name}"
            f" WHERE {table.primary_id} IN ({','.join('?' * len(chunk))})",
            chunk,
        )
