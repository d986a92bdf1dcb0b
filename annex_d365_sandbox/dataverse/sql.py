"""Pieces of SQL over a table's alias ``t``, and paths over one lookup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.dataverse.schema import Attribute, Navigation, Table


@dataclass(frozen=True)
class Sql:
    """A piece of SQL with its parameters."""

    text: str
    parameters: tuple[Any, ...] = ()


def joined(word: str, conditions: Sequence[Sql]) -> Sql:
    """Conditions joined by AND or OR, as a balanced tree: SQLite takes expressions no deeper than 1,000."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    left, right = joined(word, conditions[:half]), joined(word, conditions[half:])
    return Sql(f"({left.text} {word} {right.text})", left.parameters + right.parameters)


@dataclass(frozen=True)
class Path:
    """A single-valued navigation property and the table at its end."""

    navigation: Navigation
    table: Table

    def attribute(self, name: str) -> Attribute:
        """A column at the end of the path. Raises ``DataverseError``."""
        if name not in self.table.by_property:
            raise errors.unknown_property(name, self.table)
        return self.table.by_property[name]

    def column(self, name: str) -> Sql:
        """The value of a column of the row that ``t`` points to."""
        attribute = self.attribute(name)
        return Sql(
            f"(SELECT x.{attribute.name} FROM {self.table.logical_name} x"
            f" WHERE x.{self.table.primary_id} = t.{self.navigation.attribute})"
        )


def path(name: str, table: Table, tables: Mapping[str, Table]) -> Path:
    """The path over a navigation property. Raises ``DataverseError`` if there is none of this name."""
    navigation = table.navigations.get(name)
    if navigation is None or navigation.table not in tables:
        raise errors.unknown_property(name, table)
    return Path(navigation, tables[navigation.table])
