"""What one run makes of the segments whose members it reads: their snapshots, and what the user is told."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.members import CONTACTS
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.dataverse.segments.segment import CONTACT, Segment
from annex_d365.errors import ConnectorError, PrivilegeError

if TYPE_CHECKING:
    from tap_d365.segment_members import SegmentMembers

#: Warnings about single segments; the others are counted.
MAX_WARNINGS = 10
#: Finished segments whose rows are read again together.
CHECKED_AT_ONCE = 100


class SegmentRun:
    """One run.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: SegmentMembers) -> None:
        self._stream, self._logger = stream, stream.logger
        self._sent: Counter[str] = Counter()
        self._without: Counter[str] = Counter()
        self._has_read_members = False
        self._refusal: PrivilegeError | None = None
        self._ended: list[Segment] = []
        self._versions: dict[str, str] = {}
        #: Those that were evaluated or changed while they were read, as they are now; to be read once more.
        self.moved: dict[str, Segment] = {}
        #: Ids of segments that should have been read.
        self.failed: set[str] = set()
        #: All others that were due, as they were when they were read.
        self.done: list[Segment] = []

    def has_members(self, segment: Segment) -> bool:
        """Whether there are members to read, for us; else that is all of the segment."""
        reason = "" if segment.is_live else segment.status
        if segment.base_table != CONTACT:
            reason = f"of table {segment.base_table}"
        if reason:
            self._without[reason] += 1
            self._write(segment, reason)
            self.done.append(segment)
        return not reason

    def version(self, segment: Segment) -> str:
        """Of the members of a segment: it is another one whenever they may have changed."""
        return self._versions.get(segment.segment_id) or segment.changed_on or self._stream.run_start

    def note(self, segment: Segment, rows: int) -> None:
        """Members were sent."""
        self._sent[segment.segment_id] += rows

    def end(self, segment: Segment, failure: ConnectorError | None) -> None:
        """Nothing more comes of the segment."""
        if isinstance(failure, PrivilegeError):
            self._refusal = failure
        sent, size = self._sent[segment.segment_id], segment.member_count or 0
        if failure:
            self._fail(segment, str(failure))
        elif size and not sent:
            self._fail(segment, f"No members were found, though it has {size:,}.")
        elif segment.lacks(sent):
            self._fail(segment, f"Only {sent:,} members were found, though it has {size:,}.")
        else:
            self._ended.append(segment)

    def check(self, *, again: bool, least: int = 1) -> bool:
        """Whether the ended segments are still what they were; pages of another evaluation may hold other members.

        Args:
            again: whether those that are not can be read once more; else they have failed.
            least: fewer ended segments wait for others.

        Returns:
            Whether it was looked.
        """
        if len(self._ended) < least:
            return False
        now = self._stream.segments.now([each.segment_id for each in self._ended])
        for segment in self._ended:
            found = now.get(segment.segment_id)
            if found and (found.version, found.changed_on) == (segment.version, segment.changed_on):
                self._has_read_members |= self._sent[segment.segment_id] > 0
                self._write(segment, None)
                self.done.append(segment)
            elif found and again:
                self.moved[segment.segment_id] = found
                if found.changed_on == segment.changed_on:  # within a second
                    self._versions[segment.segment_id] = self._stream.run_start
                del self._sent[segment.segment_id]
            else:
                self._fail(segment, "It was evaluated or changed while it was read.")
        self._ended = []
        return True

    def report(self, *, first: bool) -> None:
        """All is read.

        Args:
            first: whether no run before has read anything.

        Raises:
            PrivilegeError: no members were read for want of a privilege that is no single segment's: contacts cannot be
                read at all, or nothing was ever read.
        """
        if self._refusal and not self._has_read_members:
            self._stream.dataverse.page(Query(CONTACTS, (KEY,), top=1).url, None)
            if first:
                raise self._refusal
        if len(self.failed) > MAX_WARNINGS:
            self._logger.warning("Segments that are not complete: %d in all.", len(self.failed))
        if self._without:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(self._without.items()))
            self._logger.info("Segments without members that can be read: %s.", counts)

    def _fail(self, segment: Segment, problem: str) -> None:
        self.failed.add(segment.segment_id)
        if len(self.failed) <= MAX_WARNINGS:
            self._logger.warning(
                "Segment %s (%s) is not complete; the next run tries again. %s",
                segment.segment_id,
                segment.name,
                problem,
            )
        self._write(segment, "failed")

    def _write(self, segment: Segment, reason: str | None) -> None:
        record = {
            "segment_id": segment.segment_id,
            "version": self.version(segment),
            "member_count": self._sent.pop(segment.segment_id, 0),
            "complete": reason is None,
            "reason": reason,
        }
        for each in self._stream.snapshots:
            each.write(dict(record))
