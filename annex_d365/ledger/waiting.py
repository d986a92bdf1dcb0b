"""Who is in segments, but nobody on the other side yet: they are looked for again in later runs.

Of each copy, these are the rows of the last pass that had no member on the other side. A row is known by the same
fingerprint as members are, and has the number of the pass that it was seen in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, delete, func, inspect, select

from annex_d365.ledger.copies import Copy
from annex_d365.ledger.database import Database
from annex_d365.ledger.statements import CHUNK, write
from annex_d365.ledger.tables import copies, waiting

_COLUMNS = (waiting.c.source, waiting.c.contact, waiting.c.member)
#: Rows that were seen in the last pass of their copy: others may be about people who have left since.
_OF_LAST_PASS = and_(copies.c.id == waiting.c.copy, copies.c.number == waiting.c.number)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that waits.

    Attributes:
        source: its fingerprint.
        contact: id of the contact; empty if the row has none.
        member: id of the member, who was not known; empty if the row had none.
    """

    source: int
    contact: str = field(repr=False)
    member: str = field(repr=False)


class WaitingRows:
    """The rows of a site that wait. Made by :class:`annex_d365.ledger.Memberships`; for one thread.

    Args:
        database: with the tables.
        site: that the copies are in.
        take_over: has what another database knows of copies taken into this one; of all that rows wait for, if None.
    """

    def __init__(self, database: Database, site: str, take_over: Callable[[Iterable[str] | None], None]) -> None:
        self._database, self._site, self._take_over = database, site, take_over

    def put(self, copy: Copy, rows: Iterable[Waiting], *, at: float) -> None:
        """Remember rows with the pass; ``at`` is the Unix time when they were looked for."""
        values = [
            {
                "copy": copy.id,
                "source": each.source,
                "contact": each.contact,
                "member": each.member,
                "number": copy.number,
                "at": at,
            }
            for each in rows
        ]
        if values:
            with self._database.writing() as connection:
                write(connection, waiting, values)

    def drop(self, copy: Copy, sources: Sequence[int]) -> None:
        """These rows wait no longer."""
        if not sources:
            return
        with self._database.writing() as connection:
            for start in range(0, len(sources), CHUNK):
                part = waiting.c.source.in_(sources[start : start + CHUNK])
                connection.execute(delete(waiting).where(waiting.c.copy == copy.id, part))

    def sizes(self) -> dict[str, int]:
        """How many rows wait, by copy; the copy that was looked at the longest ago comes first."""
        statement = (
            select(copies.c.target, func.count())
            .join_from(waiting, copies, _OF_LAST_PASS)
            .where(copies.c.site == self._site)
            .group_by(copies.c.target)
            .order_by(func.min(waiting.c.at), copies.c.target)
        )
        self._take_over(None)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def due(self, copy: Copy, *, named: bool, before: float, limit: int) -> list[Waiting]:
        """Rows that wait for a copy, those first that were looked for the longest ago.

        Args:
            copy: of the segment that they are in.
            named: whether they name a member.
            before: rows that were looked for at this time, or later, are not due.
            limit: so many at most.
        """
        kind = waiting.c.member != "" if named else waiting.c.member == ""
        where = (waiting.c.copy == copy.id, waiting.c.number == copy.number, waiting.c.at < before, kind)
        statement = select(*_COLUMNS).where(*where).order_by(waiting.c.at, waiting.c.source).limit(limit)
        with self._database.reading() as connection:
            return [Waiting(*row) for row in connection.execute(statement)]

    def unknown(self, copy: Copy, sources: Sequence[int], *, before: float) -> set[int]:
        """Those of some rows that name a member who was not known when they were looked for, before this time."""
        found: set[int] = set()
        with self._database.reading() as connection:
            for start in range(0, len(sources), CHUNK):
                part = waiting.c.source.in_(sources[start : start + CHUNK])
                where = (waiting.c.copy == copy.id, waiting.c.at < before, waiting.c.member != "", part)
                found.update(connection.scalars(select(waiting.c.source).where(*where)))
        return found

    def forget(self, target: str) -> None:
        """Nobody waits for a copy any more."""
        self._take_over([target])
        with self._database.writing() as connection:
            forget_rows(connection, copies.c.site == self._site, copies.c.target == target)


def forget_rows(connection: Connection, *which: ColumnElement[bool]) -> None:
    """Nobody waits for these copies any more."""
    connection.execute(delete(waiting).where(waiting.c.copy.in_(select(copies.c.id).where(*which))))


def forget_older(connection: Connection, copy: Copy) -> None:
    """Nobody waits for a copy but those whom its last pass has shown."""
    connection.execute(delete(waiting).where(waiting.c.copy == copy.id, waiting.c.number != copy.number))


def waited_for(connection: Connection, site: str) -> list[str]:
    """The copies that rows wait for, in a database that an earlier version of this program may have made."""
    if not inspect(connection).has_table(waiting.name):
        return []
    statement = select(copies.c.target).join_from(waiting, copies, _OF_LAST_PASS).where(copies.c.site == site)
    return list(connection.scalars(statement.distinct()))
