"""Segments: groups of members, listed one by one or found by rules (Annex page section 10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import errors, fields, rules
from annex_d365_sandbox.annexcloud.segment_fields import (
    ADD,
    DYNAMIC,
    REMOVE,
    REPLACE,
    STATIC,
    read_members,
    read_segment,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.annexcloud.segment_fields import GivenMembers

#: The first id, like those in the vendor's examples.
FIRST_ID = 550
_COLUMNS = ("id", "name", "type", "fromDate", "toDate", "status", "externalId", "externalName", "rules")
_UNIQUE = ("name", "externalId")
_ALL = (*_COLUMNS, "createDate", "updateDate")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS annex_segments ({", ".join(_ALL).replace("id,", "id INTEGER PRIMARY KEY,", 1)});
CREATE INDEX IF NOT EXISTS annex_segments_named ON annex_segments (name);
CREATE UNIQUE INDEX IF NOT EXISTS annex_segments_external ON annex_segments (externalId);
CREATE TABLE IF NOT EXISTS annex_segment_members (
    segment INTEGER NOT NULL, memberId TEXT NOT NULL, PRIMARY KEY (segment, memberId)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS annex_segment_members_member ON annex_segment_members (memberId);
"""
_PUT = f"INSERT OR REPLACE INTO annex_segments ({', '.join(_ALL)}) VALUES ({', '.join(f':{name}' for name in _ALL)})"


class Segments:
    """The segments of a site. A segment is a dict of its request's names with ``id``, ``rules`` and two dates."""

    def __init__(self, site: Site) -> None:
        self._site = site
        #: evaluated members by segment, good for one state of the database: pages must not cost a scan each
        self._evaluated: tuple[int, dict[int, list[str]]] = (-1, {})
        with site.store.transaction() as connection:
            connection.executescript(_SCHEMA)

    def reset(self) -> None:
        """Forget all segments."""
        with self._site.store.transaction() as connection:
            connection.execute("DELETE FROM annex_segments")
            connection.execute("DELETE FROM annex_segment_members")

    def put(self, segments: Iterable[Mapping[str, Any]]) -> list[str]:
        """Add segments as an operator, who can also give ``members`` (a list of ids) or ``rules``; their ids.

        ``rules`` has the form of ``segmentDetail`` in section 10.3 and makes the segment dynamic.

        Raises:
            ValueError: an unknown field, a rule that is not evaluated here, or a taken name.
        """
        made = []
        with self._site.store.transaction():
            for given in segments:
                if unknown := given.keys() - {*_COLUMNS, "members"} | given.keys() & {"id"}:
                    raise ValueError(f"unknown fields of a segment: {', '.join(sorted(unknown))}")
                rules.check(given.get("rules", {}))
                if not given.get("name") or any(self._taken(name, given.get(name)) for name in _UNIQUE):
                    raise ValueError("a segment needs a name and an external id of its own")
                kept = {name: value for name, value in given.items() if name not in ("members", "rules")}
                kind = DYNAMIC if given.get("rules") else STATIC
                segment = self._new({"type": kind, "fromDate": "2024-01-01", "toDate": "2099-12-31", **kept})
                self._keep({**segment, "rules": given.get("rules", {})})
                self._insert(segment["id"], given.get("members", []))
                made.append(str(segment["id"]))
        return made

    def all(self) -> list[dict[str, Any]]:
        """Every segment in the order of ids."""
        with self._site.store.transaction() as connection:
            rows = connection.execute("SELECT * FROM annex_segments ORDER BY id").fetchall()
        return [{**dict(row), "rules": json.loads(row["rules"])} for row in rows]

    def get(self, segment_id: str) -> dict[str, Any]:
        """One segment. Raises 404 AC1005."""
        found = None
        if segment_id.isascii() and segment_id.isdigit():
            with self._site.store.transaction() as connection:
                found = connection.execute("SELECT * FROM annex_segments WHERE id = ?", (segment_id,)).fetchone()
        if found is None:
            raise errors.no_data()
        return {**dict(found), "rules": json.loads(found["rules"])}

    def create(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], GivenMembers]:
        """``POST /segment``; the segment, and the members given with it.

        Raises:
            ApiError: 400 for what is missing or malformed, 409 AC1006 for a taken name or external id (ASSUMPTION).
        """
        given = read_segment(body, self._site.switches)
        self._untaken(given, None)
        members = read_members(body, self._site)
        if members.known and given.get("type") == DYNAMIC:
            raise errors.invalid("member")
        with self._site.store.transaction():
            segment = self._new(given)
            self._keep(segment)
            self._insert(segment["id"], members.known)
        return segment, members

    def update(self, segment_id: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], GivenMembers]:
        """``PATCH /segment/{segmentId}``: merge the given fields; ``memberUpdate`` says what ``member`` does.

        Raises:
            ApiError: as :meth:`create`, and 404 AC1005; ASSUMPTION: 400 for another type, for members of a dynamic one.
        """
        old = self.get(segment_id)
        if fields.given(body, "id") and fields.scalar("id", body["id"]) != str(old["id"]):
            raise errors.invalid("id")
        given = read_segment(body, self._site.switches)
        if given.get("type", old["type"]) != old["type"]:
            raise errors.invalid("type")
        self._untaken(given, old["id"])
        members = read_members(body, self._site)
        if members.given is not None and old["type"] == DYNAMIC:
            raise errors.invalid("member")
        segment = {**old, **given, "updateDate": fields.stamp(self._site.clock.now())}
        with self._site.store.transaction():
            self._keep(segment)
            self._apply(segment["id"], members)
        return segment, members

    def members(self, segment: Mapping[str, Any]) -> list[str]:
        """The ids of the segment's members, in order: as listed, or as its rules find them now."""
        with self._site.store.transaction() as connection:
            self._site.activities.settle()
            if self._evaluated[0] != connection.total_changes:
                self._evaluated = (connection.total_changes, {})
            evaluated = self._evaluated[1]
            if segment["id"] not in evaluated:
                sql, values = (
                    rules.query(segment["rules"])
                    if segment["type"] == DYNAMIC
                    else ("SELECT memberId FROM annex_segment_members WHERE segment = ? ORDER BY 1", [segment["id"]])
                )
                evaluated[segment["id"]] = [row[0] for row in connection.execute(sql, values)]
            return evaluated[segment["id"]]

    def move(self, old: str, new: str) -> None:
        """Put one member in another's places."""
        with self._site.store.transaction() as connection:
            connection.execute("UPDATE OR IGNORE annex_segment_members SET memberId = ? WHERE memberId = ?", (new, old))
            self.forget(old)

    def forget(self, member_id: str) -> None:
        """Take a member out of all segments."""
        with self._site.store.transaction() as connection:
            connection.execute("DELETE FROM annex_segment_members WHERE memberId = ?", (member_id,))

    def _new(self, given: Mapping[str, Any]) -> dict[str, Any]:
        now = fields.stamp(self._site.clock.now())
        with self._site.store.transaction() as connection:
            last = connection.execute("SELECT max(id) FROM annex_segments").fetchone()[0]
        defaults: dict[str, Any] = {**dict.fromkeys(_COLUMNS), "type": STATIC, "status": "ACTIVE", "rules": {}}
        return {**defaults, **given, "id": (last or FIRST_ID - 1) + 1, "createDate": now, "updateDate": now}

    def _keep(self, segment: Mapping[str, Any]) -> None:
        with self._site.store.transaction() as connection:
            connection.execute(_PUT, {**segment, "rules": json.dumps(segment["rules"])})

    def _apply(self, segment: int, members: GivenMembers) -> None:
        if members.given is None:  # the update is a merge: what is left out stays
            return
        with self._site.store.transaction() as connection:
            if members.mode == REPLACE:
                connection.execute("DELETE FROM annex_segment_members WHERE segment = ?", (segment,))
            if members.mode in (ADD, REPLACE):
                self._insert(segment, members.known)
            elif members.mode == REMOVE:
                connection.executemany(
                    "DELETE FROM annex_segment_members WHERE segment = ? AND memberId = ?",
                    ((segment, member_id) for member_id in members.given),
                )

    def _insert(self, segment: int, member_ids: Iterable[str]) -> None:
        with self._site.store.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO annex_segment_members VALUES (?, ?)", ((segment, each) for each in member_ids)
            )

    def _untaken(self, given: Mapping[str, Any], own_id: int | None) -> None:
        for name in _UNIQUE:
            if name == "name" and not self._site.switches.unique_segment_names:
                continue
            if self._taken(name, given.get(name)) not in (None, own_id):
                raise errors.exists()

    def _taken(self, column: str, value: str | None) -> int | None:
        """The segment that has this value, if any."""
        with self._site.store.transaction() as connection:
            row = connection.execute(f"SELECT id FROM annex_segments WHERE {column} = ?", (value,)).fetchone()
        return row["id"] if row else None
