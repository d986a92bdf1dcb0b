"""The segments of either side, and the copies that it has of the other side's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.segments import Segment as AnnexSegment
from annex_d365.annexcloud.segments import Segments as AnnexSegments
from annex_d365.dataverse.segments.choice import AUTO, Marketing, find_marketing
from annex_d365.dataverse.segments.generations import DRAFT, DYNAMIC, DYNAMICS_ORIGIN, GOING_LIVE, LIVE
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.reader import SegmentReader
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.dataverse.segments.segment import CONTACT
from annex_d365.dataverse.segments.segment import Segment as DynamicsSegment
from annex_d365.dataverse.segments.segment import Segments as DynamicsSegments
from target_annex.reconcile.systems import Systems
from target_annex.segments.rows import CONTACT_ID, MEMBER_ID, SEGMENT_ID

_ACTIVE, _DYNAMICS = "active", "dynamics:"


@dataclass(frozen=True)
class Owned:
    """A segment of a side's own.

    Attributes:
        id: as its copy names it.
        name: for people.
        record: as a tap sends it.
        readable: whether its members can be read.
        version: of its members, as a tap tells it; empty where that is the time of reading.
    """

    id: str
    name: str
    record: Mapping[str, Any] = field(repr=False)
    readable: bool
    version: str = ""


@dataclass(frozen=True)
class CopyOf:
    """A copy.

    Attributes:
        id: in its service.
        of: the segment's id at its owner.
        name: for people.
        active: whether it is in use.
        ruled: whether it finds its members by a rule.
    """

    id: str
    of: str
    name: str
    active: bool
    ruled: bool = False


@dataclass(frozen=True)
class Read:
    """Some members of a segment, as a tap sends them, or its end.

    Attributes:
        segment: its id.
        records: rows of `segment_members`, without a version.
        last: whether it is done.
        complete: of the last one: whether these were all members.
    """

    segment: str
    records: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    last: bool = False
    complete: bool = True


class Source(Protocol):
    """One side's segments.

    Attributes:
        owned: those of its own that have copies, or should have.
        copies: those that it has of the other side's.
        known: ids of all segments of its own, also of those that should have no copy.
    """

    owned: Sequence[Owned]
    copies: Sequence[CopyOf]
    known: frozenset[str]

    def members(self, segments: Sequence[Owned]) -> Generator[Read]:
        """The members of segments of its own."""


class AnnexSource:
    """As in :class:`Source`, of Annex Cloud."""

    def __init__(self, systems: Systems) -> None:
        self._site, self._parallel = systems.site, systems.annex.config["max_parallel_requests"]
        with self._site.http.gate.workers(1, "segments") as pool:
            found = AnnexSegments(self._site, Crew(pool, 1)).all()
        own = [each for each in found if not each.origin.startswith(_DYNAMICS)]
        self._own = {each.segment_id.casefold(): each for each in own}
        self.owned: Sequence[Owned] = [
            Owned(key, each.name or "", _annex_record(each), readable=True) for key, each in self._own.items()
        ]
        self.known = frozenset(self._own)
        # Of several copies of one segment, the oldest counts.
        copies = {each.origin: each for each in reversed(found) if each.origin.startswith(_DYNAMICS)}
        self.copies: Sequence[CopyOf] = [
            CopyOf(each.segment_id, origin.removeprefix(_DYNAMICS), each.name or "", each.status in {None, _ACTIVE})
            for origin, each in copies.items()
        ]

    def members(self, segments: Sequence[Owned]) -> Generator[Read]:
        """As in :class:`Source`."""
        wanted = [self._own[each.id] for each in segments]
        with self._site.http.gate.workers(self._parallel, "segments") as pool:
            for part in AnnexSegments(self._site, Crew(pool, self._parallel)).parts(wanted):
                key = part.segment.segment_id.casefold()
                records = [{SEGMENT_ID: part.segment.segment_id, MEMBER_ID: each["id"]} for each in part.members]
                yield Read(key, records, last=part.last, complete=part.failure is None)


class DynamicsSource:
    """As in :class:`Source`, of Dynamics 365.

    Args:
        systems: both sides.
        marketing: the generation.
    """

    def __init__(self, systems: Systems, marketing: Marketing) -> None:
        config = systems.d365.config
        self._dataverse, self._marketing = systems.dataverse, marketing
        self._parallel = config["max_parallel_requests"]
        column = config.get("segment_origin_column") or systems.segments.get("origin_column")
        self._segments = DynamicsSegments(
            systems.dataverse, marketing.generation, marketing.table, origin_column=column
        )
        found = list(self._segments.read())
        chosen = systems.segments.get("filter")
        wanted = self._segments.ids(chosen) if chosen else {each.segment_id for each in found}
        own = {each.segment_id.casefold(): each for each in found if each.origin == DYNAMICS_ORIGIN}
        self.known = frozenset(own)
        self._own = {key: each for key, each in own.items() if each.segment_id in wanted and each.base_table == CONTACT}
        self.owned: Sequence[Owned] = [
            Owned(key, each.name or "", asdict(each), each.is_live, each.changed_on) for key, each in self._own.items()
        ]
        prefix = f"annexcloud:{config.get('site_id')}/"
        self.copies: Sequence[CopyOf] = [
            CopyOf(
                each.segment_id,
                each.origin[len(prefix) :].casefold(),
                each.name or "",
                active=each.status in {DRAFT, LIVE, GOING_LIVE},
                ruled=each.kind == DYNAMIC,
            )
            for each in found
            if each.origin.casefold().startswith(prefix.casefold())
        ]
        loyalty = systems.annex.config["member_id_column"]
        self._id_column = loyalty if loyalty in marketing.contacts.columns else ""

    def members(self, segments: Sequence[Owned]) -> Generator[Read]:
        """As in :class:`Source`."""
        wanted = [self._own[each.id] for each in segments]
        columns = ContactColumns(self._dataverse, [self._id_column] if self._id_column else [])
        reader = SegmentReader(
            self._marketing.members(columns), self._dataverse.http.gate, self._parallel, self._dataverse.ask_for_advice
        )
        sent: Counter[str] = Counter()
        failed: set[str] = set()
        with closing(reader.parts(wanted)) as parts:  # type: ignore[type-var]
            for part in parts:
                key = part.segment.segment_id.casefold()
                sent[key] += len(part.rows)
                if part.last and (part.failure or part.segment.lacks(sent[key])):
                    failed.add(key)
                if part.rows:
                    yield Read(key, [self._record(part.segment, row) for row in part.rows])
        # Pages of another evaluation may hold other members.
        now = self._segments.now([each.segment_id for each in wanted])
        for segment in wanted:
            found = now.get(segment.segment_id)
            same = found is not None and (found.version, found.changed_on) == (segment.version, segment.changed_on)
            key = segment.segment_id.casefold()
            yield Read(key, last=True, complete=same and key not in failed)

    def _record(self, segment: DynamicsSegment, row: Mapping[str, Any]) -> dict[str, Any]:
        member = row.get(self._id_column) or None if self._id_column else None
        return {SEGMENT_ID: segment.segment_id, CONTACT_ID: row[KEY], MEMBER_ID: member}


def sources(systems: Systems) -> tuple[DynamicsSource, AnnexSource] | None:
    """The segments of both sides; None where Dynamics 365 has none.

    Raises:
        ConnectorError: they cannot be read.
    """
    marketing = find_marketing(systems.dataverse, systems.d365.config.get("segments_api") or AUTO)
    return (DynamicsSource(systems, marketing), AnnexSource(systems)) if marketing else None


def _annex_record(segment: AnnexSegment) -> dict[str, Any]:
    return {**asdict(segment), "origin": segment.origin}
