"""Segments against their copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.members import Members
from annex_d365.singer.rows import Row
from target_annex.presets import ANNEX_CLOUD, D365
from target_annex.reconcile.display import Display
from target_annex.reconcile.findings import Finding, Findings, Kind
from target_annex.reconcile.segment_sources import CopyOf, Owned, Source, sources
from target_annex.reconcile.spill import AT_ONCE, Spill
from target_annex.reconcile.systems import Systems
from target_annex.segments.rows import member_row
from target_annex.segments.setup import Direction, direction_of

_OWNED, _COPIED = "members of segments", "members of copies"


def compare_segments(systems: Systems, display: Display, spill: Spill, findings: Findings) -> None:
    """Read segments, copies and the members of both, and take note of every difference.

    Raises:
        ConnectorError: a side cannot be read.
    """
    found = sources(systems)
    if found is None:
        findings.notes.append("Dynamics 365 has no segments; none were compared.")
        return
    dynamics, annex = found
    numbers = count()
    for owner, source, other, target in (
        (D365, dynamics, annex, systems.annex),
        (ANNEX_CLOUD, annex, dynamics, systems.d365),
    ):
        comparison = _Comparison(
            direction_of(target),
            owner,
            display=display,
            spill=spill,
            findings=findings,
            numbers=numbers,
            members=systems.annex.members,
        )
        parallel = target.config["max_parallel_requests"]
        comparison.compare(source, other.copies, Crew(target.executor, parallel))
    copies = len(dynamics.copies) + len(annex.copies)
    findings.sizes |= {"d365": len(dynamics.owned), "annex_cloud": len(annex.owned), "copies": copies}


class _Comparison:
    """Of the segments of one owner."""

    def __init__(
        self,
        direction: Direction,
        owner: str,
        *,
        display: Display,
        spill: Spill,
        findings: Findings,
        numbers: Iterator[int],
        members: Members,
    ) -> None:
        self._members = members
        self._direction, self._owner, self._display = direction, owner, display
        self._spill, self._findings, self._numbers = spill, findings, numbers

    def compare(self, source: Source, copies: Sequence[CopyOf], crew: Crew) -> None:
        """Take note of differences."""
        by_origin = {each.of: each for each in copies}
        for segment in source.owned:
            if segment.id not in by_origin:
                self._note(Kind.NO_COPY, segment=segment)
        for each in copies:
            if each.of not in source.known and each.active:
                self._note(Kind.EXTRA_COPY, copy=each)
        both = [
            (segment, copy)
            for segment in source.owned
            if segment.readable and (copy := by_origin.get(segment.id)) and not copy.ruled
        ]
        numbers = {segment.id: next(self._numbers) for segment, _ in both}
        complete = self._read_owned(source, [segment for segment, _ in both], numbers)
        self._read_copies([copy for segment, copy in both if complete[segment.id]], crew, numbers)
        for segment, copy in both:
            if not complete[segment.id]:
                self._findings.unread.append(f"members of segment {segment.id}")
                continue
            missing = self._existing(list(self._spill.only(numbers[segment.id], owned=True)), crew)
            extra = list(self._spill.only(numbers[segment.id], owned=False))
            if missing or extra:
                self._note(Kind.MEMBERS, segment=segment, copy=copy, missing=missing, extra=extra)

    def _read_owned(self, source: Source, segments: Sequence[Owned], numbers: Mapping[str, int]) -> dict[str, bool]:
        complete: dict[str, bool] = {}
        for part in source.members(segments):
            for start in range(0, len(part.records), AT_ONCE):
                records = part.records[start : start + AT_ONCE]
                self._spill.add_list(numbers[part.segment], self._keys(records), owned=True)
                self._display.advance(_OWNED, len(records))
            if part.last:
                complete[part.segment] = part.complete
        return complete

    def _existing(self, missing: Sequence[str], crew: Crew) -> list[str]:
        """Without those whom Annex Cloud does not know: it is the contacts that differ then."""
        if self._owner == ANNEX_CLOUD:
            return [*missing]

        def exists(key: str) -> bool:
            return self._members.get(key) is not None

        return [key for key, there in crew.in_order(missing, exists) if there]

    def _keys(self, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """The members that a copy should have; who is nobody there is none."""
        rows = [member_row(Row({"version": "", **record}, {})) for record in records]
        ids = [each for each in self._direction.identify(rows) if each]
        return list(self._direction.side.known(ids).values()) if ids else []

    def _read_copies(self, copies: Sequence[CopyOf], crew: Crew, numbers: Mapping[str, int]) -> None:
        def read(copy: CopyOf) -> list[str]:
            return list(self._direction.side.members(copy.id))

        for copy, members in crew.in_order(copies, read):
            self._spill.add_list(numbers[copy.of], members, owned=False)
            self._display.advance(_COPIED, len(members))

    def _note(
        self,
        kind: Kind,
        *,
        segment: Owned | None = None,
        copy: CopyOf | None = None,
        missing: Sequence[str] = (),
        extra: Sequence[str] = (),
    ) -> None:
        named = segment or copy
        keys = {"owner": self._owner, "segment": segment.id if segment else copy.of if copy else ""}
        keys |= {"copy": copy.id} if copy else {}
        self._findings.add(Finding(kind, {**keys, "name": named.name if named else ""}, (), missing, extra))
