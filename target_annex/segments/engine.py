"""Who joins and who leaves the copies of segments.

Members that are new are added at once, in chunks, and remembered when the service has taken them. Those that a complete
snapshot has not shown are removed, if they are not too many (`max_removal_percent`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from annex_d365.errors import ConnectorError, RowError
from annex_d365.ledger import Copy, Memberships
from annex_d365.singer.rows import Row
from target_annex.dry_run import DryRun
from target_annex.report import Outcome, Result
from target_annex.segments.calls import Calls, unknown_member
from target_annex.segments.copies import UNKNOWN_SEGMENT, Copies
from target_annex.segments.rows import MemberRow, SnapshotRow, member_row, snapshot_row
from target_annex.segments.side import CopyGoneError, MembersLostError, SegmentSide
from target_annex.work import attempt, chunks, in_parallel

logger = logging.getLogger(__name__)

#: The code of snapshots after which too many members would have to go.
TOO_MANY_REMOVALS = "TOO_MANY_REMOVALS"

#: The ids of members in the loyalty programme, in the order of rows; empty for a contact that is no member.
Identify = Callable[[Sequence[MemberRow]], list[str]]


@dataclass
class _Group:
    """The rows of a batch that are about one version of one segment.

    Attributes:
        segment: its id.
        copy: of the segment.
        rows: the rows.
        ids: of their members in the loyalty programme, by row; empty for none.
        keys: of members in the destination, by these ids.
        new: keys of members to add.
        added: those of them that the service has taken.
        refused: those of them that it has not, and why.
        done: whether all calls were made.
        lost: the members that the copy has are not known any more.
    """

    segment: str
    copy: Copy
    rows: Sequence[MemberRow]
    ids: Sequence[str] = ()
    keys: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    refused: dict[str, RowError] = field(default_factory=dict)
    done: bool = False
    lost: bool = False

    def results(self) -> Iterator[tuple[Row, Result]]:
        """Each row with what became of it."""
        new = set(self.added)
        for row, member in zip(self.rows, self.ids, strict=True):
            key = self.keys.get(member)
            if not member:
                result = Result(Outcome.NOT_ENROLLED)
            elif key is None:
                result = _rejected(unknown_member())
            elif key in self.refused:
                result = _rejected(self.refused[key])
            else:
                result = Result(Outcome.CREATED if key in new else Outcome.UNCHANGED)
                new.discard(key)  # another contact may be the same member
            yield row.row, result


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
        self._max_removal_percent = max_removal_percent
        #: Segments whose members were not removed, because they were too many.
        self.spared: list[str] = []

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
                yield row, _rejected(member)
            else:
                read.append(member)
        targets = self.copies.targets(each.segment for each in read)
        versions: dict[tuple[str, str, bool], list[MemberRow]] = {}
        for each in read:
            if targets.get(each.segment):
                versions.setdefault((each.segment, each.version, each.replayed), []).append(each)
            else:
                yield each.row, Result(Outcome.OWN_COPY) if each.segment in targets else _rejected(_no_copy())
        groups = []
        for (segment, _, _), members in versions.items():
            copy = attempt(partial(self._pass, targets[segment]), members[0])
            if isinstance(copy, RowError):
                yield from ((each.row, _rejected(copy)) for each in members)
            else:
                groups.append(_Group(segment, copy, members))
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
            return _rejected(error)

    def finish(self) -> None:
        """Let all copies go live that still have changes.

        Raises:
            ConnectorError: one of them does not.
        """
        refusals = [attempt(self._finish, copy) for copy in self._memberships.unfinished()]
        problems = [each for each in refusals if each]
        if problems:
            raise ConnectorError(
                f"Segments that could not be made live: {len(problems)}. The next run tries again. {problems[0]}"
            )

    def _pass(self, target: str, row: MemberRow | SnapshotRow) -> Copy:
        """The pass that a row belongs to; the first row of a version begins one.

        So does the first row after the snapshot: a segment may be sent twice in one version, whose times are in whole
        seconds.

        Raises:
            RowError: the row was rejected in an earlier pass.
        """
        copy = self.copies.learnt(target)
        same = copy.version == row.version and copy.number > 0
        if row.replayed:
            if not same:
                raise RowError("newer members of this segment have come since it was rejected")
            return copy
        return copy if same and not copy.complete else self._memberships.begin(copy, row.version)

    def _join(self, groups: Sequence[_Group]) -> Iterator[tuple[Row, Result]]:
        for group in groups:
            group.ids = self._identify(group.rows)
        group_ids = list(dict.fromkeys(each for group in groups for each in group.ids if each))
        known = self._side.known(group_ids) if group_ids else {}
        for group in groups:
            group.keys = {each: known[each] for each in group.ids if each in known}
            keys = list(dict.fromkeys(group.keys.values()))
            there = self._memberships.known(group.copy, keys)
            group.new = [key for key in keys if key not in there]
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

    def _add(self, group: _Group) -> None:
        hopeless = False
        try:
            for chunk in chunks(group.new, self._calls.chunk):
                refused = self._calls.add(group.copy.target, chunk, split=not hopeless)
                # Where not one member is taken, it is not the members' fault.
                hopeless = len(refused) == len(chunk) > 1
                group.refused.update(refused)
                group.added += [key for key in chunk if key not in refused]
        except MembersLostError:
            group.lost = True
            raise
        group.done = True

    def _remember(self, group: _Group) -> None:
        if group.lost:
            self._memberships.forget_copy(group.copy.target)
            return
        new = {*group.new}.difference(group.added)
        there = [key for key in group.keys.values() if key not in new]
        rows = len(group.rows) if group.done and not group.rows[0].replayed else 0
        self._memberships.seen(group.copy, there, rows=rows, changed=bool(group.added))

    def _settle(self, snapshot: SnapshotRow) -> Result:
        target = self.copies.targets([snapshot.segment]).get(snapshot.segment)
        if target == "":
            return Result(Outcome.OWN_COPY)
        if target is None:
            if snapshot.complete:
                raise _no_copy()
            return Result(Outcome.INCOMPLETE)
        if not snapshot.complete:
            self._go_live(self.copies.learnt(target))
            return Result(Outcome.INCOMPLETE)
        copy = self._pass(target, snapshot)
        if snapshot.members is not None and copy.rows < snapshot.members:
            facts = (snapshot.segment, copy.rows, snapshot.members)
            logger.warning("Segment %s: %d of %d members have come; nobody is removed.", *facts)
            self._go_live(copy)
            return Result(Outcome.INCOMPLETE)
        gone = self._memberships.count_gone(copy)
        if gone * 100 > self._max_removal_percent * copy.size:
            self.spared.append(snapshot.segment)
            self._go_live(copy)
            raise RowError(
                f"{gone} of {copy.size} members would be removed, which is more than `max_removal_percent`",
                code=TOO_MANY_REMOVALS,
            )
        self._remove(snapshot.segment, copy)
        self._go_live(self._memberships.complete(self.copies.learnt(target)))
        return Result(Outcome.UPDATED if gone else Outcome.UNCHANGED, members_removed=gone)

    def _remove(self, segment: str, copy: Copy) -> None:
        refused: dict[str, RowError] = {}
        try:
            for part in self._memberships.gone(copy):
                for chunk in chunks(part, self._calls.chunk):
                    problems = self._calls.remove(copy.target, chunk, split=not refused)
                    self._memberships.forget(copy, [key for key in chunk if key not in problems])
                    refused.update(problems)
        except MembersLostError:
            self._memberships.forget_copy(copy.target)
            raise
        except CopyGoneError:
            self.copies.gone(segment)
            raise
        if refused:
            raise next(iter(refused.values()))

    def _go_live(self, copy: Copy) -> None:
        """Let a copy go live. If it is refused, the end of the run tries again, and fails if it still is."""
        attempt(self._finish, copy)

    def _finish(self, copy: Copy) -> None:
        if not copy.unfinished:
            return
        if not self._dry_run:
            self._side.finish(copy.target)
        self._memberships.finished(copy)


def _rejected(error: RowError) -> Result:
    return Result(Outcome.REJECTED, error)


def _no_copy() -> RowError:
    return RowError(
        "its segment is not known: rows of stream `segments` come first, or it was rejected", code=UNKNOWN_SEGMENT
    )
