"""Which copies of segments are there."""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter

from annex_d365.dataverse.query import text
from annex_d365.dataverse.segments.generations import ANNEX_CLOUD_ORIGIN, DELETED, EXPIRED
from annex_d365.dataverse.segments.segment import Segment, Segments
from annex_d365.dataverse.segments.writing_calls import SegmentGoneError
from annex_d365.dataverse.writes.operations import guid_for

logger = logging.getLogger(__name__)

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Nothing brings these back.
_DEAD = frozenset({DELETED, EXPIRED})


class Copies:
    """The copies in an organisation, listed once. Safe for threads.

    Args:
        segments: reads.
        origin_column: column with the origin.
    """

    def __init__(self, segments: Segments, origin_column: str) -> None:
        self._segments, self._origin_column = segments, origin_column
        self._lock = threading.Lock()
        self._listed = False
        self._known: dict[str, Segment] = {}
        self._ids: dict[str, str] = {}
        self._dead: Counter[str] = Counter()

    def by_origin(self, origin: str) -> Segment | None:
        """The copy with this origin."""
        self._list()
        segment_id = self._ids.get(origin)
        return self._known[segment_id] if segment_id else None

    def listed(self, segment_id: str) -> Segment | None:
        """The segment with this GUID, from the list if it is a copy; None too for one that nothing brings back."""
        self._list()
        segment = self.by_id(segment_id)
        return None if segment is None or segment.status in _DEAD else segment

    def by_id(self, segment_id: str) -> Segment | None:
        """The segment with this GUID, a copy or not; None too if it is no GUID."""
        segment_id = segment_id.lower()
        if segment_id not in self._known and GUID.fullmatch(segment_id):
            key = self._segments.generation.id
            self._known.update({each.segment_id: each for each in self._segments.read(f"{key} eq {segment_id}")})
        return self._known.get(segment_id)

    def get(self, segment_id: str) -> Segment:
        """The segment with this GUID, as it was when it was read last.

        Raises:
            SegmentGoneError: there is none, or nothing brings it back.
        """
        segment = self.by_id(segment_id)
        if segment is None or segment.status in _DEAD:
            raise SegmentGoneError
        return segment

    def read(self, segment_id: str) -> Segment:
        """The segment with this GUID, as it is.

        Raises:
            SegmentGoneError: as :meth:`get`.
        """
        self._known.pop(segment_id, None)
        return self.get(segment_id)

    def new_id(self, origin: str) -> str:
        """The GUID of a copy to come: the same for each try. Those of dead copies are taken."""
        self._list()
        dead = self._dead[origin]
        return guid_for(self._segments.generation.entity_set, f"{origin}#{dead}" if dead else origin)

    def put(self, segment: Segment) -> None:
        """Keep what a segment is now."""
        self._known[segment.segment_id] = segment
        if segment.origin.startswith(ANNEX_CLOUD_ORIGIN):
            self._ids[segment.origin] = segment.segment_id

    def forget(self, segment: Segment) -> None:
        """A segment is deleted."""
        self._known.pop(segment.segment_id, None)
        if self._ids.get(segment.origin) == segment.segment_id:
            del self._ids[segment.origin]

    def _list(self) -> None:
        with self._lock:
            if self._listed:
                return
            condition = f"startswith({self._origin_column},{text(ANNEX_CLOUD_ORIGIN)})"
            found: dict[str, list[Segment]] = {}
            for segment in self._segments.read(condition):
                if segment.status in _DEAD:
                    self._dead[segment.origin] += 1
                else:
                    found.setdefault(segment.origin, []).append(segment)
            for origin, same in found.items():
                if len(same) > 1:
                    logger.warning("%d segments are copies of %s; the oldest one is written.", len(same), origin)
                self.put(min(same, key=lambda each: (each.created_on or "", each.segment_id)))
            self._listed = True
