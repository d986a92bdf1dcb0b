"""The service behind segments of real-time journeys and their definitions (Dataverse page 8.6).

The page gives names, requests and status values. Which status follows on which, and when, is assumed: a definition goes
live and stops as outbound segments do, and its segment's status follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from annex_d365_sandbox.dataverse import values
from annex_d365_sandbox.dataverse.marketing import memberships
from annex_d365_sandbox.dataverse.marketing.evaluation import Room, plugin_fault, same_name
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.marketing.schedule import Job
from annex_d365_sandbox.dataverse.marketing.tables import DEFINITION, JOURNEYS_SEGMENT
from annex_d365_sandbox.dataverse.marketing.tables.journeys import Computation, DefinitionStatus, Status
from annex_d365_sandbox.dataverse.sql import Sql

SEGMENTS, DEFINITIONS = JOURNEYS_SEGMENT.logical_name, DEFINITION.logical_name
RESOLVED = frozenset({DefinitionStatus.LIVE, DefinitionStatus.LIVE_WITH_WARNINGS})
_MOST_GROUPS = 10
#: What a client may write; Live is taken for Going live.
_BY_CLIENT = {
    DefinitionStatus.DRAFT: DefinitionStatus.DRAFT,
    DefinitionStatus.LIVE: DefinitionStatus.GOING_LIVE,
    DefinitionStatus.GOING_LIVE: DefinitionStatus.GOING_LIVE,
    DefinitionStatus.DELETED: DefinitionStatus.DELETED,
}
#: The status of a segment by that of its definition.
_FOLLOWS = {
    DefinitionStatus.DRAFT: Status.INACTIVE,
    DefinitionStatus.GOING_LIVE: Status.COMPUTING,
    DefinitionStatus.LIVE: Status.ACTIVE,
    DefinitionStatus.LIVE_WITH_WARNINGS: Status.COMPUTED_WITH_WARNINGS,
    DefinitionStatus.STOPPING: Status.STOPPING,
    DefinitionStatus.STOPPED: Status.STOPPED,
    DefinitionStatus.DELETED: Status.DELETED,
}
_INACTIVE = frozenset({Status.INACTIVE, Status.DELETED, Status.STOPPED})


@dataclass(frozen=True)
class Group:
    """A group of static members: who is in, or who is out."""

    group_id: str
    include: bool


def groups(definition: Mapping[str, Any]) -> list[Group]:
    """The groups of ``msdynmkt_staticlistmembers``. Raises ``ValueError`` for a text that holds none."""
    listed = json.loads(definition.get("msdynmkt_staticlistmembers") or "[]")
    if not isinstance(listed, list) or len(listed) > _MOST_GROUPS:
        raise ValueError(f"There can be {_MOST_GROUPS} groups at most.")
    result = []
    for each in listed:
        if not isinstance(each, dict) or each.get("includeType") not in ("Include", "Exclude"):
            raise ValueError("A group needs groupId and includeType, Include or Exclude.")
        result.append(Group(str(UUID(str(each.get("groupId")))), each["includeType"] == "Include"))
    return result


class Definitions:
    """Definitions: what a segment is made from. Members are kept by the definition's id."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.jobs: dict[str, Callable[[Job], None]] = {
            "journeys.go_live": self._go_live,
            "journeys.stop": self._stop,
            "journeys.refresh": self._refresh,
            "journeys.members": self._recount,
        }

    # Rules of writes

    def before(self, before: Mapping[str, Any] | None, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What becomes of a write. Raises ``DataverseError`` if the service refuses it."""
        result, full = dict(changes), {**(before or {}), **changes}
        old = DefinitionStatus(before["statuscode"]) if before else DefinitionStatus.DRAFT
        asked = DefinitionStatus(result.get("statuscode") or old)
        if asked != old:
            if asked not in _BY_CLIENT or (asked == DefinitionStatus.DRAFT and before):
                raise plugin_fault(f"The status of a segment definition cannot be set to {int(asked)}.")
            status = _BY_CLIENT[asked]
            if status == DefinitionStatus.GOING_LIVE and old in RESOLVED:
                status = old
            result |= {"statuscode": int(status), "statecode": int(status == DefinitionStatus.DELETED)}
            if status == DefinitionStatus.GOING_LIVE:
                self.check(full)
        try:
            groups(full)
        except ValueError as error:
            raise plugin_fault(f"msdynmkt_staticlistmembers is not understood: {error}") from error
        return result

    def after(self, row_id: str, before: Mapping[str, Any] | None, row: Mapping[str, Any]) -> None:
        """Have done what a write asks for."""
        if before and before["statuscode"] == row["statuscode"]:
            return
        if row["statuscode"] == DefinitionStatus.GOING_LIVE:
            self._later("journeys.go_live", row_id, self._room.switches.going_live_seconds)
        elif row["statuscode"] == DefinitionStatus.DELETED:
            self.deleted(row_id)
        self._follow(row_id, DefinitionStatus(row["statuscode"]), self._room.now)

    def deleted(self, row_id: str) -> None:
        """Forget the members."""
        self._room.memberships.forget(row_id)
        self._room.schedule.drop(row_id)

    # What actions ask for

    def check(self, definition: Mapping[str, Any]) -> None:
        """Raises ``DataverseError`` if a definition cannot go live."""
        try:
            if definition.get("msdynmkt_segmentquery") or not groups(definition):
                self._room.found(definition.get("msdynmkt_segmentquery"), self.resolve, self._room.now)
        except ValueError as error:
            raise plugin_fault(str(error)) from error

    def publish(self, definition: Mapping[str, Any]) -> None:
        """Have a definition go live. Raises ``DataverseError``."""
        if definition["statuscode"] in (DefinitionStatus.GOING_LIVE, *RESOLVED):
            raise plugin_fault("The segment is live already.")
        changes = self.before(definition, {"statuscode": int(DefinitionStatus.GOING_LIVE)})
        row_id = definition["msdynmkt_segmentdefinitionid"]
        self._write(row_id, changes, self._room.now)
        self.after(row_id, definition, {**definition, **changes})

    def stop(self, definition: Mapping[str, Any]) -> bool:
        """Have a definition stop; ``False`` if it is not live."""
        if definition["statuscode"] not in RESOLVED:
            return False
        row_id = definition["msdynmkt_segmentdefinitionid"]
        self._write(row_id, {"statuscode": int(DefinitionStatus.STOPPING)}, self._room.now)
        self._later("journeys.stop", row_id, self._room.switches.stopping_seconds)
        self._follow(row_id, DefinitionStatus.STOPPING, self._room.now)
        return True

    def changed(self, row_id: str) -> None:
        """Count again, a little later: static members have changed."""
        self._later("journeys.members", row_id, self._room.switches.member_update_seconds)

    def resolve(self, name: str) -> tuple[str, str]:
        """A live segment by name or id, of either table. Raises ``QueryError``."""
        for row in self._room.organisation.rows(SEGMENTS):
            if same_name(row, name, "msdynmkt_displayname", "msdynmkt_segmentid", "msdynmkt_sourcesegmentuid"):
                definition = self.get(row["msdynmkt_sourcesegmentuid"])
                if definition and definition["statuscode"] in RESOLVED:
                    return definition["msdynmkt_segmentdefinitionid"], row[
                        "msdynmkt_baseentitylogicalname"
                    ] or "contact"
        raise QueryError(f"There is no live segment '{name}'.")

    def get(self, row_id: str | None) -> dict[str, Any] | None:
        """A definition by its id, or ``None``."""
        return self._room.organisation.get(DEFINITIONS, row_id.lower()) if row_id else None

    def segment(self, row_id: str) -> dict[str, Any] | None:
        """The segment of a definition, or ``None``."""
        with self._room.organisation.store.transaction() as db:
            found = db.execute(
                f"SELECT * FROM {SEGMENTS} WHERE lower(msdynmkt_sourcesegmentuid) = ?", [row_id]
            ).fetchone()
        return dict(found) if found else None

    # Jobs

    def _go_live(self, job: Job) -> None:
        row = self._row(job)
        if row["statuscode"] == DefinitionStatus.GOING_LIVE:
            self._evaluate(row, job.due)

    def _refresh(self, job: Job) -> None:
        row = self._row(job)
        if row["statuscode"] in RESOLVED:
            at = self._room.latest_refresh(job.due, row["msdynmkt_segmentrefreshintervalminutes"])
            self._evaluate(row, at)

    def _recount(self, job: Job) -> None:
        row = self._row(job)
        if row["statuscode"] in RESOLVED:
            self._evaluate(row, job.due)

    def _stop(self, job: Job) -> None:
        if self._row(job)["statuscode"] == DefinitionStatus.STOPPING:
            self._room.memberships.clear(job.segment_id)
            self._room.schedule.drop(job.segment_id, "journeys.refresh")
            self._write(job.segment_id, {"statuscode": int(DefinitionStatus.STOPPED)}, job.due)
            self._follow(job.segment_id, DefinitionStatus.STOPPED, job.due)

    def _evaluate(self, row: Mapping[str, Any], at: datetime) -> None:
        row_id, stamp = row["msdynmkt_segmentdefinitionid"], values.stamp(at)
        segment = self.segment(row_id) or {}
        changes: dict[str, Any] = {"msdynmkt_computationstartedon": stamp, "msdynmkt_computationfinishedon": stamp}
        try:
            self._room.check_works(row_id, segment.get("msdynmkt_segmentid"), segment.get("msdynmkt_displayname"))
            size = self._room.keep(row_id, self._members(row, at))
        except ValueError:
            # A definition has no status for errors, its computation and its segment have.
            self._room.memberships.clear(row_id)
            changes |= {"msdynmkt_computationstatus": int(Computation.ERROR), "statuscode": int(DefinitionStatus.DRAFT)}
            self._write(row_id, changes, at)
            self._write_segment(segment, {"statuscode": int(Status.ERROR), "statecode": 0}, at)
            return
        changes |= {"msdynmkt_computationstatus": int(Computation.FINISHED), "statuscode": int(DefinitionStatus.LIVE)}
        self._write(row_id, changes, at)
        counted = {"msdynmkt_membercount": size, "msdynmkt_membercount_date": stamp, "msdynmkt_lastevaluated": stamp}
        self._write_segment(segment, {**counted, "statuscode": int(Status.ACTIVE), "statecode": 0}, at)
        self._schedule_refresh(row, at)

    def _members(self, row: Mapping[str, Any], at: datetime) -> Sql:
        """The query's members and those of groups that include, without those of groups that exclude."""
        row_id, found = row["msdynmkt_segmentdefinitionid"], Sql("SELECT NULL AS id WHERE 0")
        if row["msdynmkt_segmentquery"]:
            found = self._room.found(row["msdynmkt_segmentquery"], self.resolve, at).sql
        for group in sorted(groups(row), key=lambda group: not group.include):
            members = memberships.group(row_id, group.group_id)
            text = f"{found.text} {'UNION' if group.include else 'EXCEPT'} {members.text}"
            found = Sql(text, found.parameters + members.parameters)
        return found

    def _schedule_refresh(self, row: Mapping[str, Any], at: datetime) -> None:
        row_id = row["msdynmkt_segmentdefinitionid"]
        self._room.schedule.drop(row_id, "journeys.refresh")
        upcoming = self._room.next_refresh(at, row["msdynmkt_segmentrefreshintervalminutes"])
        until = row["msdynmkt_stoprefreshafter"]
        if not row["msdynmkt_segmentquery"] or row["msdynmkt_disablesegmentrefresh"]:
            return
        if until is None or values.stamp(upcoming) <= until:
            self._room.schedule.add(Job("journeys.refresh", row_id, upcoming))

    # Helpers

    def _later(self, kind: str, row_id: str, seconds: int) -> None:
        self._room.schedule.add(Job(kind, row_id, self._room.now + timedelta(seconds=seconds)))

    def _row(self, job: Job) -> dict[str, Any]:
        row = self.get(job.segment_id)
        assert row is not None, "a definition's jobs go with it"
        return row

    def _follow(self, row_id: str, status: DefinitionStatus, at: datetime) -> None:
        self._write_segment(self.segment(row_id) or {}, follows(status), at)

    def _write(self, row_id: str, changes: Mapping[str, Any], at: datetime) -> None:
        full = {**changes, "modifiedon": values.stamp(at)}
        self._room.organisation.update(DEFINITIONS, row_id, full, by_platform=True)

    def _write_segment(self, segment: Mapping[str, Any], changes: Mapping[str, Any], at: datetime) -> None:
        if segment:
            full = {**changes, "modifiedon": values.stamp(at)}
            self._room.organisation.update(SEGMENTS, segment["msdynmkt_segmentid"], full, by_platform=True)


def follows(status: DefinitionStatus) -> dict[str, int]:
    """State and status of a segment whose definition has this status."""
    own = _FOLLOWS[status]
    return {"statuscode": int(own), "statecode": int(own in _INACTIVE)}


class JourneysSegments:
    """Segments: what a client lists. Their status is that of their definition, whatever a client writes."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def before(self, before: Mapping[str, Any] | None, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What becomes of a write."""
        result = dict(changes)
        uid = result.get("msdynmkt_sourcesegmentuid", before and before["msdynmkt_sourcesegmentuid"])
        definition = self._definitions.get(uid)
        if definition and (before is None or result.keys() & {"statuscode", "statecode", "msdynmkt_sourcesegmentuid"}):
            result |= follows(DefinitionStatus(definition["statuscode"]))
        return result

    def after(self, _row_id: str, before: Mapping[str, Any] | None, row: Mapping[str, Any], /) -> None:
        """Have the members of a definition counted that was live before its segment was there."""
        definition = self._definitions.get(row.get("msdynmkt_sourcesegmentuid")) if before is None else None
        if definition and definition["statuscode"] in RESOLVED:
            self._definitions.changed(definition["msdynmkt_segmentdefinitionid"])

    def deleted(self, _row_id: str, /) -> None:
        """The definition stays, as nothing says that it goes."""
