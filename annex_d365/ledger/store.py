"""Reads and writes the tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields

from sqlalchemy import Connection, and_, delete, inspect, select
from sqlalchemy.schema import CreateColumn

from annex_d365.errors import SettingError
from annex_d365.ledger import tables
from annex_d365.ledger.database import Database
from annex_d365.ledger.entries import Entry, fold
from annex_d365.ledger.faults import SETTING
from annex_d365.ledger.links import Link, Links
from annex_d365.ledger.memberships import Memberships
from annex_d365.ledger.statements import CHUNK, find, insert_into, missing_columns, write_tuples

_ROW = list(tables.rows.columns)
# Columns of rows that an Entry is made of, in its order.
_ENTRY = [tables.rows.c[field.name] for field in fields(Entry)]
_LINK = [tables.links.c[name] for name in ("target_folded", "key", "by_id")]


@dataclass(frozen=True)
class Shelf:
    """Where the entries of a stream stand.

    Attributes:
        site: of the loyalty programme.
        object: what the rows become in the destination.
        stream: that they come by.
    """

    site: str
    object: str
    stream: str

    @property
    def columns(self) -> dict[str, str]:
        """The first columns of a row that stands here."""
        return {"site": self.site, "object": self.object, "stream": self.stream}


class Store:
    """The tables in one database. All targets that it is given are folded.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self) -> None:
        """Make the tables where they are missing.

        Raises:
            SettingError: a newer version of this program made them.
        """
        if self.exists() and self._is_complete():
            return
        with self._database.writing("create") as connection:
            tables.metadata.create_all(connection)
            for column in missing_columns(connection):
                added = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {added}")
            now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
            facts = [{"name": "version", "value": str(tables.VERSION)}, {"name": "created", "value": now}]
            statement = insert_into(connection, tables.about).on_conflict_do_nothing()
            connection.execute(statement, facts)

    def exists(self) -> bool:
        """Whether the tables are there.

        Raises:
            SettingError: a newer version of this program made them.
        """
        with self._database.reading() as connection:
            if not inspect(connection).has_table(tables.about.name):
                return False
            about = tables.about.c
            version = connection.scalar(select(about.value).where(about.name == "version"))
        if version != str(tables.VERSION):
            name = self._database.name
            raise SettingError(
                SETTING, f"{name} was made by a newer version of this program. Upgrade, or name another."
            )
        return True

    def _is_complete(self) -> bool:
        """False for tables that an earlier version of this program made: today there are more, or wider ones."""
        with self._database.reading() as connection:
            there = set(inspect(connection).get_table_names())
            return set(tables.metadata.tables) <= there and not missing_columns(connection)

    @property
    def database(self) -> Database:
        """Where the tables are."""
        return self._database

    def memberships(self, site: str, kept: Store | None = None) -> Memberships:
        """The memberships in this database; ``kept`` is another one, see :class:`Memberships`."""
        return Memberships(self._database, site, kept.database if kept else None)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def entries(self, shelf: Shelf, keys: Iterable[str]) -> dict[str, Entry]:
        """Entries by key."""
        with self._database.reading() as connection:
            return {row[0]: Entry(*row) for row in find(connection, _ENTRY, shelf.columns, "key", keys)}

    def by_target(self, shelf: Shelf, targets: Iterable[str]) -> list[Entry]:
        """Entries of the shelf's object, in all streams."""
        where = {"site": shelf.site, "object": shelf.object}
        with self._database.reading() as connection:
            return [Entry(*row) for row in find(connection, _ENTRY, where, "target_folded", targets)]

    def save(self, shelf: Shelf, entries: Iterable[Entry], *, run: str, at: float) -> None:
        """Write entries, over those with the same keys; ``at`` is the time of those that have none."""
        where = (shelf.site, shelf.object, shelf.stream)
        rows = [
            (
                *where,
                each.key,
                each.target,
                fold(each.target),
                each.state,
                each.digests,
                each.version,
                each.at or at,
                run,
            )
            for each in entries
        ]
        with self._database.writing() as connection:
            write_tuples(connection, _ROW, rows)

    def forget(self, shelf: Shelf, keys: Collection[str]) -> int:
        """Take entries and links of these rows away, also from the file; returns how many entries there were."""
        names = list(dict.fromkeys(keys))
        found = 0
        with self._database.writing(shelf.site, shelf.object, shelf.stream) as connection:
            for table in (tables.links, tables.rows):
                condition = and_(*(table.c[name] == value for name, value in shelf.columns.items()))
                for start in range(0, len(names), CHUNK):
                    chosen = table.c.key.in_(names[start : start + CHUNK])
                    found += connection.execute(delete(table).where(condition, chosen)).rowcount * (
                        table is tables.rows
                    )
        self._database.wipe()
        return found

    def links(self, shelf: Shelf, targets: Collection[str], keys: Collection[str]) -> dict[str, Link]:
        """Links of these targets and of these rows, by target."""
        with self._database.reading() as connection:
            return _links(connection, shelf, targets, keys)

    def put_links(self, shelf: Shelf, links: Mapping[str, Link | None]) -> None:
        """Write links by target; None takes one away."""
        with self._database.writing() as connection:
            _put_links(connection, shelf, links)

    @contextmanager
    def relinking(self, shelf: Shelf, targets: Collection[str], keys: Collection[str]) -> Iterator[Links]:
        """Links of these targets and of these rows, to be changed in the block while no other process can."""
        with self._database.writing(shelf.site, shelf.object, shelf.stream) as connection:
            links = Links(_links(connection, shelf, targets, keys))
            yield links
            _put_links(connection, shelf, links.changes)


def _links(connection: Connection, shelf: Shelf, targets: Collection[str], keys: Collection[str]) -> dict[str, Link]:
    return {
        target: Link(key, by_id=by_id)
        for name, values in (("target_folded", targets), ("key", keys))
        for target, key, by_id in find(connection, _LINK, shelf.columns, name, values)
    }


def _put_links(connection: Connection, shelf: Shelf, links: Mapping[str, Link | None]) -> None:
    gone = [target for target, link in links.items() if link is None]
    condition = and_(*(tables.links.c[name] == value for name, value in shelf.columns.items()))
    for start in range(0, len(gone), CHUNK):
        chosen = tables.links.c.target_folded.in_(gone[start : start + CHUNK])
        connection.execute(delete(tables.links).where(condition, chosen))
    where = (shelf.site, shelf.object, shelf.stream)
    rows = [(*where, target, link.key, link.by_id) for target, link in links.items() if link is not None]
    write_tuples(connection, list(tables.links.columns), rows)
