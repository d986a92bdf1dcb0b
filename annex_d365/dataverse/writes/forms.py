"""Operations as requests: alone, in a batch, or as target of a bulk message (Dataverse pages 5.1 to 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annex_d365.dataverse.writes.addresses import address, bind
from annex_d365.dataverse.writes.calls import encode_json
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import AlternateKey, Guid, Kind, Operation


@dataclass(frozen=True)
class Form:
    """A request: method, address relative to the API's root, headers of its own, and body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def form(operation: Operation, definition: TableDefinition) -> Form:
    """The request for one row."""
    if operation.kind is Kind.CREATE:
        return Form("POST", definition.entity_set, {}, encode_json(_new(operation, definition)))
    assert operation.key is not None
    url = address(definition.entity_set, operation.key)
    if operation.kind is Kind.DELETE:
        return Form("DELETE", url, {"If-Match": operation.etag} if operation.etag else {})
    body = encode_json(_changed(operation, definition))
    # The reply then tells the row's GUID, and whether it is new: without, an upsert is 204 either way (page 5.1).
    selected, telling = f"{url}?$select={definition.primary_id}", {"Prefer": "return=representation"}
    if operation.kind is Kind.UPSERT:
        return Form("PATCH", selected, telling, body)
    guard = {"If-Match": operation.etag or "*"}
    if isinstance(operation.key, Guid):
        return Form("PATCH", url, guard, body)
    return Form("PATCH", selected, {**guard, **telling}, body)


def target(operation: Operation, definition: TableDefinition) -> bytes:
    """The row as target of a bulk message."""
    members: dict[str, Any] = {"@odata.type": f"Microsoft.Dynamics.CRM.{definition.logical_name}"}
    if operation.kind is Kind.CREATE:
        members.update(_new(operation, definition))
    elif isinstance(operation.key, Guid):
        members.update({definition.primary_id: operation.key.value.lower(), **_changed(operation, definition)})
    else:
        assert operation.key is not None
        # Not with the slash that a bound lookup has (the samples, page 5.3).
        members["@odata.id"] = bind(definition.entity_set, operation.key)[1:]
        members.update(_changed(operation, definition))
    return encode_json(members)


def key_members(key: AlternateKey) -> dict[str, Any]:
    """An alternate key as members of a body; a lookup among them stands in the values as it is bound."""
    return {name: value for name, value in key.values.items() if not isinstance(value, Guid)}


def _new(operation: Operation, definition: TableDefinition) -> dict[str, Any]:
    if isinstance(operation.key, Guid):
        return {**operation.values, definition.primary_id: operation.key.value.lower()}
    return {**operation.values, **(key_members(operation.key) if operation.key else {})}


def _changed(operation: Operation, definition: TableDefinition) -> dict[str, Any]:
    """What is sent beside the key: not the key once more."""
    values = dict(operation.values)
    values.pop(definition.primary_id, None)
    if isinstance(operation.key, AlternateKey):
        for name in operation.key.values:
            values.pop(name, None)
    return values
