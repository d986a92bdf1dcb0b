"""The streams ``segment_members`` and ``segment_snapshots``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from singer_sdk import typing as th
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.segments.choice import Marketing
from annex_d365.dataverse.segments.reader import SegmentReader
from annex_d365.dataverse.segments.segment import CONTACT, Segment
from annex_d365.dataverse.types import JsonSchema
from annex_d365.errors import ConnectorError, PrivilegeError
from annex_d365.singer.pace import Pace
from tap_d365.member_records import MemberRecords, chosen_columns
from tap_d365.segment_state import Seen, fingerprint
from tap_d365.segment_stream import SegmentStream

if TYPE_CHECKING:
    from tap_d365.tap import TapD365

#: Warnings about single segments; the others are counted.
MAX_WARNINGS = 10
_FIXED = th.PropertiesList(
    th.Property("segment_id", th.UUIDType, required=True),
    th.Property("contact_id", th.UUIDType, required=True),
    th.Property("version", th.DateTimeType, description="Evaluation of the segment that the member is of"),
    th.Property("member_id", th.StringType, description="Loyalty id; null where the contact has none"),
    th.Property("email", th.StringType),
).to_dict()


class SegmentMembers(SegmentStream):
    """Members of the segments that were evaluated or changed since the last run, all of each.

    State, by generation: ``seen``, a :class:`~tap_d365.segment_state.Seen`. It moves when all is done.
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
        context: Context | None,  # noqa: ARG002
    ) -> Iterable[Context | None]:
        """None: snapshots are written when a segment is done, not before each member."""
        return ()

    def get_records(self, context: Context | None) -> Iterable[Row]:  # noqa: ARG002 - as in the SDK
        """The members; snapshots are written in between."""
        records = MemberRecords(self)
        query = fingerprint(self.host, self.condition, sorted(records.sources.items()))
        seen = Seen.from_state(self.generation_state.get("seen"), query)
        start = seen.start(self.config["lookback_seconds"]) or ""
        listed = list(self.wanted())
        due = [
            each
            for each in listed
            if each.segment_id in seen.again or (each.changed_on >= start and not seen.has(each.version))
        ]
        run = _Run(self)
        readable = [each for each in due if run.has_members(each)]
        pace = self._pace(sum(each.member_count or 0 for each in readable))
        members = self.marketing.members(records.asked)
        reader = SegmentReader(members, self.dataverse.http.gate, self.config["max_parallel_requests"])
        for part in reader.parts(readable):
            for row in part.rows:
                pace.row()
                yield records.record(part.segment.segment_id, run.version(part.segment), row)
            run.note(part.segment, len(part.rows))
            if part.last:
                run.end(part.segment, part.failure)
        pace.finish()
        run.report(first=not seen.until)
        rows = ((each.changed_on, each.version) for each in listed)
        self.generation_state = {"seen": seen.after(rows, self.run_start, run.failed).to_state()}

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

    def get_records(self, context: Context | None) -> Iterable[Row]:  # noqa: ARG002 - as in the SDK
        """None by itself."""
        return ()

    def begin(self) -> None:
        """Before the first record; the SDK would send the schema for each segment anew (Singer page 2.3)."""
        if self.selected:
            self._write_schema_message()

    def write(self, record: Row) -> None:
        """Write a record now."""
        if self.selected:
            self._write_record_message(record)


class _Run:
    """What one run makes of the segments: their snapshots, and what the user is told."""

    def __init__(self, stream: SegmentMembers) -> None:
        self._logger, self._now = stream.logger, stream.run_start
        self._snapshots = [each for each in stream.child_streams if isinstance(each, SegmentSnapshots)]
        self._sent: Counter[str] = Counter()
        self._without: Counter[str] = Counter()
        self._read = 0
        self._refusal: PrivilegeError | None = None
        #: Segments that should have been read.
        self.failed: set[str] = set()
        for each in self._snapshots:
            each.begin()

    def version(self, segment: Segment) -> str:
        """Of the members of a segment."""
        return segment.evaluated_on or self._now

    def has_members(self, segment: Segment) -> bool:
        """Whether there are members to read, for us; else that is all of the segment."""
        reason = "" if segment.is_live else segment.status
        if segment.base_table != CONTACT:
            reason = f"of table {segment.base_table}"
        if reason:
            self._without[reason] += 1
            self._write(segment, reason)
        return not reason

    def note(self, segment: Segment, rows: int) -> None:
        """Members were sent."""
        self._sent[segment.segment_id] += rows

    def end(self, segment: Segment, failure: ConnectorError | None) -> None:
        """Nothing more is to come of the segment."""
        size = segment.member_count or 0
        if failure:
            self._fail(segment, str(failure))
            if isinstance(failure, PrivilegeError):
                self._refusal = failure
        elif size and not self._sent[segment.segment_id]:
            self._fail(segment, f"No members were found, though it has {size:,}.")
        else:
            self._read += 1
            self._write(segment, None)
        del self._sent[segment.segment_id]

    def report(self, *, first: bool) -> None:
        """All is read.

        Args:
            first: whether no run before has read anything.

        Raises:
            PrivilegeError: nothing was ever read, for want of a privilege: that is no single segment's fault.
        """
        if self._refusal and first and not self._read:
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
        record: Mapping[str, object] = {
            "segment_id": segment.segment_id,
            "version": self.version(segment),
            "member_count": self._sent[segment.segment_id],
            "complete": reason is None,
            "reason": reason,
        }
        for each in self._snapshots:
            each.write(dict(record))
