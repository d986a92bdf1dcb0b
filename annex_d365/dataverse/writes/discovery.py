"""Reads the definition of a table from metadata, in few requests (Dataverse page 4)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from annex_d365.dataverse.answers import unreadable
from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, text
from annex_d365.dataverse.writes.definition import AlternateKeyDefinition, ColumnDefinition, Lookup, TableDefinition
from annex_d365.errors import PrivilegeError, SettingError

logger = logging.getLogger(__name__)

#: Types with choices, and the metadata types that tell them: option sets come by cast only.
_CHOICE_CASTS = {
    "PicklistType": "Picklist",
    "MultiSelectPicklistType": "MultiSelectPicklist",
    "StateType": "State",
    "StatusType": "Status",
    "BooleanType": "Boolean",
}
_LOOKUP_TYPES = frozenset({"LookupType", "CustomerType", "OwnerType"})
BULK_MESSAGES = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
#: Requests at a time while a definition is read: all that follow the first one.
_PARALLEL = len(_CHOICE_CASTS) + 2

_Lookups = Mapping[str, Mapping[str, Lookup]]

_lock = threading.Lock()
_read: WeakKeyDictionary[Dataverse, dict[str, TableDefinition]] = WeakKeyDictionary()


def read_definition(dataverse: Dataverse, table_name: str, *, fresh: bool = False) -> TableDefinition:
    """The definition of a table, read once for an organisation.

    Args:
        dataverse: the organisation.
        table_name: entity set name or logical name.
        fresh: whether to read it once more, because it may have changed.

    Raises:
        SettingError: there is no such table.
    """
    with _lock:
        known = _read.setdefault(dataverse, {})
        if fresh or table_name not in known:
            definition = _definition(dataverse, table_name)
            known[definition.logical_name] = known[definition.entity_set] = definition
        return known[table_name]


def _definition(dataverse: Dataverse, table_name: str) -> TableDefinition:
    query = Query(
        "EntityDefinitions",
        select=("LogicalName", "EntitySetName", "PrimaryIdAttribute"),
        filter=f"LogicalName eq {text(table_name)} or EntitySetName eq {text(table_name)}",
        expand="Attributes,Keys,ManyToOneRelationships",
    )
    found = _rows(dataverse, query.url)
    if not found:
        raise SettingError("streams", f"there is no table `{table_name}`.")
    table = found[0]
    name = table["LogicalName"]
    # A column of another column (the name of a lookup, say) has no value of its own.
    attributes = [each for each in table["Attributes"] if not each.get("AttributeOf")]
    casts = sorted({_CHOICE_CASTS[kind] for each in attributes if (kind := _type_name(each)) in _CHOICE_CASTS})
    with dataverse.http.gate.workers(_PARALLEL, "definition") as pool:
        messages = pool.submit(_messages, dataverse, name)
        lookups = pool.submit(_lookups, dataverse, attributes, table.get("ManyToOneRelationships") or ())
        options = dict(
            pair for found in pool.map(lambda cast: _options(dataverse, name, cast), casts) for pair in found.items()
        )
        return TableDefinition(
            logical_name=name,
            entity_set=table["EntitySetName"],
            primary_id=table["PrimaryIdAttribute"],
            columns={
                each["LogicalName"]: _column(each, options.get(each["LogicalName"], ()), lookups.result())
                for each in attributes
            },
            keys=tuple(
                AlternateKeyDefinition(
                    each["LogicalName"], tuple(each["KeyAttributes"]), each["EntityKeyIndexStatus"] == "Active"
                )
                for each in table.get("Keys") or ()
            ),
            messages=messages.result(),
        )


def _column(attribute: Row, options: Sequence[Row], lookups: _Lookups) -> ColumnDefinition:
    by_label: dict[str, set[int]] = {}
    for option in options:
        for label in _labels(option):
            by_label.setdefault(label.casefold(), set()).add(option["Value"])
    behavior = attribute.get("DateTimeBehavior") or {}
    # What the service leaves out must not stand in the way: it checks, too.
    return ColumnDefinition(
        name=attribute["LogicalName"],
        type_name=_type_name(attribute),
        creatable=attribute.get("IsValidForCreate") is not False,
        updatable=attribute.get("IsValidForUpdate") is not False,
        max_length=attribute.get("MaxLength"),
        minimum=_number(attribute.get("MinValue")),
        maximum=_number(attribute.get("MaxValue")),
        precision=attribute.get("Precision"),
        date_behavior=behavior.get("Value"),
        choices={option["Value"]: next(_labels(option), "") for option in options},
        labels={label: values.pop() for label, values in by_label.items() if len(values) == 1},
        lookups=lookups.get(attribute["LogicalName"], {}),
    )


def _lookups(dataverse: Dataverse, attributes: Sequence[Row], relationships: Sequence[Row]) -> _Lookups:
    """Where each lookup leads, by target table."""
    properties = {
        (each["ReferencingAttribute"], each["ReferencedEntity"]): each["ReferencingEntityNavigationPropertyName"]
        for each in relationships
    }
    targets = {
        each["LogicalName"]: tuple(each.get("Targets") or ())
        for each in attributes
        if _type_name(each) in _LOOKUP_TYPES
    }
    owners = {each["LogicalName"] for each in attributes if _type_name(each) == "OwnerType"}
    sets = _entity_sets(dataverse, sorted({table for tables in targets.values() for table in tables}))

    def name(column: str, table: str) -> str:
        # The rule for names (page 5.1); the one property of an owner leads to users and teams.
        shared = len(targets[column]) == 1 or column in owners
        return properties.get((column, table)) or (column if shared else f"{column}_{table}")

    return {
        column: {table: Lookup(table, sets[table], name(column, table)) for table in tables if table in sets}
        for column, tables in targets.items()
    }


def _entity_sets(dataverse: Dataverse, tables: Sequence[str]) -> dict[str, str]:
    if not tables:
        return {}
    query = Query(
        "EntityDefinitions",
        select=("LogicalName", "EntitySetName"),
        filter=" or ".join(f"LogicalName eq {text(table)}" for table in tables),
    )
    return {each["LogicalName"]: each["EntitySetName"] for each in _rows(dataverse, query.url)}


def _options(dataverse: Dataverse, table: str, cast: str) -> dict[str, list[Row]]:
    """The options of each column of one type; at once, so that whoever asks in parallel waits in parallel."""
    path = f"EntityDefinitions(LogicalName={text(table)})/Attributes/Microsoft.Dynamics.CRM.{cast}AttributeMetadata"
    found = {}
    for each in _rows(dataverse, f"{path}?$select=LogicalName&$expand=OptionSet,GlobalOptionSet"):
        options = each.get("OptionSet") or each.get("GlobalOptionSet") or {}
        both = [option for key in ("FalseOption", "TrueOption") if (option := options.get(key))]
        found[each["LogicalName"]] = options.get("Options") or both
    return found


def _messages(dataverse: Dataverse, table: str) -> frozenset[str]:
    names = " or ".join(f"sdkmessageid/name eq {text(name)}" for name in BULK_MESSAGES)
    query = Query(
        "sdkmessagefilters",
        select=("sdkmessagefilterid",),
        filter=f"primaryobjecttypecode eq {text(table)} and ({names})",
        expand="sdkmessageid($select=name)",
    )
    try:
        rows = _rows(dataverse, query.url)
    except PrivilegeError as error:
        logger.warning("Which bulk messages table %s has cannot be read; batches are sent instead. %s", table, error)
        return frozenset()
    return frozenset(_name(each["sdkmessageid"]) for each in rows)


def _name(message: Any) -> str:
    if not isinstance(message, dict) or not isinstance(message.get("name"), str):
        raise unreadable()
    return str(message["name"])


def _type_name(attribute: Row) -> str:
    named = (attribute.get("AttributeTypeName") or {}).get("Value")
    return named or f"{attribute.get('AttributeType')}Type"


def _labels(option: Row) -> Iterator[str]:
    """Labels of a choice: that of the user's language, then all."""
    label = option.get("Label")
    if not isinstance(label, dict):
        return iter(())
    every = [label.get("UserLocalizedLabel"), *(label.get("LocalizedLabels") or ())]
    return (each["Label"] for each in every if isinstance(each, dict) and each.get("Label"))


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _rows(dataverse: Dataverse, url: str) -> list[Row]:
    """A collection without pages."""
    return [dataverse.row(raw) for raw in dataverse.page(url, page_size=None).value]
