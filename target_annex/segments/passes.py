"""How far the members of copies have been read in this run, and who has left them.

Of each version of a segment, all members come, and then a snapshot: that is a pass. Rows are counted by what their
owner calls the member, so that one who comes twice does not hide one who has not come.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping

from annex_d365.distinct import Distinct, fingerprint
from annex_d365.errors import RowError
from annex_d365.ledger import LEARNT, Copy, Memberships
from annex_d365.singer.replays import is_older
from target_annex.segments.rows import MemberRow, SnapshotRow

logger = logging.getLogger(__name__)


class Passes:
    """The passes of a run.

    Args:
        memberships: of the site, in the ledger.
        max_removal_percent: of a copy's members, how many may be removed in a run.
    """

    def __init__(self, memberships: Memberships, max_removal_percent: float) -> None:
        self._memberships, self.max_removal_percent = memberships, max_removal_percent
        #: By copy: the most members that it had when a pass of this run began, and how many were removed.
        self._sizes: dict[str, int] = {}
        self._removed: Counter[str] = Counter()
        self._seen, self._strangers = Distinct(), Distinct()
        self._stranger_counts: Counter[int] = Counter()

    def of(self, copy: Copy, row: MemberRow | SnapshotRow) -> Copy:
        """The pass that a row belongs to; the first row of a version begins one.

        So does the first row after the snapshot, and the first one of a run: a segment may be sent twice in one
        version, whose times are in whole seconds.

        Raises:
            RowError: a later version has come since, or the row was rejected in an earlier pass.
        """
        same = copy.version == row.version and copy.number > 0
        if is_older(row.version, copy.version) or (row.replayed and not same):
            raise RowError(
                f"newer members of this segment have come {'since it was rejected' if row.replayed else 'before'}"
            )
        if not row.replayed and not (same and not copy.complete and copy.target in self._sizes):
            copy = self._memberships.begin(copy, row.version)
        self._sizes[copy.target] = max(self._sizes.get(copy.target, 0), copy.size)
        return copy

    def remember(self, copy: Copy, rows: Mapping[int, str | None], there: Mapping[str, int]) -> None:
        """Remember rows with their pass.

        Args:
            copy: as of the pass.
            rows: fingerprints of rows that belong to it, with the keys of their members; None for no such member.
            there: members that the copy has now, with the fingerprints of their rows.
        """
        part = _part(copy)
        strangers = self._strangers.add(part, {row for row, key in rows.items() if key is None})
        self._stranger_counts[part] += len(strangers)
        self._memberships.seen(copy, there, rows=len(self._seen.add(part, rows.keys())))

    def gone(self, copy: Copy) -> int:
        """How many members a complete snapshot does not show.

        Members whose row came, but did not tell this time who they are, stay: a link was lost, or a contact has got a
        double. Of members that were learnt from the service, no row is known: as many stay as rows tell nobody.
        """
        strangers = self._stranger_counts[_part(copy)]
        if strangers:
            strangers -= self._keep(copy, self._known_strangers(copy))
        if strangers and (kept := self._keep(copy, self._nameless(copy, strangers))):
            logger.warning(
                "Segment copy %s: %d members stay that may have left. The ledger does not know their contacts, and %d "
                "rows tell no member.",
                copy.target,
                kept,
                strangers,
            )
        return self._memberships.count_gone(copy)

    def too_many(self, copy: Copy, gone: int) -> bool:
        """Whether so many more removals are too many for this run."""
        return (self._removed[copy.target] + gone) * 100 > self.max_removal_percent * self._sizes[copy.target]

    def removed(self, copy: Copy, count: int) -> None:
        """So many were removed."""
        self._removed[copy.target] += count

    def _keep(self, copy: Copy, parts: Iterator[dict[str, int]]) -> int:
        count = 0
        for part in parts:
            self._memberships.keep(copy, [*part])
            count += len(part)
        return count

    def _known_strangers(self, copy: Copy) -> Iterator[dict[str, int]]:
        for part in self._memberships.gone(copy):
            strangers = self._strangers.among(_part(copy), {*part.values()})
            yield {member: source for member, source in part.items() if source in strangers}

    def _nameless(self, copy: Copy, count: int) -> Iterator[dict[str, int]]:
        for part in self._memberships.gone(copy):
            members = [member for member, source in part.items() if source == LEARNT][:count]
            count -= len(members)
            yield dict.fromkeys(members, LEARNT)


def _part(copy: Copy) -> int:
    return fingerprint(f"{copy.id}/{copy.number}")
