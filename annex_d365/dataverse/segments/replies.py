"""What the actions about members answer, read tolerantly: little of it is documented (Dataverse pages 8.4, 8.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from annex_d365.dataverse.client import Row
from annex_d365.errors import ServiceError

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: JSON in JSON, so often at most.
_DEPTH = 4
KEY = "contactid"


def contacts_in(reply: Any) -> list[Row]:
    """The contacts in an answer of ``msdyncrm_FetchContactsByQuery``, each once.

    UNCONFIRMED which form that has (page 8.4), so: a list in ``value`` or in any other member, in an object there
    (``Entities``), or in a text that holds JSON; contacts are known by their ``contactid``.

    Raises:
        ServiceError: there is no list in it.
    """
    lists = list(_lists(reply, _DEPTH))
    if not lists:
        raise ServiceError("Dataverse answered without a list of contacts.")
    rows = (each for found in lists for each in found if isinstance(each, Mapping) and isinstance(each.get(KEY), str))
    return list({row[KEY].lower(): {**row, KEY: row[KEY].lower()} for row in rows}.values())


def ids_in(value: Any, *names: str) -> list[str]:
    """The ids in a list, or in the member of one of these ``names``, or in a text that holds either as JSON.

    Ids of the old segmentation service are ``crm`` and the id (page 8.3). Each is returned once, in lower case.

    Raises:
        ServiceError: there is no such list.
    """
    for _ in range(_DEPTH):
        if isinstance(value, str):
            value = _decoded(value)
        elif isinstance(value, Mapping):
            value = next((value[name] for name in names if value.get(name) is not None), None)
    if not isinstance(value, list):
        raise ServiceError("Dataverse answered without a list of ids.")
    found = (str(each).strip().lower().removeprefix("crm").strip("{}") for each in value)
    return list(dict.fromkeys(each for each in found if _GUID.fullmatch(each)))


def _lists(value: Any, depth: int) -> Iterator[list[Any]]:
    """Lists of objects, and empty ones, wherever they are."""
    if isinstance(value, str):
        value = _decoded(value)
    if isinstance(value, list):
        if not value or isinstance(value[0], Mapping):
            yield value
    elif isinstance(value, Mapping) and depth:
        for each in value.values():
            yield from _lists(each, depth - 1)


def _decoded(value: str) -> Any:
    """What JSON a text holds; None for other texts."""
    if value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return None
