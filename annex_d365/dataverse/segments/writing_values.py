"""What a copy of a segment shall be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.segments.generations import DYNAMIC, STATIC

#: How an expression of the query language begins (page 8.5); rules of other services do not.
_QUERY = re.compile(r"\s*\(*\s*(PROFILE|SEGMENT|INTERACTION)\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class SegmentValues:
    """What a copy shall be.

    Attributes:
        origin: text that the copy carries: ``annexcloud:<site>/<id>``.
        name: for people.
        description: for people; empty for none.
        query: in Dynamics 365's language (page 8.5); the copy is dynamic then. Texts of other languages do not count.
        live: whether it is in use.
    """

    origin: str
    name: str
    description: str = ""
    query: str = ""
    live: bool = True

    @property
    def kind(self) -> str:
        """``dynamic`` or ``static``."""
        return DYNAMIC if _QUERY.match(self.query) else STATIC


def fitting(table: Table, column: str, value: str) -> str:
    """A text, cut to the length of its column: a segment is not worth less for a shorter name."""
    known = table.columns.get(column)
    longest = known.schema.get("maxLength") if known else None
    return value[:longest] if longest else value
