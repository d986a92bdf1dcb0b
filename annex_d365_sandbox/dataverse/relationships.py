"""Lookups as relationship metadata: each target of a lookup is a one-to-many relationship.

The names of the members are those of Microsoft's metadata reference; the names of declared relationships are made up,
as the declarations hold none. There are no many-to-many relationships.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from annex_d365_sandbox.dataverse.definitions import PUBLISHER, is_custom, metadata_id
from annex_d365_sandbox.dataverse.schema import Navigation, Table

TYPE = "#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata"
#: Collections of a table's definition that hold relationships.
PARTS = ("OneToManyRelationships", "ManyToOneRelationships", "ManyToManyRelationships")


def of_table(table: Table, part: str, tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    """The relationships of one of a table's collections."""
    if part == "ManyToOneRelationships":
        yield from _of_lookups([table], tables)
    elif part == "OneToManyRelationships":
        for body in _of_lookups(tables.values(), tables):
            if body["ReferencedEntity"] == table.logical_name:
                yield body


def all_of(tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    """Every relationship."""
    return _of_lookups(tables.values(), tables)


def by_name(tables: Mapping[str, Table], name: str) -> dict[str, Any] | None:
    """The relationship of this schema name."""
    return next((body for body in all_of(tables) if body["SchemaName"] == name), None)


def _of_lookups(of: Iterable[Table], tables: Mapping[str, Table]) -> Iterator[dict[str, Any]]:
    for table in of:
        for navigation in table.navigations.values():
            if navigation.table in tables:
                yield _definition(table, navigation, tables[navigation.table])


def _definition(table: Table, navigation: Navigation, target: Table) -> dict[str, Any]:
    name = f"{target.logical_name}_{table.logical_name}_{navigation.attribute}"
    custom = is_custom(table.by_name[navigation.attribute])
    own = navigation.relationship or (f"{PUBLISHER}{name}" if custom else name)
    return {
        "MetadataId": metadata_id("relationship", own),
        "HasChanged": None,
        "SchemaName": own,
        "RelationshipType": "OneToManyRelationship",
        "IsCustomRelationship": custom,
        "IsManaged": not custom,
        "IsValidForAdvancedFind": True,
        "IsHierarchical": False,
        "SecurityTypes": "None",
        "ReferencedEntity": target.logical_name,
        "ReferencedAttribute": target.primary_id,
        "ReferencedEntityNavigationPropertyName": name,
        "ReferencingEntity": table.logical_name,
        "ReferencingAttribute": navigation.attribute,
        "ReferencingEntityNavigationPropertyName": navigation.name,
    }
