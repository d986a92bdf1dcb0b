"""Every movement of points, and what time does to them (Annex page sections 6, 7 and 15.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from annex_d365_sandbox.annexcloud import fields
from annex_d365_sandbox.annexcloud.catalogue import ACTION_DEBIT, EXPIRY, REDEMPTION

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from annex_d365_sandbox.clock import Clock
    from annex_d365_sandbox.store import Store

HOLD, RELEASED, EXPIRED = "HOLD", "RELEASED", "EXPIRED"

# ``remaining`` is what no debit has used of a released credit. ``due`` is when the clock has work with the entry: its
# release while on hold, then its expiry as long as something remains.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS annex_activities (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, memberId TEXT NOT NULL, actionId INTEGER NOT NULL,
    credit INTEGER NOT NULL, debit INTEGER NOT NULL, remaining INTEGER NOT NULL, status TEXT NOT NULL,
    pointType TEXT, displayText TEXT, reason TEXT, rewardId TEXT, orderId TEXT,
    createDate TEXT NOT NULL, releaseDate TEXT, expireDate TEXT, due TEXT
);
CREATE INDEX IF NOT EXISTS annex_activities_member ON annex_activities (memberId, createDate, seq);
CREATE INDEX IF NOT EXISTS annex_activities_due ON annex_activities (due) WHERE due IS NOT NULL;
"""
_DEFAULTS: Mapping[str, Any] = {
    "memberId": None,
    "actionId": None,
    "credit": 0,
    "debit": 0,
    "remaining": 0,
    "status": RELEASED,
    "pointType": "Standard",
    "displayText": None,
    "reason": None,
    "rewardId": None,
    "orderId": None,
    "createDate": None,
    "releaseDate": None,
    "expireDate": None,
    "due": None,
}
_VALUES = ", ".join(f":{name}" for name in _DEFAULTS)
_INSERT = f"INSERT INTO annex_activities ({', '.join(_DEFAULTS)}) VALUES ({_VALUES})"
_EXPIRE = f"""
INSERT INTO annex_activities
    (memberId, actionId, credit, debit, remaining, status, pointType, displayText, createDate)
SELECT memberId, {EXPIRY}, 0, remaining, 0, '{RELEASED}', pointType, 'Points Expired', expireDate
FROM annex_activities WHERE due <= ? AND status = '{RELEASED}' ORDER BY due, seq
"""
#: The balances of members, as a query to be narrowed by ``WHERE`` on ``annex_activities``.
_SUMS = f"""
SELECT memberId,
    sum(CASE WHEN status <> '{HOLD}' THEN credit ELSE 0 END) AS earned,
    sum(CASE WHEN status = '{HOLD}' THEN credit ELSE 0 END) AS held,
    sum(debit) AS debited,
    sum(CASE WHEN actionId IN ({EXPIRY}, {ACTION_DEBIT}) THEN debit ELSE 0 END) AS expired,
    sum(CASE WHEN actionId = {REDEMPTION} THEN debit ELSE 0 END) AS rewarded
FROM annex_activities
"""
#: The same for all members, for the rules of segments.
ALL_SUMS = f"{_SUMS} GROUP BY memberId"
_ENTRY_IDS = UUID("5a0d0000-ac71-4c0d-8e11-000000000365")


@dataclass(frozen=True)
class Sums:
    """A member's points: ``earned`` without those on hold, ``debited`` with ``expired`` and ``rewarded``."""

    earned: int = 0
    held: int = 0
    debited: int = 0
    expired: int = 0
    rewarded: int = 0

    @property
    def balance(self) -> int:
        """What the member may spend; below zero after an overdraft."""
        return self.earned - self.debited


def activity_id(entry: Mapping[str, Any]) -> str:
    """The entry's id in replies: documented as like a UUID."""
    return str(uuid5(_ENTRY_IDS, str(entry["seq"])))


def reward_code(entry: Mapping[str, Any]) -> str | None:
    """The code of the reward that the entry bought."""
    return f"RW{entry['seq']:08d}" if entry["rewardId"] else None


class Activities:
    """The entries of all members. An entry is a row of wire names; dates are stamps in UTC."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        with store.transaction() as connection:
            connection.executescript(_SCHEMA)

    def reset(self) -> None:
        """Forget all entries."""
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM annex_activities")
            connection.execute("DELETE FROM sqlite_sequence WHERE name = 'annex_activities'")

    def put(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add past entries in bulk, as an operator: nothing is checked, and debits use up no credit.

        An entry names ``memberId``, ``actionId``, ``credit`` or ``debit``, ``createDate``; ``remaining`` is the whole
        credit unless given.
        """
        rows = ({**_DEFAULTS, "remaining": entry.get("credit", 0), **entry} for entry in entries)
        with self._store.transaction() as connection:
            connection.executemany(_INSERT, ({**row, "due": _due(row)} for row in rows))

    def credit(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Add a credit; one with a ``releaseDate`` is on hold. First it pays back what was overdrawn."""
        row = {**_DEFAULTS, **entry, "status": HOLD if entry.get("releaseDate") else RELEASED}
        if row["status"] == RELEASED:
            row["remaining"] = _left(row["credit"], self.sums(row["memberId"]))
        return self._add(row)

    def debit(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Add a debit; it uses the credits that expire first."""
        row = {**_DEFAULTS, **entry}
        open_amount = row["debit"]
        with self._store.transaction() as connection:
            lots = connection.execute(
                "SELECT seq, remaining FROM annex_activities WHERE memberId = ? AND remaining > 0"
                " ORDER BY expireDate IS NULL, expireDate, seq",
                (row["memberId"],),
            ).fetchall()
            for lot in lots:
                if open_amount <= 0:
                    break
                left = max(0, lot["remaining"] - open_amount)
                open_amount -= lot["remaining"] - left
                self._keep(lot["seq"], left)
            return self._add(row)

    def settle(self) -> None:
        """Do what the clock has made due: release what was on hold, then let expire what is left of old credits."""
        now = fields.stamp(self._clock.now())
        with self._store.transaction() as connection:
            due = connection.execute(
                "SELECT seq, memberId, credit, status FROM annex_activities"
                " WHERE due <= ? ORDER BY status = 'RELEASED', due, seq LIMIT 1",
                (now,),
            ).fetchone()
            if due is None:
                return
            if due["status"] == HOLD:
                self._release_due(connection, now)
            connection.execute(_EXPIRE, (now,))
            connection.execute(
                f"UPDATE annex_activities SET status = '{EXPIRED}', remaining = 0, due = NULL"
                f" WHERE due <= ? AND status = '{RELEASED}'",
                (now,),
            )

    def sums(self, member_id: str) -> Sums:
        """One member's points."""
        with self._store.transaction() as connection:
            row = connection.execute(f"{_SUMS} WHERE memberId = ? GROUP BY memberId", (member_id,)).fetchone()
        return Sums(*row[1:]) if row else Sums()

    def since(self, member_id: str, start: str) -> tuple[int, int]:
        """What was credited and debited from a moment on."""
        with self._store.transaction() as connection:
            row = connection.execute(
                f"SELECT coalesce(sum(CASE WHEN status <> '{HOLD}' THEN credit ELSE 0 END), 0), coalesce(sum(debit), 0)"
                " FROM annex_activities WHERE memberId = ? AND createDate >= ?",
                (member_id, start),
            ).fetchone()
        return row[0], row[1]

    def next_expiry(self, member_id: str) -> tuple[int, str | None]:
        """How many points expire next, and when."""
        with self._store.transaction() as connection:
            row = connection.execute(
                "SELECT sum(remaining), due FROM annex_activities"
                f" WHERE memberId = ? AND due IS NOT NULL AND status = '{RELEASED}' GROUP BY due ORDER BY due LIMIT 1",
                (member_id,),
            ).fetchone()
        return (row[0], row[1]) if row else (0, None)

    def reached(self, member_id: str, points: int) -> str | None:
        """When the member had earned so many points in all."""
        with self._store.transaction() as connection:
            row = connection.execute(
                "SELECT at FROM (SELECT coalesce(releaseDate, createDate) AS at, sum(credit)"
                " OVER (ORDER BY coalesce(releaseDate, createDate), seq) AS earned FROM annex_activities"
                f" WHERE memberId = ? AND status <> '{HOLD}') WHERE earned >= ? ORDER BY at LIMIT 1",
                (member_id, points),
            ).fetchone()
        return row["at"] if row else None

    def count(self, member_id: str | None = None, action_id: int | None = None) -> int:
        """How many entries there are: of all, of a member, of one action."""
        where, values = _where(member_id, action_id)
        with self._store.transaction() as connection:
            return int(connection.execute(f"SELECT count(*) FROM annex_activities{where}", values).fetchone()[0])

    def entries(
        self, member_id: str, action_id: int | None = None, *, rows: slice = slice(0, -1), newest_first: bool = True
    ) -> list[dict[str, Any]]:
        """A member's entries by creation, newest first unless told otherwise; all unless ``rows`` says which."""
        where, values = _where(member_id, action_id)
        order = "createDate DESC, seq DESC" if newest_first else "createDate, seq"
        with self._store.transaction() as connection:
            found = connection.execute(
                f"SELECT * FROM annex_activities{where} ORDER BY {order} LIMIT ? OFFSET ?",
                (*values, max(-1, rows.stop - rows.start), rows.start),
            ).fetchall()
        return [dict(row) for row in found]

    def has_order(self, member_id: str, order_id: str) -> bool:
        """Whether an entry of the member names this order."""
        with self._store.transaction() as connection:
            found = connection.execute(
                "SELECT 1 FROM annex_activities WHERE memberId = ? AND orderId = ? LIMIT 1", (member_id, order_id)
            ).fetchone()
        return found is not None

    def move(self, old: str, new: str) -> None:
        """Give all entries of one member to another."""
        with self._store.transaction() as connection:
            connection.execute("UPDATE annex_activities SET memberId = ? WHERE memberId = ?", (new, old))

    def forget(self, member_id: str, action_id: int | None = None) -> None:
        """Delete a member's entries, or those of one action."""
        where, values = _where(member_id, action_id)
        with self._store.transaction() as connection:
            connection.execute(f"DELETE FROM annex_activities{where}", values)

    def _add(self, row: dict[str, Any]) -> dict[str, Any]:
        row["due"] = _due(row)
        with self._store.transaction() as connection:
            row["seq"] = connection.execute(_INSERT, row).lastrowid
        return row

    def _release_due(self, connection: sqlite3.Connection, now: str) -> None:
        held = connection.execute(
            f"SELECT * FROM annex_activities WHERE due <= ? AND status = '{HOLD}' ORDER BY due, seq", (now,)
        ).fetchall()
        for entry in held:
            left = _left(entry["credit"], self.sums(entry["memberId"]))
            connection.execute(
                f"UPDATE annex_activities SET status = '{RELEASED}', due = expireDate WHERE seq = ?", (entry["seq"],)
            )
            self._keep(entry["seq"], left)

    def _keep(self, seq: int, left: int) -> None:
        with self._store.transaction() as connection:
            connection.execute(
                "UPDATE annex_activities SET remaining = ?, due = CASE WHEN ? THEN due END WHERE seq = ?",
                (left, left, seq),
            )


def _left(credit: int, before: Sums) -> int:
    return max(0, credit + min(0, before.balance))


def _due(row: Mapping[str, Any]) -> Any:
    if row["status"] == HOLD:
        return row["releaseDate"]
    return row["expireDate"] if row["status"] == RELEASED and row["remaining"] else None


def _where(member_id: str | None, action_id: int | None) -> tuple[str, tuple[Any, ...]]:
    given = {"memberId": member_id, "actionId": action_id}
    parts = [f"{name} = ?" for name, value in given.items() if value is not None]
    return f" WHERE {' AND '.join(parts)}" if parts else "", tuple(v for v in given.values() if v is not None)
