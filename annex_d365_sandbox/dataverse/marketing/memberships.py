"""Who is a member of which segment, and the groups that static members are kept in."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.sql import Sql
from annex_d365_sandbox.store import Store

#: The group of segments that have no groups.
WHOLE = ""
_TABLES = (
    """CREATE TABLE IF NOT EXISTS d365_segment_member
    (segment_id TEXT, member_id TEXT, PRIMARY KEY (segment_id, member_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS d365_segment_group_member
    (segment_id TEXT, group_id TEXT, member_id TEXT, PRIMARY KEY (segment_id, group_id, member_id)) WITHOUT ROWID""",
)


class Memberships:
    """Two sets per segment: the members that it has, and the static members of its groups that it is made from."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as db:
            for statement in _TABLES:
                db.execute(statement)

    def replace(self, segment_id: str, found: Sql) -> int:
        """Make a query's ids the members; returns how many. SQLite may find it too complex: ``OperationalError``."""
        with self._store.transaction() as db:
            self.clear(segment_id)
            text = f"INSERT INTO d365_segment_member SELECT ?, id FROM ({found.text})"
            return db.execute(text, [segment_id, *found.parameters]).rowcount

    def clear(self, segment_id: str) -> None:
        """Have no members."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM d365_segment_member WHERE segment_id = ?", [segment_id])

    def ids(self, segment_id: str) -> list[str]:
        """The members' ids in their order as texts."""
        with self._store.transaction() as db:
            found = db.execute(f"{_MEMBERS} ORDER BY member_id", [segment_id])
            return [row[0] for row in found]

    @staticmethod
    def query(segment_id: str) -> Sql:
        """The members as a ``SELECT`` of ``id``."""
        return Sql(_MEMBERS, (segment_id,))

    # Static members

    def put(self, segment_id: str, ids: Sql | Iterable[str], table: Table, group_id: str = WHOLE) -> None:
        """Add static members; ids that no row of the table has are passed over (Dataverse page 8.3)."""
        given = _ids(ids)
        text = (
            f"INSERT OR IGNORE INTO d365_segment_group_member SELECT ?, ?, t.{table.primary_id}"
            f" FROM ({given.text}) g JOIN {table.logical_name} t ON t.{table.primary_id} = g.id"
        )
        with self._store.transaction() as db:
            db.execute(text, [segment_id, group_id, *given.parameters])

    def take(self, segment_id: str, ids: Sql | Iterable[str], group_id: str = WHOLE) -> None:
        """Remove static members."""
        given = _ids(ids)
        text = (
            "DELETE FROM d365_segment_group_member WHERE segment_id = ? AND group_id = ?"
            f" AND member_id IN ({given.text})"
        )
        with self._store.transaction() as db:
            db.execute(text, [segment_id, group_id, *given.parameters])

    def empty(self, segment_id: str, group_id: str = WHOLE) -> None:
        """Have no static members in a group."""
        with self._store.transaction() as db:
            db.execute(
                "DELETE FROM d365_segment_group_member WHERE segment_id = ? AND group_id = ?", [segment_id, group_id]
            )

    def page(self, segment_id: str, group_id: str = WHOLE, *, limit: int = -1, offset: int = 0) -> list[str]:
        """Ids of a group's static members in their order as texts."""
        found = group(segment_id, group_id)
        with self._store.transaction() as db:
            rows = db.execute(f"{found.text} ORDER BY 1 LIMIT ? OFFSET ?", [*found.parameters, limit, offset])
            return [row[0] for row in rows]

    def count(self, segment_id: str, group_id: str = WHOLE) -> int:
        """How many static members a group has."""
        found = group(segment_id, group_id)
        with self._store.transaction() as db:
            return int(db.execute(f"SELECT count(*) FROM ({found.text})", found.parameters).fetchone()[0])

    def forget(self, segment_id: str) -> None:
        """Have neither members nor groups."""
        with self._store.transaction() as db:
            self.clear(segment_id)
            db.execute("DELETE FROM d365_segment_group_member WHERE segment_id = ?", [segment_id])

    def reset(self) -> None:
        """Forget all segments."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM d365_segment_member")
            db.execute("DELETE FROM d365_segment_group_member")


_MEMBERS = "SELECT member_id AS id FROM d365_segment_member WHERE segment_id = ?"


def group(segment_id: str, group_id: str = WHOLE) -> Sql:
    """The static members of a group as a ``SELECT`` of ``id``."""
    text = "SELECT member_id AS id FROM d365_segment_group_member WHERE segment_id = ? AND group_id = ?"
    return Sql(text, (segment_id, group_id))


def _ids(given: Sql | Iterable[str]) -> Sql:
    if isinstance(given, Sql):
        return given
    return Sql("SELECT value AS id FROM json_each(?)", (msgspec.json.encode(list(given)).decode(),))
