"""Tables and their columns, from ``EntityDefinitions`` (Dataverse page 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, text
from annex_d365.dataverse.types import ColumnType, JsonSchema, column_type
from annex_d365.errors import SettingError

_TABLE = ("LogicalName", "EntitySetName", "PrimaryIdAttribute")
_COLUMN = ("LogicalName", "AttributeType", "AttributeTypeName", "AttributeOf", "IsValidForRead")


class _Value(msgspec.Struct):
    value: str | None = msgspec.field(default=None, name="Value")


class _Attribute(msgspec.Struct):
    name: str = msgspec.field(name="LogicalName")
    type: str = msgspec.field(name="AttributeType")
    type_name: _Value | None = msgspec.field(default=None, name="AttributeTypeName")
    attribute_of: str | None = msgspec.field(default=None, name="AttributeOf")
    readable: bool = msgspec.field(default=True, name="IsValidForRead")
    date_behavior: _Value | None = msgspec.field(default=None, name="DateTimeBehavior")


class _Entity(msgspec.Struct):
    logical_name: str = msgspec.field(name="LogicalName")
    entity_set: str | None = msgspec.field(name="EntitySetName")
    primary_id: str | None = msgspec.field(name="PrimaryIdAttribute")
    attributes: list[_Attribute] = msgspec.field(name="Attributes")


@dataclass(frozen=True)
class Table:
    """A table as it is read.

    Attributes:
        logical_name: ``contact``.
        entity_set: name in URLs, and of the stream: ``contacts``.
        primary_id: ``contactid``.
        columns: by their names in rows; lookups as ``_<column>_value``.
    """

    logical_name: str
    entity_set: str
    primary_id: str
    columns: Mapping[str, ColumnType]

    @property
    def schema(self) -> JsonSchema:
        """JSON Schema of its records."""
        return {"type": "object", "properties": {name: kind.nullable for name, kind in self.columns.items()}}

    @property
    def replication_key(self) -> str | None:
        """The column that moves with every change, if the table has it."""
        return "modifiedon" if "modifiedon" in self.columns else None


def read_table(dataverse: Dataverse, name: str) -> Table:
    """The definition of a table, by logical or entity set name.

    Raises:
        SettingError: there is no such table.
    """
    query = Query(
        "EntityDefinitions",
        select=_TABLE,
        filter=f"LogicalName eq {text(name)} or EntitySetName eq {text(name)}",
        expand=f"Attributes($select={','.join(_COLUMN)})",
    )
    found = _decode(dataverse.get(query.url), list[_Entity])
    if not found or not found[0].entity_set or not found[0].primary_id:
        raise SettingError("tables", f"there is no table `{name}` in this organisation.")
    entity = found[0]
    return Table(
        logical_name=entity.logical_name,
        entity_set=entity.entity_set or "",
        primary_id=entity.primary_id or "",
        columns=_columns(entity.attributes, _date_only(dataverse, entity.logical_name)),
    )


def _date_only(dataverse: Dataverse, logical_name: str) -> frozenset[str]:
    """Date columns without a time. Properties of one kind of column come only by a cast to it."""
    path = f"EntityDefinitions(LogicalName={text(logical_name)})/Attributes"
    reply = dataverse.get(
        f"{path}/Microsoft.Dynamics.CRM.DateTimeAttributeMetadata?$select=LogicalName,AttributeType,DateTimeBehavior"
    )
    return frozenset(
        each.name
        for each in _decode(reply, list[_Attribute])
        if each.date_behavior and each.date_behavior.value == "DateOnly"
    )


def _columns(attributes: list[_Attribute], date_only: frozenset[str]) -> dict[str, ColumnType]:
    columns = {}
    for each in sorted(attributes, key=lambda attribute: attribute.name):
        # A column of another column (the name of a lookup, say) cannot be selected by itself.
        if not each.readable or each.attribute_of:
            continue
        type_name = (each.type_name and each.type_name.value) or f"{each.type}Type"
        kind = column_type(each.name, type_name, date_only=each.name in date_only)
        if kind:
            columns[f"_{each.name}_value" if kind.lookup else each.name] = kind
    return columns


def _decode(reply: Row, kind: Any) -> Any:
    return msgspec.convert(reply["value"], kind)
