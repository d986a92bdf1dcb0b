"""The copies of segments: which there are, and how they are made, changed and retired."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from annex_d365.errors import RowError
from annex_d365.ledger import Book, Copy, Entry, Memberships, State, changed, digest
from annex_d365.singer.replays import is_stale
from annex_d365.singer.rows import Row
from target_annex.dry_run import DryRun
from target_annex.report import Outcome, Result
from target_annex.segments.rows import ACTIVE, Owner, facts, of_persons, spec_of
from target_annex.segments.side import CopyGoneError, SegmentSide, SegmentSpec
from target_annex.work import attempt

#: Stream of segments, by which the ledger keeps them; also for their members.
SEGMENTS = "segments"
#: The code of rows about a segment that has no copy.
UNKNOWN_SEGMENT = "UNKNOWN_SEGMENT"

_GONE = frozenset({State.DELETED, State.ERASED})


class Copies:
    """Finds and writes copies.

    Args:
        side: the service that has them.
        owner: where the segments come from.
        book: of the stream of segments, in the ledger.
        memberships: of the site, in the ledger.
        dry_run: takes note of what would be written.
    """

    def __init__(
        self, side: SegmentSide, owner: Owner, book: Book, memberships: Memberships, dry_run: DryRun | None
    ) -> None:
        self._side, self._owner, self._book = side, owner, book
        self._memberships, self._dry_run = memberships, dry_run

    def write(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Write rows of `segments`, one by one; yields each with what became of it.

        Raises:
            ConnectorError: other than for a row.
        """
        for row in rows:
            result = attempt(self._write, row)
            yield row, Result(Outcome.REJECTED, result) if isinstance(result, RowError) else result

    def targets(self, segments: Iterable[str]) -> dict[str, str]:
        """The ids of copies by segment; empty for a segment that is itself a copy, no item where there is none."""
        wanted = list(dict.fromkeys(segments))
        entries = self._book.entries([self._owner.key(each) for each in wanted])
        found: dict[str, str] = {}
        for key in wanted:
            entry = entries.get(self._owner.key(key))
            if entry is None:
                spec = SegmentSpec(key, self._owner.origin(key), "")
                if target := self._side.find(spec):
                    self._book.save([Entry(self._owner.key(key), target)])
                    found[key] = target
            elif entry.state is State.COPY:
                found[key] = ""
            elif entry.state is State.SETTLED:
                found[key] = entry.target
        return found

    def gone(self, segment: str) -> None:
        """A segment's copy is not there any more: it is made anew when the segment comes again."""
        entry = self._entry(segment)
        if entry:
            self._memberships.forget_copy(entry.target)
            self._book.save([Entry(entry.key, entry.target, State.ERASED)])

    def learnt(self, target: str) -> Copy:
        """What the ledger knows of a copy's members; asked for at the service, if that is nothing."""
        return self._memberships.find(target) or self._memberships.learn(target, self._side.members(target))

    def unfinished(self) -> dict[str, Copy]:
        """The copies that shall go live, by segment."""
        copies = {each.target: each for each in self._memberships.unfinished()}
        return {self._segment(each): copies[each.target] for each in self._settled(copies)}

    def ending(self) -> dict[str, str]:
        """The copies that will not be valid much longer, by segment."""
        return {self._segment(each): each.target for each in self._settled(self._side.ending())}

    def segments(self, targets: Collection[str]) -> dict[str, str]:
        """The segments that have these copies, by copy; no item for copies of others."""
        return {each.target: self._segment(each) for each in self._settled(targets)}

    def _settled(self, targets: Collection[str]) -> list[Entry]:
        """The entries of copies: others may have the same ledger, and the same service."""
        found = [each for entries in self._book.by_target(targets).values() for each in entries]
        own = [each for each in found if each.key.startswith(self._owner.shelf) and each.state is State.SETTLED]
        return sorted((each for each in own if each.target in targets), key=lambda entry: entry.key)

    def _segment(self, entry: Entry) -> str:
        return entry.key[len(self._owner.shelf) :]

    def _entry(self, segment: str) -> Entry | None:
        key = self._owner.key(segment)
        return self._book.entries([key]).get(key)

    def _write(self, row: Row) -> Result:
        spec = spec_of(row, self._owner)
        entry = self._entry(spec.key)
        if entry and is_stale(row, entry, self._book.run):
            raise RowError("a newer version of this row has come since it was rejected")
        if row.deleted:
            return self._retire(spec, row, entry)
        if self._owner.is_copy(row):
            self._save(spec, row, "", State.COPY)
            return Result(Outcome.OWN_COPY)
        return self._copy(spec, row, entry) if of_persons(row) else Result(Outcome.NO_PERSONS)

    def _copy(self, spec: SegmentSpec, row: Row, entry: Entry | None) -> Result:
        known = entry if entry and entry.state is State.SETTLED else None
        if known and known.digests and not changed(facts(spec), known.digests):
            if spec.status != ACTIVE:
                self._not_wanted_live(known.target)
            if self._side.intact(known.target, spec):
                return Result(Outcome.UNCHANGED)
        target = known.target if known else self._side.find(spec)
        if target is None:
            return self._create(spec, row)
        try:
            differed = self._update(target, spec)
        except CopyGoneError:
            self._memberships.forget_copy(target)
            return self._create(spec, row)
        self._save(spec, row, target, State.SETTLED)
        return Result(Outcome.UPDATED if differed else Outcome.UNCHANGED)

    def _create(self, spec: SegmentSpec, row: Row) -> Result:
        if self._dry_run:
            target = f"{spec.origin} (new)"
            self._dry_run.add(SEGMENTS, spec.key, action="create", target=target, new=facts(spec))
        else:
            target = self._side.create(spec)
        # The service may have had it already, with members, if a reply got lost: they are asked for.
        copy = self._memberships.learn(target, () if self._dry_run else self._side.members(target))
        if spec.status == ACTIVE:
            self._memberships.shall_go_live(copy)
        self._save(spec, row, target, State.SETTLED)
        return Result(Outcome.CREATED)

    def _update(self, target: str, spec: SegmentSpec) -> bool:
        if self._dry_run:
            self._dry_run.add(SEGMENTS, spec.key, action="update", target=target, new=facts(spec))
            return True
        if spec.status != ACTIVE:
            self._not_wanted_live(target)
        differed = self._side.update(target, spec)
        copy = self.learnt(target)
        if differed and spec.status == ACTIVE:
            self._memberships.shall_go_live(copy)
        return differed

    def _not_wanted_live(self, target: str) -> None:
        """Remembered before the service is told: the next run must not start what this one has stopped."""
        copy = self._memberships.find(target)
        if copy and copy.unfinished:
            self._memberships.finished(copy)

    def _retire(self, spec: SegmentSpec, row: Row, entry: Entry | None) -> Result:
        if entry and (entry.state is State.COPY or entry.state in _GONE):
            return Result(Outcome.LEFT)
        target = entry.target if entry else self._side.find(spec)
        if not target:
            return Result(Outcome.LEFT)
        if self._dry_run:
            self._dry_run.add(SEGMENTS, spec.key, action="retire", target=target)
        else:
            self._not_wanted_live(target)
            self._side.retire(target, spec)
        self._memberships.waiting.forget(target)
        self._save(spec, row, target, State.DELETED)
        return Result(Outcome.DELETED)

    def _save(self, spec: SegmentSpec, row: Row, target: str, state: State) -> None:
        digests = digest(facts(spec)) if state is State.SETTLED else b""
        self._book.save([Entry(self._owner.key(spec.key), target, state, digests, row.version)])


def unknown_segment() -> RowError:
    """Why a row is rejected whose segment has no copy."""
    return RowError(
        "its segment is not known: rows of stream `segments` come first, or it was rejected", code=UNKNOWN_SEGMENT
    )
