"""Dataverse column types as JSON Schema, and as values of it: one table (Dataverse page 2.5)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from annex_d365.dataverse.query import utc

logger = logging.getLogger(__name__)

JsonSchema = dict[str, Any]


@dataclass(frozen=True)
class ColumnType:
    """How a column type appears in records.

    Attributes:
        schema: JSON Schema of a value that is not null.
        convert: makes the record's value of the service's, where they differ; never called with null.
        lookup: whether the value is read as ``_<column>_value``.
        polymorphic: whether a lookup of this type may lead to several tables.
        labelled: whether each value has a text of its own, beside the value (Dataverse page 2.4).
        companions: columns that come with it, by what they add to its name.
        on_demand: whether it is read only when it is selected by name, being large.
    """

    schema: Mapping[str, Any]
    convert: Callable[[Any], Any] | None = None
    lookup: bool = False
    polymorphic: bool = False
    labelled: bool = False
    companions: Mapping[str, ColumnType] = field(default_factory=dict)
    on_demand: bool = False

    @property
    def nullable(self) -> JsonSchema:
        """The schema with null allowed; every column may be empty."""
        return {**self.schema, "type": [self.schema["type"], "null"]}


def _choices(value: str) -> list[int]:
    return [int(each) for each in value.split(",") if each.strip()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


TEXT = ColumnType({"type": "string"})
_INTEGER = ColumnType({"type": "integer"})
_CHOICE = ColumnType({"type": "integer"}, labelled=True)
_NUMBER = ColumnType({"type": "number"})
_GUID = ColumnType({"type": "string", "format": "uuid"})
_LOOKUP = ColumnType(_GUID.schema, lookup=True, labelled=True)
_POLYMORPHIC = ColumnType(_GUID.schema, lookup=True, polymorphic=True, labelled=True)
_DATE = ColumnType({"type": "string", "format": "date"})
_DATE_TIME = ColumnType({"type": "string", "format": "date-time"}, convert=utc)

#: By ``AttributeTypeName.Value``. None: not ordinary data.
COLUMN_TYPES: Mapping[str, ColumnType | None] = {
    "StringType": TEXT,
    "MemoType": TEXT,
    "EntityNameType": TEXT,
    "IntegerType": _INTEGER,
    "BigIntType": _INTEGER,
    "PicklistType": _CHOICE,
    "StateType": _CHOICE,
    "StatusType": _CHOICE,
    "DecimalType": _NUMBER,
    "DoubleType": _NUMBER,
    "MoneyType": _NUMBER,
    "BooleanType": ColumnType({"type": "boolean"}, labelled=True),
    "DateTimeType": _DATE_TIME,
    "MultiSelectPicklistType": ColumnType(
        {"type": "array", "items": {"type": "integer"}}, convert=_choices, labelled=True
    ),
    "UniqueidentifierType": _GUID,
    "LookupType": _LOOKUP,
    "CustomerType": _POLYMORPHIC,
    "OwnerType": _POLYMORPHIC,
    "ImageType": ColumnType(
        {"type": "string", "contentEncoding": "base64"},
        companions={"id": _GUID, "_timestamp": _INTEGER, "_url": TEXT},
        on_demand=True,
    ),
    "FileType": ColumnType(_GUID.schema, companions={"_name": TEXT}, on_demand=True),
    "PartyListType": None,
    "ManagedPropertyType": None,
    "VirtualType": None,
    "CalendarRulesType": None,
}


def column_type(name: str, type_name: str, date_behavior: str | None = None) -> ColumnType | None:
    """The type of a column; a type that did not exist when this was written is read as text, with a warning.

    Args:
        name: of the column.
        type_name: ``AttributeTypeName.Value``.
        date_behavior: ``DateTimeBehavior.Value`` of a DateTimeType.
    """
    if type_name == "DateTimeType" and date_behavior == "DateOnly":
        return _DATE
    if type_name not in COLUMN_TYPES:
        logger.warning("Column %s is of the unknown type %s; its values are passed on as text.", name, type_name)
        return ColumnType({"type": "string"}, convert=_text)
    return COLUMN_TYPES[type_name]
