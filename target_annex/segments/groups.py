"""Rows that are about one version of one segment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from annex_d365.errors import RowError
from annex_d365.ledger import Copy
from annex_d365.singer.rows import Row
from target_annex.report import Outcome, Result
from target_annex.segments.calls import UNKNOWN_MEMBER, unknown_member
from target_annex.segments.rows import MemberRow


@dataclass
class Group:
    """The rows of a batch that are about one version of one segment.

    Attributes:
        segment: its id.
        copy: of the segment.
        rows: the rows.
        ids: of their members in the loyalty programme, by row; empty for none.
        keys: of members in the destination, by these ids.
        new: keys of members to add.
        present: keys of some members that the copy had before.
        doubted: keys of those to add whom the copy may have from earlier.
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
    present: Sequence[str] = ()
    doubted: Collection[str] = ()
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
                result = rejected(unknown_member())
            elif key in self.refused:
                result = rejected(self.refused[key])
            else:
                result = Result(Outcome.CREATED if key in new else Outcome.UNCHANGED)
                new.discard(key)  # another contact may be the same member
            yield row.row, result

    def strangers(self) -> Iterator[tuple[MemberRow, str]]:
        """The rows that have no member in the destination, with the ids of members in the loyalty programme."""
        for row, member in zip(self.rows, self.ids, strict=True):
            key = self.keys.get(member)
            refusal = self.refused.get(key) if key else None
            if key is None or (refusal and refusal.code == UNKNOWN_MEMBER):
                yield row, member

    def refusals(self) -> tuple[list[str], list[str]]:
        """The keys of those who were refused: who is not there, and who may still be there from earlier."""
        still = {key for key, error in self.refused.items() if key in self.doubted and error.code != UNKNOWN_MEMBER}
        return [key for key in self.refused if key not in still], list(still)

    def joining(self) -> dict[str, int]:
        """The keys of members to add, with the fingerprints of their rows."""
        new = set(self.new)
        return {key: source for source, key in self.sources().items() if key in new}

    def sources(self) -> dict[int, str | None]:
        """The fingerprints of the rows, with the keys of their members; None where there is no such member."""
        return {row.source: self.keys.get(member) for row, member in zip(self.rows, self.ids, strict=True)}


def rejected(error: RowError) -> Result:
    """What becomes of a row that is refused."""
    return Result(Outcome.REJECTED, error)
