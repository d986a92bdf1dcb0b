"""Who is a member of which copy of a segment, as far as we made it so.

A copy's members are read in passes: from the first member of a version of the segment to its snapshot. Each member has
the number of the last pass that it was seen in; those that a pass has not seen are gone, once it is complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, inspect, select, update

from annex_d365.ledger.database import Database
from annex_d365.ledger.statements import CHUNK, insert_into, write
from annex_d365.ledger.tables import copies, memberships

#: Members in one transaction.
BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of a segment, and how far its members have been read.

    Attributes:
        id: in the ledger.
        target: its id in the destination.
        number: of the pass; 0 before the first one.
        version: of the segment, that the pass is about.
        rows: that the pass has had.
        size: members that were remembered when the pass began.
        complete: whether the pass is over: who is gone was removed.
        unfinished: whether there are changes that the service was not told to make live.
    """

    id: int
    target: str
    number: int
    version: str
    rows: int
    size: int
    complete: bool
    unfinished: bool


_COPY = [copies.c[field.name] for field in fields(Copy)]
_NEW = {"number": 0, "version": "", "rows": 0, "size": 0, "complete": True, "unfinished": False}


class Memberships:
    """The memberships of a site. Made by :meth:`annex_d365.ledger.Ledger.memberships`; for one thread.

    Args:
        database: with the tables.
        site: that the copies are in.
        kept: another database, that is only read: what it has of a copy is taken over before the copy is looked at.

    Raises:
        ConnectorError: by all methods, if the database fails.
    """

    def __init__(self, database: Database, site: str, kept: Database | None = None) -> None:
        self._database, self._site, self._kept = database, site, kept
        self._taken: set[str] = set()

    def find(self, target: str) -> Copy | None:
        """What is known of a copy; None if its members were never learnt."""
        self._take_over([target])
        with self._database.reading() as connection:
            return next(_copies(connection, copies.c.site == self._site, copies.c.target == target), None)

    def learn(self, target: str, members: Iterable[str]) -> Copy:
        """Begin with a copy, and with the members that it has."""
        self.forget_copy(target)
        with self._database.writing() as connection:
            statement = insert_into(connection, copies).values(site=self._site, target=target, **_NEW)
            # Not complete before all are read: what is left of it after a crash is learnt anew.
            connection.execute(statement.values(number=-1))
        copy = self._copy(target)
        waiting = iter(members)
        while part := list(islice(waiting, BATCH)):
            with self._database.writing() as connection:
                _write_members(connection, copy.id, 0, part)
        return self._change(copy, number=0)

    def begin(self, copy: Copy, version: str) -> Copy:
        """Begin a pass over the members of a version."""
        size = self._count(memberships.c.copy == copy.id)
        return self._change(copy, number=copy.number + 1, version=version, rows=0, size=size, complete=False)

    def known(self, copy: Copy, members: Sequence[str]) -> set[str]:
        """Which of these are remembered."""
        with self._database.reading() as connection:
            return {
                member
                for part in _parts(members)
                for member in connection.scalars(
                    select(memberships.c.member).where(memberships.c.copy == copy.id, memberships.c.member.in_(part))
                )
            }

    def seen(self, copy: Copy, members: Collection[str], *, rows: int, changed: bool) -> Copy:
        """Remember members, with the pass.

        Args:
            copy: whose they are.
            members: that the copy has now.
            rows: that the pass has had besides those before.
            changed: whether some of the members are new.
        """
        values = {"rows": copy.rows + rows, "unfinished": copy.unfinished or changed}
        with self._database.writing() as connection:
            _write_members(connection, copy.id, copy.number, members)
            connection.execute(update(copies).where(copies.c.id == copy.id).values(values))
        return self._copy(copy.target)

    def count_gone(self, copy: Copy) -> int:
        """How many members the pass has not seen."""
        return self._count(*_gone(copy))

    def gone(self, copy: Copy) -> Iterator[list[str]]:
        """The members that the pass has not seen, some thousands at a time; they may be forgotten meanwhile."""
        after: list[ColumnElement[bool]] = []
        while True:
            member = memberships.c.member
            statement = select(member).where(*_gone(copy), *after).order_by(member).limit(BATCH)
            with self._database.reading() as connection:
                part = list(connection.scalars(statement))
            if not part:
                return
            yield part
            after = [member > part[-1]]

    def forget(self, copy: Copy, members: Sequence[str]) -> None:
        """These are no members any more."""
        with self._database.writing() as connection:
            for part in _parts(members):
                chosen = memberships.c.member.in_(part)
                connection.execute(delete(memberships).where(memberships.c.copy == copy.id, chosen))
            connection.execute(update(copies).where(copies.c.id == copy.id).values(unfinished=True))

    def forget_copy(self, target: str) -> None:
        """Nothing is known of a copy any more."""
        self._take_over([target])
        where = (copies.c.site == self._site, copies.c.target == target)
        with self._database.writing() as connection:
            ids = select(copies.c.id).where(*where)
            connection.execute(delete(memberships).where(memberships.c.copy.in_(ids)))
            connection.execute(delete(copies).where(*where))

    def complete(self, copy: Copy) -> Copy:
        """The pass is over."""
        return self._change(copy, complete=True)

    def touched(self, copy: Copy) -> Copy:
        """The copy itself was changed."""
        return self._change(copy, unfinished=True)

    def finished(self, copy: Copy) -> Copy:
        """The service was told to make all changes live."""
        return self._change(copy, unfinished=False)

    def unfinished(self) -> list[Copy]:
        """The copies with changes that are not live."""
        with self._database.reading() as connection:
            return list(_copies(connection, copies.c.site == self._site, copies.c.unfinished))

    def _copy(self, target: str) -> Copy:
        with self._database.reading() as connection:
            return next(_copies(connection, copies.c.site == self._site, copies.c.target == target, every=True))

    def _change(self, copy: Copy, **values: Any) -> Copy:
        with self._database.writing() as connection:
            connection.execute(update(copies).where(copies.c.id == copy.id).values(values))
        return self._copy(copy.target)

    def _count(self, *where: ColumnElement[bool]) -> int:
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(memberships).where(*where)) or 0

    def _take_over(self, targets: Iterable[str]) -> None:
        kept = self._kept
        for target in targets:
            if kept is None or target in self._taken:
                continue
            self._taken.add(target)
            with kept.reading() as source, self._database.writing() as connection:
                _take_over(source, connection, self._site, target)


def _copies(connection: Connection, *where: ColumnElement[bool], every: bool = False) -> Iterator[Copy]:
    learnt = () if every else (copies.c.number >= 0,)
    for row in connection.execute(select(*_COPY).where(*where, *learnt)):
        yield Copy(*row)


def _gone(copy: Copy) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return memberships.c.copy == copy.id, memberships.c.number != copy.number


def _write_members(connection: Connection, copy: int, number: int, members: Iterable[str]) -> None:
    write(
        connection, memberships, [{"copy": copy, "member": each, "number": number} for each in dict.fromkeys(members)]
    )


def _parts(members: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(members), CHUNK):
        yield members[start : start + CHUNK]


def _take_over(source: Connection, connection: Connection, site: str, target: str) -> None:
    if not inspect(source).has_table(memberships.name):
        return
    for copy in list(_copies(source, copies.c.site == site, copies.c.target == target)):
        values = {field.name: getattr(copy, field.name) for field in fields(Copy) if field.name != "id"}
        statement = insert_into(connection, copies).values(site=site, **values).returning(copies.c.id)
        number = connection.scalar(statement)
        rows = source.execution_options(yield_per=BATCH).execute(
            select(memberships.c.member, memberships.c.number).where(memberships.c.copy == copy.id)
        )
        for part in rows.partitions(BATCH):
            write(connection, memberships, [{"copy": number, "member": each, "number": last} for each, last in part])
