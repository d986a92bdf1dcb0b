"""Bodies of requests as JSON, whatever a client sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.wire import Request


def body_for(request: Request, table: Table) -> Any:
    """The JSON of a body. Raises ``DataverseError``."""
    try:
        return request.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.bad_payload(table, "Invalid JSON. An unexpected end or character was found.") from error


def object_in(request: Request) -> dict[str, Any]:
    """The JSON object of an action's or a definition's body. Raises ``DataverseError``."""
    try:
        body = request.json() if request.body else {}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.bad_parameters("Invalid JSON. An unexpected end or character was found.") from error
    if not isinstance(body, dict):
        raise errors.bad_parameters("A node of type 'StartObject' was expected.")
    return body


def member(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that is an object; an empty one where there is none."""
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}


def members(body: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A member that is a collection of objects. Raises ``DataverseError`` if it is something else."""
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise errors.bad_parameters(f"'{name}' is not a collection of objects.")
    return value
