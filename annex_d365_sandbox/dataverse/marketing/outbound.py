"""The service behind ``msdyncrm_segment``: status machine, evaluation, static members (Dataverse page 8.2, 8.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from annex_d365_sandbox.dataverse import values
from annex_d365_sandbox.dataverse.marketing import memberships
from annex_d365_sandbox.dataverse.marketing.evaluation import Room, ids, plugin_fault
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.marketing.schedule import Job
from annex_d365_sandbox.dataverse.marketing.tables import OUTBOUND_SEGMENT
from annex_d365_sandbox.dataverse.marketing.tables.outbound import MEMO_LENGTH, STATIC, TRANSITIONS, Status

TABLE = OUTBOUND_SEGMENT.logical_name
#: What a client may write; the rest is the service's (page 8.3). That it may expire a segment is assumed.
_BY_CLIENT = frozenset({Status.DRAFT, Status.GOING_LIVE, Status.STOPPING, Status.EXPIRED})
#: The states in which a segment is resolved.
RESOLVED = frozenset({Status.LIVE, Status.LIVE_EDITABLE})


class Outbound:
    """Segments of outbound marketing. It writes rows as the platform does, past its own rules."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.jobs: dict[str, Callable[[Job], None]] = {
            "outbound.go_live": self._go_live,
            "outbound.stop": self._stop,
            "outbound.refresh": self._refresh,
            "outbound.members": self._change_members,
        }

    # Rules of writes

    def before(self, before: Mapping[str, Any] | None, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What becomes of a write. Raises ``DataverseError`` if the service refuses it."""
        result = dict(changes)
        old = Status(before["statuscode"]) if before else None
        new = _status(result, old)
        if new != old:
            self._check_step(old, new)
            result |= {"statuscode": int(new), "statecode": int(new == Status.EXPIRED)}
        queried = bool(result.keys() & {"msdyncrm_segmentquery", "msdyncrm_segmentmemberids", "msdyncrm_segmenttype"})
        if new == Status.GOING_LIVE or (queried and new in RESOLVED):
            self._check_service()
            full = {**(before or {}), **result}
            if problems := self.problems(full):
                raise plugin_fault(json.dumps(problems))
        return result

    def after(self, row_id: str, before: Mapping[str, Any] | None, row: Mapping[str, Any]) -> None:
        """Have done what a write asks for."""
        old, new = before["statuscode"] if before else None, row["statuscode"]
        switches, memo = self._room.switches, "msdyncrm_segmentmemberids"
        if before and before[memo] is not None and row[memo] is None:
            self._room.memberships.empty(row_id)
        if new != old and new == Status.GOING_LIVE:
            self._later("outbound.go_live", row_id, switches.going_live_seconds)
        elif new != old and new == Status.STOPPING:
            self._later("outbound.stop", row_id, switches.stopping_seconds)
        elif new != old and new == Status.EXPIRED:
            self._end(row_id)
        elif new in RESOLVED and before and before[memo] != row[memo]:
            self._later("outbound.members", row_id, switches.member_update_seconds)

    def deleted(self, row_id: str) -> None:
        """Forget a segment."""
        self._room.memberships.forget(row_id)
        self._room.schedule.drop(row_id)

    def problems(self, row: Mapping[str, Any]) -> list[dict[str, str]]:
        """Why a segment cannot go live, in the words of ``msdyncrm_ValidateSegment`` (page 8.3)."""
        found = [] if row.get("msdyncrm_segmentname") else [_problem("msdyncrm_segmentname")]
        if row.get("msdyncrm_segmenttype") == STATIC:
            try:
                ids(row.get("msdyncrm_segmentmemberids") or [])
            except ValueError:
                found.append(_problem("msdyncrm_memberids"))
            return found
        try:
            target = self._room.found(row.get("msdyncrm_segmentquery"), self.resolve, self._room.now).table.logical_name
        except QueryError:
            target = ""
        if target != "contact":  # a dynamic segment must end at contact (page 8.5)
            found.append(_problem("msdyncrm_query"))
        return found

    def resolve(self, name: str) -> tuple[str, str]:
        """A live segment by back-end name or name. Raises ``QueryError``."""
        row = self.by_name(name)
        if row is None or row["statuscode"] not in RESOLVED:
            raise QueryError(f"There is no live segment '{name}'.")
        return row["msdyncrm_segmentid"], "contact"

    def by_name(self, name: str) -> dict[str, Any] | None:
        """The row of this back-end name or name."""
        organisation = self._room.organisation
        with organisation.store.transaction() as db:
            row = db.execute(
                f"SELECT * FROM {TABLE} WHERE d365_fold(msdyncrm_segmentqueryname) = d365_fold(?)"
                " OR d365_fold(msdyncrm_segmentname) = d365_fold(?)"
                " ORDER BY d365_fold(msdyncrm_segmentqueryname) IS NOT d365_fold(?) LIMIT 1",
                [name, name, name],
            ).fetchone()
        return dict(row) if row else None

    def withdraw(self) -> None:
        """Microsoft's state of 2026: rows stay, member lists are gone (page 8.1). A reset brings them back."""
        with self._room.organisation.store.transaction() as db:
            found = db.execute(
                f"SELECT msdyncrm_segmentid FROM {TABLE} WHERE msdyncrm_segmentmemberids IS NOT NULL"
                " OR msdyncrm_segmentid IN (SELECT segment_id FROM d365_segment_member)"
                " OR msdyncrm_segmentid IN (SELECT segment_id FROM d365_segment_job)"
            ).fetchall()
            for (row_id,) in found:
                self.deleted(row_id)
                self._write(row_id, {"msdyncrm_segmentmemberids": None}, self._room.now)

    # Jobs

    def change_members(self, row: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        """Have static members changed, a little later: ``operation`` with ``ids`` or a ``query``."""
        job = Job(
            "outbound.members",
            row["msdyncrm_segmentid"],
            self._room.now + timedelta(seconds=self._room.switches.member_update_seconds),
            payload,
        )
        self._room.schedule.add(job)

    def _change_members(self, job: Job) -> None:
        row = self._row(job)
        if row["msdyncrm_segmentmemberids"] is not None:
            self._take_memo(row)
        if job.payload:
            contact = self._room.organisation.tables["contact"]
            operation, found = job.payload["operation"], job.payload.get("ids")
            if found is None:
                try:
                    found = self._room.found(job.payload["query"], self.resolve, job.due).sql
                except QueryError:  # a segment that it names has gone meanwhile
                    return
            if operation.startswith("add"):
                self._room.memberships.put(job.segment_id, found, contact)
            else:
                self._room.memberships.take(job.segment_id, found)
        changes = {"msdyncrm_segmentmemberids": self._memo(job.segment_id)}
        if row["statuscode"] in RESOLVED:
            changes |= self._evaluated(row, job.due)
        self._write(job.segment_id, changes, job.due)

    def _go_live(self, job: Job) -> None:
        row = self._row(job)
        if row["statuscode"] != Status.GOING_LIVE:
            return
        if row["msdyncrm_segmenttype"] == STATIC and row["msdyncrm_segmentmemberids"] is not None:
            self._take_memo(row)
        self._evaluate(row, job.due)

    def _refresh(self, job: Job) -> None:
        row = self._row(job)
        if row["statuscode"] in RESOLVED:
            minutes = row["msdyncrm_segmentrefreshrateintervalminutes"]
            self._evaluate(row, self._room.latest_refresh(job.due, minutes))

    def _evaluate(self, row: Mapping[str, Any], at: datetime) -> None:
        row_id = row["msdyncrm_segmentid"]
        changes: dict[str, Any] = {
            "statecode": 0,
            "statuscode": int(Status.LIVE),
            "msdyncrm_segmentqueryname": f"SEGMENT_CRM_ID_{row_id.replace('-', '')}",
            "msdyncrm_islive": 1,
            "msdyncrm_segmentprovisioningstate": "Provisioned",
            "msdyncrm_segmenttargetprofiletypename": "contact",
        }
        try:
            self._room.check_works(row_id, row["msdyncrm_segmentname"])
            changes |= self._evaluated(row, at)
        except QueryError:
            changes = {
                "statuscode": int(Status.ERROR),
                "msdyncrm_islive": 0,
                "msdyncrm_segmentevaluationstate": "Failed",
            }
            self._room.memberships.clear(row_id)
        self._write(row_id, changes, at)

    def _evaluated(self, row: Mapping[str, Any], at: datetime) -> dict[str, Any]:
        row_id = row["msdyncrm_segmentid"]
        stamp, upcoming = values.stamp(at), None
        if row["msdyncrm_segmenttype"] == STATIC:
            size = self._room.keep(row_id, memberships.group(row_id))
        else:
            size = self._room.keep(row_id, self._room.found(row["msdyncrm_segmentquery"], self.resolve, at).sql)
            upcoming = self._room.next_refresh(at, row["msdyncrm_segmentrefreshrateintervalminutes"])
            self._room.schedule.drop(row_id, "outbound.refresh")
            self._room.schedule.add(Job("outbound.refresh", row_id, upcoming))
        return {
            "msdyncrm_segmentsize": size,
            "msdyncrm_lastevaluationtime": stamp,
            "msdyncrm_lastupdatedtime": stamp,
            "msdyncrm_nextevaluation": values.stamp(upcoming) if upcoming else None,
            "msdyncrm_segmentevaluationstate": "Succeeded",
            "msdyncrm_segmentevaluationdurationinminutes": 0,
        }

    def _stop(self, job: Job) -> None:
        if self._row(job)["statuscode"] == Status.STOPPING:
            self._end(job.segment_id)
            self._write(job.segment_id, {"statuscode": int(Status.STOPPED), "msdyncrm_islive": 0}, job.due)

    # Helpers

    def _check_step(self, old: Status | None, new: Status) -> None:
        allowed = TRANSITIONS[old] if old is not None else (Status.DRAFT, Status.GOING_LIVE)
        if new not in _BY_CLIENT or new not in allowed:
            start = "a new segment" if old is None else f"status {int(old)}"
            raise plugin_fault(f"The status of a segment cannot go from {start} to {int(new)}.")

    def _check_service(self) -> None:
        if self._room.switches.outbound_withdrawn:
            raise plugin_fault("The services of outbound marketing have been removed.")

    def _later(self, kind: str, row_id: str, seconds: int) -> None:
        self._room.schedule.add(Job(kind, row_id, self._room.now + timedelta(seconds=seconds)))

    def _end(self, row_id: str) -> None:
        self._room.memberships.clear(row_id)
        self._room.schedule.drop(row_id, "outbound.refresh")

    def _row(self, job: Job) -> dict[str, Any]:
        row = self._room.organisation.get(TABLE, job.segment_id)
        assert row is not None, "a segment's jobs go with it"
        return row

    def _take_memo(self, row: Mapping[str, Any]) -> None:
        row_id, contact = row["msdyncrm_segmentid"], self._room.organisation.tables["contact"]
        self._room.memberships.empty(row_id)
        self._room.memberships.put(row_id, ids(row["msdyncrm_segmentmemberids"]), contact)

    def _memo(self, row_id: str) -> str | None:
        """The column with static members, as far as they fit in (assumed: beyond that it is empty)."""
        prefix = self._room.switches.member_id_prefix
        text = json.dumps([f"{prefix}{each}" for each in self._room.memberships.page(row_id)])
        return text if len(text) <= MEMO_LENGTH else None

    def _write(self, row_id: str, changes: Mapping[str, Any], at: datetime) -> None:
        full = {**changes, "modifiedon": values.stamp(at)}
        self._room.organisation.update(TABLE, row_id, full, by_platform=True)


def _problem(field: str) -> dict[str, str]:
    """The one code that is known, and the field's name in this dialect (page 8.3)."""
    return {"ErrorCode": "SegmentDciValidator_SegmentInvalid", "FieldName": field}


def _status(changes: Mapping[str, Any], old: Status | None) -> Status:
    """The status that a write leads to; a state alone leads to its default (page 8.2)."""
    if changes.get("statuscode") is not None:
        return Status(changes["statuscode"])
    if changes.get("statecode") is not None and changes["statecode"] != int(old == Status.EXPIRED):
        return Status.EXPIRED if changes["statecode"] else Status.DRAFT
    return Status.DRAFT if old is None else old
