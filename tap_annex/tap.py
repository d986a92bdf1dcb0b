"""tap-annex: a loyalty programme of Annex Cloud as Singer streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property

from singer_sdk import Stream, Tap
from singer_sdk.contrib.msgspec import MsgSpecWriter

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.connect import connect
from annex_d365.singer.plugin import Plugin
from tap_annex.segments import SegmentMembersStream, SegmentSnapshotsStream, SegmentsStream
from tap_annex.settings import CONFIG
from tap_annex.streams import ActivitiesStream, MembersStream, RewardsStream

#: What others refer to comes first: segments before their members, members before their activities.
_STREAMS: Mapping[str, Callable[[TapAnnex], Stream]] = {
    "segments": SegmentsStream,
    "segment_members": SegmentMembersStream,
    "segment_snapshots": SegmentSnapshotsStream,
    "members": MembersStream,
    "activities": ActivitiesStream,
    "rewards": RewardsStream,
}


class TapAnnex(Plugin, Tap):
    """Singer tap for the Annex Cloud Loyalty API."""

    name = "tap-annex"
    config_jsonschema = deepcopy(CONFIG)  # the SDK adds its own settings in place
    message_writer_class = MsgSpecWriter

    @cached_property
    def service(self) -> AnnexCloud:
        """The site, for all streams."""
        return connect(self.config)

    def close(self) -> None:
        """No request waits any more."""
        if "service" in vars(self):  # a cached property
            self.service.http.close()

    @property
    def streams(self) -> dict[str, Stream]:
        """As in the SDK, which sorts them by name."""
        order = list(_STREAMS)
        return dict(sorted(super().streams.items(), key=lambda item: order.index(item[0])))

    def discover_streams(self) -> Sequence[Stream]:
        """The same for every site."""
        return [stream(self) for stream in _STREAMS.values()]
