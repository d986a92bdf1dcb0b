"""Definitions that are wanted, as declarations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnSpec:
    """A column that is wanted.

    Attributes:
        schema_name: with the publisher's prefix; the logical name is the same in lower case.
        label: for people.
        type: a key of :data:`annex_d365.dataverse.writes.schemas.TYPES`, or ``Lookup``.
        max_length: of texts.
        precision: of numbers with a fraction.
        target: of a lookup, the table that it leads to.
    """

    schema_name: str
    label: str
    type: str = "String"
    max_length: int = 100
    precision: int = 2
    target: str = ""

    @property
    def logical_name(self) -> str:
        """Its name in metadata and, but for lookups, in rows."""
        return self.schema_name.lower()


@dataclass(frozen=True)
class KeySpec:
    """An alternate key that is wanted: its schema name, label and columns (logical names)."""

    schema_name: str
    label: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class TableSpec:
    """A table that is wanted; or one that is there, with columns and keys that are wanted.

    Attributes:
        schema_name: ``cr0dd_LoyaltyActivity``; ``contact`` for one that is there.
        label: for people. This and the next two are for a table that may have to be made.
        plural_label: for people.
        primary_name: the text column that stands for a row in lists.
        columns: others.
        keys: alternate keys.
        solution: unique name of the solution to make them in; "" for the default one, whose prefix is another.
        language: of the labels, as a Windows locale.
    """

    schema_name: str
    label: str = ""
    plural_label: str = ""
    primary_name: ColumnSpec | None = None
    columns: Sequence[ColumnSpec] = ()
    keys: Sequence[KeySpec] = ()
    solution: str = ""
    language: int = 1033

    @property
    def logical_name(self) -> str:
        """Its name in metadata."""
        return self.schema_name.lower()
