"""The streams ``segment_members`` and ``segment_snapshots``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.segments.choice import Marketing
from annex_d365.dataverse.segments.reader import SegmentReader
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.dataverse.types import JsonSchema
from annex_d365.singer.pace import Pace
from tap_d365.member_records import MemberRecords, chosen_columns
from tap_d365.segment_run import CHECKED_AT_ONCE, SegmentRun
from tap_d365.segment_state import Seen, fingerprint
from tap_d365.segment_stream import SegmentStream

if TYPE_CHECKING:
    from tap_d365.tap import TapD365

_FIXED = th.PropertiesList(
    th.Property("segment_id", th.UUIDType, required=True),
    th.Property("contact_id", th.UUIDType, required=True),
    th.Property(
        "version",
        th.DateTimeType,
        description="State of the segment that the member is of: when it was last evaluated or changed",
    ),
    th.Property("member_id", th.StringType, description="Loyalty id; null where the contact has none"),
    th.Property("email", th.StringType),
).to_dict()


class SegmentMembers(SegmentStream):
    """Members of the segments that were evaluated or changed since the last run, all of each.

    State, by generation: ``seen``, a :class:`~tap_d365.segment_state.Seen`. Its bookmark moves when all is done; until
    then the finished segments are in it by their versions, so that a run that was killed is gone on with.
    """

    name = "segment_members"
    primary_keys = ("segment_id", "contact_id")
    # For the SDK, which knows bookmarks in records only.
    forced_replication_method = REPLICATION_FULL_TABLE
    STATE_MSG_FREQUENCY = 100_000

    def __init__(self, tap: TapD365, marketing: Marketing) -> None:
        self.columns = chosen_columns(marketing.contacts, tap.config.get("segments") or {})
        columns = {each: marketing.contacts.columns[each].schema for each in self.columns}
        schema: JsonSchema = {**_FIXED, "properties": {**_FIXED["properties"], **columns}}
        super().__init__(tap, marketing, schema)

    def generate_child_contexts(
        self,
        record: Row,  # noqa: ARG002 - as in the SDK
        context: Context | None,  # noqa: ARG002 - as in the SDK
    ) -> Iterable[Context | None]:
        """None: snapshots are written when a segment is done, not before each member."""
        return ()

    @property
    def snapshots(self) -> Sequence[SegmentSnapshots]:
        """What writes the snapshots."""
        return [each for each in self.child_streams if isinstance(each, SegmentSnapshots)]

    def found(self) -> Iterator[Row]:
        """The members; snapshots are written in between."""
        records = MemberRecords(self)
        # A stream or a column that is selected later has seen nothing yet.
        streams = [each.selected for each in (self, *self.snapshots)]
        query = fingerprint(self.host, self.condition, sorted(records.sources.items()), streams)
        seen = Seen.from_state(self.generation_state.get("seen"), query)
        start = seen.start(self.config["lookback_seconds"]) or ""
        listed = {each.segment_id: each for each in self.wanted()}
        due = [
            each
            for each in listed.values()
            if each.segment_id in seen.again or (each.changed_on >= start and not seen.has(each.version))
        ]
        for each in self.snapshots:
            each.begin()
        run = SegmentRun(self)
        readable = [each for each in due if run.has_members(each)]
        pace = self._pace(sum(each.member_count or 0 for each in readable))
        for row in self._members(records, run, readable, seen):
            pace.read()
            yield row
        pace.finish()
        run.report(first=not seen.until)
        listed.update((each.segment_id, each) for each in run.done)
        rows = ((each.changed_on, each.version) for each in listed.values())
        self.generation_state = {"seen": seen.after(rows, self.run_start, run.failed).to_state()}

    def _members(
        self, records: MemberRecords, run: SegmentRun, segments: Sequence[Segment], seen: Seen
    ) -> Iterator[Row]:
        """Members of the segments, and once more of those that changed meanwhile."""
        members = self.marketing.members(records.asked)
        for again in (True, False):
            reader = SegmentReader(
                members, self.dataverse.http.gate, self.config["max_parallel_requests"], self.dataverse.ask_for_advice
            )
            for part in reader.parts(segments):
                for row in part.rows:
                    yield records.record(part.segment.segment_id, run.version(part.segment), row)
                run.note(part.segment, len(part.rows))
                if part.last:
                    run.end(part.segment, part.failure)
                    if run.check(again=again, least=CHECKED_AT_ONCE):
                        self.generation_state = {"seen": seen.with_read(run.done).to_state()}
            run.check(again=again)
            segments = [each for each in run.moved.values() if again and run.has_members(each)]

    def _pace(self, total: int) -> Pace:
        dataverse = self.dataverse
        return Pace(
            self.logger,
            pages=lambda: dataverse.pages_read,
            throttled=lambda: dataverse.http.throttled_seconds,
            total=lambda: total,
        )


class SegmentSnapshots(SegmentStream):
    """One record after the last member of each segment. For the SDK a child of the members, by which it is written."""

    name = "segment_snapshots"
    parent_stream_type = SegmentMembers
    state_partitioning_keys = ()
    primary_keys = ("segment_id", "version")
    forced_replication_method = REPLICATION_FULL_TABLE
    schema = th.PropertiesList(
        th.Property("segment_id", th.UUIDType, required=True),
        th.Property("version", th.DateTimeType, required=True, description="As in segment_members"),
        th.Property("member_count", th.IntegerType, description="Members that were sent"),
        th.Property(
            "complete",
            th.BooleanType,
            description="Whether these are all members: only then is nobody else a member",
        ),
        th.Property("reason", th.StringType, description="Why it is not complete: the segment's status, or failed"),
    ).to_dict()

    _written = 0

    def found(self) -> Iterator[Row]:
        """None by itself."""
        return iter(())

    def begin(self) -> None:
        """Before the first record; the SDK would send the schema for each segment anew (Singer page 2.3)."""
        if self.selected:
            self._write_schema_message()

    def write(self, record: Row) -> None:
        """Write a record now, unless a dry run wants no more."""
        limit = self.ABORT_AT_RECORD_COUNT
        if self.selected and (limit is None or self._written < limit):
            self._written += 1
            self._write_record_message(record)
