"""What the actions about members answer, read tolerantly: little of it is documented (Dataverse pages 8.4, 8.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from annex_d365.dataverse.client import Row
from annex_d365.errors import ServiceError

_GUID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
#: JSON in JSON, so often at most.
_DEPTH = 4
KEY = "contactid"
#: An empty list says that there is nobody only where contacts are known to be: others may be lists of errors.
_LISTS_OF_CONTACTS = frozenset({"value", "entities", "contacts", "result", "response"})


def contacts_in(reply: Any) -> list[Row]:
    """The contacts in an answer of ``msdyncrm_FetchContactsByQuery``, each once.

    UNCONFIRMED which form that has (page 8.4), so: a list in ``value`` or in any other member, in an object there
    (``Entities``), or in a text that holds JSON; contacts are known by their ``contactid``.

    Raises:
        ServiceError: there is no such list, or one with something else in it: what is not understood is no empty list.
    """
    lists = [found for name, found in _lists("", reply, _DEPTH) if found or name.lower() in _LISTS_OF_CONTACTS]
    filled = [found for found in lists if any(isinstance(each, Mapping) and KEY in each for each in found)]
    if not lists or (not filled and any(lists)):
        raise ServiceError("Dataverse answered without a list of contacts.")
    rows: dict[str, Row] = {}
    for each in (each for found in filled for each in found):
        key = guid(each.get(KEY)) if isinstance(each, Mapping) else None
        if not key:
            raise ServiceError("Dataverse answered with a contact without an id.")
        rows[key] = {**each, KEY: key}
    return list(rows.values())


def ids_in(value: Any, *names: str) -> list[str]:
    """The ids in a list, or in the member of one of these ``names``, or in a text that holds either as JSON.

    Ids of the old segmentation service are ``crm`` and the id (page 8.3). Each is returned once, in lower case.

    Raises:
        ServiceError: there is no such list, or something in it is no id.
    """
    for _ in range(_DEPTH):
        if isinstance(value, str):
            value = _decoded(value)
        elif isinstance(value, Mapping):
            value = next((value[name] for name in names if value.get(name) is not None), None)
    if not isinstance(value, list):
        raise ServiceError("Dataverse answered without a list of ids.")
    found: dict[str, None] = {}
    for each in value:
        key = guid(each)
        if not key:
            raise ServiceError("Dataverse answered with a member whose id cannot be read.")
        found[key] = None
    return list(found)


def guid(value: Any) -> str | None:
    """A GUID in its usual form, from one in any form; None for anything else."""
    parts = _GUID.fullmatch(value.strip().lower().removeprefix("crm").strip("{}")) if isinstance(value, str) else None
    return "-".join(parts.groups()) if parts else None


def _lists(name: str, value: Any, depth: int) -> Iterator[tuple[str, list[Any]]]:
    """Lists of objects, and empty ones, wherever they are, with the name of the member that holds them."""
    if isinstance(value, str):
        value = _decoded(value)
    if isinstance(value, list):
        if not value or any(isinstance(each, Mapping) for each in value):
            yield name, value
    elif isinstance(value, Mapping) and depth:
        for key, each in value.items():
            yield from _lists(str(key), each, depth - 1)


def _decoded(value: str) -> Any:
    """What JSON a text holds; None for other texts."""
    if value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return None
