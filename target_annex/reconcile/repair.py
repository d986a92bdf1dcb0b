"""Drift is mended by the target: rows of the owner are read anew, and go to it as from a tap."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import IO, Any, cast

import msgspec

from annex_d365.annexcloud.enumeration import Candidate
from annex_d365.dataverse.writes import Guid
from annex_d365.errors import ConnectorError
from annex_d365.singer.rows import DELETED_AT
from target_annex.dynamics.current import read_rows
from target_annex.presets import ANNEX_CLOUD, D365
from target_annex.reconcile.display import Display
from target_annex.reconcile.findings import Finding, Findings, Kind
from target_annex.reconcile.people import CONTACTS, MEMBERS, MODIFIED_ON, People
from target_annex.reconcile.reading import MemberReading
from target_annex.reconcile.segment_sources import Owned, Source, sources
from target_annex.reconcile.spill import Stranger
from target_annex.reconcile.systems import Systems
from target_annex.report import Outcome
from target_annex.segments.copies import SEGMENTS
from target_annex.segments.rows import CONTACT_ID, MEMBER_ID, SEGMENT_ID
from target_annex.segments.setup import direction_of
from target_annex.target import TargetAnnex

#: Rows that are read anew at a time.
_AT_ONCE = 1000
#: Outcomes after which a row and its target say the same.
_MENDED = (Outcome.CREATED, Outcome.UPDATED, Outcome.UPSERTED, Outcome.UNCHANGED, Outcome.DELETED)
_SEGMENT_MEMBERS, _SNAPSHOTS = "segment_members", "segment_snapshots"
_KEYS = {
    CONTACTS: ["contactid"],
    MEMBERS: ["id"],
    SEGMENTS: [SEGMENT_ID],
    _SEGMENT_MEMBERS: [SEGMENT_ID],
    _SNAPSHOTS: [SEGMENT_ID, "version"],
}

_encoder = msgspec.json.Encoder(decimal_format="number")


class Repair:
    """What a repair would do, and does.

    Args:
        systems: whose targets write.
        found: what was found.
    """

    def __init__(self, systems: Systems, found: Sequence[Findings]) -> None:
        self._systems, self._found = systems, found
        self._rows = {D365: 0, ANNEX_CLOUD: 0}
        self._segments = {D365: 0, ANNEX_CLOUD: 0}
        self._hopeless = self._enrolling = 0
        self._sent: Counter[str] = Counter()
        for finding in (each for part in found for each in part):
            owners = _owners(finding)
            self._hopeless += not owners
            self._enrolling += finding.kind is Kind.NO_MEMBER
            for owner in owners:
                (self._segments if "segment" in finding.keys else self._rows)[owner] += 1
        #: What became of the rows, sentence by sentence.
        self.report: list[str] = []
        #: Differences that are left.
        self.left = sum(part.total for part in found)

    @property
    def sentence(self) -> str:
        """What will be written; empty if nothing can be."""
        parts = [
            f"{count:,} {name}"
            for count, name in (
                (self._rows[D365], "contacts to Annex Cloud"),
                (self._rows[ANNEX_CLOUD], "members to Dynamics 365"),
                (self._segments[D365], "segments to Annex Cloud"),
                (self._segments[ANNEX_CLOUD], "segments to Dynamics 365"),
            )
            if count
        ]
        return f"A repair sends {', '.join(parts)}; the settings decide what is written." if parts else ""

    def carry_out(self, display: Display) -> None:
        """Mend what can be mended. What stops one side is in the report."""
        self.left = self._hopeless
        for owner, target in ((D365, self._systems.annex), (ANNEX_CLOUD, self._systems.d365)):
            if not (self._rows[owner] + self._segments[owner] + (owner == ANNEX_CLOUD and self._enrolling)):
                continue
            try:
                target.listen(cast("IO[str]", self._lines(owner, target, display)))
            except ConnectorError as error:
                self.report.append(str(error))
                self.left += 1
            self._count(owner, target)

    def _count(self, owner: str, target: TargetAnnex) -> None:
        stream = CONTACTS if owner == D365 else MEMBERS
        for name, wanted in ((stream, self._rows[owner]), (SEGMENTS, self._segments[owner])):
            report, sent = target.report(name), self._sent[name]
            mended = sum(report.counts[each] for each in _MENDED)
            self.left += max(0, wanted - mended, sent - mended)
            if sent:
                self.report.append(report.sentence(target.rejects.path))
        if self._segments[owner]:
            # Members whom the other side does not know are rejected: they are no difference of segments.
            unsettled = target.report(_SNAPSHOTS).counts
            self.left += unsettled[Outcome.REJECTED] + unsettled[Outcome.INCOMPLETE]
            for name in (_SEGMENT_MEMBERS, _SNAPSHOTS):
                if self._sent[name]:
                    self.report.append(target.report(name).sentence(target.rejects.path))
        self._sent.clear()

    def _lines(self, owner: str, target: TargetAnnex, display: Display) -> Iterator[bytes]:
        """Singer messages for one target."""
        if owner == D365 and self._rows[D365]:
            yield from self._contacts(display)
        # Who has just become a member has loyalty values, too.
        if owner == ANNEX_CLOUD and (self._rows[ANNEX_CLOUD] or self._enrolling):
            yield from self._members(display)
        if self._segments[owner]:
            yield from self._segment_lines(owner, target, display)

    def _findings(self, owner: str, *, segments: bool) -> Iterator[Finding]:
        for finding in (each for part in self._found for each in part):
            if owner in _owners(finding) and ("segment" in finding.keys) == segments:
                yield finding

    def _contacts(self, display: Display) -> Iterator[bytes]:
        people = People(self._systems)
        yield _schema(CONTACTS, people.contact_columns, MODIFIED_ON)
        keys = (each.keys["contact"] for each in self._findings(D365, segments=False))
        while part := list(islice(keys, _AT_ONCE)):
            yield from self._records(CONTACTS, self._rows_of(people, part))
            display.advance("contacts repaired", len(part))

    def _members(self, display: Display) -> Iterator[bytes]:
        people = People(self._systems)
        reading = MemberReading(self._systems, people)
        yield _schema(MEMBERS, people.member_columns)
        ids = (Candidate(each.keys["member"]) for each in self._findings(ANNEX_CLOUD, segments=False))
        while some := list(islice(ids, _AT_ONCE)):
            yield from self._records(MEMBERS, reading.these(some))
            display.advance("members repaired", len(some))
        new = (each.keys["contact"] for each in self._findings(D365, segments=False) if each.kind is Kind.NO_MEMBER)
        while part := list(islice(new, _AT_ONCE)):
            lines = people.contact_lines(self._rows_of(people, part))
            yield from self._records(
                MEMBERS, reading.named([Stranger(each.id, each.member, each.email) for each in lines])
            )

    def _rows_of(self, people: People, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Contacts as they are now."""
        columns, executor = people.contact_columns, self._systems.annex.executor
        rows = read_rows(self._systems.dataverse, people.definition, [Guid(key) for key in keys], columns, executor)
        return [{name: row.get(name) for name in columns} for row in rows.values()]

    def _records(self, stream: str, records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
        for each in records:
            self._sent[stream] += 1
            yield _encoder.encode({"type": "RECORD", "stream": stream, "record": dict(each)})

    def _segment_lines(self, owner: str, target: TargetAnnex, display: Display) -> Iterator[bytes]:
        found = sources(self._systems)
        if found is None:
            return
        source: Source = found[owner == ANNEX_CLOUD]
        kinds: dict[Kind, list[str]] = defaultdict(list)
        copies = []
        for finding in self._findings(owner, segments=True):
            kinds[finding.kind].append(finding.keys["segment"])
            copies += [finding.keys["copy"]] if "copy" in finding.keys else []
        # The ledger believes that all is well: without it, what is there is looked at.
        wanted = {*kinds[Kind.NO_COPY], *kinds[Kind.MEMBERS]}
        key = direction_of(target).owner.key
        target.ledger.forget(SEGMENTS, SEGMENTS, {key(each) for each in (*wanted, *kinds[Kind.EXTRA_COPY])})
        for copy in copies:
            target.ledger.memberships().forget_copy(copy)
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        segments = [each for each in source.owned if each.id in wanted]
        columns = (name for each in segments for name in each.record)
        yield _schema(SEGMENTS, [SEGMENT_ID, "name", "origin", DELETED_AT, *columns])
        yield _schema(_SEGMENT_MEMBERS, [SEGMENT_ID, CONTACT_ID, MEMBER_ID, "version"])
        yield _schema(_SNAPSHOTS, [SEGMENT_ID, "version", "member_count", "complete"])
        yield from self._records(SEGMENTS, (each.record for each in segments))
        yield from self._records(SEGMENTS, ({SEGMENT_ID: each, DELETED_AT: now} for each in kinds[Kind.EXTRA_COPY]))
        yield from self._members_of(source, [each for each in segments if each.readable], now)
        display.advance("segments repaired", len(segments))

    def _members_of(self, source: Source, segments: Sequence[Owned], now: str) -> Iterator[bytes]:
        sent: Counter[str] = Counter()
        # The next rows of a tap must not be older, whatever the clock says here.
        versions = {each.id: each.version or now for each in segments}
        for part in source.members(segments):
            version = versions[part.segment]
            yield from self._records(_SEGMENT_MEMBERS, ({**record, "version": version} for record in part.records))
            sent[part.segment] += len(part.records)
            if part.last:
                snapshot = {"member_count": sent[part.segment], "complete": part.complete}
                yield from self._records(_SNAPSHOTS, [{SEGMENT_ID: part.segment, "version": version, **snapshot}])


def _owners(finding: Finding) -> frozenset[str]:
    """Whose rows are sent for a finding; nobody's if that would not help."""
    match finding.kind:
        case Kind.NO_MEMBER:
            return frozenset({D365})
        case Kind.NO_CONTACT:
            return frozenset({ANNEX_CLOUD})
        case Kind.DIFFERING:
            sides = frozenset({D365, ANNEX_CLOUD})
            return frozenset(side for each in finding.fields for side in sides if each.owner not in sides - {side})
        case Kind.EXTRA_MEMBER | Kind.EXTRA_CONTACT:
            return frozenset()
        case _:
            return frozenset({finding.keys["owner"]})


def _schema(stream: str, columns: Iterable[str], bookmark: str = "") -> bytes:
    message: dict[str, Any] = {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": {name: {} for name in columns}},
        "key_properties": _KEYS[stream],
    }
    return _encoder.encode(message | ({"bookmark_properties": [bookmark]} if bookmark else {}))
