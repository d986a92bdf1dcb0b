"""What became of the rows of a stream."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Outcome(Enum):
    """What became of one row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    NOT_ENROLLED = "not enrolled"
    DELETED = "deleted at the source"
    REJECTED = "rejected"


_SKIPPED = (Outcome.NOT_ENROLLED, Outcome.DELETED)

#: A share of rejects says nothing before this many rows.
ENOUGH_ROWS = 100


@dataclass
class Report:
    """Counts for one stream."""

    stream: str
    counts: Counter[Outcome] = field(default_factory=Counter)
    opt_ins_withheld: int = 0

    def too_many_rejects(self, max_percent: float) -> bool:
        """Whether the run counts as failed."""
        rows = self.counts.total()
        return rows >= ENOUGH_ROWS and self.counts[Outcome.REJECTED] * 100 > max_percent * rows

    def sentence(self, rejects: Path) -> str:
        """``contacts: 40 created, 210 updated, 730 unchanged, 12 skipped (not enrolled), 8 rejected (see …)``."""
        skipped = {each: self.counts[each] for each in _SKIPPED if self.counts[each]}
        parts = [f"{self.counts[each]} {each.value}" for each in (Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED)]
        if len(skipped) > 1:
            reasons = ", ".join(f"{count} {each.value}" for each, count in skipped.items())
            parts.append(f"{sum(skipped.values())} skipped ({reasons})")
        elif skipped:
            parts += [f"{count} skipped ({each.value})" for each, count in skipped.items()]
        else:
            parts.append("0 skipped")
        rejected = self.counts[Outcome.REJECTED]
        parts.append(f"{rejected} rejected (see {rejects})" if rejected else "0 rejected")
        return f"{self.stream}: {', '.join(parts)}"
