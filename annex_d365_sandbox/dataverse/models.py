"""The organisation: its tables in SQLite, its users, its switches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.dataverse import errors, matching, schema, values
from annex_d365_sandbox.dataverse.schema import Attribute, Table
from annex_d365_sandbox.dataverse.tables import TABLES, extra_tables
from annex_d365_sandbox.store import Store

ORGANISATION_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0001"
BUSINESS_UNIT_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0002"
CURRENCY_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0003"
#: The application user, and the user of the password flow.
USER_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0004"


@dataclass
class Switches:
    """What tests turn to see a client cope."""

    #: The signed-in user has an application user here; otherwise every call is 403 0x80072560.
    member: bool = True
    #: Logical names of tables that the user may not read: 403 0x80040220.
    unreadable_tables: list[str] = field(default_factory=list)
    #: Logical names of tables that the user may read, but not organisation-wide: no change tracking (Dataverse page 3).
    partly_readable_tables: list[str] = field(default_factory=list)
    #: ``ChangeTrackingEnabled`` of tables where it differs from their declaration, by logical name.
    change_tracking: dict[str, bool] = field(default_factory=dict)
    #: How many days a delta token lives: ``organization.ExpireChangeTrackingInDays`` (Dataverse page 3).
    expire_change_tracking_in_days: int = 7
    #: ``x-ms-dop-hint``, the parallelism that the organisation advises.
    dop_hint: int = 4
    #: The largest page; 5,000 as published (Dataverse page 2.3), less to have many pages of few rows.
    max_page_size: int = 5000
    #: The most rows that ``$apply`` aggregates; 50,000 as published (Dataverse page 2.2).
    max_aggregated_rows: int = 50_000
    #: What ``RetrieveTotalRecordCount`` says of a table, by logical name: its snapshot may be a day old.
    total_record_counts: dict[str, int] = field(default_factory=dict)


class Organisation:
    """Rows of all tables. Values go in and out as SQLite holds them (see ``values``), by column name."""

    def __init__(self, store: Store, clock: Clock, tables: Sequence[Table] = TABLES) -> None:
        self.store, self.clock = store, clock
        self._declared = tuple(tables)
        self.tables: dict[str, Table] = {}
        self.sets: dict[str, Table] = {}
        self.switches = Switches()
        #: Origins besides the request's own that a token may be bound to.
        self.origins: set[str] = set()
        matching.register(store.connection)
        with store.transaction() as db:
            for statement in _OWN_TABLES:
                db.execute(statement)
            self.have_extra_tables(0)

    def have_extra_tables(self, count: int) -> None:
        """Have so many synthetic tables, ``cr0dd_extra0001`` and so on, beside the declared ones."""
        wanted = {table.logical_name: table for table in (*self._declared, *extra_tables(count))}
        surplus = self.tables.keys() - wanted.keys()
        with self.store.transaction() as db:
            for name in surplus:
                db.execute(f"DROP TABLE {name}")
            for statement in _ddl(wanted[name] for name in wanted if name not in self.tables):
                db.execute(statement)
        self.tables = wanted
        self.sets = {table.set_name: table for table in wanted.values()}

    def table(self, name: str) -> Table:
        """A table by logical or set name. Raises ``KeyError``."""
        return self.tables.get(name) or self.sets[name]

    # What tests and the demo use: a CRM user at the keyboard.

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """All rows in the order of their ids."""
        at = self.table(table)
        with self.store.transaction() as db:
            found = db.execute(f"SELECT * FROM {at.logical_name} ORDER BY {at.primary_id}").fetchall()
        return map(dict, found)

    def get(self, table: str, row_id: str) -> dict[str, Any] | None:
        """One row, or ``None``."""
        at = self.table(table)
        with self.store.transaction() as db:
            row = db.execute(f"SELECT * FROM {at.logical_name} WHERE {at.primary_id} = ?", [row_id.lower()]).fetchone()
        return dict(row) if row else None

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self.store.transaction() as db:
            return int(db.execute(f"SELECT count(*) FROM {self.table(table).logical_name}").fetchone()[0])

    def create(self, table: str, row: Mapping[str, Any]) -> str:
        """Add a row with its defaults; its id is made up if not given. Returns the id.

        Raises:
            DataverseError: the id is taken.
        """
        at = self.table(table)
        now = values.stamp(self.clock.now())
        row_id = row.get(at.primary_id) or str(uuid4())
        full = {**defaults(at, row), "createdon": row.get("overriddencreatedon") or now, "modifiedon": now, **row}
        full[at.primary_id] = row_id
        derive(at, full, full)
        with self.store.transaction() as db:
            full["versionnumber"] = self.next_versions()
            known = {name: value for name, value in full.items() if name in columns(at)}
            marks = ",".join("?" * len(known))
            try:
                db.execute(f"INSERT INTO {at.logical_name} ({','.join(known)}) VALUES ({marks})", list(known.values()))
            except sqlite3.IntegrityError as error:
                raise errors.duplicate_row() from error
        return str(row_id)

    def update(self, table: str, row_id: str, changes: Mapping[str, Any]) -> None:
        """Change columns; moves ``modifiedon`` and the version. Raises ``DataverseError`` if there is no such row."""
        at = self.table(table)
        with self.store.transaction() as db:
            before = self.get(table, row_id)
            if before is None:
                raise errors.missing_row(at, row_id)
            full = {"modifiedon": values.stamp(self.clock.now()), **changes, "versionnumber": self.next_versions()}
            derive(at, {**before, **full}, full)
            known = {name: value for name, value in full.items() if name in columns(at)}
            sets = ",".join(f"{name} = ?" for name in known)
            db.execute(
                f"UPDATE {at.logical_name} SET {sets} WHERE {at.primary_id} = ?", [*known.values(), row_id.lower()]
            )

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

    def put(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Insert or replace whole rows as they are (seeding); only ``versionnumber`` is given. Returns how many."""
        at = self.table(table)
        names = list(columns(at))
        batch = [[row.get(name) for name in names] for row in rows]
        version = names.index("versionnumber")
        marks = ",".join("?" * len(names))
        with self.store.transaction() as db:
            first = self.next_versions(len(batch)) - len(batch) + 1
            for number, row in enumerate(batch, first):
                row[version] = number
            db.executemany(f"INSERT OR REPLACE INTO {at.logical_name} ({','.join(names)}) VALUES ({marks})", batch)
        return len(batch)

    def reset(self) -> None:
        """Empty every table and turn every switch back."""
        with self.store.transaction() as db:
            for name in self.tables:
                db.execute(f"DELETE FROM {name}")
            db.execute("DELETE FROM d365_deleted")
            db.execute("UPDATE d365_version SET number = 0")
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


def columns(table: Table) -> dict[str, str]:
    """SQLite columns of a table with their types."""
    result: dict[str, str] = {}
    for attribute in table.by_name.values():
        result[attribute.name] = attribute.kind.sql
        if attribute.target_column:
            result[attribute.target_column] = "TEXT"
    return result


def defaults(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a new row holds where the client says nothing."""
    result: dict[str, Any] = {a.name: a.default for a in table.by_name.values() if a.default is not None}
    result |= {name: USER_ID for name in ("createdby", "modifiedby", "ownerid", "owninguser") if name in table.by_name}
    if "owningbusinessunit" in table.by_name:
        result["owningbusinessunit"] = BUSINESS_UNIT_ID
    if any(a.kind is schema.MONEY and row.get(a.name) is not None for a in table.by_name.values()):
        result["transactioncurrencyid"] = CURRENCY_ID
    return result


def derive(table: Table, row: Mapping[str, Any], into: dict[str, Any]) -> None:
    """Set the columns that the platform computes from the others, where their sources were written."""
    if set(table.computed_name) & set(into):
        into[table.primary_name] = " ".join(row[part] for part in table.computed_name if row.get(part)) or None
    for attribute in table.by_name.values():
        if set(attribute.sum_of) & set(into):
            into[attribute.name] = sum(row.get(part) or 0 for part in attribute.sum_of)
        if attribute.kind is schema.MONEY and attribute.creatable and attribute.name in into:
            into[f"{attribute.name}_base"] = into[attribute.name]
            into["exchangerate"] = 10**10
    if "statecode" in into and "statuscode" in table.by_name:
        status = table.by_name["statuscode"]
        current = status.option(row.get("statuscode") or 0)
        if not current or current.state != into["statecode"]:
            into["statuscode"] = next(o.value for o in status.options if o.state == into["statecode"])
    if "ownerid" in into and "owninguser" in table.by_name:
        into["owninguser"] = into["ownerid"]


#: The version counter of the organisation, and what was deleted.
_OWN_TABLES = (
    "CREATE TABLE IF NOT EXISTS d365_version (number INTEGER NOT NULL)",
    "INSERT INTO d365_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM d365_version)",
    """CREATE TABLE IF NOT EXISTS d365_deleted
    (table_name TEXT, row_id TEXT, version INTEGER, PRIMARY KEY (table_name, row_id)) WITHOUT ROWID""",
)


def _ddl(tables: Iterable[Table]) -> Iterator[str]:
    for table in tables:
        name = table.logical_name
        body = ",".join(f"{column} {kind}" for column, kind in columns(table).items())
        yield f"CREATE TABLE IF NOT EXISTS {name} ({body}, PRIMARY KEY ({table.primary_id})) WITHOUT ROWID"
        for column in _indexed(table):
            collation = " COLLATE NOCASE" if column.kind in schema.TEXTS else ""
            yield (
                f"CREATE INDEX IF NOT EXISTS {name}_{column.name}"
                f" ON {name} ({column.name}{collation}, {table.primary_id})"
            )


def _indexed(table: Table) -> Iterator[Attribute]:
    for name in ("modifiedon", "createdon", "versionnumber", "emailaddress1", "cr0dd_loyaltyid"):
        if name in table.by_name:
            yield table.by_name[name]
