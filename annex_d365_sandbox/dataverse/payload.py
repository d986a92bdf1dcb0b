"""Bodies of creates and updates as columns of SQLite (Dataverse page 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import errors, values
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Attribute, Navigation, Table

_REFERENCE = re.compile(r"(?:.*/)?(?P<set>\w+)\((?P<id>[0-9a-fA-F-]{36})\)")
_BIND = "@odata.bind"


def columns_of(organisation: Organisation, table: Table, body: Any, *, creating: bool) -> dict[str, Any]:
    """The columns that a body sets; those that a client cannot write are silently left out.

    Raises:
        DataverseError: an unknown member, a value that does not fit, a reference to a row that is not there.
    """
    if not isinstance(body, Mapping):
        raise errors.bad_payload(table, "A node of type 'StartObject' was expected.")
    result: dict[str, Any] = {}
    for name, value in body.items():
        if name.endswith(_BIND):
            result.update(_reference(organisation, table, name.removesuffix(_BIND), value))
        elif "@" not in name:
            attribute = _attribute(table, name, value)
            if attribute.creatable if creating else attribute.updatable:
                result[attribute.name] = values.parse(table, attribute, value)
    return result


def _attribute(table: Table, name: str, value: Any) -> Attribute:
    attribute = table.by_property.get(name)
    if attribute is None and name in table.navigations and value is None:
        return table.by_name[table.navigations[name].attribute]
    if attribute is None:
        raise errors.unknown_payload_property(name, table)
    if attribute.navigations:
        raise errors.bad_payload(
            table, f"CRM do not support direct update of Entity Reference properties, Use Navigation properties"
            f" instead of '{name}'."
        )  # fmt: skip
    return attribute


def _reference(organisation: Organisation, table: Table, name: str, value: Any) -> dict[str, Any]:
    navigation = table.navigations.get(name)
    if navigation is None:
        raise errors.unknown_payload_property(name, table)
    attribute = table.by_name[navigation.attribute]
    if not attribute.creatable:
        return {}
    target = None if value is None else _target(organisation, table, navigation, value)
    result: dict[str, Any] = {attribute.name: target}
    if attribute.target_column:
        result[attribute.target_column] = navigation.table if target else None
    return result


def _target(organisation: Organisation, table: Table, navigation: Navigation, value: Any) -> str:
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise errors.bad_payload(table, f"The value of '{navigation.name}@odata.bind' is not a reference to a row.")
    target = organisation.tables.get(navigation.table)
    if target is None or target.set_name != match["set"]:
        raise errors.bad_payload(
            table, f"An entity of set '{match['set']}' does not fit the navigation property '{navigation.name}'."
        )
    row_id = match["id"].lower()
    if not organisation.get(target.logical_name, row_id):
        raise errors.missing_row(target, row_id)
    return row_id
