"""Copies of segments in real-time journeys: a definition and its segment (Dataverse page 8.6)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.generations import (
    DEFINITION_GROUPS,
    DEFINITION_ID,
    DEFINITION_QUERY,
    DEFINITIONS,
    DYNAMIC,
    JOURNEYS,
)
from annex_d365.dataverse.segments.journey_ids import JourneyIds
from annex_d365.dataverse.segments.journeys import LIST_GROUP
from annex_d365.dataverse.segments.rows import rows_of
from annex_d365.dataverse.segments.segment import CONTACT, Segment
from annex_d365.dataverse.segments.writing_calls import Actions, Rows, SegmentGoneError
from annex_d365.dataverse.segments.writing_groups import Entry, Groups, decode, encode, entry
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.operations import guid_for
from annex_d365.errors import RowError

PUBLISH, STOP = "msdynmkt_PublishSegmentDefinition", "msdynmkt_StopSegments"
ADD, REMOVE = "msdynmkt_AddStaticMembers", "msdynmkt_RemoveStaticMembers"
_COLUMNS = JOURNEYS.columns
_KINDS = {word: value for value, word in JOURNEYS.kinds.items()}
_SOURCE_JOURNEYS = 12
_DRAFT_DEFINITION = {"statecode": 0, "statuscode": 723270001}
_DRAFT = {"statecode": 1, "statuscode": 2}


class JourneysCopies:
    """As in :class:`~annex_d365.dataverse.segments.writing.CopyService`.

    ASSUMPTION: members that are added to a live segment count without another publication.

    Args:
        dataverse: the organisation.
        calls: sends what writes.
        origin_column: column with the origin.
    """

    #: Most of one call.
    chunk = 1000

    def __init__(self, dataverse: Dataverse, calls: Calls, origin_column: str) -> None:
        self._dataverse = dataverse
        self._rows = Rows(calls, JOURNEYS.logical_name, JOURNEYS.entity_set, JOURNEYS.id)
        self._definitions = Rows(calls, "msdynmkt_segmentdefinition", DEFINITIONS, DEFINITION_ID)
        self._actions, self._ids = Actions(calls, JOURNEYS), JourneyIds()
        self._columns = {**_COLUMNS, "origin": origin_column}
        self._groups: dict[str, Groups] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """These are Microsoft's current ones."""

    def definition(self, segment_id: str) -> str:
        """As in the protocol."""
        return guid_for(DEFINITIONS, segment_id)

    def create(self, segment: Segment) -> bool:
        """As in the protocol; the definition first, because the segment names it."""
        dynamic, segment_id = segment.kind == DYNAMIC, segment.segment_id
        groups = [] if dynamic else [entry(segment_id, 1)]
        rule = {DEFINITION_QUERY: segment.query} if dynamic else {DEFINITION_GROUPS: encode(groups)}
        definition = str(segment.definition)
        if not self._definitions.create(definition, {**rule, **_DRAFT_DEFINITION}):
            self._refit(segment, groups)
        elif groups:
            self._groups[segment_id] = self._made(segment, groups, new=True)
        return self._rows.create(
            segment_id,
            {
                self._columns["origin"]: segment.origin,
                _COLUMNS["name"]: segment.name,
                _COLUMNS["description"]: segment.description,
                _COLUMNS["kind_value"]: _KINDS[segment.kind],
                "msdynmkt_source": _SOURCE_JOURNEYS,
                JOURNEYS.base: CONTACT,
                _COLUMNS["definition"]: definition,
                "owningbusinessunit@odata.bind": f"/businessunits({self._business_unit})",
                **_DRAFT,
            },
        )

    def update(self, segment: Segment, changes: Mapping[str, Any]) -> None:
        """As in the protocol."""
        own = {self._columns[name]: value for name, value in changes.items() if name != "query"}
        if own:
            self._rows.update(segment.segment_id, own)
        if "query" in changes:
            self._definitions.update(_definition_of(segment), {DEFINITION_QUERY: changes["query"]})

    def start(self, segment: Segment) -> None:
        """As in the protocol."""
        self._ids.send(segment, lambda each: self._actions.send(PUBLISH, {"SegmentId": each}))

    def stop(self, segment: Segment) -> None:
        """As in the protocol. The answer is about each segment; one that a journey uses goes on."""
        answer = self._ids.send(segment, lambda each: self._actions.send(STOP, {"SegmentIdList": [each]}))
        for each in answer.get("stopSingleSegmentResults") or ():
            if each.get("WasStopped") is False:
                used = " because journeys or segments use it" if _in_use(each) else ""
                raise RowError(f"the segment's copy was not stopped{used}")

    def delete(self, segment: Segment) -> None:
        """As in the protocol; the segment last, because it is what is looked for."""
        if segment.definition:
            self._definitions.delete(segment.definition)
        self._rows.delete(segment.segment_id)

    def members(self, segment: Segment) -> Iterator[str]:
        """As in the protocol; of our groups."""
        return self._of(segment).members()

    def add(self, segment: Segment, ids: Sequence[str]) -> None:
        """As in the protocol."""
        self._send(ADD, segment, self._of(segment).place(len(ids)), ids)

    def remove(self, segment: Segment, ids: Sequence[str]) -> None:
        """As in the protocol."""
        for group in tuple(self._of(segment).ids):
            self._send(REMOVE, segment, group, ids)

    def _send(self, action: str, segment: Segment, group: str, ids: Sequence[str]) -> None:
        body = {"GroupId": group, "EntityIds": list(ids)}
        self._ids.send(segment, lambda each: self._actions.send(action, {"SegmentId": each, **body}))

    def _refit(self, segment: Segment, groups: Sequence[Entry]) -> None:
        """Let a definition that is there be the one of this segment; that before may have been of the other kind."""
        row = self._definition(segment)
        there, query = decode(row.get(DEFINITION_GROUPS)), segment.query
        if groups:  # a static one keeps its groups, in which may be members
            query = None
            there = there or list(groups)
        column = encode(there) if groups else None
        wanted = {DEFINITION_QUERY: query, DEFINITION_GROUPS: column}
        changes = {name: value for name, value in wanted.items() if (row.get(name) or None) != value}
        if changes:
            self._definitions.update(_definition_of(segment), changes)

    def _definition(self, segment: Segment) -> Row:
        query = Query(DEFINITIONS, (DEFINITION_QUERY, DEFINITION_GROUPS))
        row = next(rows_of(self._dataverse, query, DEFINITION_ID, [_definition_of(segment)]), None)
        if row is None:
            raise SegmentGoneError
        return row

    def _of(self, segment: Segment) -> Groups:
        """The segment's groups; read once."""
        with self._lock:
            if segment.segment_id not in self._groups:
                groups = decode(self._definition(segment).get(DEFINITION_GROUPS))
                self._groups[segment.segment_id] = self._made(segment, groups)
            return self._groups[segment.segment_id]

    def _made(self, segment: Segment, groups: Sequence[Entry], *, new: bool = False) -> Groups:
        definition = _definition_of(segment)

        def save(column: str) -> None:
            self._definitions.update(definition, {DEFINITION_GROUPS: column})

        def ask(body: Mapping[str, Any]) -> Row:
            return self._ids.send(segment, lambda each: self._dataverse.ask(LIST_GROUP, {"SegmentId": each, **body}))

        return Groups(ask, segment.segment_id, groups, save, new=new)

    @cached_property
    def _business_unit(self) -> str:
        """The user's own: a segment belongs to one."""
        return str(self._dataverse.get("WhoAmI")["BusinessUnitId"])


def _definition_of(segment: Segment) -> str:
    if not segment.definition:
        raise RowError("the segment's copy has no definition")
    return segment.definition.lower()


def _in_use(result: Mapping[str, Any]) -> bool:
    return bool(result.get("DependentJourneys") or result.get("DependentSegments"))
