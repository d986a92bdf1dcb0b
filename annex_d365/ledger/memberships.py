"""Who is a member of which copy of a segment, as far as we made it so.

A copy's members are read in passes: from the first member of a version of the segment to its snapshot. Each member has
the number of the last pass that it was seen in; those that a pass has not seen are gone, once it is complete. It also
has the fingerprint of the row by which it was seen.

Whom the service is told to add or to remove is in doubt until it has answered. If a run ends before that, they stay so:
in the next pass, those who come are added, as if they were no members, and the others are removed, as if they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, func, inspect, select, update

from annex_d365.ledger.copies import FORGOTTEN, LEARNING, NEW, Copy, read_copies
from annex_d365.ledger.database import Database
from annex_d365.ledger.statements import CHUNK, insert_into, missing_columns, write
from annex_d365.ledger.tables import copies, memberships, waiting
from annex_d365.ledger.waiting import WaitingRows, forget_older, forget_rows, waited_for

#: Members in one transaction.
BATCH = 10_000
#: Instead of a fingerprint: the member was learnt from the service, of a copy that the ledger knew nothing of; and it
#: was learnt otherwise.
LEARNT, UNTOLD = 1, 0
#: Instead of the number of the pass in which a member was seen.
_NOT_SEEN = 0


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
        #: Rows that had no member on the other side.
        self.waiting = WaitingRows(database, site, self._take_over)

    def find(self, target: str) -> Copy | None:
        """What is known of a copy; None if its members were never learnt."""
        self._take_over([target])
        with self._database.reading() as connection:
            return next(read_copies(connection, *self._named(target)), None)

    def learn(self, target: str, members: Iterable[str]) -> Copy:
        """Begin with a copy, and with the members that it has."""
        source = UNTOLD if self.forget_copy(target) else LEARNT
        with self._database.writing() as connection:
            connection.execute(delete(copies).where(*self._named(target)))
            statement = insert_into(connection, copies).values(site=self._site, target=target, **NEW)
            # Not complete before all are read: what is left of it after a crash is learnt anew.
            connection.execute(statement.values(number=LEARNING))
        copy = self._copy(target)
        waiting = iter(members)
        while part := list(islice(waiting, BATCH)):
            with self._database.writing() as connection:
                _write_members(connection, copy, _NOT_SEEN, dict.fromkeys(part, source))
        return self._change(copy, number=0)

    def begin(self, copy: Copy, version: str) -> Copy:
        """Begin a pass over the members of a version."""
        size = self._count(_of(copy))
        return self._change(copy, number=copy.number + 1, version=version, rows=0, size=size, complete=False)

    def known(self, copy: Copy, members: Sequence[str], *, in_doubt: bool = False) -> set[str]:
        """Which of these are remembered, for sure or in doubt."""
        with self._database.reading() as connection:
            return {
                member
                for part in _parts(members)
                for member in connection.scalars(
                    select(memberships.c.member).where(
                        _of(copy), memberships.c.member.in_(part), memberships.c.in_doubt.is_(in_doubt)
                    )
                )
            }

    def some(self, copy: Copy, count: int) -> list[str]:
        """Some members that are remembered for sure."""
        statement = select(memberships.c.member).where(_of(copy), memberships.c.in_doubt.is_(False)).limit(count)
        with self._database.reading() as connection:
            return list(connection.scalars(statement))

    def doubt(self, members: Iterable[tuple[Copy, Mapping[str, int]]]) -> None:
        """The service is about to be told to add these to copies, or to remove them.

        Args:
            members: of each copy, with the fingerprints of their rows. As long as they are in doubt, they were not
                seen.
        """
        with self._database.writing() as connection:
            for copy, part in members:
                _write_members(connection, copy, _NOT_SEEN, part, in_doubt=True)

    def seen(self, copy: Copy, members: Mapping[str, int], *, rows: int) -> Copy:
        """Remember members, with the pass.

        Args:
            copy: whose they are.
            members: that the copy has now, with the fingerprints of their rows.
            rows: that the pass has had besides those before.
        """
        with self._database.writing() as connection:
            _write_members(connection, copy, copy.number, members)
            connection.execute(update(copies).where(copies.c.id == copy.id).values(rows=copies.c.rows + rows))
        return self._copy(copy.target)

    def keep(self, copy: Copy, members: Sequence[str]) -> None:
        """These stay what they are, though the pass does not say that they are members."""
        with self._database.writing() as connection:
            for part in _parts(members):
                chosen = (_of(copy), memberships.c.member.in_(part))
                connection.execute(update(memberships).where(*chosen).values(number=copy.number))

    def count_gone(self, copy: Copy) -> int:
        """How many members the pass has not seen."""
        return self._count(*_gone(copy))

    def gone(self, copy: Copy) -> Iterator[dict[str, int]]:
        """The members that the pass has not seen, with the fingerprints of the rows by which they were seen last.

        They come some thousands at a time, and may be forgotten, or seen, meanwhile.
        """
        after: list[ColumnElement[bool]] = []
        while True:
            member = memberships.c.member
            statement = select(member, memberships.c.source).where(*_gone(copy), *after).order_by(member).limit(BATCH)
            with self._database.reading() as connection:
                part = {row[0]: row[1] for row in connection.execute(statement)}
            if not part:
                return
            yield part
            after = [member > next(reversed(part))]

    def forget(self, copy: Copy, members: Sequence[str]) -> None:
        """These are no members any more."""
        with self._database.writing() as connection:
            for part in _parts(members):
                connection.execute(delete(memberships).where(_of(copy), memberships.c.member.in_(part)))

    def forget_copy(self, target: str) -> bool:
        """Nothing is known of a copy any more, but that it was known; False if it never was."""
        self._take_over([target])
        where = self._named(target)
        with self._database.writing() as connection:
            ids = select(copies.c.id).where(*where)
            connection.execute(delete(memberships).where(memberships.c.copy.in_(ids)))
            forget_rows(connection, *where)
            values = {**NEW, "number": FORGOTTEN}
            # What an earlier learning has left does not say that anything was known.
            learnt = copies.c.number != LEARNING
            return bool(connection.execute(update(copies).where(*where, learnt).values(values)).rowcount)

    def complete(self, copy: Copy) -> Copy:
        """The pass is over: of the rows that wait, those that it has not shown wait no longer."""
        with self._database.writing() as connection:
            forget_older(connection, copy)
        return self._change(copy, complete=True)

    def shall_go_live(self, copy: Copy) -> Copy:
        """The copy is wanted live, and perhaps is not."""
        return self._change(copy, unfinished=True)

    def finished(self, copy: Copy) -> Copy:
        """The service was told to let the copy go live; or nobody wants that any more."""
        return self._change(copy, unfinished=False)

    def unfinished(self) -> list[Copy]:
        """The copies that shall go live."""
        with self._database.reading() as connection:
            return list(read_copies(connection, copies.c.site == self._site, copies.c.unfinished))

    def _named(self, target: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return copies.c.site == self._site, copies.c.target == target

    def _copy(self, target: str) -> Copy:
        with self._database.reading() as connection:
            return next(read_copies(connection, *self._named(target), every=True))

    def _change(self, copy: Copy, **values: Any) -> Copy:
        with self._database.writing() as connection:
            connection.execute(update(copies).where(copies.c.id == copy.id).values(values))
        return self._copy(copy.target)

    def _count(self, *where: ColumnElement[bool]) -> int:
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(memberships).where(*where)) or 0

    def _take_over(self, targets: Iterable[str] | None = None) -> None:
        """By default, of all copies that rows wait for."""
        kept = self._kept
        if kept is None:
            return
        if targets is None:
            with kept.reading() as source:
                targets = waited_for(source, self._site)
        for target in targets:
            if target not in self._taken:
                self._taken.add(target)
                with kept.reading() as source, self._database.writing() as connection:
                    _take_over(source, connection, self._site, target)


def _of(copy: Copy) -> ColumnElement[bool]:
    return memberships.c.copy == copy.id


def _gone(copy: Copy) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _of(copy), memberships.c.number != copy.number


def _write_members(
    connection: Connection, copy: Copy, number: int, members: Mapping[str, int], *, in_doubt: bool = False
) -> None:
    rows = [
        {"copy": copy.id, "member": each, "number": number, "source": source, "in_doubt": in_doubt}
        for each, source in members.items()
    ]
    write(connection, memberships, rows)


def _parts(members: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(members), CHUNK):
        yield members[start : start + CHUNK]


def _take_over(source: Connection, connection: Connection, site: str, target: str) -> None:
    if not inspect(source).has_table(memberships.name):
        return
    # What is only read stays as an earlier version of this program made it; what that lacks gets its default.
    missing = {each.name for each in missing_columns(source) if each.table is memberships}
    there = [each for each in memberships.c if each is not memberships.c.copy and each.name not in missing]
    for copy in list(read_copies(source, copies.c.site == site, copies.c.target == target)):
        values = {field.name: getattr(copy, field.name) for field in fields(Copy) if field.name != "id"}
        statement = insert_into(connection, copies).values(site=site, **values).returning(copies.c.id)
        number = connection.scalar(statement)
        _copy_rows(source, connection, memberships, number, select(*there).where(memberships.c.copy == copy.id))
        if inspect(source).has_table(waiting.name):
            rows = select(*(each for each in waiting.c if each is not waiting.c.copy)).where(waiting.c.copy == copy.id)
            _copy_rows(source, connection, waiting, number, rows)


def _copy_rows(source: Connection, connection: Connection, table: Table, copy: int | None, rows: Select[Any]) -> None:
    found = source.execution_options(yield_per=BATCH).execute(rows).mappings()
    for part in found.partitions(BATCH):
        write(connection, table, [{"copy": copy, **row} for row in part])
