"""Declarations as the JSON of ``EntityDefinitions`` (Dataverse page 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Attribute, Key, Option, Table

_ENGLISH = 1033
#: What the names of the organisation's own tables and columns begin with.
PUBLISHER = "cr0dd_"
#: Properties of subtypes that are the same for every column of the kind.
_FIXED: dict[schema.Kind, dict[str, Any]] = {
    schema.INTEGER: {"Format": "None"},
    schema.IMAGE: {"MaxHeight": 144, "MaxWidth": 144, "MaxSizeInKB": 10_240, "CanStoreFullImage": True},
    schema.FILE: {"MaxSizeInKB": 32_768},
}


def metadata_id(*names: str) -> str:
    """The id of a definition: made from its names, so that it is the same at every start."""
    return str(uuid5(NAMESPACE_OID, "/".join(names)))


def label(text: str, *names: str) -> dict[str, Any]:
    """A Label object with the one language of the sandbox; without text it has no labels at all."""
    if not text:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    one = {
        "Label": text,
        "LanguageCode": _ENGLISH,
        "IsManaged": False,
        "MetadataId": metadata_id(*names, "label"),
        "HasChanged": None,
    }
    return {"LocalizedLabels": [one], "UserLocalizedLabel": one}


def _words(attribute: Attribute) -> str:
    """What a maker would call a column that was declared without a label: ``cr0dd_WallClock`` is "Wall Clock"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", attribute.schema_name.removeprefix(PUBLISHER)) or attribute.name


def managed(value: object, name: str) -> dict[str, Any]:
    """A managed property: an object around the value."""
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def is_custom(attribute: Attribute) -> bool:
    """Whether a column is a client's or the organisation's own, not the platform's."""
    return attribute.custom or attribute.name.startswith(PUBLISHER)


def companions(attribute: Attribute) -> tuple[str, ...]:
    """Columns that come and go with a column (Dataverse page 2.5)."""
    name = attribute.name
    if attribute.kind is schema.IMAGE:
        return f"{name}id", f"{name}_timestamp", f"{name}_url"
    return {schema.MONEY: (f"{name}_base",), schema.FILE: (f"{name}_name",)}.get(attribute.kind, ())


def table_by(tables: Mapping[str, Table], text: str) -> Table | None:
    """The table of an address such as ``(LogicalName='contact')`` or ``(<MetadataId>)``."""
    return next((t for t in tables.values() if _is_at(text, t.logical_name, metadata_id(t.logical_name))), None)


def column_by(table: Table, text: str) -> Attribute | None:
    """The column of such an address."""
    ids = ((each, metadata_id(table.logical_name, each.name)) for each in table.attributes)
    return next((each for each, own in ids if _is_at(text, each.name, own)), None)


def key_by(table: Table, text: str) -> Key | None:
    """The alternate key of such an address."""
    ids = ((each, metadata_id(table.logical_name, "key", each.logical_name)) for each in table.keys)
    return next((each for each, own in ids if _is_at(text, each.logical_name, own)), None)


def named_in(text: str) -> str:
    """What such an address names, for messages."""
    return text.removeprefix("(LogicalName='").strip("'()")


def _is_at(text: str, name: str, own_id: str) -> bool:
    return text == f"(LogicalName='{name}')" or text.lower() == f"({own_id})"


def table_definition(table: Table, *, change_tracking: bool) -> dict[str, Any]:
    """The plain properties of a table, whose change tracking is on or off."""
    return {
        "MetadataId": metadata_id(table.logical_name),
        "HasChanged": None,
        "LogicalName": table.logical_name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.set_name,
        "LogicalCollectionName": table.set_name,
        "CollectionSchemaName": table.set_name,
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": table.primary_name,
        "ObjectTypeCode": table.object_type_code,
        "OwnershipType": table.ownership,
        "TableType": "Standard",
        "IsCustomEntity": table.custom,
        "IsActivity": False,
        "IsActivityParty": False,
        **{flag: flag in table.flags for flag in ("IsIntersect", "IsPrivate", "IsLogicalEntity")},
        "IsManaged": not table.custom,
        "ChangeTrackingEnabled": change_tracking,
        "IsOptimisticConcurrencyEnabled": True,
        "DataProviderId": None,
        "DisplayName": label(table.label, table.logical_name),
        "DisplayCollectionName": label(table.collection_label or f"{table.label}s", table.logical_name, "collection"),
        "Description": label(table.description, table.logical_name, "description"),
        "CanChangeTrackingBeEnabled": managed(not table.intersect, "canchangetrackingbeenabled"),
        "CanCreateAttributes": managed(value=True, name="cancreateattributes"),
        "IsCustomizable": managed(value=True, name="iscustomizable"),
        "IsAuditEnabled": managed(value=False, name="canmodifyauditsettings"),
        "IsValidForAdvancedFind": True,
    }


def key_definition(table: Table, key: Key) -> dict[str, Any]:
    """An alternate key."""
    return {
        "MetadataId": metadata_id(table.logical_name, "key", key.logical_name),
        "HasChanged": None,
        "LogicalName": key.logical_name,
        "SchemaName": key.schema_name or key.logical_name,
        "EntityLogicalName": table.logical_name,
        "KeyAttributes": list(key.attributes),
        "EntityKeyIndexStatus": key.status,
        "DisplayName": label(key.label or key.logical_name, table.logical_name, key.logical_name),
    }


def attribute_definition(table: Table, attribute: Attribute, number: int) -> dict[str, Any]:
    """The properties that all columns have. What is inside of them is shared between tables: not to be changed."""
    return {
        "MetadataId": metadata_id(table.logical_name, attribute.name),
        "EntityLogicalName": table.logical_name,
        "ColumnNumber": number,
        "IsPrimaryId": attribute.name == table.primary_id,
        "IsPrimaryName": attribute.name == table.primary_name,
        **_of_column(attribute),
    }


@lru_cache(maxsize=4096)
def _of_column(attribute: Attribute) -> dict[str, Any]:
    """What a column says in whatever table it is; a thousand tables have the same few columns."""
    return {
        "HasChanged": None,
        "LogicalName": attribute.name,
        "SchemaName": attribute.schema_name or attribute.name,
        "AttributeType": attribute.kind.attribute_type,
        "AttributeTypeName": {"Value": attribute.kind.type_name},
        "AttributeOf": attribute.attribute_of,
        "DisplayName": label(attribute.label or _words(attribute), attribute.name),
        "Description": label(attribute.description, attribute.name, "description"),
        "IsCustomAttribute": is_custom(attribute),
        "SourceType": 1 if attribute.sum_of else 0,
        "IsLogical": not attribute.stored,
        "IsManaged": False,
        "IsSecured": False,
        "IsFilterable": attribute.stored,
        "IsSearchable": attribute.stored,
        "IsRetrievable": attribute.readable,
        "IsValidODataAttribute": attribute.stored,
        "IsValidForRead": attribute.readable,
        "IsValidForCreate": attribute.creatable,
        "IsValidForUpdate": attribute.updatable,
        "RequiredLevel": managed(attribute.required, "canmodifyrequirementlevelsettings"),
        "IsAuditEnabled": managed(value=False, name="canmodifyauditsettings"),
        "IsCustomizable": managed(value=True, name="iscustomizable"),
    }


@lru_cache(maxsize=4096)
def subtype(attribute: Attribute) -> dict[str, Any]:
    """The properties that only this type of column has; a client sees them through a cast. Not to be changed."""
    kind = attribute.kind
    facts: dict[str, Any] = dict(_FIXED.get(kind, {}))
    if kind in schema.TEXTS:
        form = attribute.format or ("Text" if kind is schema.STRING else "TextArea")
        facts |= {"MaxLength": attribute.max_length, "Format": form, "FormatName": {"Value": form}}
    if attribute.minimum is not None:
        facts |= {"MinValue": attribute.minimum, "MaxValue": attribute.maximum}
    if kind in schema.SCALED or kind is schema.DOUBLE:
        facts["Precision"] = attribute.precision
    if attribute.behavior:
        form = attribute.format or ("DateOnly" if kind is schema.DATE else "DateAndTime")
        facts |= {"Format": form, "DateTimeBehavior": {"Value": attribute.behavior}}
    if kind in schema.LOOKUPS:
        facts["Targets"] = [navigation.table for navigation in attribute.navigations]
    if kind is schema.BOOLEAN:
        facts["DefaultValue"] = bool(attribute.default)
    elif attribute.options:
        facts["DefaultFormValue"] = attribute.default
    return facts


def option_sets(table: Table, attribute: Attribute) -> dict[str, Any]:
    """``OptionSet`` and ``GlobalOptionSet``, which a client expands."""
    if not attribute.options:
        return {}
    names = (table.logical_name, attribute.name)
    body: dict[str, Any] = {
        "MetadataId": metadata_id(*names, "options"),
        "HasChanged": None,
        "Name": "_".join(names),
        "IsGlobal": False,
        "IsCustomOptionSet": is_custom(attribute),
        "OptionSetType": {schema.BOOLEAN: "Boolean", schema.STATE: "State", schema.STATUS: "Status"}.get(
            attribute.kind, "Picklist"
        ),
    }
    options = [_option(table, attribute, option) for option in attribute.options]
    if attribute.kind is schema.BOOLEAN:
        body |= {"FalseOption": options[0], "TrueOption": options[1]}
    else:
        body["Options"] = options
    return {"OptionSet": body, "GlobalOptionSet": None}


def _option(table: Table, attribute: Attribute, option: Option) -> dict[str, Any]:
    names = (table.logical_name, attribute.name, str(option.value))
    body: dict[str, Any] = {
        "Value": option.value,
        "Color": None,
        "IsManaged": False,
        "ExternalValue": None,
        "ParentValues": [],
        "MetadataId": None,
        "HasChanged": None,
        "Label": label(option.label, *names),
        "Description": label("", *names, "description"),
    }
    if attribute.kind is schema.STATE:
        body |= {"InvariantName": option.label, "DefaultStatus": _default_status(table, option)}
    if attribute.kind is schema.STATUS:
        body |= {"State": option.state, "TransitionData": None}
    return body


def _default_status(table: Table, state: Option) -> int | None:
    status: Sequence[Option] = table.by_name["statuscode"].options
    return next((option.value for option in status if option.state == state.value), None)
