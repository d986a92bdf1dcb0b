"""Whether a run has streams of segments, and of which generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from singer_sdk import Stream

from annex_d365.dataverse.segments.choice import find_marketing
from annex_d365.errors import SettingError
from tap_d365.segment_members import SegmentMembers, SegmentSnapshots
from tap_d365.segments import SegmentsStream

if TYPE_CHECKING:
    from tap_d365.tap import TapD365

_STREAMS = (SegmentsStream, SegmentMembers, SegmentSnapshots)
#: In the order in which a target wants them.
SEGMENT_STREAMS = tuple(stream.name for stream in _STREAMS)


def segment_streams(tap: TapD365, catalog: Mapping[str, bool] | None) -> list[Stream]:
    """The streams, where the organisation has segments; with a catalog that selects none of them nothing is asked.

    Args:
        tap: the tap.
        catalog: whether each stream is selected; None without a catalog.

    Raises:
        SettingError: the organisation lacks what is wanted.
    """
    wanted = catalog is not None and any(catalog.get(name) for name in SEGMENT_STREAMS)
    if catalog is not None and not wanted:
        return []
    marketing = find_marketing(tap.dataverse, tap.config["segments_api"])
    if marketing:
        return [stream(tap, marketing) for stream in _STREAMS]
    if wanted:
        raise SettingError("segments_api", "this organisation has no segments; deselect their streams.")
    return []
