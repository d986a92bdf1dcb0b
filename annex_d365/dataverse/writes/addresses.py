"""Addresses of rows, by either kind of key (Dataverse page 5.1)."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from annex_d365.dataverse.query import text
from annex_d365.dataverse.writes.operations import AlternateKey, Guid, Key

#: Signs in a key's value with which its address does not work, however they are escaped (Dataverse page 4); and ``#``,
#: which ends an address in a body, where nothing is escaped. Nor do signs that nobody sees, line ends among them.
_UNFIT = frozenset("/<>*%&:\\?+#") | frozenset(map(chr, [*range(32), 127]))


def literal(value: Any) -> str:
    """A value in an address or a filter.

    Raises:
        TypeError: no key has such a value.
    """
    if isinstance(value, Guid):
        return value.value.lower()
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (int, date)):
        return str(value)
    raise TypeError(f"no key has a {type(value).__name__}")


def predicate(key: Key) -> str:
    """What stands in the parentheses of an address, not escaped: a GUID, or ``a='x',b=1``."""
    if isinstance(key, Guid):
        return key.value.lower()
    return ",".join(f"{name}={literal(value)}" for name, value in key.values.items())


def address(entity_set: str, key: Key) -> str:
    """A row's address, relative to the API's root."""
    return f"{entity_set}({quote(predicate(key), safe=_SAFE)})"


def bind(entity_set: str, key: Key) -> str:
    """A row's address as the value of an ``@odata.bind`` or ``@odata.id``; in a body nothing is escaped."""
    return f"/{entity_set}({predicate(key)})"


def addressable(key: Key) -> bool:
    """Whether a row can be reached by this key: some signs do not work in addresses."""
    return isinstance(key, Guid) or not any(_UNFIT & set(literal(value)) for value in key.values.values())


def condition(key: AlternateKey) -> str:
    """The key as a filter."""
    return " and ".join(f"{name} eq {literal(value)}" for name, value in key.values.items())


def identity(key: Key) -> str:
    """What is the same for two keys of the same row: the service compares texts without case (Dataverse page 2.2)."""
    if isinstance(key, Guid):
        return key.value.lower()
    return msgspec.json.encode(sorted((name, _comparable(value)) for name, value in key.values.items())).decode()


def _comparable(value: Any) -> str:
    """The same for a key's value and for that value in a row."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return f"{Decimal(value).normalize():f}"
    return (value if isinstance(value, str) else literal(value)).casefold()


#: As in queries: addresses stay short, and readable in logs.
_SAFE = "$,()'=@"
