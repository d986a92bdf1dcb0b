"""Sinks of the three streams of segments."""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar

from annex_d365.singer.rows import Row, RowSink
from target_annex.report import Result
from target_annex.segments.engine import Engine
from target_annex.segments.rows import MEMBER_ID, SEGMENT_ID, require_columns
from target_annex.sinks import ContactsSink, MembersSink, ObjectSink, Writer


class _Joins:
    def __init__(self, engine: Engine) -> None:
        self.write = engine.join


class _Copies:
    def __init__(self, engine: Engine) -> None:
        self.write = engine.copies.write


class _Snapshots:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Settle each one."""
        for row in rows:
            yield row, self._engine.settle(row)


class SegmentSink(ObjectSink):
    """Rows about segments."""

    #: Columns without which a stream is none of these.
    columns: ClassVar[Collection[str]] = ()

    @property
    def engine(self) -> Engine:
        """Of the target: one for all three."""
        return self.target.segments

    def writer(self) -> Writer:
        """For this stream.

        Raises:
            SettingError: it lacks a column.
        """
        require_columns(self.stream_name, self.schema["properties"], *self.columns)
        return self.engine_writer()

    @abc.abstractmethod
    def engine_writer(self) -> Writer:
        """What the rows are for the engine."""

    def clean_up(self) -> None:
        """As in the SDK, at the end of the input; before the last STATE, which says that all is done."""
        self.engine.finish()
        super().clean_up()


class SegmentsSink(SegmentSink):
    """Rows become segments."""

    after: ClassVar[Collection[type[RowSink]]] = (MembersSink, ContactsSink)
    columns = (SEGMENT_ID, "name", "origin")

    def engine_writer(self) -> Writer:
        """As in :class:`SegmentSink`."""
        return _Copies(self.engine)


class SegmentMembersSink(SegmentSink):
    """Rows become members of segments."""

    #: Members are compared with the ledger and sent by hundreds.
    MAX_SIZE_DEFAULT = 10_000
    after: ClassVar[Collection[type[RowSink]]] = (MembersSink, ContactsSink, SegmentsSink)
    columns = (SEGMENT_ID, MEMBER_ID, "version")

    def engine_writer(self) -> Writer:
        """As in :class:`SegmentSink`."""
        return _Joins(self.engine)

    def clean_up(self) -> None:
        """As in :class:`SegmentSink`, and tells who came late."""
        super().clean_up()
        report = self.target.report(self.stream_name)
        report.joined_later, report.waiting = self.engine.joined_later, self.engine.waiting


class SegmentSnapshotsSink(SegmentSink):
    """Rows say that all members of a segment have come."""

    # Of a segment without members, only these say that it is there.
    after: ClassVar[Collection[type[RowSink]]] = (SegmentsSink, SegmentMembersSink)
    columns = (SEGMENT_ID, "version", "complete")

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """As in :class:`RowSink`, and at once: members that come after the row are of another version."""
        super().process_record(record, context)
        self.process_batch(context)
        context["rows"] = []

    def engine_writer(self) -> Writer:
        """As in :class:`SegmentSink`."""
        return _Snapshots(self.engine)
