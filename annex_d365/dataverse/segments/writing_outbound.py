"""Copies of segments in outbound marketing (Dataverse pages 8.2, 8.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.segments.generations import DYNAMIC, MEMBER_IDS, OUTBOUND, STATIC
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.outbound import OutboundMembers
from annex_d365.dataverse.segments.outbound_names import OutboundNames
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.dataverse.segments.writing_calls import Actions, Rows
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.errors import RowError, ServiceError

MEMBERS_UPDATE, VALIDATE = "msdyncrm_SegmentMembersUpdate", "msdyncrm_ValidateSegment"
_COLUMNS = OUTBOUND.columns
_KINDS = {word: value for value, word in OUTBOUND.kinds.items()}
#: The only states that a client may write (page 8.3).
_DRAFT, _GOING_LIVE, _STOPPING = 192350000, 192350006, 192350007


class OutboundCopies:
    """As in :class:`~annex_d365.dataverse.segments.writing.CopyService`.

    Members are changed by ``msdyncrm_SegmentMembersUpdate``, which answers before it is done. Its state is not waited
    for: what ``getState`` answers is UNCONFIRMED, and changes are taken one after the other (ASSUMPTION).

    Args:
        dataverse: the organisation.
        calls: sends what writes.
        origin_column: column with the origin.
    """

    #: Advised for one call (page 8.3).
    chunk = 20_000

    def __init__(self, dataverse: Dataverse, calls: Calls, origin_column: str) -> None:
        self._members = OutboundMembers(ContactColumns(dataverse))
        self._rows = Rows(calls, OUTBOUND.logical_name, OUTBOUND.entity_set, OUTBOUND.id)
        self._actions = Actions(calls, OUTBOUND)
        self._columns = {**_COLUMNS, "origin": origin_column}
        self._checked = False
        self._names = OutboundNames()

    def check(self) -> None:
        """As in the protocol: rows outlive the services behind them (page 8.1). Asks once for something harmless."""
        if not self._checked:
            body = {_COLUMNS["name"]: "-", _COLUMNS["kind_value"]: _KINDS[STATIC], MEMBER_IDS: "[]"}
            self._names.send(body, partial(self._actions.send, VALIDATE))
            self._checked = True

    def definition(self, segment_id: str) -> None:
        """These segments have none."""

    def create(self, segment: Segment) -> bool:
        """As in the protocol; a draft is not validated."""
        values: dict[str, Any] = {
            self._columns["origin"]: segment.origin,
            _COLUMNS["name"]: segment.name,
            _COLUMNS["description"]: segment.description,
            _COLUMNS["kind_value"]: _KINDS[segment.kind],
            _COLUMNS["status_value"]: _DRAFT,
        }
        # A list without members is a list; none at all does not go live.
        more = {_COLUMNS["query"]: segment.query} if segment.kind == DYNAMIC else {MEMBER_IDS: "[]"}
        return self._names.send({**values, **more}, partial(self._rows.create, segment.segment_id))

    def update(self, segment: Segment, changes: Mapping[str, Any]) -> None:
        """As in the protocol."""
        values = {self._columns[name]: value for name, value in changes.items()}
        self._names.send(values, partial(self._rows.update, segment.segment_id))

    def start(self, segment: Segment) -> None:
        """As in the protocol; the service validates it."""
        self.check()
        self._rows.update(segment.segment_id, {_COLUMNS["status_value"]: _GOING_LIVE})

    def stop(self, segment: Segment) -> None:
        """As in the protocol."""
        self._rows.update(segment.segment_id, {_COLUMNS["status_value"]: _STOPPING})

    def delete(self, segment: Segment) -> None:
        """As in the protocol."""
        self._rows.delete(segment.segment_id)

    def members(self, segment: Segment) -> Iterator[str]:
        """As in the protocol. Of a segment that is not live only the column with ids tells, while they fit in."""
        # Only live segments can be asked for by their query names (page 8.3).
        given = segment if segment.is_live else replace(segment, query_name=None)
        try:
            for rows in self._members.pages(given):
                yield from (row[KEY] for row in rows)
        except ServiceError as error:
            raise RowError(str(error), status=error.status, code=error.code) from None

    def add(self, segment: Segment, ids: Sequence[str]) -> None:
        """As in the protocol."""
        self._update_members(segment, "addByIds", ids)

    def remove(self, segment: Segment, ids: Sequence[str]) -> None:
        """As in the protocol."""
        self._update_members(segment, "removeByIds", ids)

    def _update_members(self, segment: Segment, operation: str, ids: Sequence[str]) -> None:
        body = {
            "msdyncrm_segmentid": segment.segment_id,
            "msdyncrm_operation": operation,
            "msdyncrm_memberids": msgspec.json.encode(ids).decode(),
        }
        self._actions.send(MEMBERS_UPDATE, body)
