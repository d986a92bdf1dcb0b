"""People who are in a segment before they are known on the other side: they are looked for in each run.

Nothing else would add them when they have become members, because the segment itself does not change by that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from annex_d365.ledger import Memberships, Waiting
from annex_d365.singer.rows import Row
from target_annex.report import Outcome
from target_annex.segments.calls import UNKNOWN_MEMBER
from target_annex.segments.copies import Copies
from target_annex.segments.groups import Group
from target_annex.segments.rows import MemberRow
from target_annex.segments.side import SegmentSide

logger = logging.getLogger(__name__)

#: Rows that name no member, which the ledger alone can tell, looked for in a run; the others are for the next ones.
LIMIT = 100_000
#: Rows that are looked for together.
BATCH = 10_000

#: The ids of members in the loyalty programme, in the order of rows; empty for a contact that is no member.
Identify = Callable[[Sequence[MemberRow]], list[str]]


class Latecomers:
    """Rows without a member on the other side, from this run and from earlier ones.

    Args:
        side: the service that has the copies.
        copies: finds them.
        memberships: of the site, in the ledger.
        identify: finds members.
    """

    def __init__(self, side: SegmentSide, copies: Copies, memberships: Memberships, identify: Identify) -> None:
        self._side, self._copies, self._identify = side, copies, identify
        self._memberships, self._waiting = memberships, memberships.waiting
        # What this run has looked for is not looked for again.
        self._began = time.time()
        #: So many members may still be asked for in rows that come once more.
        self._lookups = side.lookups
        #: Who was added.
        self.joined = 0

    @property
    def count(self) -> int:
        """How many rows wait."""
        sizes = self._waiting.sizes()
        return sum(sizes[target] for target in self._copies.segments(sizes))

    def remember(self, group: Group) -> None:
        """Let those rows wait that have no member."""
        waiting = [Waiting(row.source, row.contact, row.member or member) for row, member in group.strangers()]
        self._waiting.put(group.copy, waiting, at=time.time())

    def look_again(self, groups: Sequence[Group]) -> None:
        """Ask for members who were unknown in an earlier run, and whose rows come once more.

        Those who still are lose their key: a call that adds them would be a write, in each run that shows them.
        """
        asked: set[str] = set()
        for group in groups:
            waiting = self._waiting.unknown(group.copy, [row.source for row in group.rows], before=self._began)
            pairs = zip(group.rows, group.ids, strict=True)
            asked.update(member for row, member in pairs if row.source in waiting and member in group.keys)
        asked = {*sorted(asked)[: self._lookups]}
        if not asked:
            return
        self._lookups -= len(asked)
        found = self._side.appeared(sorted(asked))
        for group in groups:
            group.keys = {member: key for member, key in group.keys.items() if member not in asked or member in found}

    def due(self) -> Iterator[list[Group]]:
        """Rows that waited before this run, some at a time, with the members that they have now.

        They are to be settled before the next ones are asked for.
        """
        targets = self._waiting.sizes()
        segments = self._copies.segments(targets)
        order = [target for target in targets if target in segments]
        for named, limit in ((False, LIMIT), (True, self._side.lookups)):
            for groups in self._groups(order, segments, limit, named=named):
                self._look(groups)
                yield groups

    def settle(self, groups: Sequence[Group]) -> None:
        """Let those rows wait no longer whose member was added."""
        for group in groups:
            done, waiting = [], []
            for row, member, (_, result) in zip(group.rows, group.ids, group.results(), strict=True):
                if result.outcome in {Outcome.CREATED, Outcome.UNCHANGED}:
                    self.joined += result.outcome is Outcome.CREATED
                    done.append(row.source)
                    continue
                if result.error and result.error.code != UNKNOWN_MEMBER:
                    logger.warning("Segment %s: a member cannot be added yet: %s", group.segment, result.error)
                waiting.append(Waiting(row.source, row.contact, member or row.member))
            self._waiting.drop(group.copy, done)
            # A copy that has just turned out to be gone has nobody waiting.
            if group.done:
                self._waiting.put(group.copy, waiting, at=time.time())

    def _groups(
        self, targets: Sequence[str], segments: dict[str, str], limit: int, *, named: bool
    ) -> Iterator[list[Group]]:
        groups, size = [], 0
        for target in targets:
            while limit and (copy := self._memberships.find(target)):
                wanted = min(limit, BATCH - size)
                rows = self._waiting.due(copy, named=named, before=self._began, limit=wanted)
                if rows:
                    groups.append(Group(segments[target], copy, [_member_row(segments[target], each) for each in rows]))
                size, limit = size + len(rows), limit - len(rows)
                if size == BATCH:
                    yield groups
                    groups, size = [], 0
                if len(rows) < wanted:
                    break
        if groups:
            yield groups

    def _look(self, groups: Sequence[Group]) -> None:
        """Set the members of rows, where they are known now.

        A link that came after the row outranks the id that the row names, for that was not known.
        """
        rows = [row for group in groups for row in group.rows]
        links = iter(self._identify([replace(row, member="") for row in rows]))
        linked, asked = set[str](), set[str]()
        for group in groups:
            group.ids = [link or row.member for row, link in zip(group.rows, links, strict=False)]
            for row, member in zip(group.rows, group.ids, strict=True):
                if member:
                    (asked if member == row.member else linked).add(member)
        known = self._side.known(sorted(linked)) if linked else {}
        found = self._side.appeared(sorted(asked)) if asked else {}
        for group in groups:
            pairs = zip(group.rows, group.ids, strict=True)
            keys = {member: (found if member == row.member else known).get(member) for row, member in pairs if member}
            group.keys = {member: key for member, key in keys.items() if key}


def _member_row(segment: str, row: Waiting) -> MemberRow:
    # It belongs to a pass that is over: as one that was rejected, it does not count for that.
    return MemberRow(Row({}, {}), segment, "", row.contact, row.member, replayed=True)
