"""Members of segments of real-time journeys (Dataverse page 8.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.generations import DEFINITION_GROUPS, DEFINITION_ID, DEFINITIONS, STATIC
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.replies import ids_in
from annex_d365.dataverse.segments.rows import rows_of
from annex_d365.dataverse.segments.segment import CONTACT, Segment
from annex_d365.errors import ServiceError

MEMBERS_LIST, LIST_GROUP = "msdynmkt_MembersList", "msdynmkt_ListGroupMembers"
#: No limit of a page is documented; so many ids the actions that change a group take.
GROUP_PAGE_SIZE = 1000
_EXCLUDE = "exclude"
_OK = 200


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
        self._memos: dict[str, str | None] = {}

    def begin(self, segments: Sequence[Segment]) -> None:
        """Read the groups of all, many in a request."""
        ids = [each.definition.lower() for each in segments if each.kind == STATIC and each.definition]
        for row in rows_of(self._columns.dataverse, Query(DEFINITIONS, (DEFINITION_GROUPS,)), DEFINITION_ID, ids):
            self._memos[row[DEFINITION_ID]] = row.get(DEFINITION_GROUPS)

    def pages(self, segment: Segment) -> Iterator[Sequence[Row]]:
        """As in :class:`~annex_d365.dataverse.segments.members.Members`."""
        groups = self._groups(segment) if segment.kind == STATIC else []
        if not groups:
            yield from self._columns.of(self._all(segment))
            return
        sent: set[str] = set()  # of the groups before, and all that are excluded
        for group in groups:
            if group.include_type.lower() == _EXCLUDE:
                sent.update(each for ids in self._group(segment, group) for each in ids)
        included = [group for group in groups if group.include_type.lower() != _EXCLUDE]
        for group in included:
            for ids in self._group(segment, group):
                new = [each for each in ids if each not in sent]
                if group is not included[-1]:
                    sent.update(new)
                yield from self._columns.of(new)

    def _groups(self, segment: Segment) -> list[_Group]:
        given = self._memos.get((segment.definition or "").lower())
        try:
            return _groups.decode(given) if given else []
        except msgspec.DecodeError:
            raise ServiceError("The segment's list of groups could not be read.") from None

    def _all(self, segment: Segment) -> list[str]:
        reply = self._columns.dataverse.ask(MEMBERS_LIST, {"SegmentId": segment.segment_id})
        if reply.get("StatusCode", _OK) != _OK:
            raise ServiceError(f"Dataverse has no list of members for it ({reply['StatusCode']}).")
        result = _result(reply.pop("ResultText", None))
        if result.get("baseEntityLogicalName", CONTACT) != CONTACT:
            raise ServiceError("Its members are no contacts.")
        return ids_in(result, "members")

    def _group(self, segment: Segment, group: _Group) -> Iterator[list[str]]:
        """Ids of a group, page by page."""
        size, page_no, known = min(self._columns.page_size, GROUP_PAGE_SIZE), 0, set[str]()
        while True:
            page_no += 1
            body = {"SegmentId": segment.segment_id, "GroupId": group.id, "PageNo": page_no, "PageSize": size}
            ids = ids_in(self._columns.dataverse.ask(LIST_GROUP, body), "Response", "entityIds", "EntityIds")
            new = [each for each in ids if each not in known]
            if ids and not new:
                raise ServiceError("Dataverse repeats a page of members.")
            if new:
                yield new
            if len(ids) < size:
                return
            known = set(ids)


def _result(text: Any) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "", type=dict[str, Any])
    except (msgspec.DecodeError, TypeError):
        raise ServiceError("Dataverse answered without a list of members.") from None
