"""Bodies of requests that make tables, columns, lookups and keys (Dataverse page 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from annex_d365.dataverse.writes.specs import ColumnSpec, KeySpec, TableSpec
from annex_d365.errors import SettingError

Body = dict[str, Any]

_CRM = "Microsoft.Dynamics.CRM."


@dataclass(frozen=True)
class Type:
    """How a type of column is made, and as which types it may be there already."""

    metadata: str
    there: frozenset[str]
    properties: Callable[[ColumnSpec], Body]


def _type(metadata: str, there: str, properties: Callable[[ColumnSpec], Body]) -> Type:
    return Type(f"{_CRM}{metadata}AttributeMetadata", frozenset(there.split()), properties)


def _dates(behavior: str, shown: str) -> Callable[[ColumnSpec], Body]:
    return lambda _: {"Format": shown, "DateTimeBehavior": {"Value": behavior}}


def _yes_or_no(_: ColumnSpec) -> Body:
    return {
        "DefaultValue": False,
        "OptionSet": {
            "@odata.type": f"{_CRM}BooleanOptionSetMetadata",
            "TrueOption": {"Value": 1, "Label": label("Yes")},
            "FalseOption": {"Value": 0, "Label": label("No")},
        },
    }


_LARGEST = 100_000_000_000
_NUMBERS = "DecimalType DoubleType MoneyType"
_TEXTS = "StringType MemoType"

#: By the name that a :class:`~annex_d365.dataverse.writes.specs.ColumnSpec` has for it.
TYPES: Mapping[str, Type] = {
    "String": _type("String", _TEXTS, lambda column: {"MaxLength": column.max_length, "FormatName": {"Value": "Text"}}),
    "Memo": _type("Memo", _TEXTS, lambda column: {"MaxLength": column.max_length, "Format": "TextArea"}),
    "Integer": _type(
        "Integer",
        f"IntegerType BigIntType {_NUMBERS}",
        lambda _: {"Format": "None", "MinValue": -(2**31), "MaxValue": 2**31 - 1},
    ),
    # One of whole numbers takes most of them; the row of another one is rejected.
    "Decimal": _type(
        "Decimal",
        f"IntegerType BigIntType {_NUMBERS}",
        lambda column: {"MinValue": -_LARGEST, "MaxValue": _LARGEST, "Precision": column.precision},
    ),
    "Double": _type(
        "Double",
        _NUMBERS,
        lambda column: {"MinValue": -_LARGEST, "MaxValue": _LARGEST, "Precision": column.precision},
    ),
    "DateTime": _type("DateTime", "DateTimeType", _dates("UserLocal", "DateAndTime")),
    "Date": _type("DateTime", "DateTimeType", _dates("DateOnly", "DateOnly")),
    "Boolean": _type("Boolean", "BooleanType", _yes_or_no),
}


def compatible(column: ColumnSpec, type_name: str) -> bool:
    """Whether a column of this ``AttributeTypeName`` holds what the wanted one would."""
    if column.target:
        return type_name in {"LookupType", "CustomerType"}
    return type_name in TYPES[column.type].there


def label(value: str, language: int = 1033) -> Body:
    """A text for people."""
    localized = {"@odata.type": f"{_CRM}LocalizedLabel", "Label": value, "LanguageCode": language}
    return {"@odata.type": f"{_CRM}Label", "LocalizedLabels": [localized]}


def column_body(column: ColumnSpec, language: int, **more: Any) -> Body:
    """A column, but for lookups."""
    kind = TYPES[column.type]
    return {
        "@odata.type": kind.metadata,
        "SchemaName": column.schema_name,
        "DisplayName": label(column.label, language),
        "RequiredLevel": {"Value": "None"},
        **kind.properties(column),
        **more,
    }


def table_body(table: TableSpec) -> Body:
    """A table with its first column.

    Raises:
        SettingError: it is not told what the table looks like, so that it was to be there.
    """
    if table.primary_name is None:
        raise SettingError("streams", f"there is no table `{table.logical_name}`.")
    return {
        "@odata.type": f"{_CRM}EntityMetadata",
        "SchemaName": table.schema_name,
        "DisplayName": label(table.label, table.language),
        "DisplayCollectionName": label(table.plural_label, table.language),
        "OwnershipType": "UserOwned",
        "HasActivities": False,
        "HasNotes": False,
        "IsActivity": False,
        "Attributes": [column_body(table.primary_name, table.language, IsPrimaryName=True)],
    }


def lookup_body(table: TableSpec, column: ColumnSpec) -> Body:
    """A lookup, which is made by its relationship."""
    prefix, _, name = column.schema_name.partition("_")
    return {
        "@odata.type": f"{_CRM}OneToManyRelationshipMetadata",
        "SchemaName": f"{prefix}_{column.target}_{table.logical_name}_{name}",
        "ReferencedEntity": column.target,
        "ReferencingEntity": table.logical_name,
        "Lookup": {
            "@odata.type": f"{_CRM}LookupAttributeMetadata",
            "SchemaName": column.schema_name,
            "DisplayName": label(column.label, table.language),
        },
    }


def key_body(key: KeySpec, language: int) -> Body:
    """An alternate key."""
    return {
        "SchemaName": key.schema_name,
        "DisplayName": label(key.label, language),
        "KeyAttributes": list(key.columns),
    }
