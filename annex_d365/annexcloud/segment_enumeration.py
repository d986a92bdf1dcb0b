"""Members by the segments that they are in."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from annex_d365.annexcloud.enumeration import Batch, Candidate, Position
from annex_d365.annexcloud.segments import Segment, Segments

logger = logging.getLogger(__name__)


class SegmentEnumeration:
    """The members of segments. Who is in none of them is not found.

    Position: ``{"done": id of the last segment that is done}``; within one also ``"in"``, its id, and ``"page"``.

    Args:
        segments: of the site.
        wanted: ids of the segments; none for all.
        status: of the segments, a word of the service; empty for all.
        whole: whether others than these are no members.
    """

    def __init__(
        self, segments: Segments, *, wanted: Sequence[str] = (), status: str = "", whole: bool = False
    ) -> None:
        self._segments, self._wanted, self._status, self.whole = segments, frozenset(wanted), status, whole

    @property
    def identity(self) -> Sequence[Any]:
        """Which segments are wanted."""
        return [sorted(self._wanted), self._status]

    def batches(self, position: Position | None) -> Iterator[Batch]:
        """As in :class:`~annex_d365.annexcloud.enumeration.Enumeration`."""
        position = position or {}
        listed = self._segments.all(self._status)
        yield Batch(
            (), None, [f"segment {each} of `members.segments`, which is not listed" for each in self._missing(listed)]
        )
        done = position.get("done")
        after = Segment(done).place if done else (0, "")
        due = [each for each in listed if each.place > after and (not self._wanted or each.segment_id in self._wanted)]
        page = 1
        if due and position.get("in") == due[0].segment_id:
            # The one before once more: the list may have become shorter meanwhile.
            page = max(1, int(position.get("page", 0)) - 1)
        if page > 1:
            yield Batch((), torn=True)
        for part in self._segments.parts(due, page=page):
            if not part.last:
                found = [Candidate(each["id"], each, proven=True) for each in part.members]
                yield Batch(found, {"done": done, "in": part.segment.segment_id, "page": part.page})
                continue
            done = part.segment.segment_id
            left = []
            if part.failure:
                logger.warning("Segment %s could not be read to its end. %s", done, part.failure)
                left = [f"segment {done}"]
            yield Batch((), {"done": done}, left)

    def _missing(self, listed: Sequence[Segment]) -> list[str]:
        return sorted(self._wanted - {each.segment_id for each in listed})
