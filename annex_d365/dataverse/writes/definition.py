"""What metadata says of a table to those who write into it (Dataverse page 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from annex_d365.dataverse.writes.operations import Kind

_READ = re.compile(r"_(\w+)_value")


@dataclass(frozen=True)
class Lookup:
    """Where a lookup leads.

    Attributes:
        table: logical name of the target.
        entity_set: its name in URLs.
        property: the navigation property to bind, in its own case: ``parentcustomerid_account``.
    """

    table: str
    entity_set: str
    property: str


@dataclass(frozen=True)
class ColumnDefinition:
    """A column as it is written.

    Attributes:
        name: ``parentcustomerid``.
        type_name: ``AttributeTypeName.Value``, ``CustomerType``.
        creatable: whether a new row may have a value for it.
        updatable: whether it may be changed.
        max_length: of a text, in characters.
        minimum: of a number.
        maximum: of a number.
        precision: of a number: digits behind the point.
        date_behavior: ``DateOnly``, ``UserLocal``, ``TimeZoneIndependent``.
        choices: value -> label in the user's language.
        labels: label in any language, case-folded -> value; those that two values share are left out.
        lookups: target table -> where it leads.
    """

    name: str
    type_name: str
    creatable: bool = True
    updatable: bool = True
    max_length: int | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    precision: int | None = None
    date_behavior: str | None = None
    choices: Mapping[int, str] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)

    @property
    def property(self) -> str:
        """Its name where it is read: ``_parentcustomerid_value`` for a lookup."""
        return f"_{self.name}_value" if self.lookups else self.name


@dataclass(frozen=True)
class AlternateKeyDefinition:
    """An alternate key: its name, its columns, and whether its index is built, so that it can be used."""

    name: str
    columns: tuple[str, ...]
    active: bool


@dataclass(frozen=True)
class TableDefinition:
    """A table as it is written.

    Attributes:
        logical_name: ``contact``.
        entity_set: ``contacts``.
        primary_id: ``contactid``.
        columns: by logical name.
        keys: its alternate keys.
        messages: bulk messages that it has: ``CreateMultiple``, ``UpdateMultiple``, ``UpsertMultiple``.
    """

    logical_name: str
    entity_set: str
    primary_id: str
    columns: Mapping[str, ColumnDefinition] = field(default_factory=dict)
    keys: tuple[AlternateKeyDefinition, ...] = ()
    messages: frozenset[str] = frozenset()

    def column(self, name: str) -> ColumnDefinition | None:
        """The column of that name; a lookup also by ``_<name>_value``, as it is read."""
        if name in self.columns:
            return self.columns[name]
        read = _READ.fullmatch(name)
        column = self.columns.get(read[1]) if read else None
        return column if column and column.lookups else None

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those that are no column."""
        return [name for name in names if self.column(name) is None]

    def read_only(self, names: Iterable[str], kind: Kind) -> list[str]:
        """Those whose values the service would ignore silently (Dataverse page 4). Unknown ones are left out.

        An upsert may be either; what can be written in one of the two is none of them.
        """
        known = [(name, column) for name in names if (column := self.column(name))]
        return [
            name
            for name, column in known
            if not (
                (column.creatable and kind in {Kind.CREATE, Kind.UPSERT})
                or (column.updatable and kind in {Kind.UPDATE, Kind.UPSERT})
            )
        ]

    def key(self, columns: Iterable[str]) -> AlternateKeyDefinition | None:
        """The alternate key of exactly these columns, in any order."""
        wanted = {column.name if (column := self.column(name)) else name for name in columns}
        return next((key for key in self.keys if set(key.columns) == wanted), None)
