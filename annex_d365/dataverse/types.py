"""Dataverse column types as JSON Schema, and as values of it: one table (Dataverse page 2.5)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from annex_d365.dataverse.query import utc

logger = logging.getLogger(__name__)

JsonSchema = dict[str, Any]


@dataclass(frozen=True)
class ColumnType:
    """How a column type appears in records.

    Attributes:
        schema: JSON Schema of a value that is not null.
        convert: makes the record's value of the service's, where they differ.
        lookup: whether the value is read as ``_<column>_value``.
    """

    schema: Mapping[str, Any]
    convert: Callable[[Any], Any] | None = None
    lookup: bool = False

    @property
    def nullable(self) -> JsonSchema:
        """The schema with null allowed; every column may be empty."""
        return {**self.schema, "type": [self.schema["type"], "null"]}


def _choices(value: str) -> list[int]:
    return [int(each) for each in value.split(",") if each.strip()]


_TEXT = ColumnType({"type": "string"})
_INTEGER = ColumnType({"type": "integer"})
_NUMBER = ColumnType({"type": "number"})
_GUID = ColumnType({"type": "string", "format": "uuid"})
_LOOKUP = ColumnType(_GUID.schema, lookup=True)
DATE = ColumnType({"type": "string", "format": "date"})
DATE_TIME = ColumnType({"type": "string", "format": "date-time"}, convert=utc)

#: By ``AttributeTypeName.Value``. None: not ordinary data, or (images, files) too large to move unasked.
COLUMN_TYPES: Mapping[str, ColumnType | None] = {
    "StringType": _TEXT,
    "MemoType": _TEXT,
    "EntityNameType": _TEXT,
    "IntegerType": _INTEGER,
    "BigIntType": _INTEGER,
    "PicklistType": _INTEGER,
    "StateType": _INTEGER,
    "StatusType": _INTEGER,
    "DecimalType": _NUMBER,
    "DoubleType": _NUMBER,
    "MoneyType": _NUMBER,
    "BooleanType": ColumnType({"type": "boolean"}),
    "DateTimeType": DATE_TIME,
    "MultiSelectPicklistType": ColumnType({"type": "array", "items": {"type": "integer"}}, convert=_choices),
    "UniqueidentifierType": _GUID,
    "LookupType": _LOOKUP,
    "CustomerType": _LOOKUP,
    "OwnerType": _LOOKUP,
    "ImageType": None,
    "FileType": None,
    "PartyListType": None,
    "ManagedPropertyType": None,
    "VirtualType": None,
    "CalendarRulesType": None,
}


def column_type(name: str, type_name: str, *, date_only: bool) -> ColumnType | None:
    """The type of a column; a type that did not exist when this was written is read as text, with a warning."""
    if type_name == "DateTimeType" and date_only:
        return DATE
    if type_name not in COLUMN_TYPES:
        logger.warning("Column %s is of the unknown type %s; its values are passed on as text.", name, type_name)
        return ColumnType({"type": "string"}, convert=str)
    return COLUMN_TYPES[type_name]
