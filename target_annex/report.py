"""What became of the rows of a stream."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from annex_d365.errors import RowError
from annex_d365.frozen import frozen


class Outcome(Enum):
    """What became of one row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    REJECTED = "rejected"
    OPTED_OUT = "opted out"
    NOT_ENROLLED = "not enrolled"
    ERASED = "erased earlier"
    LEFT = "deleted at the source"
    MERGED = "merged into another row"
    #: Created or updated: the service does not say which.
    UPSERTED = "upserted"
    #: Not to be created, and not there.
    ABSENT = "not there"
    #: Came from the destination in the first place.
    OWN_COPY = "copies of our own"
    #: A segment whose members could not all be read: nobody is removed.
    INCOMPLETE = "not complete"
    #: A segment of other things than contacts.
    NO_PERSONS = "not of contacts"


#: Always told, also when there were none.
_MAIN = (Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.DELETED)
#: Nothing was written.
_SKIPPED = (
    Outcome.NOT_ENROLLED,
    Outcome.ABSENT,
    Outcome.ERASED,
    Outcome.LEFT,
    Outcome.MERGED,
    Outcome.OWN_COPY,
    Outcome.INCOMPLETE,
    Outcome.NO_PERSONS,
)
#: Told only when there were some.
_SOMETIMES = (Outcome.UPSERTED, Outcome.OPTED_OUT)

#: A share of rejects says nothing before this many rows.
ENOUGH_ROWS = 100


@frozen
class Result:
    """What became of a row: an outcome, the error for which it is rejected, and fields that both sides had changed."""

    outcome: Outcome
    error: RowError | None = None
    opt_in_withheld: bool = False
    members_removed: int = 0
    conflicts: int = 0


@dataclass
class Report:
    """Counts for one stream."""

    stream: str
    counts: Counter[Outcome] = field(default_factory=Counter)
    opt_ins_withheld: int = 0
    members_removed: int = 0
    conflicts: int = 0
    joined_later: int = 0
    waiting: int = 0

    def add(self, result: Result) -> None:
        """Count a row that is not rejected."""
        self.counts[result.outcome] += 1
        self.conflicts += result.conflicts
        self.opt_ins_withheld += result.opt_in_withheld
        self.members_removed += result.members_removed

    def too_many_rejects(self, max_percent: float) -> bool:
        """Whether the run counts as failed."""
        rows = self.counts.total()
        return rows >= ENOUGH_ROWS and self.counts[Outcome.REJECTED] * 100 > max_percent * rows

    def sentence(self, rejects: Path) -> str:
        """``contacts: 40 created, 210 updated, 730 unchanged, 0 deleted, 12 skipped (not enrolled), 8 rejected``."""
        parts = [f"{self.counts[each]} {each.value}" for each in _MAIN]
        parts += [f"{self.counts[each]} {each.value}" for each in _SOMETIMES if self.counts[each]]
        skipped = {each: self.counts[each] for each in _SKIPPED if self.counts[each]}
        if len(skipped) > 1:
            reasons = ", ".join(f"{count} {each.value}" for each, count in skipped.items())
            parts.append(f"{sum(skipped.values())} skipped ({reasons})")
        elif skipped:
            parts += [f"{count} skipped ({each.value})" for each, count in skipped.items()]
        else:
            parts.append("0 skipped")
        if self.joined_later:
            parts.append(f"{self.joined_later} of earlier runs joined")
        if self.waiting:
            parts.append(f"{self.waiting} wait to become known")
        if self.members_removed:
            parts.append(f"{self.members_removed} members removed")
        if self.conflicts:
            parts.append(f"{self.conflicts} fields changed on both sides")
        rejected = self.counts[Outcome.REJECTED]
        parts.append(f"{rejected} rejected (see {rejects})" if rejected else "0 rejected")
        return f"{self.stream}: {', '.join(parts)}"
