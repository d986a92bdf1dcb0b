"""The actions of real-time journeys (Dataverse page 8.6).

Whether ``SegmentId`` is the segment's id or its definition's is not known: both are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.marketing import evaluation
from annex_d365_sandbox.dataverse.marketing.evaluation import Room, plugin_fault
from annex_d365_sandbox.dataverse.marketing.journeys import RESOLVED, SEGMENTS, Definitions, groups

#: The most ids of one call, the most members of a group (page 8.6).
MOST_IDS, MOST_MEMBERS = 1_000, 200_000
_NOT_LIVE = "The segment is not live."


class JourneysActions:
    """Each takes the body and the root address; returns the members of the reply, or ``None`` for 204."""

    def __init__(self, room: Room, definitions: Definitions) -> None:
        self._room, self._definitions = room, definitions

    def add_members(self, body: Mapping[str, Any], _root: str) -> None:
        """``msdynmkt_AddStaticMembers``: 204 (assumed); unknown ids are passed over (assumed)."""
        definition, group_id, ids = self._static(body)
        self._room.check_known(ids, self._base(definition))
        row_id, members = definition["msdynmkt_segmentdefinitionid"], self._room.memberships
        with self._room.organisation.store.transaction():
            members.put(row_id, ids, self._room.organisation.tables[self._base(definition)], group_id)
            if members.count(row_id, group_id) > MOST_MEMBERS:
                raise plugin_fault(f"A group has {MOST_MEMBERS:,} members at most.")
            self._definitions.changed(row_id)

    def remove_members(self, body: Mapping[str, Any], _root: str) -> None:
        """``msdynmkt_RemoveStaticMembers``: 204 (assumed)."""
        definition, group_id, ids = self._static(body)
        row_id = definition["msdynmkt_segmentdefinitionid"]
        self._room.memberships.take(row_id, ids, group_id)
        self._definitions.changed(row_id)

    def list_group_members(self, body: Mapping[str, Any], root: str) -> dict[str, Any]:
        """``msdynmkt_ListGroupMembers``: a page of a group's static members."""
        definition = self._definition(body.get("SegmentId"))
        group_id = self._group(definition, body)
        number, size = _positive(body, "PageNo"), _positive(body, "PageSize")
        row_id = definition["msdynmkt_segmentdefinitionid"]
        found = self._room.memberships.page(row_id, group_id, limit=size, offset=(number - 1) * size)
        return _reply(root, "ListGroupMembers", Response=_text({"entityIds": found, "additionalProperties": {}}))

    def members_list(self, body: Mapping[str, Any], root: str) -> dict[str, Any]:
        """``msdynmkt_MembersList``: all members at once; StatusCode 400 if the segment is not live (assumed)."""
        definition = self._definition(body.get("SegmentId"))
        if definition["statuscode"] not in RESOLVED:
            if self._room.switches.not_live_members == "http":
                raise plugin_fault(_NOT_LIVE)
            return _reply(root, "MembersList", StatusCode=400, ResultText=_NOT_LIVE)
        base = self._base(definition)
        result = {
            "baseEntityLogicalName": base,
            "primaryKeyColumnName": self._room.organisation.tables[base].primary_id,
            "members": self._room.memberships.ids(definition["msdynmkt_segmentdefinitionid"]),
            "additionalProperties": {},
        }
        return _reply(root, "MembersList", StatusCode=200, ResultText=_text(result))

    def publish(self, body: Mapping[str, Any], _root: str) -> None:
        """``msdynmkt_PublishSegmentDefinition``: 204, or 400 (a third party saw both)."""
        self._definitions.publish(self._definition(body.get("SegmentId")))

    def stop(self, body: Mapping[str, Any], root: str) -> dict[str, Any]:
        """``msdynmkt_StopSegments``: a result per segment."""
        asked = body.get("SegmentIdList")
        if not isinstance(asked, list):
            raise plugin_fault("SegmentIdList is no list.")
        results = [self._stopped(segment_id) for segment_id in asked]
        stopped = sum(result["WasStopped"] for result in results)
        return _reply(
            root,
            "StopSegments",
            summary=f"{stopped} of {len(results)} segments were stopped.",
            stopSingleSegmentResults=results,
        )

    def _stopped(self, segment_id: Any) -> dict[str, Any]:
        message = ""
        try:
            stopped = self._definitions.stop(self._definition(segment_id))
            message = "" if stopped else _NOT_LIVE
        except DataverseError as error:
            stopped, message = False, error.message
        return {
            "SegmentId": segment_id,
            "WasStopped": stopped,
            "Message": message,
            "DependentJourneys": [],
            "DependentSegments": [],
        }

    def _definition(self, segment_id: Any) -> dict[str, Any]:
        try:
            row_id = str(UUID(segment_id))
        except (ValueError, TypeError, AttributeError) as error:
            raise plugin_fault("SegmentId is no id.") from error
        segment = self._room.organisation.get(SEGMENTS, row_id)
        definition = self._definitions.get(segment["msdynmkt_sourcesegmentuid"] if segment else row_id)
        taken = self._room.switches.journey_segment_ids
        if definition is None or taken == ("definition" if segment else "segment"):
            raise DataverseError(404, "0x80040217", f"msdynmkt_segment With Id = {row_id} Does Not Exist")
        segment = segment or self._definitions.segment(row_id) or {}
        name = segment.get("msdynmkt_displayname")
        self._room.check_refused(row_id, definition["msdynmkt_segmentdefinitionid"], name)
        return definition

    def _static(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], str, list[str]]:
        definition = self._definition(body.get("SegmentId"))
        group_id = self._group(definition, body)
        try:
            ids = evaluation.ids(body.get("EntityIds"))
        except ValueError as error:
            raise plugin_fault(f"EntityIds are not understood: {error}") from error
        if len(ids) > MOST_IDS:
            raise plugin_fault(f"EntityIds are {MOST_IDS:,} at most.")
        return definition, group_id, ids

    def _group(self, definition: Mapping[str, Any], body: Mapping[str, Any]) -> str:
        wanted = str(body.get("GroupId")).lower()
        if wanted not in [group.group_id for group in groups(definition)]:
            raise plugin_fault(f"The segment has no group '{wanted}'.")
        return wanted

    def _base(self, definition: Mapping[str, Any]) -> str:
        segment = self._definitions.segment(definition["msdynmkt_segmentdefinitionid"]) or {}
        base = segment.get("msdynmkt_baseentitylogicalname")
        return base if base in self._room.organisation.tables else "contact"


def _positive(body: Mapping[str, Any], name: str) -> int:
    number = body.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not number > 0:
        raise plugin_fault(f"{name} begins at 1.")
    return number


def _reply(root: str, action: str, **members: Any) -> dict[str, Any]:
    return {"@odata.context": f"{root}/$metadata#Microsoft.Dynamics.CRM.msdynmkt_{action}Response", **members}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
