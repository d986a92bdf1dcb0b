"""OData queries, as URLs (Dataverse page 2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TypeVar
from urllib.parse import quote, urlencode

Item = TypeVar("Item")

#: Conditions of one query that asks for many rows: well below those that a query may have.
MOST_CONDITIONS = 100
#: Characters of them in a URL: what a URL may hold at most (Dataverse page 2.2), less columns and address.
MOST_CHARACTERS = 24_000

#: Characters that OData uses and a query string may hold: URLs stay short, and readable in logs.
_SAFE = "$,()':/*@"
_PROPERTY = re.compile(r"\w+(?=$|\(|/)")
_FRACTION = re.compile(r"\.\d+")


@dataclass(frozen=True)
class Query:
    """The rows of one table.

    Attributes:
        entity_set: name of the table in URLs, ``contacts``.
        select: columns; none means all.
        filter: an OData condition.
        orderby: ``column`` or ``column desc``, each.
        top: at most so many rows; the service then sends no next page.
        expand: an OData ``$expand``.
        apply: an OData ``$apply``, an aggregation.
    """

    entity_set: str
    select: Sequence[str] = ()
    filter: str = ""
    orderby: Sequence[str] = ()
    top: int | None = None
    expand: str = ""
    apply: str = ""

    @property
    def url(self) -> str:
        """Relative to the API's root."""
        options = {
            "$select": ",".join(self.select),
            "$filter": self.filter,
            "$orderby": ",".join(self.orderby),
            "$top": "" if self.top is None else str(self.top),
            "$expand": self.expand,
            "$apply": self.apply,
        }
        given = {name: value for name, value in options.items() if value}
        query = urlencode(given, safe=_SAFE, quote_via=quote)
        return f"{quote(self.entity_set, safe='')}?{query}" if query else quote(self.entity_set, safe="")


def text(value: str) -> str:
    """A text as OData literal."""
    return "'" + value.replace("'", "''") + "'"


def all_of(*conditions: str) -> str:
    """Conditions joined by ``and``; empty ones are left out."""
    given = [condition for condition in conditions if condition]
    return given[0] if len(given) == 1 else " and ".join(f"({condition})" for condition in given)


def portions(items: Sequence[Item], condition: Callable[[Item], str]) -> Iterator[list[Item]]:
    """The items in their order, as many at a time as one query can ask for by ``condition or condition ...``."""
    portion, characters = list[Item](), 0
    for item in items:
        more = len(quote(condition(item), safe=_SAFE)) + len("%20or%20")
        if portion and (len(portion) == MOST_CONDITIONS or characters + more > MOST_CHARACTERS):
            yield portion
            portion, characters = [], 0
        portion.append(item)
        characters += more
    if portion:
        yield portion


def expanded_properties(expand: str) -> dict[str, str]:
    """The parts of a ``$expand``, by the name of the property in rows: ``{"a": "a($select=b)", "c": "c"}``.

    Raises:
        ValueError: it is no list of properties.
    """
    parts, depth, quoted, start = [], 0, False, 0
    for position, sign in enumerate(expand):
        if sign == "'":  # a doubled quote within a text ends it and begins it again
            quoted = not quoted
        elif quoted:
            continue
        elif sign == "," and not depth:
            parts.append(expand[start:position])
            start = position + 1
        else:
            depth += (sign == "(") - (sign == ")")
            if depth < 0:
                break
    if depth or quoted:
        raise ValueError("its parentheses or quotes do not match")
    parts.append(expand[start:])
    found = {}
    for part in map(str.strip, parts):
        name = _PROPERTY.match(part)
        if not name or name[0] in found:
            raise ValueError("it is no list of properties, each once")
        found[name[0]] = part
    return found


def utc(value: str) -> str:
    """A timestamp in UTC with ``Z``, as Dataverse itself writes it: ``2023-04-07T21:59:01Z``.

    The SDK compares bookmarks as texts, so that they must all have one form. A fraction of a second is kept; as text
    it sorts before the full second, which errs to the safe side: a row is read twice rather than missed.

    Raises:
        ValueError: it is not a timestamp.
    """
    if value.endswith("Z"):
        return value
    # Python 3.10 reads three or six digits of a second only; servers write up to seven.
    moment = datetime.fromisoformat(_FRACTION.sub(lambda digits: digits[0][:7].ljust(7, "0"), value))
    if moment.tzinfo is None:  # Dataverse takes a time without offset as UTC (page 2.5)
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"
