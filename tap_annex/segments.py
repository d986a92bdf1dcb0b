"""The streams about segments: ``segments``, ``segment_members``, ``segment_snapshots``; named as in tap-d365."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from singer_sdk import Stream
from singer_sdk import typing as th
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib import Metadata, MetadataMapping
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.columns import Column, ColumnReader, Record
from annex_d365.annexcloud.segments import Part, Segment, Segments
from annex_d365.singer.pace import Pace
from annex_d365.singer.rows import DELETED_AT

if TYPE_CHECKING:
    from tap_annex.tap import TapAnnex

#: So many ids are kept in the state, at a few characters each.
MAX_KNOWN = 5000
_KNOWN, _OVERFULL = "known", "overfull"
_EMAIL = ColumnReader([Column("email")])


class SegmentStream(Stream):
    """A stream about the segments of a site, all in each run: the API tells nothing about changes (Annex page 10.6)."""

    forced_replication_method = REPLICATION_FULL_TABLE
    STATE_MSG_FREQUENCY = 100_000
    # Values have their JSON types already.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # The SDK would send it before the first record (Singer page 5.13).
    emit_activate_version_messages = False

    def __init__(self, tap: TapAnnex) -> None:
        self._tap_annex = tap
        super().__init__(tap)


class SegmentReader(SegmentStream):
    """One that reads the segments itself."""

    @property
    def run_start(self) -> str:
        """When this run began, to the millisecond: it tells its members from those of a run before that broke off."""
        moment = datetime.fromtimestamp(self._tap_annex.initialized_at / 1000, timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - as in the SDK
        """The records of all segments."""
        http, parallel = self._tap_annex.service.http, self.config["max_parallel_requests"]
        sent = http.requests_sent
        pace = Pace(self.logger, pages=lambda: http.requests_sent - sent, throttled=lambda: http.throttled_seconds)
        with http.gate.workers(parallel, self.name) as pool:
            for record in self.records(Segments(self._tap_annex.service, Crew(pool, parallel))):
                pace.read()
                yield record
        pace.finish()

    @abstractmethod
    def records(self, segments: Segments) -> Iterable[Record]:
        """The records, read from the segments of the site."""


class SegmentsStream(SegmentReader):
    """Segments, and those that are not listed any more.

    State: ``known``, the ids that were sent; ``overfull`` instead, once there were more than :data:`MAX_KNOWN`.
    """

    name = "segments"
    primary_keys = ("segment_id",)
    schema = th.PropertiesList(
        th.Property("segment_id", th.StringType, required=True),
        th.Property("name", th.StringType),
        th.Property("description", th.StringType),
        th.Property("kind", th.StringType, description="static, dynamic or other"),
        th.Property("status", th.StringType, description="active or inactive"),
        th.Property("member_count", th.IntegerType, description="Members, by the list of segments"),
        th.Property(
            "origin",
            th.StringType,
            description="annexcloud; `dynamics:<id>` for a copy from Dynamics 365, `external:<id>` from elsewhere",
        ),
        th.Property("external_id", th.StringType),
        th.Property("external_name", th.StringType),
        th.Property("from_date", th.DateType),
        th.Property("to_date", th.DateType),
        th.Property("evaluated_on", th.DateTimeType, description="As in tap-d365; null, for Annex Cloud does not say"),
        th.Property("created_on", th.DateTimeType),
        th.Property("modified_on", th.DateTimeType),
        th.Property(DELETED_AT, th.DateTimeType, description="When it was seen that the segment is gone"),
    ).to_dict()

    @property
    def metadata(self) -> MetadataMapping:
        """As in the SDK; without the time of deletion, a deletion would look like a segment that lost its values."""
        metadata = super().metadata
        metadata["properties", DELETED_AT].inclusion = Metadata.InclusionType.AUTOMATIC
        return metadata

    def records(self, segments: Segments) -> Iterable[Record]:
        """As in :class:`SegmentStream`."""
        found = segments.all()
        known = self._known()
        # Were they only known at the end, a run that is killed would leave segments that nobody deletes.
        self._keep({*known, *(each.segment_id for each in found)})
        if self.stream_state.get(_OVERFULL):
            self.logger.warning("More than %d segments: it is not seen that one was deleted.", MAX_KNOWN)
        for segment in found:
            yield {name: getattr(segment, name, None) for name in self.schema["properties"]}
        gone = known.difference(each.segment_id for each in found)
        if gone and not found:
            # The API has no way to delete a segment (Annex page 10.6), but answers that there are none, if it has none.
            self.logger.warning(
                "Annex Cloud lists no segments any more, after %d: none is taken for deleted.", len(gone)
            )
            return
        for each in sorted(gone):
            yield {"segment_id": each, DELETED_AT: self.run_start}
        self._keep({each.segment_id for each in found})

    def _known(self) -> set[str]:
        kept = self.stream_state.get(_KNOWN)
        return {each for each in kept if isinstance(each, str)} if isinstance(kept, list) else set()

    def _keep(self, ids: set[str]) -> None:
        # Once there were too many, those that were not kept stay unknown.
        if self.stream_state.get(_OVERFULL) or len(ids) > MAX_KNOWN:
            self.stream_state.pop(_KNOWN, None)
            self.stream_state[_OVERFULL] = True
        else:
            self.stream_state[_KNOWN] = sorted(ids)


class SegmentMembersStream(SegmentReader):
    """Members of segments, whatever the segments' state."""

    name = "segment_members"
    primary_keys = ("segment_id", "member_id")
    schema = th.PropertiesList(
        th.Property("segment_id", th.StringType, required=True),
        th.Property("member_id", th.StringType, required=True),
        th.Property("version", th.DateTimeType, description="When the segment was read: start of the run"),
        th.Property("email", th.StringType),
    ).to_dict()

    def generate_child_contexts(
        self,
        record: Record,  # noqa: ARG002 - as in the SDK
        context: Context | None,  # noqa: ARG002 - as in the SDK
    ) -> Iterable[Context | None]:
        """None: snapshots are written when a segment is done, not before each member."""
        return ()

    def records(self, segments: Segments) -> Iterable[Record]:
        """As in :class:`SegmentStream`; snapshots are written in between."""
        snapshots = [each for each in self.child_streams if isinstance(each, SegmentSnapshotsStream)]
        for each in snapshots:
            each.begin()
        version, sent = self.run_start, 0
        for part in segments.parts(segments.all()):
            for member in part.members:
                yield {
                    "segment_id": part.segment.segment_id,
                    "member_id": member["id"],
                    "version": version,
                    **_EMAIL.read(member),
                }
            sent += len(part.members)
            if part.last:
                self._warn(part)
                for each in snapshots:
                    each.write(part.segment, version, sent, complete=part.failure is None)
                sent = 0

    def _warn(self, part: Part) -> None:
        if part.failure:
            self.logger.warning("Segment %s is not complete. %s", part.segment.segment_id, part.failure)


class SegmentSnapshotsStream(SegmentStream):
    """One record after the last member of each segment. For the SDK a child of the members, by which it is written."""

    name = "segment_snapshots"
    parent_stream_type = SegmentMembersStream
    state_partitioning_keys = ()
    primary_keys = ("segment_id", "version")
    schema = th.PropertiesList(
        th.Property("segment_id", th.StringType, required=True),
        th.Property("version", th.DateTimeType, required=True, description="As in segment_members"),
        th.Property("member_count", th.IntegerType, description="Members that were sent"),
        th.Property(
            "complete",
            th.BooleanType,
            description="Whether these are all members: only then is nobody else a member",
        ),
        th.Property("reason", th.StringType, description="Why it is not complete: failed"),
    ).to_dict()

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - as in the SDK
        """None by itself."""
        return ()

    def begin(self) -> None:
        """Before the first record; the SDK would send the schema for each segment anew (Singer page 2.3)."""
        if self.selected:
            self._write_schema_message()

    def write(self, segment: Segment, version: str, members: int, *, complete: bool) -> None:
        """Write a record now."""
        if self.selected:
            self._write_record_message(
                {
                    "segment_id": segment.segment_id,
                    "version": version,
                    "member_count": members,
                    "complete": complete,
                    "reason": None if complete else "failed",
                }
            )
