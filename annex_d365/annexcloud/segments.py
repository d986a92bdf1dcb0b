"""Segments of a site and their members, read (Annex page 10)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annex_d365.annexcloud.ahead import Crew, PagesAhead
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.columns import Column, ColumnReader, Kind, number
from annex_d365.annexcloud.errors import not_found, not_understood
from annex_d365.annexcloud.paging import page_count, pages
from annex_d365.annexcloud.segment_words import SegmentWords
from annex_d365.distinct import Distinct, fingerprint
from annex_d365.errors import RowError, ServiceError, SettingError

ANNEX_CLOUD = "annexcloud"
_LIST_ROUTE, _MEMBERS_ROUTE = "GET /segmentlist/{status}", "GET /eligiblesegment/{id}"
#: What may be wrong with a request for a list is its one word.
_WRONG_WORD = frozenset({400, 422})
_SEGMENT_IDS = ("segmentId", "id")
_MEMBER_IDS = ("id", "userId", "memberId", "userID")
_GUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)
_DYNAMICS = "dynamics:"

#: Of a segment; names differ between calls (Annex page 10.3). ASSUMPTION for what 10.5 proposes by analogy.
_READER = ColumnReader(
    (
        Column("name", others=("segmentName",)),
        Column("description", others=("segmentDescription",)),
        Column("type", others=("segmentType",)),
        Column("status", others=("segmentStatus",)),
        Column("count", Kind.NUMBER, ("memberCount", "segmentMemberCount")),
        Column("from_date", Kind.DATE, ("segmentFromDate", "segmentDateFrom", "fromDate")),
        Column("to_date", Kind.DATE, ("segmentToDate", "segmentDateTo", "toDate")),
        Column("created_on", Kind.TIME, ("createDate", "segmentCreateDate")),
        Column("modified_on", Kind.TIME, ("updateDate", "segmentUpdateDate")),
        Column("external_id", others=("externalId",)),
        Column("external_name", others=("externalName",)),
    )
)


@dataclass(frozen=True)
class Segment:
    """A segment as the list has it.

    Attributes:
        segment_id: a small number, as text.
        kind: static, dynamic or other (the service's words are not documented); None where it is not told.
        status: in lower case, active or inactive; as above.
        member_count: by the list, which may be behind.
        from_date: first day, ISO 8601.
        to_date: last day.
        external_id: of the segment in the system that it is a copy from.
    """

    segment_id: str
    name: str | None = None
    description: str | None = None
    kind: str | None = None
    status: str | None = None
    member_count: int | None = None
    from_date: str | None = None
    to_date: str | None = None
    created_on: str | None = None
    modified_on: str | None = None
    external_id: str | None = None
    external_name: str | None = None

    @property
    def origin(self) -> str:
        """Which system owns it: ``annexcloud``, ``dynamics:<id>``, or ``external:<id>`` for another one.

        Dynamics 365 has GUIDs for ids; a copy that was made by hand may say ``dynamics:<id>``.
        """
        text = self.external_id or ""
        if text.casefold().startswith(_DYNAMICS):
            return _DYNAMICS + text[len(_DYNAMICS) :].casefold()
        guid = _GUID.fullmatch(text)
        if guid:
            return _DYNAMICS + guid[1].casefold()
        return f"external:{text}" if text else ANNEX_CLOUD

    @property
    def place(self) -> tuple[int, str]:
        """Sorts segments by id; ids are numbers as a rule."""
        return len(self.segment_id), self.segment_id


@dataclass(frozen=True)
class Part:
    """Some members of a segment, or its end.

    Attributes:
        segment: whose they are.
        members: by API name, each with an ``id``.
        page: number of the page that they are.
        last: whether the segment is done; then there are no members.
        failure: why it could not be read to its end.
    """

    segment: Segment
    members: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    page: int = 0
    last: bool = False
    failure: ServiceError | None = None


class Segments:
    """Reads segments.

    Args:
        service: of the site.
        crew: reads several at once, and several pages of one.
    """

    def __init__(self, service: AnnexCloud, crew: Crew) -> None:
        self._service, self._crew = service, crew
        self._words = service.segment_words

    def all(self, status: str = "") -> list[Segment]:
        """The segments of the site, by id.

        Args:
            status: a word of the service, ``active``; by default its word for all.

        Raises:
            SettingError: the service does not take the word.
        """

        def ask(page: int) -> Any:
            return self._service.get("segmentlist", status or self._words.all, query={"page": page})

        try:
            rows = [row for page in pages(ask, _listed) for row in page]
        except RowError as error:
            if not not_found(error):
                if error.status in _WRONG_WORD:
                    raise self._wrong_word(status, error) from None
                raise
            rows = []
        found = {segment.segment_id: segment for segment in (_segment(row, self._words) for row in rows)}
        return sorted(found.values(), key=lambda segment: segment.place)

    def _wrong_word(self, status: str, error: RowError) -> SettingError:
        words, facts = self._words, f"{error.status} {error.code}".strip()
        if not status:
            return SettingError("segment_words.all", f"Annex Cloud lists no segments by this word ({facts}).")
        known = ", ".join(word.lower() for word in (words.all, words.active, words.inactive))
        return SettingError("members.status", f"must be one of {known}: Annex Cloud lists no others ({facts}).")

    def parts(self, segments: Iterable[Segment], *, page: int = 1) -> Iterator[Part]:
        """The members of segments, one segment after another, by pages.

        What concerns one segment only ends that one, as its last part says.

        Args:
            segments: which ones.
            page: of the first segment to begin with.

        Raises:
            ConnectorError: what concerns all: the service is down, a setting is wrong.
        """
        starts = ((segment, page if not place else 1) for place, segment in enumerate(segments))
        for (segment, start), first in self._crew.in_order(starts, lambda start: self._first(*start)):
            if isinstance(first, RowError):
                # ASSUMPTION: a segment without members may be answered as one that has no such data (Annex page 3).
                empty = not_found(first) and segment.member_count == 0
                yield Part(segment, last=True, failure=None if empty else first)
            else:
                yield from self._rest(segment, start, first)

    def _first(self, segment: Segment, page: int) -> Any:
        try:
            return self._ask(segment, page)
        except RowError as error:
            return error

    def _ask(self, segment: Segment, page: int) -> Any:
        return self._service.get("eligiblesegment", segment.segment_id, query={"page": page})

    def _rest(self, segment: Segment, start: int, first: Any) -> Iterator[Part]:
        totals: set[int] = set()
        lengths: list[int] = []
        sent, count = Distinct(), 0

        def ask(page: int) -> Any:
            return first if page == start else self._ask(segment, page)

        def members(answer: Any) -> Sequence[Mapping[str, Any]]:
            found = eligible(answer)
            totals.update(_total(answer))
            return found

        ahead = PagesAhead(self._crew, ask, page_count, start)
        try:
            for page, rows in enumerate(pages(ahead, members, start), start):
                lengths.append(len(rows))
                # Who comes twice is sent once: then a member who was missed shows in the count.
                ids = {fingerprint(each["id"]): each for each in rows}
                new = sent.add(0, ids.keys())
                count += len(new)
                yield Part(segment, [row for each, row in ids.items() if each in new], page)
        except ServiceError as error:
            if not isinstance(error, RowError):
                raise
            yield Part(segment, last=True, failure=error)
            return
        yield Part(segment, last=True, failure=None if start > 1 else _moved(totals, lengths, count))


def eligible(answer: Any) -> list[Mapping[str, Any]]:
    """The members in an answer about a segment: objects, or ids only; the shape is an ASSUMPTION (Annex page 10.4).

    Raises:
        ServiceError: it is of no known shape.
    """
    found = _members_in(answer)
    if found is None:
        raise not_understood(_MEMBERS_ROUTE)
    return found


def _members_in(answer: Any) -> list[Mapping[str, Any]] | None:
    """None where nothing is a list of members."""
    if isinstance(answer, str):
        answer = [each.strip() for each in answer.split(",") if each.strip()]
    if isinstance(answer, list):
        rows = [_member(each) for each in answer]
        return [row for row in rows if row] if all(rows) else None
    if not isinstance(answer, Mapping):
        return None
    numbered = [value for key, value in answer.items() if key.isdecimal()]
    if numbered:
        return _members_in(numbered)
    named = [answer[key] for key in ("members", "member", *_MEMBER_IDS[1:], "userIds") if key in answer]
    inner = [answer[key] for key in ("memberDetails", "segmentDetail") if isinstance(answer.get(key), Mapping)]
    for part in (*named, *inner):
        found = [] if part is None else _members_in(part)
        if found is not None:
            return found
    return None


def _member(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, Mapping):
        member_id = next((value[name] for name in _MEMBER_IDS if value.get(name)), None)
        return None if member_id is None else {**value, "id": str(member_id)}
    return {"id": str(value)} if isinstance(value, (str, int)) and value != "" else None


def _listed(answer: Any) -> Sequence[Mapping[str, Any]]:
    """The segments in an answer of the list.

    Raises:
        ServiceError: it is of no known shape.
    """
    rows = answer
    if isinstance(answer, Mapping):
        lists = [value for value in answer.values() if isinstance(value, (list, Mapping))]
        rows = lists[0] if len(lists) == 1 else answer.get("allSegmentDetails", [] if not lists else None)
    if isinstance(rows, Mapping):
        rows = [rows] if any(name in rows for name in _SEGMENT_IDS) else list(rows.values())
    if not isinstance(rows, list) or not all(
        isinstance(row, Mapping) and any(row.get(name) for name in _SEGMENT_IDS) for row in rows
    ):
        raise not_understood(_LIST_ROUTE)
    return rows


def _segment(row: Mapping[str, Any], words: SegmentWords) -> Segment:
    values = _READER.read(row)
    count = values.pop("count")
    return Segment(
        segment_id=str(next(row[name] for name in _SEGMENT_IDS if row.get(name))),
        kind=words.kind(values.pop("type")),
        status=words.status(values.pop("status")),
        member_count=None if count is None else int(count),
        **values,
    )


def _total(answer: Any) -> Iterator[int]:
    """How many members there are, where an answer says it."""
    try:
        yield int(number(answer["records"]))
    except (KeyError, TypeError, ValueError):
        return


def _moved(totals: set[int], lengths: Sequence[int], count: int) -> ServiceError | None:
    """The error for a list that was changed while it was read.

    ``records`` may be the number of all, or of those on the page.
    """
    told = totals.difference(lengths)
    if told and told != {count}:
        counted = " or ".join(map(str, sorted(told)))
        return ServiceError(f"Annex Cloud counts {counted} members, and showed {count}.", status=200)
    return None
