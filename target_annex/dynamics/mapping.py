"""Values of a stream to values of a table, and keys of a stream to rows of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from annex_d365.annexcloud.fields import plain
from annex_d365.dataverse.writes import (
    ColumnDefinition,
    Guid,
    Key,
    Kind,
    Reference,
    TableDefinition,
    alternate_key,
    encode,
    guid_for,
    reference,
)
from annex_d365.dataverse.writes.values import TooLong, encoder
from annex_d365.errors import RowError
from annex_d365.fields import comparable
from annex_d365.singer.rows import Row
from target_annex.mapping import cell, row_key
from target_annex.ownership import Sides

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: Values of columns without one.
EMPTY: tuple[Any, ...] = (None, "", [])

#: What is sent for one column: members of the body.
Members = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A column of the table, and where its value comes from.

    Attributes:
        column: of the table.
        source: column of the stream.
        table_source: column of the stream that names the table of a lookup; empty if none does.
        target: of a lookup by an alternate key, the table that it leads to.
        target_key: that key's column.
    """

    column: ColumnDefinition
    source: str
    table_source: str = ""
    target: TableDefinition | None = None
    target_key: str = ""

    def encoder(self, definition: TableDefinition, too_long: TooLong) -> Encoder:
        """How a value becomes members of the body."""
        name = self.column.name
        if target := self.target:
            table = target

            def by_key(value: Any, _record: Mapping[str, Any]) -> Members:
                key = alternate_key(table, {self.target_key: value})
                return reference(definition, name, Reference(key, table.logical_name))

            return Encoder(name, self.source, with_record=by_key)
        if self.table_source:

            def by_table(value: Any, record: Mapping[str, Any]) -> Members:
                table = record.get(self.table_source)
                return reference(
                    definition, name, Reference(Guid(guid(value)), table if isinstance(table, str) else "")
                )

            return Encoder(name, self.source, with_record=by_table)
        return Encoder(name, self.source, encoder(definition, name, too_long=too_long))


class Encoder(NamedTuple):
    """How a value of a record becomes members of the body.

    Attributes:
        name: column of the table.
        source: column of the stream.
        of: makes members of a value; raises a ValueError for one that does not suit the column.
        with_record: the same where the value does not say all, instead of ``of``.
    """

    name: str
    source: str
    of: Callable[[Any], Members] | None = None
    with_record: Callable[[Any, Mapping[str, Any]], Members] | None = None


@dataclass(frozen=True)
class RowMapping:
    """How rows of one stream become rows of a table.

    Attributes:
        stream: its name.
        definition: of the table.
        mode: what is done to the rows of the table.
        key: columns of the stream that tell its rows apart.
        fields: what is written.
        address: columns of the table that stand for ``key`` there, with the column of the stream that each comes from:
            its primary key, the columns of an alternate key, or none.
        clear_nulls: whether an empty column empties the table's.
        too_long: what becomes of texts that are longer than their column.
        sides: which columns do not simply follow the stream.
    """

    stream: str
    definition: TableDefinition
    mode: Kind
    key: Sequence[str]
    fields: Sequence[Field]
    address: Mapping[str, str]
    clear_nulls: bool
    too_long: TooLong
    sides: Sides = field(default_factory=Sides)

    def row_key(self, row: Row) -> str:
        """The row's key as one text.

        Raises:
            RowError: a part of it is empty.
        """
        return row_key(self.key, row.record)

    def target(self, row: Row) -> Key:
        """The row of the table: by its GUID, by an alternate key, or by a GUID that is always the same for a key.

        Raises:
            RowError: a part of the key is empty, or does not suit its column.
        """
        key = self.row_key(row)
        if not self.address:
            return Guid(guid_for(self.stream, key))
        if self.definition.primary_id in self.address:
            return Guid(cell(guid, self.address[self.definition.primary_id], row.record))
        try:
            return alternate_key(
                self.definition, {column: row.record[source] for column, source in self.address.items()}
            )
        except ValueError as error:
            raise RowError(f"key column `{', '.join(self.address.values())}` {error}") from None

    def values(self, row: Row, only: Collection[str] | None = None) -> dict[str, Members]:
        """What a row says, by column of the table. An empty column says nothing, unless `clear_nulls`.

        Args:
            row: of the stream.
            only: columns that are wanted; all if not given.

        Raises:
            RowError: a value does not suit its column, which is named.
        """
        record, source = row.record, ""
        said: dict[str, Members] = {}
        try:
            for name, source, of, with_record in self._encoders:
                if source not in record or not (only is None or name in only):
                    continue
                value = record[source]
                if not value and value in EMPTY:
                    if self.clear_nulls:
                        said[name] = encode(self.definition, name, None)
                elif of:
                    said[name] = of(value)
                elif with_record:
                    said[name] = with_record(value, record)
        except ValueError as error:
            raise RowError(f"column `{source}` cannot be written: {error}") from None
        return said

    def leads_back(self, values: Mapping[str, Members]) -> bool:
        """Whether a row refers to a row of the same table, which has to be there first."""
        own = f"/{self.definition.entity_set}("
        return any(
            reference and reference.startswith(own)
            for name in self._own_lookups
            for reference in values.get(name, {}).values()
        )

    @cached_property
    def _own_lookups(self) -> list[str]:
        return [each.column.name for each in self.fields if self.definition.logical_name in each.column.lookups]

    @cached_property
    def _encoders(self) -> list[Encoder]:
        return [each.encoder(self.definition, self.too_long) for each in self.fields]

    def both(self, values: Mapping[str, Members]) -> dict[str, str]:
        """The columns that both sides may change, as far as a row says them, in a form that can be compared."""
        return {
            name: comparable(form, plain(next(iter(values[name].values()))))
            for name, form in self.sides.both.items()
            if name in values
        }


def guid(value: Any) -> str:
    """A GUID in lower case, as the service writes it.

    Raises:
        ValueError: it is none.
    """
    text = plain(value).strip("{}")
    if not GUID.fullmatch(text):
        raise ValueError("is not a GUID")
    return text.lower()
