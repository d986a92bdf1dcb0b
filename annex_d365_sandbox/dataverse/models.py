"""The organisation: its tables in SQLite, its users, its switches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.dataverse import errors, layout, matching, values
from annex_d365_sandbox.dataverse.customized import Customized
from annex_d365_sandbox.dataverse.derived import BUSINESS_UNIT_ID, CURRENCY_ID, USER_ID, Rules
from annex_d365_sandbox.dataverse.marketing.models import Marketing
from annex_d365_sandbox.dataverse.marketing.tables import TABLES as SEGMENT_TABLES
from annex_d365_sandbox.dataverse.schema import Key, Table
from annex_d365_sandbox.dataverse.switches import Switches
from annex_d365_sandbox.dataverse.tables import TABLES, extra_tables
from annex_d365_sandbox.store import Store

__all__ = ["BUSINESS_UNIT_ID", "CURRENCY_ID", "ORGANISATION_ID", "USER_ID", "Organisation", "Switches"]

ORGANISATION_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0001"


class Organisation:
    """Rows of all tables. Values go in and out as SQLite holds them (see ``values``), by column name."""

    def __init__(self, store: Store, clock: Clock, tables: Sequence[Table] = TABLES) -> None:
        self.store, self.clock = store, clock
        self._declared, self._extra = tuple(tables), 0
        self._segments: tuple[Table, ...] = ()
        self.tables: dict[str, Table] = {}
        self.sets: dict[str, Table] = {}
        self._rules: dict[str, Rules] = {}
        self.switches = Switches()
        #: Origins besides the request's own that a token may be bound to.
        self.origins: set[str] = set()
        matching.register(store.connection)
        with store.transaction() as db:
            for statement in _OWN_TABLES:
                db.execute(statement)
            self._customized = Customized(store)
            self.have_extra_tables(0)
        self.marketing = Marketing(self)

    def have_extra_tables(self, count: int) -> None:
        """Have so many synthetic tables, ``cr0dd_extra0001`` and so on, beside the declared and customised ones."""
        self._extra = count
        declared = {t.logical_name: t for t in (*self._declared, *self._segments, *extra_tables(count))}
        wanted = declared | self._customized.tables
        with self.store.transaction() as db:
            for name in self.tables.keys() - wanted.keys():
                db.execute(f"DROP TABLE {name}")
            for name in wanted.keys() - self.tables.keys():
                for statement in layout.creation(wanted[name]):
                    db.execute(statement)
        self._have(wanted)

    def have_segments(self, api: str) -> None:
        """Have the tables of a generation of segments: ``outbound``, ``journeys``, ``both``, or none for ``""``."""
        self._segments = SEGMENT_TABLES[api]
        self.have_extra_tables(self._extra)

    def _have(self, tables: dict[str, Table]) -> None:
        self._rules = {
            name: self._rules[name] if self.tables.get(name) is table else Rules(table)
            for name, table in tables.items()
        }
        self.tables = tables
        self.sets = {table.set_name: table for table in tables.values()}

    def table(self, name: str) -> Table:
        """A table by logical or set name. Raises ``KeyError``."""
        return self.tables.get(name) or self.sets[name]

    # Definitions, as a maker changes them (Dataverse page 4).

    def define(self, table: Table) -> None:
        """Have a table as it is declared here: a new one, or one whose columns or keys have changed."""
        before = self.tables.get(table.logical_name)
        with self.store.transaction() as db:
            for statement in layout.alteration(before, table) if before else layout.creation(table):
                db.execute(statement)
            self._customized.keep(table)
        self._have({**self.tables, table.logical_name: table})

    def undefine(self, table: Table) -> None:
        """Drop a table with its rows."""
        with self.store.transaction() as db:
            db.execute(f"DROP TABLE {table.logical_name}")
            db.execute("DELETE FROM d365_deleted WHERE table_name = ?", [table.logical_name])
            self._customized.forget(table.logical_name)
        self._have({name: each for name, each in self.tables.items() if name != table.logical_name})

    def build_keys(self) -> None:
        """Build the indexes of pending keys whose time has come; rows that share a value make one fail."""
        now = values.stamp(self.clock.now())
        for table in list(self._customized.tables.values()):
            for key in table.keys:
                if key.status == "Pending" and key.ready_at <= now:
                    self._build(table.logical_name, key)

    def _build(self, name: str, pending: Key) -> None:
        for status in ("Active", "Failed"):
            table = self.tables[name]
            keys = tuple(replace(key, status=status) if key == pending else key for key in table.keys)
            try:
                self.define(replace(table, keys=keys))
            except sqlite3.IntegrityError:
                continue
            return

    # What tests and the demo use: a CRM user at the keyboard.

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """All rows in the order of their ids."""
        at = self.table(table)
        with self.store.transaction() as db:
            found = db.execute(f"SELECT * FROM {at.logical_name} ORDER BY {at.primary_id}").fetchall()
        return map(_dict, found)

    def get(self, table: str, row_id: str) -> dict[str, Any] | None:
        """One row, or ``None``."""
        at = self.table(table)
        return self.find(at, {at.primary_id: row_id.lower()})

    def find(self, table: Table, columns: Mapping[str, Any]) -> dict[str, Any] | None:
        """The row in which the columns of a key have these values, or ``None``; case does not count in text."""
        where = layout.matches([table.by_name[name] for name in columns])
        with self.store.transaction() as db:
            row = db.execute(f"SELECT * FROM {table.logical_name} WHERE {where}", list(columns.values())).fetchone()
        return _dict(row) if row else None

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self.store.transaction() as db:
            return int(db.execute(f"SELECT count(*) FROM {self.table(table).logical_name}").fetchone()[0])

    def create(self, table: str, row: Mapping[str, Any]) -> str:
        """Add a row with its defaults; its id is made up if not given. Returns the id.

        Raises:
            DataverseError: the id, or the value of an alternate key, is taken.
        """
        return self.create_all(table, [row])[0]

    def create_all(self, table: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Add rows, all or none; otherwise as :meth:`create`."""
        at, now = self.table(table), values.stamp(self.clock.now())
        rules, key = self._rules[at.logical_name], at.primary_id
        logic = self.marketing.logic.get(at.logical_name)
        if logic:
            rows = [logic.before(None, row) for row in rows]
        full = [rules.completed(row, str(row.get(key) or uuid4()), now) for row in rows]
        with self.store.transaction():
            self._insert(at, full, "INSERT")
            if logic:
                for row in full:
                    logic.after(row[key], None, row)
        return [row[key] for row in full]

    def update(self, table: str, row_id: str, changes: Mapping[str, Any], *, by_platform: bool = False) -> None:
        """Change columns; moves ``modifiedon`` and the version. The platform's own writes meet no business logic.

        Raises:
            DataverseError: there is no such row, or the value of an alternate key is taken.
        """
        at = self.table(table)
        with self.store.transaction() as db:
            before = self.get(table, row_id)
            if before is None:
                raise errors.missing_row(at, row_id)
            logic = None if by_platform else self.marketing.logic.get(at.logical_name)
            if logic:
                changes = logic.before(before, changes)
            full = {"modifiedon": values.stamp(self.clock.now()), **changes, "versionnumber": self.next_versions()}
            self._rules[at.logical_name].derive({**before, **full}, full)
            known = {name: value for name, value in full.items() if name in at.sql_columns}
            sets = ",".join(f"{name} = ?" for name in known)
            try:
                db.execute(
                    f"UPDATE {at.logical_name} SET {sets} WHERE {at.primary_id} = ?", [*known.values(), row_id.lower()]
                )
            except sqlite3.IntegrityError as error:
                raise self._taken(at, error) from error
            if logic:
                logic.after(row_id.lower(), before, {**before, **full})

    def delete(self, table: str, row_id: str) -> None:
        """Remove a row. Raises ``DataverseError`` if there is no such row."""
        at = self.table(table)
        with self.store.transaction() as db:
            gone = db.execute(f"DELETE FROM {at.logical_name} WHERE {at.primary_id} = ?", [row_id.lower()])
            if not gone.rowcount:
                raise errors.missing_row(at, row_id)
            db.execute(
                "INSERT OR REPLACE INTO d365_deleted VALUES (?, ?, ?)",
                [at.logical_name, row_id.lower(), self.next_versions()],
            )
            if logic := self.marketing.logic.get(at.logical_name):
                logic.deleted(row_id.lower())

    def put(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Insert or replace whole rows as they are (seeding); only ``versionnumber`` is given. Returns how many."""
        return self._insert(self.table(table), [dict(row) for row in rows], "INSERT OR REPLACE")

    def _insert(self, table: Table, rows: list[dict[str, Any]], verb: str) -> int:
        names = list(table.sql_columns)
        marks = ",".join("?" * len(names))
        with self.store.transaction() as db:
            first = self.next_versions(len(rows)) - len(rows) + 1
            for number, row in enumerate(rows, first):
                row["versionnumber"] = number
            try:
                db.executemany(
                    f"{verb} INTO {table.logical_name} ({','.join(names)}) VALUES ({marks})",
                    ([row.get(name) for name in names] for row in rows),
                )
            except sqlite3.IntegrityError as error:
                raise self._taken(table, error) from error
        return len(rows)

    def _taken(self, table: Table, error: sqlite3.IntegrityError) -> errors.DataverseError:
        """What a broken unique index means: SQLite names the index, or the columns where it has no expression."""
        text, status = str(error), self.switches.duplicate_status
        for key in table.keys:
            columns = ", ".join(f"{table.logical_name}.{name}" for name in key.attributes)
            if f"'{layout.index_name(table, key)}'" in text or text.endswith(f": {columns}"):
                return errors.duplicate_key(table, key, status)
        return errors.duplicate_row(status)

    def reset(self) -> None:
        """Empty every table, undo every customisation and turn every switch back."""
        customized = list(self._customized.tables)
        with self.store.transaction() as db:
            for name in customized:
                db.execute(f"DROP TABLE {name}")
                self._customized.forget(name)
            self._have({name: table for name, table in self.tables.items() if name not in customized})
            if customized:
                self.have_extra_tables(self._extra)
            for name in self.tables:
                db.execute(f"DELETE FROM {name}")
            db.execute("DELETE FROM d365_deleted")
            db.execute("UPDATE d365_version SET number = 0")
            self.marketing.reset()
        self.switches = Switches()

    def tracks_changes(self, table: Table) -> bool:
        """``ChangeTrackingEnabled`` of a table."""
        return self.switches.change_tracking.get(table.logical_name, table.change_tracking)

    def version(self) -> int:
        """The number of the last change in any table."""
        return self.next_versions(0)

    def next_versions(self, count: int = 1) -> int:
        """Take ``count`` numbers of the organisation-wide version counter; returns the last."""
        with self.store.transaction() as db:
            db.execute("UPDATE d365_version SET number = number + ?", [count])
            return int(db.execute("SELECT number FROM d365_version").fetchone()[0])


def _dict(row: sqlite3.Row) -> dict[str, Any]:
    """A row by column name; ``dict(row)`` would search all columns for each."""
    return dict(zip(row.keys(), row, strict=True))


#: The version counter of the organisation, and what was deleted.
_OWN_TABLES = (
    "CREATE TABLE IF NOT EXISTS d365_version (number INTEGER NOT NULL)",
    "INSERT INTO d365_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM d365_version)",
    """CREATE TABLE IF NOT EXISTS d365_deleted
    (table_name TEXT, row_id TEXT, version INTEGER, PRIMARY KEY (table_name, row_id)) WITHOUT ROWID""",
)
