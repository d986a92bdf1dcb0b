"""Tables, and what ``EntityDefinitions`` says of them (Dataverse page 4).

One request tells everything of several tables: ``$expand=Attributes`` without a ``$select`` inside returns each column
with the properties of its own type (behaviour of dates, length of texts, targets of lookups), for which there would be
a request per table and type otherwise. GENERAL on the page, so what is missing may be missing; only whether a date has
a time is then asked for once more, because values depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from annex_d365.dataverse.answers import unreadable
from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.columns import Attribute, Column, columns_of
from annex_d365.dataverse.query import Query, text
from annex_d365.dataverse.types import JsonSchema

_T = TypeVar("_T")

#: The column that moves with every change.
MODIFIED_ON = "modifiedon"

_TABLE = ("LogicalName", "EntitySetName", "PrimaryIdAttribute", "ChangeTrackingEnabled")
#: Tables per request. A real one has some 100 kB of definition; few requests, but more than one at a time.
TABLES_PER_REQUEST = 20


@dataclass(frozen=True)
class Table:
    """A table as it is read.

    Attributes:
        logical_name: ``contact``.
        entity_set: name in URLs, and of the stream: ``contacts``.
        primary_id: ``contactid``.
        columns: of its records, by name.
        change_tracking: whether the service can list what has changed (Dataverse page 3).
    """

    logical_name: str
    entity_set: str
    primary_id: str
    columns: Mapping[str, Column]
    change_tracking: bool = False

    @property
    def schema(self) -> JsonSchema:
        """JSON Schema of its records."""
        return {"type": "object", "properties": {name: column.schema for name, column in self.columns.items()}}

    @property
    def replication_key(self) -> str | None:
        """The column that moves with every change, if the table has it."""
        return MODIFIED_ON if MODIFIED_ON in self.columns else None

    @property
    def on_demand(self) -> frozenset[str]:
        """Columns that are not selected by default: images and files."""
        return frozenset(name for name, column in self.columns.items() if column.on_demand)

    def column_name(self, name: str) -> str | None:
        """The column of that name, or of the lookup of that name; None when there is neither."""
        return next((each for each in (name, f"_{name}_value") if each in self.columns), None)

    def narrowed(self, names: Iterable[str]) -> Table:
        """The table with these columns, their labels and tables, and its key and bookmark, only.

        Args:
            names: keys of :attr:`columns`.
        """
        wanted = set(names)
        always = {self.primary_id, self.replication_key}
        return replace(
            self,
            columns={
                name: replace(column, on_demand=column.on_demand and name not in wanted)
                for name, column in self.columns.items()
                if name in wanted or name in always or (column.annotation and column.select in wanted)
            },
        )

    def with_columns(self, columns: Mapping[str, Column]) -> Table:
        """The table with more columns."""
        return replace(self, columns={**self.columns, **columns})


class _Named(msgspec.Struct):
    value: str | None = msgspec.field(default=None, name="Value")


class _Label(msgspec.Struct):
    text: str | None = msgspec.field(default=None, name="Label")


class _Labels(msgspec.Struct):
    mine: _Label | None = msgspec.field(default=None, name="UserLocalizedLabel")
    all: list[_Label] | None = msgspec.field(default=None, name="LocalizedLabels")

    def __str__(self) -> str:
        return next((each.text for each in (self.mine, *(self.all or ())) if each and each.text), "")


class _Attribute(msgspec.Struct):
    name: str = msgspec.field(name="LogicalName")
    type: str | None = msgspec.field(default=None, name="AttributeType")
    type_name: _Named | None = msgspec.field(default=None, name="AttributeTypeName")
    attribute_of: str | None = msgspec.field(default=None, name="AttributeOf")
    readable: bool | None = msgspec.field(default=True, name="IsValidForRead")
    date_behavior: _Named | msgspec.UnsetType | None = msgspec.field(default=msgspec.UNSET, name="DateTimeBehavior")
    max_length: int | None = msgspec.field(default=None, name="MaxLength")
    targets: list[str] | None = msgspec.field(default=None, name="Targets")
    title: _Labels | None = msgspec.field(default=None, name="DisplayName")
    description: _Labels | None = msgspec.field(default=None, name="Description")

    def attribute(self) -> Attribute:
        return Attribute(
            name=self.name,
            type_name=(self.type_name and self.type_name.value) or f"{self.type}Type",
            readable=self.readable is not False,
            attribute_of=self.attribute_of or None,
            date_behavior=self.date_behavior.value if isinstance(self.date_behavior, _Named) else None,
            max_length=self.max_length,
            targets=tuple(self.targets or ()),
            title=str(self.title or ""),
            description=str(self.description or ""),
        )


class _Table(msgspec.Struct):
    logical_name: str = msgspec.field(name="LogicalName")
    entity_set: str | None = msgspec.field(default=None, name="EntitySetName")
    primary_id: str | None = msgspec.field(default=None, name="PrimaryIdAttribute")
    change_tracking: bool | None = msgspec.field(default=None, name="ChangeTrackingEnabled")
    private: bool | None = msgspec.field(default=None, name="IsPrivate")
    logical: bool | None = msgspec.field(default=None, name="IsLogicalEntity")
    attributes: list[_Attribute] | None = msgspec.field(default=None, name="Attributes")


_table_decoder = msgspec.json.Decoder(_Table)
_attribute_decoder = msgspec.json.Decoder(_Attribute)


def read_tables(
    dataverse: Dataverse, names: Sequence[str], *, labels: bool = False, parallel: int = 1
) -> dict[str, Table]:
    """The definitions of tables, by the names that they were asked for; a name that is not there has no table.

    Args:
        dataverse: the organisation.
        names: logical or entity set names.
        labels: whether their columns include labels.
        parallel: requests at a time.
    """
    wanted = list(dict.fromkeys(names))
    parts = [wanted[start : start + TABLES_PER_REQUEST] for start in range(0, len(wanted), TABLES_PER_REQUEST)]
    with dataverse.http.gate.workers(parallel, "metadata") as pool:
        found = [table for part in pool.map(lambda part: _definitions(dataverse, part), parts) for table in part]
        tables = list(pool.map(lambda table: _table(dataverse, table, labels=labels), found))
    by_name = {table.logical_name: table for table in tables} | {table.entity_set: table for table in tables}
    return {name: by_name[name] for name in wanted if name in by_name}


def table_names(dataverse: Dataverse) -> list[str]:
    """The logical names of all tables with rows that can be read."""
    # Private and logical tables refuse to be read, and are no data of the user's (GENERAL).
    query = Query("EntityDefinitions", select=(*_TABLE, "IsPrivate", "IsLogicalEntity"))
    return sorted(
        each.logical_name
        for each in _read(dataverse, query.url, _table_decoder)
        if each.entity_set and each.primary_id and not each.private and not each.logical
    )


def _definitions(dataverse: Dataverse, names: Sequence[str]) -> list[_Table]:
    conditions = [f"{column} eq {text(name)}" for name in names for column in ("LogicalName", "EntitySetName")]
    query = Query("EntityDefinitions", select=_TABLE, filter=" or ".join(conditions), expand="Attributes")
    return [each for each in _read(dataverse, query.url, _table_decoder) if each.entity_set and each.primary_id]


def _table(dataverse: Dataverse, found: _Table, *, labels: bool) -> Table:
    given = found.attributes or []
    attributes = [each.attribute() for each in given]
    silent = {each.name for each in given if each.date_behavior is msgspec.UNSET}
    if any(each.name in silent and each.type_name == "DateTimeType" for each in attributes):
        behaviors = _date_behaviors(dataverse, found.logical_name)
        attributes = [replace(each, date_behavior=behaviors.get(each.name)) for each in attributes]
    return Table(
        logical_name=found.logical_name,
        entity_set=found.entity_set or "",
        primary_id=found.primary_id or "",
        columns=columns_of(attributes, labels=labels),
        change_tracking=bool(found.change_tracking),
    )


def _date_behaviors(dataverse: Dataverse, logical_name: str) -> dict[str, str | None]:
    path = f"EntityDefinitions(LogicalName={text(logical_name)})/Attributes"
    cast = "Microsoft.Dynamics.CRM.DateTimeAttributeMetadata"
    found = _read(dataverse, f"{path}/{cast}?$select=LogicalName,DateTimeBehavior", _attribute_decoder)
    return {each.name: each.attribute().date_behavior for each in found}


def _read(dataverse: Dataverse, url: str, decoder: msgspec.json.Decoder[_T]) -> list[_T]:
    """A collection; metadata has no pages."""
    found = dataverse.page(url, page_size=None).value
    try:
        return [decoder.decode(raw) for raw in found]
    except (msgspec.MsgspecError, UnicodeDecodeError):  # parts of a page are looked into only here
        raise unreadable() from None
