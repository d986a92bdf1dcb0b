"""Addresses of rows, by primary or alternate key, in URLs and in bodies (Dataverse page 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.dataverse import errors, literals, schema
from annex_d365_sandbox.dataverse.schema import Attribute, Table

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation

#: What stands between the parentheses. A doubled quote within a text reads as two texts: there is one way to match.
INSIDE = r"(?:[^'()]|'[^']*')+"
_ADDRESS = re.compile(
    rf"(?:https?://[^/]+)?(?:/api/data/v9\.\d)?/?(?P<set>\w+)\((?P<key>{INSIDE})\)", re.IGNORECASE | re.DOTALL
)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PAIR = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<value>'(?:[^']|'')*'|[^',\s]+)\s*(?:,|$)", re.DOTALL)
#: Characters of key values that break a URL even when they are escaped (Dataverse page 4).
_UNSAFE = frozenset("/<>*%&:\\?+")


@dataclass(frozen=True)
class Address:
    """One row of a table: ``key`` holds the values of its primary key or of an alternate one, as SQLite does."""

    table: Table
    #: As the client wrote it.
    text: str
    key: Mapping[str, Any]

    @property
    def row_id(self) -> str | None:
        """The primary key; ``None`` if the address is by an alternate one."""
        value: str | None = self.key.get(self.table.primary_id)
        return value

    def find(self, organisation: Organisation) -> dict[str, Any] | None:
        """The row, or ``None``."""
        return organisation.find(self.table, self.key)

    def missing(self) -> errors.DataverseError:
        """What to say where there is no such row (Dataverse page 7)."""
        return errors.missing_row(self.table, self.row_id) if self.row_id else errors.missing_keyed_row(self.table)


def of_row(table: Table, row_id: str) -> Address:
    """The address by primary key."""
    return Address(table, row_id, {table.primary_id: row_id})


def in_url(table: Table, inside: str) -> Address:
    """The address in a path.

    Raises:
        DataverseError: these columns are no active key, a value is of another type, or it has a character that a path
            cannot carry: that these are refused with 400 is an assumption (Dataverse page 4 says that they break).
    """
    found = _parsed(table, inside)
    if found.row_id is None and any(_UNSAFE & set(value) for value in found.key.values() if isinstance(value, str)):
        raise errors.bad_query("A potentially dangerous Request.Path value was detected from the client.")
    return found


def in_body(organisation: Organisation, text: Any) -> Address:
    """The address in ``@odata.id`` or ``@odata.bind``: absolute, from the host's root, or from the service's.

    Raises:
        DataverseError: it is no address of a row.
    """
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise errors.bad_query(f"'{text}' is not a reference to a row.")
    table = organisation.sets.get(match["set"])
    if table is None:
        raise errors.unknown_segment(match["set"])
    return _parsed(table, match["key"])


def _parsed(table: Table, inside: str) -> Address:
    if _GUID.fullmatch(inside.strip()):
        return Address(table, inside, {table.primary_id: inside.strip().lower()})
    given: dict[str, Any] = {}
    at = 0
    while at < len(inside):
        match = _PAIR.match(inside, at)
        if not match:
            raise errors.bad_query(f"Syntax error in the key '{inside}'.")
        attribute = table.by_property.get(match["name"])
        if attribute is None:
            raise errors.undefined_key(table)
        given[attribute.name] = _held(attribute, match["value"])
        at = match.end()
    names = [(table.primary_id,), *(key.attributes for key in table.keys if key.status == "Active")]
    if not any(given.keys() == set(key) for key in names):
        raise errors.undefined_key(table)
    return Address(table, inside, given)


def _held(attribute: Attribute, literal: str) -> Any:
    quoted = literal.startswith("'")
    if quoted != (attribute.kind in schema.TEXTS):
        raise errors.bad_query(f"The value {literal} of the key is not a valid '{attribute.kind.edm}'.")
    return literal[1:-1].replace("''", "'") if quoted else literals.convert(attribute, literal)
