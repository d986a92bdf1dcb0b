"""The copies of segments, and how far their members have been read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from sqlalchemy import ColumnElement, Connection, select

from annex_d365.ledger.tables import copies


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a segment, and how far its members have been read.

    Attributes:
        id: in the ledger.
        target: its id in the destination.
        number: of the pass; 0 before the first one.
        version: of the segment, that the pass is about.
        rows: that the pass has had, each once.
        size: members that were remembered when the pass began.
        complete: whether the pass is over: who is gone was removed.
        unfinished: whether it shall go live, and the service has not been told yet.
    """

    id: int
    target: str
    number: int
    version: str
    rows: int
    size: int
    complete: bool
    unfinished: bool


#: Of a copy of which nothing is known.
NEW = {"number": 0, "version": "", "rows": 0, "size": 0, "complete": True, "unfinished": False}
#: Instead of the number of a pass: what was known is forgotten, and not all members are learnt yet.
FORGOTTEN, LEARNING = -2, -1

_COLUMNS = [copies.c[field.name] for field in fields(Copy)]


def read_copies(connection: Connection, *where: ColumnElement[bool], every: bool = False) -> Iterator[Copy]:
    """The copies whose members are known, or every one."""
    learnt = () if every else (copies.c.number >= 0,)
    for row in connection.execute(select(*_COLUMNS).where(*where, *learnt)):
        yield Copy(*row)
