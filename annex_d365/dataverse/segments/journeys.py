"""Members of segments of real-time journeys (Dataverse page 8.6)."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import msgspec

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.generations import DEFINITION_GROUPS, DEFINITION_ID, DEFINITIONS, STATIC
from annex_d365.dataverse.segments.journey_ids import JourneyIds
from annex_d365.dataverse.segments.members import Action, ContactColumns
from annex_d365.dataverse.segments.replies import ids_in
from annex_d365.dataverse.segments.rows import rows_of
from annex_d365.dataverse.segments.segment import CONTACT, Segment
from annex_d365.dataverse.segments.steps import Sent, Steps
from annex_d365.errors import ServiceError

MEMBERS_LIST, LIST_GROUP = "msdynmkt_MembersList", "msdynmkt_ListGroupMembers"
#: No limit of a page is documented; so many ids the actions that change a group take.
GROUP_PAGE_SIZE = 1000
#: Lists in one reply that are longer, or whose length is unknown, are in memory two at a time.
LARGE_LIST = 50_000
_LARGE_LISTS_AT_ONCE = 2
_EXCLUDE = "exclude"
_OK = "200"


class _Group(msgspec.Struct):
    id: str = msgspec.field(name="groupId")
    include_type: str = msgspec.field(default="Include", name="includeType")


_groups = msgspec.json.Decoder(list[_Group])


class JourneysMembers:
    """Reads members by ``msdynmkt_ListGroupMembers`` where a static segment has groups, else ``msdynmkt_MembersList``.

    The latter has no pages, so that memory holds all ids of such a segment at once, about 250 bytes for each.

    Args:
        columns: what is wanted of contacts.
    """

    def __init__(self, columns: ContactColumns) -> None:
        self._columns = columns
        self._ids = JourneyIds()
        self._memos: dict[str, str | None] = {}
        self._large = threading.Semaphore(_LARGE_LISTS_AT_ONCE)
        self._members_list, self._list_group = (
            Action(columns.dataverse, name, f"This organisation has no action `{name}`: its members cannot be read.")
            for name in (MEMBERS_LIST, LIST_GROUP)
        )

    def begin(self, segments: Sequence[Segment]) -> None:
        """Read the groups of all, many in a request."""
        ids = [each.definition.lower() for each in segments if each.kind == STATIC and each.definition]
        for row in rows_of(self._columns.dataverse, Query(DEFINITIONS, (DEFINITION_GROUPS,)), DEFINITION_ID, ids):
            self._memos[row[DEFINITION_ID]] = row.get(DEFINITION_GROUPS)

    def pages(self, segment: Segment) -> Generator[Sequence[Row]]:
        """As in :class:`~annex_d365.dataverse.segments.members.Members`."""
        groups = self._groups(segment) if segment.kind == STATIC else []
        if not groups:
            is_small = segment.member_count is not None and segment.member_count <= LARGE_LIST
            with nullcontext() if is_small else self._large:
                yield from self._columns.of(self._all(segment))
            return
        sent = Sent()  # and all that are excluded
        for group in groups:
            if group.include_type.lower() == _EXCLUDE:
                for ids in self._group(segment, group):
                    sent.new(ids)
        for group in groups:
            if group.include_type.lower() != _EXCLUDE:
                for ids in self._group(segment, group):
                    new = sent.new(ids)
                    yield from self._columns.of([each for each in ids if each in new])

    def _groups(self, segment: Segment) -> list[_Group]:
        given = self._memos.get((segment.definition or "").lower())
        try:
            return _groups.decode(given) if given else []
        except msgspec.DecodeError:
            raise ServiceError("The segment's list of groups could not be read.") from None

    def _all(self, segment: Segment) -> list[str]:
        reply = self._ids.send(segment, lambda each: self._members_list.ask({"SegmentId": each}))
        if (status := str(reply.get("StatusCode") or _OK)) != _OK:
            raise ServiceError(f"Dataverse has no list of members for it ({status}).")
        result = _result(reply.pop("ResultText", None))
        if (result.get("baseEntityLogicalName") or CONTACT) != CONTACT:
            raise ServiceError("Its members are no contacts.")
        return ids_in(result, "members")

    def _page(self, body: Mapping[str, Any], segment_id: str) -> Row:
        return self._list_group.ask({"SegmentId": segment_id, **body})

    def _group(self, segment: Segment, group: _Group) -> Iterator[list[str]]:
        """Ids of a group, page by page; some may come twice."""
        steps, known = Steps(min(self._columns.page_size, GROUP_PAGE_SIZE)), Sent()
        while True:
            body = {"GroupId": group.id, "PageNo": steps.number, "PageSize": steps.size}
            reply = self._ids.send(segment, partial(self._page, body))
            ids = ids_in(reply, "Response", "entityIds", "EntityIds")
            if not ids:
                return
            steps.took(len(ids), len(known.new(ids)))
            yield ids


def _result(text: Any) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "", type=dict[str, Any])
    except (msgspec.DecodeError, TypeError):
        raise ServiceError("Dataverse answered without a list of members.") from None
