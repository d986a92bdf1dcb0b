"""Who joins and who leaves the copies of segments.

Members that are new are added at once, in chunks. Those that a complete snapshot has not shown are removed, if they are
not too many (`max_removal_percent`). The ledger is told before calls and after them: a run that ends in between leaves
nobody in a copy whom the next one does not know.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from annex_d365.errors import ConnectorError, RowError
from annex_d365.ledger import Copy, Memberships
from annex_d365.singer.rows import Row
from target_annex.dry_run import DryRun
from target_annex.report import Outcome, Result
from target_annex.segments.calls import Calls
from target_annex.segments.copies import Copies, unknown_segment
from target_annex.segments.groups import Group, rejected
from target_annex.segments.late import Identify, Latecomers
from target_annex.segments.passes import Passes
from target_annex.segments.rows import MemberRow, SnapshotRow, member_row, snapshot_row
from target_annex.segments.side import CopyGoneError, MembersLostError, SegmentSide
from target_annex.work import attempt, in_parallel

logger = logging.getLogger(__name__)

#: The code of snapshots after which too many members would have to go.
TOO_MANY_REMOVALS = "TOO_MANY_REMOVALS"
#: So many members that a copy has had before are looked for when the first new ones were added.
_PRESENT = 100


class Engine:
    """Keeps the members of copies as those of their segments.

    Args:
        side: the service that has the copies.
        copies: finds them.
        memberships: of the site, in the ledger.
        identify: finds members.
        executor: sends requests for several copies in parallel.
        max_removal_percent: of a copy's members, how many may be removed at a time.
        dry_run: takes note of what would be sent.
    """

    def __init__(
        self,
        side: SegmentSide,
        copies: Copies,
        memberships: Memberships,
        identify: Identify,
        executor: Executor,
        *,
        max_removal_percent: float,
        dry_run: DryRun | None = None,
    ) -> None:
        self._side, self.copies, self._memberships, self._identify = side, copies, memberships, identify
        self._calls, self._executor, self._dry_run = Calls(side, dry_run), executor, dry_run
        self._passes = Passes(memberships, max_removal_percent)
        self._latecomers = Latecomers(side, copies, memberships, identify)
        self._finished = False
        #: Segments whose members were not removed, because they were too many.
        self.spared: list[str] = []
        #: Who was in a segment earlier, and has become known since; and how many rows still wait for that.
        self.joined_later = self.waiting = 0
        #: Segments whose copies could not be made live, or be valid for longer, and why.
        self.refused: dict[str, RowError] = {}

    def join(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Add members; yields each row of `segment_members` with what became of it.

        Raises:
            ConnectorError: other than for a row. Who was added is remembered.
        """
        read: list[MemberRow] = []
        for row in rows:
            member = attempt(member_row, row)
            if row.deleted:
                yield row, Result(Outcome.LEFT)  # who has left is told by snapshots
            elif isinstance(member, RowError):
                yield row, rejected(member)
            else:
                read.append(member)
        targets = self.copies.targets(each.segment for each in read)
        versions: dict[tuple[str, str, bool], list[MemberRow]] = {}
        for each in read:
            if targets.get(each.segment):
                versions.setdefault((each.segment, each.version, each.replayed), []).append(each)
            else:
                yield each.row, Result(Outcome.OWN_COPY) if each.segment in targets else rejected(unknown_segment())
        groups = []
        for (segment, _, _), members in versions.items():
            copy = attempt(partial(self._pass, targets[segment]), members[0])
            if isinstance(copy, RowError):
                yield from ((each.row, rejected(copy)) for each in members)
            else:
                groups.append(Group(segment, copy, members))
        yield from self._join(groups)

    def settle(self, row: Row) -> Result:
        """Remove who has left, by a row of `segment_snapshots`, and let the copy go live.

        Raises:
            ConnectorError: other than for a row. Who was removed is forgotten.
        """
        if row.deleted:
            return Result(Outcome.LEFT)
        try:
            return self._settle(snapshot_row(row))
        except RowError as error:
            return rejected(error)

    def finish(self) -> None:
        """Add who was not known earlier and is now; let all copies go live that still shall, and be valid for longer.

        What is refused is in :attr:`refused`. May be called for each stream.

        Raises:
            ConnectorError: other than for a copy.
        """
        if not self._finished:
            self._finished = True
            self._join_late()
        for segment, copy in self.copies.unfinished().items():
            if segment not in self.refused:
                self._note(segment, attempt(partial(self._finish, segment), copy))
        if not self._dry_run:
            for segment, target in self.copies.ending().items():
                if segment not in self.refused:
                    self._note(segment, attempt(self._side.prolong, target))

    def check(self, rejects: Path) -> None:
        """Tell what the run could not do, when it has done all else.

        Args:
            rejects: where snapshots are that were not taken.

        Raises:
            ConnectorError: copies did not go live, or have too many members.
        """
        problems = []
        if self.refused:
            reasons = dict.fromkeys(map(str, self.refused.values()))
            problems.append(
                f"Copies of segments that could not be made live: {', '.join(self.refused)}. The next run tries again. "
                f"{next(iter(reasons))}"
            )
        if self.spared:
            segments = ", ".join(dict.fromkeys(self.spared))
            problems.append(
                f"More than {self._passes.max_removal_percent} % of their members would have been removed "
                f"(`max_removal_percent`) from segments {segments}: nobody was."
            )
        if problems:
            raise ConnectorError(f"{' '.join(problems)} All else is written. See {rejects}.")

    def _join_late(self) -> None:
        for groups in self._latecomers.due():
            for _ in self._send(groups):
                pass  # those that are refused were rejected in their own run
            self._latecomers.settle(groups)
        self.joined_later, self.waiting = self._latecomers.joined, self._latecomers.count

    def _note(self, segment: str, problem: RowError | None) -> None:
        if problem:
            self.refused[segment] = problem

    def _pass(self, target: str, row: MemberRow | SnapshotRow) -> Copy:
        return self._passes.of(self.copies.learnt(target), row)

    def _join(self, groups: Sequence[Group]) -> Iterator[tuple[Row, Result]]:
        for group in groups:
            group.ids = self._identify(group.rows)
        group_ids = list(dict.fromkeys(each for group in groups for each in group.ids if each))
        known = self._side.known(group_ids) if group_ids else {}
        for group in groups:
            group.keys = {each: known[each] for each in group.ids if each in known}
        self._latecomers.look_again(groups)
        yield from self._send(groups)

    def _send(self, groups: Sequence[Group]) -> Iterator[tuple[Row, Result]]:
        for group in groups:
            keys = list(dict.fromkeys(group.keys.values()))
            there = self._memberships.known(group.copy, keys)
            group.new = [key for key in keys if key not in there]
            if group.new:
                group.present = self._memberships.some(group.copy, _PRESENT)
                group.doubted = self._memberships.known(group.copy, group.new, in_doubt=True)
        if any(group.new for group in groups):
            self._memberships.doubt([(group.copy, group.joining()) for group in groups])
        try:
            # A dry run's notes are taken in this thread.
            if self._dry_run:
                refusals = [attempt(self._add, group) for group in groups]
            else:
                refusals = in_parallel(self._executor, self._add, groups)
        finally:
            for group in groups:
                self._remember(group)
        for group, refusal in zip(groups, refusals, strict=True):
            if refusal:
                self.copies.gone(group.segment)
                group.refused.update(dict.fromkeys(group.keys.values(), refusal))
            yield from group.results()

    def _add(self, group: Group) -> None:
        try:
            for chunk, refused in self._calls.add(group.copy.target, group.new, group.present):
                group.refused.update(refused)
                group.added += [key for key in chunk if key not in refused]
        except MembersLostError:
            group.lost = True
            raise
        group.done = True

    def _remember(self, group: Group) -> None:
        if group.lost:
            self._memberships.forget_copy(group.copy.target)
            return
        if group.refused:
            nobody, doubted = group.refusals()
            self._memberships.forget(group.copy, nobody)
            self._memberships.keep(group.copy, doubted)
        rows = group.sources()
        refused = {*group.new}.difference(group.added)
        there = {key: source for source, key in rows.items() if key and key not in refused}
        counts = group.done and not group.rows[0].replayed
        self._passes.remember(group.copy, rows if counts else {}, there)
        if counts:
            self._latecomers.remember(group)

    def _settle(self, snapshot: SnapshotRow) -> Result:
        target = self.copies.targets([snapshot.segment]).get(snapshot.segment)
        if target == "":
            return Result(Outcome.OWN_COPY)
        if target is None:
            if snapshot.complete:
                raise unknown_segment()
            return Result(Outcome.INCOMPLETE)
        if not snapshot.complete:
            self._go_live(snapshot.segment, self.copies.learnt(target))
            return Result(Outcome.INCOMPLETE)
        copy = self._pass(target, snapshot)
        if copy.rows < snapshot.members:
            facts = (snapshot.segment, copy.rows, snapshot.members)
            logger.warning("Segment %s: %d of %d members have come; nobody is removed.", *facts)
            self._go_live(snapshot.segment, copy)
            return Result(Outcome.INCOMPLETE)
        gone = self._passes.gone(copy)
        if self._passes.too_many(copy, gone):
            self.spared.append(snapshot.segment)
            self._go_live(snapshot.segment, copy)
            raise RowError(
                f"{gone} of {copy.size} members would be removed, which is more than `max_removal_percent`",
                code=TOO_MANY_REMOVALS,
            )
        self._remove(snapshot.segment, copy)
        self._passes.removed(copy, gone)
        self._go_live(snapshot.segment, self._memberships.complete(self.copies.learnt(target)))
        return Result(Outcome.UPDATED if gone else Outcome.UNCHANGED, members_removed=gone)

    def _remove(self, segment: str, copy: Copy) -> None:
        refused: dict[str, RowError] = {}
        try:
            for part in self._memberships.gone(copy):
                self._memberships.doubt([(copy, part)])
                refused.update(self._remove_part(copy, [*part]))
        except MembersLostError:
            self._memberships.forget_copy(copy.target)
            raise
        except CopyGoneError:
            self.copies.gone(segment)
            raise
        if refused:
            raise next(iter(refused.values()))

    def _remove_part(self, copy: Copy, keys: Sequence[str]) -> dict[str, RowError]:
        removed: list[str] = []
        refused: dict[str, RowError] = {}
        try:
            for chunk, problems in self._calls.remove(copy.target, keys):
                removed += [key for key in chunk if key not in problems]
                refused.update(problems)
        finally:
            self._memberships.forget(copy, removed)
        return refused

    def _go_live(self, segment: str, copy: Copy) -> None:
        """Let a copy go live. If it is refused, the end of the run tries again, and tells it if it still is."""
        attempt(partial(self._finish, segment), copy)

    def _finish(self, segment: str, copy: Copy) -> None:
        if not copy.unfinished:
            return
        try:
            if not self._dry_run:
                self._side.finish(copy.target)
        except CopyGoneError:
            logger.warning("The copy of segment %s is not there any more; it is made anew with the segment.", segment)
            self.copies.gone(segment)
        else:
            self._memberships.finished(copy)
