"""Bodies of creates and updates as columns of SQLite (Dataverse page 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.dataverse import addresses, errors, values
from annex_d365_sandbox.dataverse.schema import Attribute, Navigation, Table

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation

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
            if value is None and organisation.switches.null_bind == "refused":
                raise errors.bad_payload(table, f"The value of '{name}' is null, where an address was expected.")
            result.update(bound(organisation, table, name.removesuffix(_BIND), value, creating=creating))
        elif name in table.navigations and value is None:
            result.update(bound(organisation, table, name, None, creating=creating))
        elif "@" not in name:
            attribute = _attribute(table, _known_as(organisation, table, name))
            if attribute.creatable if creating else attribute.updatable:
                result[attribute.name] = values.parse(table, attribute, value)
    for name in table.required:
        if name in result and result[name] is None:
            raise errors.missing_value(table, name)
    return result


def check_status(table: Table, before: Mapping[str, Any] | None, columns: Mapping[str, Any]) -> None:
    """A status must belong to the state that the row will have. Raises ``DataverseError``."""
    status = columns.get("statuscode")
    if status is None or "statecode" not in table.by_name:
        return
    state = columns.get("statecode", before["statecode"] if before else table.by_name["statecode"].default)
    option = table.by_name["statuscode"].option(status)
    if option and option.state != state:
        raise errors.bad_status()


def _known_as(organisation: Organisation, table: Table, name: str) -> str:
    """The column's name behind one of its two names, if the organisation takes that one (Dataverse page 8.3)."""
    spoken = organisation.marketing.switches.segment_query_member
    for old, new in table.synonyms:
        if name == {"msdyncrm_segmentquery": old, "msdyncrm_query": new}.get(spoken):
            raise errors.unknown_payload_property(name, table)
        if name == old:
            return new
    return name


def _attribute(table: Table, name: str) -> Attribute:
    attribute = table.by_property.get(name)
    if attribute is None:
        raise errors.unknown_payload_property(name, table)
    if attribute.navigations:
        raise errors.bad_payload(
            table, f"CRM do not support direct update of Entity Reference properties, Use Navigation properties"
            f" instead of '{name}'."
        )  # fmt: skip
    return attribute


def bound(organisation: Organisation, table: Table, name: str, value: Any, *, creating: bool) -> dict[str, Any]:
    """The columns that a navigation property sets when it leads to the row at an address, or nowhere.

    Raises:
        DataverseError: no such navigation property, an address of another table, or of no row.
    """
    navigation = table.navigations.get(name)
    if navigation is None:
        raise errors.undeclared_navigation(name, table)
    attribute = table.by_name[navigation.attribute]
    if not (attribute.creatable if creating else attribute.updatable):
        return {}
    target = None if value is None else _target(organisation, table, navigation, value)
    result: dict[str, Any] = {attribute.name: target}
    if attribute.target_column:
        result[attribute.target_column] = navigation.table if target else None
    return result


def _target(organisation: Organisation, table: Table, navigation: Navigation, value: Any) -> str:
    try:
        address = addresses.in_body(organisation, value)
    except errors.DataverseError as error:
        raise errors.bad_payload(table, f"{error.message} (navigation property '{navigation.name}')") from error
    if address.table.logical_name != navigation.table:
        raise errors.bad_payload(
            table,
            f"An entity of set '{address.table.set_name}' does not fit the navigation property '{navigation.name}'.",
        )
    row = address.find(organisation)
    if row is None:
        raise address.missing()
    return str(row[address.table.primary_id])
