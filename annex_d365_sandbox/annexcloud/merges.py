"""Two members become one (Annex page section 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import errors, fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from annex_d365_sandbox.annexcloud.models import Site

_SCHEMA = """
CREATE TABLE IF NOT EXISTS annex_merges (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, primaryUID TEXT NOT NULL, secondaryUID TEXT NOT NULL,
    mergedBy TEXT NOT NULL, reason TEXT, mergeDate TEXT NOT NULL, updateDate TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS annex_merges_primary ON annex_merges (primaryUID);
CREATE INDEX IF NOT EXISTS annex_merges_secondary ON annex_merges (secondaryUID);
"""
#: Fields that a merge does not fill: they belong to the account, not to the person.
_OWN = frozenset({"id", "extendedAttribute", *fields.KEPT})


class Merges:
    """The merges of a site's members, and their record."""

    def __init__(self, site: Site) -> None:
        self._site = site
        with site.store.transaction() as connection:
            connection.executescript(_SCHEMA)

    def reset(self) -> None:
        """Forget all merges."""
        with self._site.store.transaction() as connection:
            connection.execute("DELETE FROM annex_merges")

    def merge(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge the secondary member into the primary one: at once; the record of the merge.

        The secondary id is free afterwards, as after a deletion, and a call for it is 404 (ASSUMPTION). Activities and
        (ASSUMPTION) segment memberships go to the primary member, whose empty fields are filled. Of an action in
        ``duplicateActions`` only the entries of ``userIdToRetainActions`` stay.

        Raises:
            ApiError: 404 AC1005 for an unknown member, 400 for what is missing or malformed.
        """
        names = ("primaryUID", "secondaryUID", "mergedBy")
        fields.require(body, *names)
        primary_id, secondary_id, merged_by = (fields.scalar(name, body[name]) for name in names)
        if primary_id == secondary_id:
            raise errors.invalid("secondaryUID")
        reason = None if body.get("reason") is None else fields.scalar("reason", body["reason"])
        dropped = _dropped(body.get("duplicateActions"), primary_id, secondary_id)
        site = self._site
        with site.store.transaction() as connection:
            primary, secondary = site.member(primary_id), site.member(secondary_id)
            if primary is None or secondary is None:
                raise errors.no_data()
            site.activities.settle()
            for loser, action_id in dropped:
                site.activities.forget(loser, action_id)
            site.activities.move(secondary_id, primary_id)
            site.segments.move(secondary_id, primary_id)
            now = fields.stamp(site.clock.now())
            site.keep_member({**_filled(primary, secondary), "updateDate": now})
            site.forget_member(secondary_id)
            connection.execute(
                "INSERT INTO annex_merges (primaryUID, secondaryUID, mergedBy, reason, mergeDate, updateDate)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (primary_id, secondary_id, merged_by, reason, now, now),
            )
        return self.of(primary_id)[0]

    def of(self, member_id: str) -> list[dict[str, Any]]:
        """The merges that a member had a part in, as either, newest first."""
        with self._site.store.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM annex_merges WHERE primaryUID = ? OR secondaryUID = ? ORDER BY seq DESC",
                (member_id, member_id),
            ).fetchall()
        return [dict(row) for row in rows]


def _filled(primary: Mapping[str, Any], secondary: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in secondary.items() if name not in _OWN and primary[name] is None}
    attributes = {**secondary["extendedAttribute"], **primary["extendedAttribute"]}
    return {**primary, **given, "extendedAttribute": attributes}


def _dropped(given: Any, primary_id: str, secondary_id: str) -> list[tuple[str, int]]:
    """Whose entries of which action go, from ``[{userIdToRetainActions, actionID}]``."""
    if not isinstance(given or [], list):
        raise errors.invalid("duplicateActions")
    dropped: list[tuple[str, int]] = []
    for choice in given or []:
        kept = choice.get("userIdToRetainActions") if isinstance(choice, dict) else None
        action_id = str(choice.get("actionID")) if isinstance(choice, dict) else ""
        if kept not in (primary_id, secondary_id) or not (action_id.isascii() and action_id.isdigit()):
            raise errors.invalid("duplicateActions")
        dropped.append((secondary_id if kept == primary_id else primary_id, int(action_id)))
    return dropped
