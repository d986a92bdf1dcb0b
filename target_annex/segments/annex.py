"""Copies of Dynamics 365 segments in Annex Cloud (Annex page 10)."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from annex_d365.annexcloud.errors import InDoubtError, not_found
from annex_d365.annexcloud.members import CONFLICT
from annex_d365.annexcloud.segment_writing import MEMBERS_PER_CALL, Definition, SegmentWriting
from annex_d365.annexcloud.segments import Segment
from annex_d365.errors import RowError
from annex_d365.ledger import Book, State
from target_annex.segments.rows import MemberRow
from target_annex.segments.side import CopyGoneError, MembersLostError, SegmentSpec, UnknownMembersError

logger = logging.getLogger(__name__)

#: A creation whose reply got lost, and that the list does not show, is tried again.
MAX_TRIES = 3
#: Signs of a segment's id that tell its copy from another segment of the same name.
_TOLD_APART_BY = 8
_ACTIVE = "active"


class LinkedMembers:
    """The members that contacts are: by the id that a row names, else by the link that the ledger has.

    Args:
        book: of the stream of contacts, in the ledger.
    """

    def __init__(self, book: Book) -> None:
        self._book = book

    def __call__(self, rows: Sequence[MemberRow]) -> list[str]:
        """Member ids in the order of ``rows``; empty for a contact that is no member."""
        entries = self._book.entries([each.contact for each in rows if not each.member and each.contact])
        links = {key: entry.target for key, entry in entries.items() if entry.state is State.SETTLED}
        return [each.member or links.get(each.contact, "") for each in rows]


class AnnexSegments:
    """A :class:`~target_annex.segments.side.SegmentSide`: what is written goes into static segments.

    Args:
        writing: to the site.
        listed: reads the list of the site's segments.
        validity_days: of a segment whose owner knows no last day; Annex Cloud wants one (Annex page 10.1).
    """

    chunk = MEMBERS_PER_CALL

    def __init__(self, writing: SegmentWriting, listed: Callable[[], Sequence[Segment]], validity_days: int) -> None:
        self._writing, self._listed, self._validity = writing, listed, dt.timedelta(days=validity_days)
        self._lock = threading.Lock()
        self._added: dict[str, set[str]] = {}
        self._adds_proved = self._removals_proved = False
        self._members_told = True

    @cached_property
    def _today(self) -> dt.date:
        return dt.datetime.now(dt.timezone.utc).date()

    @cached_property
    def _copies(self) -> dict[str, Segment]:
        """All segments by id."""
        return {each.segment_id: each for each in self._listed()}

    @cached_property
    def _origins(self) -> dict[str, str]:
        """Their ids by origin; of several copies of one segment, the oldest counts."""
        return {each.origin.casefold(): key for key, each in reversed(self._copies.items())}

    def find(self, spec: SegmentSpec) -> str | None:
        """See :meth:`SegmentSide.find`."""
        with self._lock:
            return self._origins.get(spec.origin.casefold())

    def create(self, spec: SegmentSpec) -> str:
        """See :meth:`SegmentSide.create`. A name that is taken is told apart by the segment's id."""
        definition = self._definition(spec, None)
        for _ in range(MAX_TRIES):
            try:
                target = self._writing.create(definition)
            except InDoubtError as error:
                problem: InDoubtError | RowError = error
            except RowError as error:
                # It may be we who created it, in an earlier run that was killed before it knew.
                if error.status != CONFLICT:
                    raise
                problem = error
            else:
                self._note(target, definition)
                return target
            self._list_anew()
            if found := self.find(spec):
                return found
            if isinstance(problem, RowError):
                if definition.name == _told_apart(spec):
                    raise problem
                definition = replace(definition, name=_told_apart(spec))
        raise problem

    def update(self, target: str, spec: SegmentSpec) -> bool:
        """See :meth:`SegmentSide.update`."""
        copy = self._copy(target)
        definition = self._definition(spec, copy)
        if definition == self._definition_of(copy) and copy.status is not None:
            return False
        try:
            self._writing.update(target, definition)
        except RowError as error:
            if error.status != CONFLICT or definition.name == _told_apart(spec):
                raise self._gone(target, error) or error from None
            definition = replace(definition, name=_told_apart(spec))
            self._writing.update(target, definition)
        self._note(target, definition)
        return True

    def retire(self, target: str, spec: SegmentSpec) -> None:  # noqa: ARG002 - the copy tells all
        """See :meth:`SegmentSide.retire`: there is no deletion, the copy becomes inactive (Annex page 10.6)."""
        with self._lock:
            copy = self._copies.get(target)
        if copy is None or copy.status not in {None, _ACTIVE}:
            return
        definition = replace(self._definition_of(copy), active=False)
        try:
            self._writing.update(target, definition)
        except RowError as error:
            if not self._gone(target, error):
                raise
            return
        self._note(target, definition)

    def members(self, target: str) -> Iterator[str]:
        """See :meth:`SegmentSide.members`."""
        try:
            found = self._writing.members(target)
        except RowError as error:
            raise self._gone(target, error) or error from None
        if found is None:
            self._not_told(target)
        return iter(found or ())

    def known(self, members: Sequence[str]) -> dict[str, str]:
        """See :meth:`SegmentSide.known`: the service tells only when they are added."""
        return {each: each for each in members}

    def add(self, target: str, keys: Sequence[str]) -> None:
        """See :meth:`SegmentSide.add`."""
        definition = self._definition_of(self._copy(target))
        try:
            unknown = self._writing.add(target, definition, keys) & set(keys)
        except RowError as error:
            raise self._gone(target, error) or error from None
        self._prove_adding(target, set(keys) - unknown)
        if unknown:
            raise UnknownMembersError(unknown)

    def remove(self, target: str, keys: Sequence[str]) -> None:
        """See :meth:`SegmentSide.remove`."""
        definition = self._definition_of(self._copy(target))
        try:
            self._writing.remove(target, definition, keys)
        except RowError as error:
            raise self._gone(target, error) or error from None
        with self._lock:
            self._added.get(target, set()).difference_update(keys)
            proved, self._removals_proved = self._removals_proved, True
        if not proved and not set(keys).difference(self._writing.members(target) or ()):
            raise MembersLostError(
                f"Setting `segment_member_update`: Annex Cloud did not remove members from segment {target}; "
                "name its own word for it as `remove`."
            )

    def finish(self, target: str) -> None:
        """See :meth:`SegmentSide.finish`: changes are live at once."""

    def _prove_adding(self, target: str, keys: set[str]) -> None:
        """Once, after two calls for one segment: are the first one's members still there?

        The default of ``memberUpdate``, and its values, are not documented (Annex page 10.2).
        """
        with self._lock:
            first = self._added.get(target)
            if self._adds_proved or not keys:
                return
            if not first:
                self._added[target] = keys
                return
            self._adds_proved = True
            self._added.clear()
        listed = self._writing.members(target)
        if listed is None:
            self._not_told(target)
        elif first.isdisjoint(listed):
            raise MembersLostError(
                f"Setting `segment_member_update`: Annex Cloud replaces the members of segment {target} instead of "
                "adding to them; name its own word for adding as `add`."
            )

    def _not_told(self, target: str) -> None:
        with self._lock:
            first, self._members_told = self._members_told, False
        if first:
            logger.warning(
                "Annex Cloud does not tell the members of segment %s: whether they add up is not sure, and without the "
                "ledger they are not known.",
                target,
            )

    def _copy(self, target: str) -> Segment:
        with self._lock:
            copy = self._copies.get(target)
        if copy is None:
            raise CopyGoneError(f"There is no segment {target} at Annex Cloud any more.", status=404)
        return copy

    def _gone(self, target: str, error: RowError) -> CopyGoneError | None:
        """A refusal may be about the segment, or about its members."""
        if not not_found(error) or self._writing.exists(target):
            return None
        return CopyGoneError(f"There is no segment {target} at Annex Cloud any more.", status=error.status)

    def _note(self, target: str, definition: Definition) -> None:
        copy = Segment(
            segment_id=target,
            name=definition.name,
            status=_ACTIVE if definition.active else "inactive",
            from_date=definition.first.isoformat(),
            to_date=definition.last.isoformat(),
            external_id=definition.external_id,
            external_name=definition.external_name,
        )
        with self._lock:
            self._copies[target] = copy
            self._origins[copy.origin.casefold()] = target

    def _list_anew(self) -> None:
        with self._lock:
            for each in ("_copies", "_origins"):
                vars(self).pop(each, None)

    def _definition(self, spec: SegmentSpec, copy: Segment | None) -> Definition:
        """What a copy shall be. Days that the owner does not know stay, unless the last one is over."""
        old = self._definition_of(copy) if copy else None
        name = spec.name or spec.key
        first = spec.valid_from or (old.first if old else self._today)
        last = spec.valid_to or (old.last if old and old.last >= self._today else self._today + self._validity)
        return Definition(
            name=old.name if old and old.name == _told_apart(spec) else name,
            first=min(first, last),
            last=last,
            active=spec.status == _ACTIVE,
            external_id=old.external_id if old else spec.origin,
            external_name=name,
        )

    def _definition_of(self, copy: Segment) -> Definition:
        return Definition(
            name=copy.name or copy.segment_id,
            first=_day(copy.from_date) or self._today,
            last=_day(copy.to_date) or self._today + self._validity,
            active=copy.status == _ACTIVE,
            external_id=copy.external_id or "",
            external_name=copy.external_name or "",
        )


def _told_apart(spec: SegmentSpec) -> str:
    return f"{spec.name or spec.key} ({spec.key[:_TOLD_APART_BY]})"


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text[:10]) if text else None
