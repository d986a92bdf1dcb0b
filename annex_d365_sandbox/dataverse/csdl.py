"""``$metadata``: the tables as CSDL (Dataverse page 4)."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Attribute, Table

_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"


def document(tables: Mapping[str, Table]) -> bytes:
    """The whole document, UTF-8."""
    root = ET.Element("edmx:Edmx", {"Version": "4.0", "xmlns:edmx": _EDMX})
    services = ET.SubElement(root, "edmx:DataServices")
    body = ET.SubElement(services, "Schema", {"Namespace": "Microsoft.Dynamics.CRM", "Alias": "mscrm", "xmlns": _EDM})
    ET.SubElement(body, "EntityType", {"Name": "crmbaseentity", "Abstract": "true"})
    for table in tables.values():
        _entity(body, table, tables)
    container = ET.SubElement(body, "EntityContainer", {"Name": "System"})
    for table in tables.values():
        _entity_set(container, table, tables)
    _who_am_i(body, container)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _entity(body: ET.Element, table: Table, tables: Mapping[str, Table]) -> None:
    entity = ET.SubElement(body, "EntityType", {"Name": table.logical_name, "BaseType": "mscrm.crmbaseentity"})
    ET.SubElement(ET.SubElement(entity, "Key"), "PropertyRef", {"Name": table.primary_id})
    for attribute in table.by_property.values():
        _property(entity, attribute)
    for navigation in table.navigations.values():
        if navigation.table not in tables:
            continue
        target = tables[navigation.table]
        element = ET.SubElement(
            entity,
            "NavigationProperty",
            {"Name": navigation.name, "Type": f"mscrm.{target.logical_name}", "Nullable": "true"},
        )
        ET.SubElement(
            element,
            "ReferentialConstraint",
            {"Property": f"_{navigation.attribute}_value", "ReferencedProperty": target.primary_id},
        )


def _property(entity: ET.Element, attribute: Attribute) -> None:
    facts = {"Name": attribute.property_name, "Type": attribute.kind.edm}
    if attribute.kind in schema.TEXTS:
        facts["MaxLength"] = str(attribute.max_length)
    if attribute.kind in schema.SCALED:
        facts["Scale"] = str(attribute.precision)
    ET.SubElement(entity, "Property", facts)


def _entity_set(container: ET.Element, table: Table, tables: Mapping[str, Table]) -> None:
    element = ET.SubElement(
        container, "EntitySet", {"Name": table.set_name, "EntityType": f"Microsoft.Dynamics.CRM.{table.logical_name}"}
    )
    for navigation in table.navigations.values():
        if navigation.table in tables:
            ET.SubElement(
                element,
                "NavigationPropertyBinding",
                {"Path": navigation.name, "Target": tables[navigation.table].set_name},
            )


def _who_am_i(body: ET.Element, container: ET.Element) -> None:
    reply = ET.SubElement(body, "ComplexType", {"Name": "WhoAmIResponse"})
    for name in ("BusinessUnitId", "UserId", "OrganizationId"):
        ET.SubElement(reply, "Property", {"Name": name, "Type": "Edm.Guid", "Nullable": "false"})
    function = ET.SubElement(body, "Function", {"Name": "WhoAmI"})
    ET.SubElement(function, "ReturnType", {"Type": "mscrm.WhoAmIResponse", "Nullable": "false"})
    ET.SubElement(container, "FunctionImport", {"Name": "WhoAmI", "Function": "Microsoft.Dynamics.CRM.WhoAmI"})
