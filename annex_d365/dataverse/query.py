"""OData queries, as URLs (Dataverse page 2.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote, urlencode

#: Characters that OData uses and a query string may hold: URLs stay short, and readable in logs.
_SAFE = "$,()':/*@"
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
    """

    entity_set: str
    select: Sequence[str] = ()
    filter: str = ""
    orderby: Sequence[str] = ()
    top: int | None = None
    expand: str = ""

    @property
    def url(self) -> str:
        """Relative to the API's root."""
        options = {
            "$select": ",".join(self.select),
            "$filter": self.filter,
            "$orderby": ",".join(self.orderby),
            "$top": "" if self.top is None else str(self.top),
            "$expand": self.expand,
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
