"""Segments of a site, written (Annex pages 10.1 to 10.3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.errors import not_found, not_understood
from annex_d365.annexcloud.segments import eligible
from annex_d365.errors import RowError

#: Most member ids in one call. ASSUMPTION: as for the bulk calls (Annex page 10.6).
MEMBERS_PER_CALL = 100

#: ASSUMPTION (Annex page 10.1): the sandbox's name for ids in a call that are nobody's.
_UNKNOWN_MEMBERS = ("unknownMember", "unknownMembers")
_COMMA = ","


class MemberForm(str, Enum):
    """How a call says which members; the documents only say that it is a string (Annex page 10.1)."""

    TEXT = "text"
    LIST = "list"


class DateForm(str, Enum):
    """How a call says a day; the format is not documented (Annex page 10.1)."""

    DATE = "date"
    DATETIME = "datetime"
    ISO = "iso"

    def text(self, day: dt.date) -> str:
        """A day in this form, from its first second."""
        patterns = {DateForm.DATE: "", DateForm.DATETIME: " 00:00:00", DateForm.ISO: "T00:00:00+0000"}
        return day.isoformat() + patterns[self]


@dataclass(frozen=True)
class Dialect:
    """What the documents leave open (Annex page 10.1, 10.2), as the settings have it.

    Attributes:
        add: value of ``memberUpdate`` that adds the given members to the others.
        remove: value of ``memberUpdate`` that removes the given members.
        members: how members are listed.
        dates: how days are written.
    """

    add: str = "ADD"
    remove: str = "REMOVE"
    members: MemberForm = MemberForm.TEXT
    dates: DateForm = DateForm.DATE


@dataclass(frozen=True)
class Definition:
    """What a segment is, without its members.

    Attributes:
        name: of the segment.
        first: day of its validity.
        last: day of its validity.
        active: whether it is in use.
        external_id: of the segment that it is a copy of.
        external_name: of the same.
    """

    name: str
    first: dt.date
    last: dt.date
    active: bool
    external_id: str
    external_name: str


class SegmentWriting:
    """Writes segments. Safe for threads.

    Args:
        service: of the site.
        dialect: what the documents leave open.
    """

    def __init__(self, service: AnnexCloud, dialect: Dialect) -> None:
        self._service, self._dialect, self._words = service, dialect, service.segment_words

    def create(self, definition: Definition) -> str:
        """Create a segment without members; gives its id.

        Raises:
            InDoubtError: it may have been created, or not.
            RowError: 409 if another segment has its name, or its external id.
        """
        body = {**self._body(definition), "type": self._words.static}
        answer = self._service.post("segment", body, repeatable=False)
        segment_id = (answer.get("segmentId") or answer.get("id")) if isinstance(answer, Mapping) else None
        if not segment_id:
            raise not_understood("POST /segment")
        return str(segment_id)

    def update(self, segment_id: str, definition: Definition) -> None:
        """Change a segment, not its members.

        Raises:
            RowError: 404 if there is no such segment; 409 if another one has its name.
        """
        self._service.patch("segment", segment_id, {**self._body(definition), "id": segment_id})

    def add(self, segment_id: str, definition: Definition, members: Sequence[str]) -> set[str]:
        """Add members, at most :data:`MEMBERS_PER_CALL`.

        Returns:
            Those that the service says are nobody's ids.

        Raises:
            RowError: none of them was added.
        """
        return self._change(segment_id, definition, members, self._dialect.add)

    def remove(self, segment_id: str, definition: Definition, members: Sequence[str]) -> None:
        """Remove members, at most :data:`MEMBERS_PER_CALL`.

        Raises:
            RowError: none of them was removed.
        """
        self._change(segment_id, definition, members, self._dialect.remove)

    def takes_add_word(self, segment_id: str, definition: Definition) -> bool:
        """Whether the service takes the word for adding members; also if it cannot be told.

        It is sent without members, and then left out: nothing changes by either, for updates are merged (Annex page
        10.2).
        """
        body = {**self._mandatory(definition), "id": segment_id}
        try:
            self._service.patch("segment", segment_id, {**body, "memberUpdate": self._dialect.add})
        except RowError:
            try:
                self._service.patch("segment", segment_id, body)
            except RowError:
                return True
            return False
        return True

    def members(self, segment_id: str) -> list[str] | None:
        """The ids that are listed one by one in a segment's conditions (Annex page 10.3); None if that is not told.

        Raises:
            RowError: 404 if there is no such segment.
        """
        answer = self._service.get("segment", segment_id)
        detail = answer.get("segmentDetail", answer) if isinstance(answer, Mapping) else None
        if not isinstance(detail, Mapping):
            raise not_understood("GET /segment/{id}")
        conditions = detail.get("memberDetails")
        listed = conditions.get("userId") if isinstance(conditions, Mapping) else None
        if isinstance(listed, list) and all(isinstance(each, (str, int)) for each in listed):
            return [str(each) for each in listed]  # it may be long
        return None if listed is None else [each["id"] for each in eligible({"userId": listed})]

    def exists(self, segment_id: str) -> bool:
        """Whether there is such a segment."""
        try:
            self._service.get("segment", segment_id)
        except RowError as error:
            if not_found(error):
                return False
            raise
        return True

    def can_name(self, member: str) -> bool:
        """Whether an id can stand in a call: a text of several is parted by commas."""
        return self._dialect.members is MemberForm.LIST or _COMMA not in member

    def _change(self, segment_id: str, definition: Definition, members: Sequence[str], word: str) -> set[str]:
        if len(members) > MEMBERS_PER_CALL:
            raise ValueError(f"more than {MEMBERS_PER_CALL} members in one call")
        if not all(self.can_name(each) for each in members):
            raise RowError("A member id with a comma needs `segment_member_form: list`.")
        listed = list(members) if self._dialect.members is MemberForm.LIST else _COMMA.join(members)
        # Name and dates are mandatory whatever is changed (Annex page 10.2).
        body = {**self._mandatory(definition), "id": segment_id, "member": listed, "memberUpdate": word}
        return _unknown(self._service.patch("segment", segment_id, body))

    def _mandatory(self, definition: Definition) -> dict[str, str]:
        form = self._dialect.dates
        first, last = form.text(definition.first), form.text(definition.last)
        return {"name": definition.name, "fromDate": first, "toDate": last}

    def _body(self, definition: Definition) -> dict[str, str]:
        return {
            **self._mandatory(definition),
            "status": self._words.active if definition.active else self._words.inactive,
            "externalId": definition.external_id,
            "externalName": definition.external_name,
        }


def _unknown(answer: Any) -> set[str]:
    listed: Any = None
    if isinstance(answer, Mapping):
        listed = next((answer[name] for name in _UNKNOWN_MEMBERS if answer.get(name)), None)
    if isinstance(listed, str):
        listed = listed.split(_COMMA)
    ids: Collection[Any] = listed if isinstance(listed, list) else ()
    return {str(each).strip() for each in ids}
