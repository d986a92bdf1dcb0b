"""A loyalty site: its members and the rules of changing them (Annex page section 5), and the rooms of all else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import errors, fields, search
from annex_d365_sandbox.annexcloud.activities import Activities
from annex_d365_sandbox.annexcloud.catalogue import Catalogue
from annex_d365_sandbox.annexcloud.merges import Merges
from annex_d365_sandbox.annexcloud.points import Points
from annex_d365_sandbox.annexcloud.segments import Segments
from annex_d365_sandbox.annexcloud.switches import Switches
from annex_d365_sandbox.annexcloud.token import TokenError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from annex_d365_sandbox.clock import Clock
    from annex_d365_sandbox.store import Store

__all__ = ["Site", "Switches"]

_COLUMNS = ", ".join(fields.ALL)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS annex_members ({_COLUMNS.replace("id,", "id TEXT PRIMARY KEY,", 1)});
CREATE INDEX IF NOT EXISTS annex_members_email ON annex_members (lower(email));
CREATE INDEX IF NOT EXISTS annex_members_opt_in ON annex_members (optInDate, id);
CREATE TABLE IF NOT EXISTS annex_deletions (id TEXT PRIMARY KEY, requestedBy TEXT NOT NULL, requestDate TEXT NOT NULL);
"""
_PUT = f"INSERT OR REPLACE INTO annex_members ({_COLUMNS}) VALUES ({', '.join('?' * len(fields.ALL))})"
_CHUNK = 1000


class Site:
    """One site. A member is a dict of wire names (``fields.ALL``); a field without a value is None."""

    def __init__(self, store: Store, clock: Clock, *, site_id: str, site_name: str, secret_key: str) -> None:
        self.store, self.clock = store, clock
        self.site_id, self.site_name, self.secret_key = site_id, site_name, secret_key
        self.switches = Switches()
        #: why the last request's token was refused (or would have been, were ``strict_hmac`` on); else None
        self.last_refusal: str | None = None
        #: tokens that were used, while the site looks out for repetitions
        self._used: set[str] = set()
        with store.transaction() as connection:
            connection.create_function("annex_fold", 1, search.fold, deterministic=True)
            connection.executescript(_SCHEMA)
        self.catalogue = Catalogue()
        self.activities = Activities(store, clock)
        self.points, self.merges, self.segments = Points(self), Merges(self), Segments(self)

    def reset(self) -> None:
        """Forget every member and all that belongs to one; switches and catalogue go back to their defaults."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM annex_members")
            connection.execute("DELETE FROM annex_deletions")
            self.activities.reset()
            self.merges.reset()
            self.segments.reset()
        self.switches.restore()
        self.catalogue = Catalogue()
        self.last_refusal = None

    def check_fresh(self, authorization: str) -> None:
        """A token counts once where ``Switches.refuse_replayed_tokens`` says so. Raises ``TokenError``."""
        if not self.switches.refuse_replayed_tokens:
            self._used.clear()
            return
        if authorization in self._used:
            raise TokenError("the token was used before")
        self._used.add(authorization)

    def put_members(self, members: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace members in bulk, as an operator: values are not checked, dates are brought to UTC.

        What a create would default is defaulted. Raises ``ValueError`` for an unknown field or a malformed date.
        """
        now = self._now()
        with self.store.transaction() as connection:
            connection.executemany(_PUT, (_to_row(_seeded(member, now)) for member in members))

    def members(self) -> Iterator[dict[str, Any]]:
        """All members in the order of their ids."""
        last = ""
        while True:
            with self.store.transaction() as connection:
                rows = connection.execute(
                    "SELECT * FROM annex_members WHERE id > ? ORDER BY id LIMIT ?", (last, _CHUNK)
                ).fetchall()
            yield from map(_from_row, rows)
            if len(rows) < _CHUNK:
                return
            last = rows[-1]["id"]

    def member(self, member_id: str) -> dict[str, Any] | None:
        """One member by id."""
        return self._one("id = ?", member_id)

    def members_of(self, member_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The members with these ids, in the order of ids."""
        with self.store.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM annex_members WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
                (json.dumps(member_ids),),
            ).fetchall()
        return [_from_row(row) for row in rows]

    def member_count(self) -> int:
        """How many members there are."""
        with self.store.transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM annex_members").fetchone()[0])

    def get_member(self, reference: str) -> dict[str, Any]:
        """The member that a path names: by id, or by e-mail under ``Switches.resolve_email``."""
        found = self.member(reference)
        if found is None and self.switches.resolve_email:
            found = self._one("lower(email) = lower(?) ORDER BY id LIMIT 1", reference)
        if found is None:
            raise errors.no_data()
        return found

    def create_member(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Enrol a member (section 5.1)."""
        given = fields.read_member(body, self.switches)
        if not given.get("id"):
            raise errors.missing("id")
        if self.member(given["id"]) is not None:
            raise errors.exists()
        if self.switches.zip_code_on_create == "ignored":
            given.pop("zipCode", None)
        now = self._now()
        member = {**_defaults(now), **given}
        if member["optInStatus"] == "NO":
            member["optOutDate"] = now
        return self.keep_member(member)

    def update_member(self, reference: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge the given fields into a member (section 5.3, ASSUMPTION).

        Also assumed: ``updateDate`` moves even when no value changes, ``extendedAttribute`` merges key by key, opting
        out stamps an opt-out date, opting in again a new opt-in date, and another id in the body is refused.
        """
        old = self.get_member(reference)
        given = fields.read_member(body, self.switches)
        if given.get("id", old["id"]) != old["id"]:
            raise errors.invalid("id")
        now = self._now()
        if self.switches.patch == "replaces":
            cleared = {name: None for name in fields.WRITABLE if name not in fields.ALWAYS_SET}
            old = {**old, **cleared, "extendedAttribute": {}}
        attributes = {**old["extendedAttribute"], **given.get("extendedAttribute", {})}
        member = {**old, **given, "extendedAttribute": attributes, "updateDate": now}
        if member["optInStatus"] != old["optInStatus"]:
            opted_in = member["optInStatus"] == "YES"
            member["optOutDate"] = None if opted_in else now
            if opted_in:
                member["optInDate"] = given.get("optInDate", now)
        return self.keep_member(member)

    def search_members(self, criteria: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The first members that meet all criteria, at most 50. ASSUMPTION: oldest opt-in first."""
        where, values = search.conditions(criteria)
        with self.store.transaction() as connection:
            rows = connection.execute(
                f"SELECT * FROM annex_members WHERE {where} ORDER BY optInDate, id LIMIT ?",
                (*values, search.MAX_RECORDS),
            ).fetchall()
        return [_from_row(row) for row in rows]

    def request_deletion(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Mark a member for the next deletion batch (section 5.6); repeating is harmless.

        Until then every call finds the member as it was; ``Switches.deletion`` may make it immediate.
        """
        fields.require(body, "id", "requestedBy")
        try:
            requested_by = fields.email(fields.scalar("requestedBy", body["requestedBy"]))
        except ValueError:
            raise errors.invalid("requestedBy") from None
        member = self.member(fields.scalar("id", body["id"]))
        if member is None:
            raise errors.no_data()
        with self.store.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO annex_deletions VALUES (?, ?, ?)", (member["id"], requested_by, self._now())
            )
            if self.switches.deletion == "at_once":
                self.forget_member(member["id"])
        return member

    def keep_member(self, member: Mapping[str, Any]) -> dict[str, Any]:
        """Store a member; returned as a later read would."""
        extended = {key: value for key, value in member["extendedAttribute"].items() if value is not None}
        stored = {**dict.fromkeys(fields.ALL), **member, "extendedAttribute": extended}
        with self.store.transaction() as connection:
            connection.execute(_PUT, _to_row(stored))
        return stored

    def pending_deletions(self) -> list[str]:
        """The ids that the next batch deletes, in the order of the requests."""
        with self.store.transaction() as connection:
            return [row["id"] for row in connection.execute("SELECT id FROM annex_deletions ORDER BY rowid")]

    def revoke_deletion(self, member_id: str) -> None:
        """Withdraw a request, as the admin page can before the batch runs (section 5.6)."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM annex_deletions WHERE id = ?", (member_id,))

    def run_deletions(self) -> int:
        """The daily batch (05:30 UTC at the service): delete what was requested; how many members that were."""
        with self.store.transaction():
            pending = self.pending_deletions()
            for member_id in pending:
                self.forget_member(member_id)
        return len(pending)

    def forget_member(self, member_id: str) -> None:
        """Delete a member and all that belongs to it."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM annex_members WHERE id = ?", (member_id,))
            connection.execute("DELETE FROM annex_deletions WHERE id = ?", (member_id,))
            self.activities.forget(member_id)
            self.segments.forget(member_id)

    def _one(self, where: str, value: str) -> dict[str, Any] | None:
        with self.store.transaction() as connection:
            row = connection.execute(f"SELECT * FROM annex_members WHERE {where}", (value,)).fetchone()
        return None if row is None else _from_row(row)

    def _now(self) -> str:
        return fields.stamp(self.clock.now())


def _defaults(now: str) -> dict[str, Any]:
    return {
        "optInStatus": "YES",
        "optInDate": now,
        "status": "ACTIVE",
        "createDate": now,
        "updateDate": now,
        "extendedAttribute": {},
    }


def _seeded(member: Mapping[str, Any], now: str) -> dict[str, Any]:
    if unknown := member.keys() - set(fields.ALL):
        raise ValueError(f"unknown fields of a member: {', '.join(sorted(unknown))}")
    if not member.get("id"):
        raise ValueError("a member needs an id")
    seeded = {**_defaults(now), **{name: value for name, value in member.items() if value is not None}}
    for name in fields.INSTANTS:
        if name in seeded:
            seeded[name] = fields.instant(seeded[name])
    return seeded


def _to_row(member: Mapping[str, Any]) -> list[Any]:
    row = {**member, "extendedAttribute": json.dumps(member["extendedAttribute"])}
    return [row.get(name) for name in fields.ALL]


def _from_row(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "extendedAttribute": json.loads(row["extendedAttribute"])}
