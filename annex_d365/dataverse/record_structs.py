"""Rows decoded straight into records, without a dictionary in between: half of what reading a table takes.

The records of a table are instances of a msgspec structure that is made for them. Its fields are the columns, in their
order; what a row has besides is skipped as it is decoded, and what it lacks is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from annex_d365.dataverse.answers import unreadable
from annex_d365.dataverse.client import ETAG, Row
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.records import Records


class Record(Protocol):
    """A row, then its record.

    Attributes:
        key: the primary key.
        at: the change time, of tables that have one.
        etag: the row's version; null where it has none.
    """

    key: Any
    at: Any
    etag: Any


class RecordStructs:
    """The records of one table: what :meth:`Records.build` makes, as structures.

    Args:
        records: the columns.
        table: names the key and the change time.
        more: columns that are null in all records, behind the others.

    Attributes:
        records: the columns.
    """

    def __init__(self, records: Records, table: Table, more: Sequence[str] = ()) -> None:
        self.records = records
        own = {table.primary_id: "key", **({table.replication_key: "at"} if table.replication_key else {})}
        self._attributes = {
            column.name: own.get(column.name, f"column{number}") for number, column in enumerate(records.columns)
        }
        renamed = [column for column in records.columns if column.source != column.name]
        # Decoded, and not part of the record: unset fields are not encoded.
        hidden = {name: attribute for name, attribute in own.items() if name not in self._attributes}
        hidden |= {column.source: f"source{number}" for number, column in enumerate(renamed)}
        hidden |= {name: f"link{number}" for number, name in enumerate(records.next_links)}
        hidden[ETAG] = "etag"
        self._hidden = tuple(hidden.values())
        self._links = [hidden[name] for name in records.next_links]
        self._moved = [(hidden[column.source], self._attributes[column.name]) for column in renamed]
        self._conversions = [
            (self._attributes[column.name], column.convert) for column in records.columns if column.convert
        ]
        self._attributes |= {name: f"more{number}" for number, name in enumerate(more)}
        defaults = dict.fromkeys(("etag", *own.values(), *self._attributes.values()))
        made = msgspec.defstruct(
            "Record",
            [
                (attribute, Any, msgspec.field(default=defaults.get(attribute, msgspec.UNSET), name=name))
                for name, attribute in (self._attributes | hidden).items()
            ],
            gc=False,  # JSON has no cycles
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(made, float_hook=Decimal)

    def decode(self, raw: msgspec.Raw) -> Record:
        """A row as it was sent. Numbers with a fraction are exact (``Decimal``).

        Raises:
            OutageError: it is no object with a key.
        """
        try:
            row: Record = self._decoder.decode(raw)
        except (ValueError, RecursionError):
            raise unreadable() from None
        if row.key is None:
            raise unreadable()
        return row

    def build(self, row: Record) -> Record:
        """Make a row its record, in place."""
        for source, attribute in self._moved:
            value = getattr(row, source)
            setattr(row, attribute, None if value is msgspec.UNSET else value)
        try:
            for attribute, convert in self._conversions:
                if (value := getattr(row, attribute)) is not None and (converted := convert(value)) is not value:
                    setattr(row, attribute, converted)
        except (ValueError, TypeError, AttributeError):  # a value of another kind than its column
            raise unreadable() from None
        for link in self._links:
            if getattr(row, link) is not msgspec.UNSET:
                self.records.warn_of_cut()
        for attribute in self._hidden:
            setattr(row, attribute, msgspec.UNSET)
        return row

    def as_dict(self, record: Record) -> Row:
        """The record as :meth:`Records.build` would have made it."""
        return {name: getattr(record, attribute) for name, attribute in self._attributes.items()}
