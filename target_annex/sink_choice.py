"""Which sink a stream gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from target_annex.dynamics.contacts import TABLE, TABLES
from target_annex.mapping import object_of
from target_annex.presets import D365, row_preset
from target_annex.segments.sinks import SegmentMembersSink, SegmentSnapshotsSink, SegmentsSink
from target_annex.sinks import ContactsSink, MembersSink, ObjectSink, OtherRowsSink, PointsSink

#: By the setting `object`, or the name of the stream, in both destinations.
_OF_SEGMENTS: dict[str, type[ObjectSink]] = {
    "segments": SegmentsSink,
    "segment_members": SegmentMembersSink,
    "segment_snapshots": SegmentSnapshotsSink,
}
#: By the setting `object`, in Annex Cloud.
SINKS: dict[str, type[ObjectSink]] = {"members": MembersSink, "points": PointsSink, **_OF_SEGMENTS}


def sink_class(stream: str, destination: str, streams: Mapping[str, Mapping[str, Any]]) -> type[ObjectSink]:
    """The sink for a stream.

    Args:
        stream: its name.
        destination: the setting.
        streams: the setting.

    Raises:
        SettingError: nothing says what its rows become.
    """
    if destination != D365:
        return SINKS[object_of(stream, destination, streams)]
    preset = row_preset(stream, "", ())
    table = streams.get(stream, {}).get("object") or (preset.object if preset else stream)
    if table in _OF_SEGMENTS:
        return _OF_SEGMENTS[table]
    return ContactsSink if table in {TABLE, TABLES} else OtherRowsSink
