"""Copies of Dynamics 365 segments in Annex Cloud (Annex page 10)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial

from annex_d365.annexcloud.errors import InDoubtError, not_found
from annex_d365.annexcloud.members import CONFLICT
from annex_d365.annexcloud.segment_writing import MEMBERS_PER_CALL, Definition, SegmentWriting
from annex_d365.annexcloud.segments import Segment
from annex_d365.errors import RowError
from annex_d365.ledger import Book, State
from target_annex.segments.definitions import Definitions, names
from target_annex.segments.proofs import Proofs
from target_annex.segments.rows import ACTIVE, MemberRow
from target_annex.segments.side import CopyGoneError, SegmentSpec, UnknownMembersError
from target_annex.work import attempt

#: A creation whose reply got lost, and that the list does not show, is tried again.
MAX_TRIES = 3
#: Members who were unknown are asked for one by one (Annex page 5.2).
_LOOKUPS = 500


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
        existing: asks which of some members there are.
    """

    chunk, lookups = MEMBERS_PER_CALL, _LOOKUPS

    def __init__(
        self,
        writing: SegmentWriting,
        listed: Callable[[], Sequence[Segment]],
        validity_days: int,
        existing: Callable[[Sequence[str]], Collection[str]],
    ) -> None:
        self._writing, self._listed, self._existing = writing, listed, existing
        self._definitions, self._proofs = Definitions(validity_days), Proofs(writing)
        self._lock = threading.Lock()

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
        definition, waiting = self._definitions.wanted(spec, None), [*names(spec)][1:]
        tries = MAX_TRIES
        while True:
            try:
                target = self._writing.create(definition)
            except InDoubtError as error:
                tries -= 1
                problem: InDoubtError | RowError | None = None if tries else error
            except RowError as error:
                # It may be we who created it, in an earlier run that was killed before it knew.
                if error.status != CONFLICT:
                    raise
                problem = None if waiting else error
                definition = replace(definition, name=waiting.pop(0)) if waiting else definition
            else:
                self._note(target, definition)
                return target
            self._list_anew()
            if found := self.find(spec):
                return found
            if problem:
                raise problem

    def intact(self, target: str, spec: SegmentSpec) -> bool:
        """See :meth:`SegmentSide.intact`."""
        with self._lock:
            copy = self._copies.get(target)
        if copy is None:
            return False
        is_now, wanted = self._definitions.of(copy), self._definitions.wanted(spec, copy)
        return (wanted.external_id, wanted.last) == (is_now.external_id, is_now.last)

    def update(self, target: str, spec: SegmentSpec) -> bool:
        """See :meth:`SegmentSide.update`."""
        copy = self._copy(target)
        definition = self._definitions.wanted(spec, copy)
        if definition == self._definitions.of(copy) and copy.status is not None:
            return False
        waiting = [each for each in names(spec) if each != definition.name]
        while problem := attempt(partial(self._writing.update, target), definition):
            if problem.status != CONFLICT or not waiting:
                raise self._gone(target, problem) or problem
            definition = replace(definition, name=waiting.pop(0))
        self._note(target, definition)
        return True

    def retire(self, target: str, spec: SegmentSpec) -> None:  # noqa: ARG002 - the copy tells all
        """See :meth:`SegmentSide.retire`: there is no deletion, the copy becomes inactive (Annex page 10.6)."""
        with self._lock:
            copy = self._copies.get(target)
        if copy is None or copy.status not in {None, ACTIVE}:
            return
        definition = replace(self._definitions.of(copy), active=False)
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
            self._proofs.not_told(target)
        return iter(found or ())

    def known(self, members: Sequence[str]) -> dict[str, str]:
        """See :meth:`SegmentSide.known`: the service tells only when they are added."""
        return {each: each for each in members}

    def appeared(self, members: Sequence[str]) -> dict[str, str]:
        """See :meth:`SegmentSide.appeared`."""
        return {each: each for each in self._existing(members)}

    def add(self, target: str, keys: Sequence[str], present: Collection[str] = ()) -> None:
        """See :meth:`SegmentSide.add`."""
        definition = self._prolonged(target)
        try:
            unknown = self._writing.add(target, definition, keys) & set(keys)
        except RowError as error:
            gone = self._gone(target, error)
            if not gone:
                self._proofs.refused(target, definition, error)
            raise gone or error from None
        self._note_days(target, definition)
        self._proofs.added(target, definition, set(keys) - unknown, present)
        if unknown:
            raise UnknownMembersError(unknown)

    def remove(self, target: str, keys: Sequence[str]) -> None:
        """See :meth:`SegmentSide.remove`."""
        definition = self._prolonged(target)
        try:
            self._writing.remove(target, definition, keys)
        except RowError as error:
            raise self._gone(target, error) or error from None
        self._note_days(target, definition)
        self._proofs.removed(target, keys)

    def finish(self, target: str) -> None:
        """See :meth:`SegmentSide.finish`: changes are live at once."""

    def ending(self) -> list[str]:
        """See :meth:`SegmentSide.ending`: copies in use whose last day is near, or over."""
        with self._lock:
            used = [each for each in self._copies.values() if each.status == ACTIVE and each.external_id]
        definitions = {each.segment_id: self._definitions.of(each) for each in used}
        return [key for key, each in definitions.items() if self._definitions.prolonged(each) != each]

    def prolong(self, target: str) -> None:
        """See :meth:`SegmentSide.prolong`."""
        definition = self._prolonged(target)
        self._writing.update(target, definition)
        self._note(target, definition)

    def _prolonged(self, target: str) -> Definition:
        """What a copy is, but valid for a while: calls about members say the days, too."""
        return self._definitions.prolonged(self._definitions.of(self._copy(target)))

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
            status=ACTIVE if definition.active else "inactive",
            from_date=definition.first.isoformat(),
            to_date=definition.last.isoformat(),
            external_id=definition.external_id,
            external_name=definition.external_name,
        )
        with self._lock:
            self._copies[target] = copy
            self._origins[copy.origin.casefold()] = target

    def _note_days(self, target: str, definition: Definition) -> None:
        first, last = definition.first.isoformat(), definition.last.isoformat()
        with self._lock:
            self._copies[target] = replace(self._copies[target], from_date=first, to_date=last)

    def _list_anew(self) -> None:
        with self._lock:
            for each in ("_copies", "_origins"):
                vars(self).pop(each, None)
