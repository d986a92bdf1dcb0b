"""The stream ``segments``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from singer_sdk import typing as th
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib import Metadata, MetadataMapping
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.ranges import FORM
from annex_d365.dataverse.segments.segment import Segment
from tap_d365.known_segments import known_segments
from tap_d365.log_based import DELETED_AT
from tap_d365.segment_state import Seen, fingerprint, moment_of
from tap_d365.segment_stream import SegmentStream
from tap_d365.snapshot import Snapshot

_MODIFIED_ON = "modified_on"


class SegmentsStream(SegmentStream):
    """Segments that were changed, and those that are gone.

    State, by generation: ``seen``, a :class:`~tap_d365.segment_state.Seen`, and what
    :mod:`tap_d365.known_segments` keeps.
    """

    name = "segments"
    primary_keys = ("segment_id",)
    replication_key = _MODIFIED_ON
    forced_replication_method = REPLICATION_INCREMENTAL
    schema = th.PropertiesList(
        th.Property("segment_id", th.UUIDType, required=True),
        th.Property("name", th.StringType),
        th.Property("description", th.StringType),
        th.Property("kind", th.StringType, description="static, dynamic, compound or other"),
        th.Property("query", th.StringType, description="In the service's own language; static segments have none"),
        th.Property(
            "status",
            th.StringType,
            description="draft, going_live, live, stopping, stopped, expired, error, deleted or other",
        ),
        th.Property("is_live", th.BooleanType, description="Whether its members can be read"),
        th.Property("member_count", th.IntegerType, description="Members at the last evaluation"),
        th.Property("generation", th.StringType, description="outbound or journeys"),
        th.Property(
            "origin", th.StringType, description="`annexcloud:<site>/<id>` for a copy from Annex Cloud, else dynamics"
        ),
        th.Property("base_table", th.StringType, description="Table that members are of: contact, lead"),
        th.Property("evaluated_on", th.DateTimeType),
        th.Property("created_on", th.DateTimeType),
        th.Property(_MODIFIED_ON, th.DateTimeType),
        th.Property("kind_value", th.IntegerType, description="Option value of kind"),
        th.Property("status_value", th.IntegerType, description="Option value of status"),
        th.Property("state_value", th.IntegerType, description="Option value of the row's state"),
        th.Property(DELETED_AT, th.DateTimeType, description="When it was seen that the segment is gone"),
    ).to_dict()

    @property
    def metadata(self) -> MetadataMapping:
        """As in the SDK; without the time of deletion, a deletion would look like a segment that lost its values."""
        metadata = super().metadata
        metadata["properties", DELETED_AT].inclusion = Metadata.InclusionType.AUTOMATIC
        return metadata

    def get_replication_key_signpost(self, context: Context | None = None) -> Any:
        """The run's start, in the form of the rows' own timestamps."""
        moment = super().get_replication_key_signpost(context)
        return moment.strftime(FORM) if isinstance(moment, datetime) else moment

    def found(self) -> Iterator[Row]:
        """Changed segments, then deletions."""
        # The SDK would add a note that this run cannot be resumed; the next one begins anew, which is as good.
        self.stream_state.setdefault("progress_markers", {})
        query = fingerprint(self.host, self.condition, self.options.get("origin_column"))
        seen = Seen.from_state(self.generation_state.get("seen"), query)
        directory = self.config.get("snapshot_path")
        snapshot = None
        wanted: Iterable[str] = ()
        if directory:
            snapshot = Snapshot(directory, self.host, f"{self.name}.{self.marketing.generation.name}")
            wanted = [each.segment_id for each in self.wanted()] if self.condition else self.segments.ids()
        with known_segments(snapshot, self.generation_state, wanted) as known:
            found = list(self.wanted(self._since(seen), queries=self.has_column("query")))
            new = [each for each in found if not seen.has(each.version)]
            if new:
                # Were they only known at the end, a run that is killed would leave segments that nobody deletes.
                self.generation_state = {"seen": seen.to_state(), **known.add(each.segment_id for each in new)}
                self.state_manager.is_flushed = False
                self._write_state_message()
            yield from map(self._record, new)
            # Listed last: a segment that is made meanwhile is there.
            for each in known.gone(self.segments.ids()):
                # With a time of its own: the SDK takes a record without bookmark for a mistake.
                yield {"segment_id": each, _MODIFIED_ON: self.run_start, DELETED_AT: self.run_start}
            rows = ((each.modified_on or "", each.version) for each in found)
            seen = seen.after(rows, self.run_start)
            self.generation_state = {"seen": seen.to_state(), **known.finish()}
        # The SDK's own marker may be the time of a deletion, or lie in the future.
        marker = {"replication_key": _MODIFIED_ON, "replication_key_value": seen.until}
        self.stream_state["progress_markers"] = marker if seen.until else {}

    def _since(self, seen: Seen) -> str:
        start, start_date = seen.start(self.config["lookback_seconds"]), self.config.get("start_date")
        if not start and start_date:
            start = moment_of(start_date)
        return f"modifiedon ge {start}" if start else ""

    def _record(self, segment: Segment) -> Row:
        names = [name for name in self.schema["properties"] if name != DELETED_AT]
        # Null, not absent: a segment may come back after it was deleted.
        return {**{name: getattr(segment, name) for name in names}, DELETED_AT: None}
