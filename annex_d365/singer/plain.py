"""Streams that send records as they are: without what the SDK does for streams that need it.

The SDK's own way (``Stream._sync_records`` in streams/core.py, 0.54.9) looks at every column of every record: is it
selected, has it the right type, is it to be mapped. A stream that asks for selected columns only, in the types of its
schema, knows the answers. Its messages are the same, and whoever wants more of the SDK gets the SDK's way.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime, timezone
from typing import Any

import msgspec
from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from annex_d365.singer.writer import Record, Writer

#: So many steps lead to a column (`properties` and its name); more lead to a part of one.
_COLUMN = 2
#: Versions of the SDK whose way this is.
_KNOWN_SDK = "0.54."


class PlainStream(Stream):
    """Mixin, before ``Stream``, for taps that have a :class:`~annex_d365.singer.writer.Writer`."""

    # Values have their JSON types already.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def plain_records(self) -> Iterator[Any] | None:
        """Hook: the records as anything that msgspec makes an object of, with selected columns only.

        Where the SDK compares bookmarks (INCREMENTAL), they have it as ``at``. None: there are but those of
        :meth:`get_records`.
        """
        return None

    @property
    def is_plain(self) -> bool:
        """Whether a record is sent as it is."""
        maps = self.stream_maps
        return (
            self._tap.get_sdk_version().startswith(_KNOWN_SDK)
            and isinstance(self._tap.message_writer, Writer)
            and self.selected
            and [type(each) for each in maps] == [SameRecordTransform]
            and not maps[0].flattening_enabled
            and self.TYPE_CONFORMANCE_LEVEL is TypeConformanceLevel.NONE
            and self.ABORT_AT_RECORD_COUNT is None
            and not self.child_streams
            and not self.partitions
            and not self.is_sorted
            # Parts of a column that are not selected.
            and all(selected for breadcrumb, selected in self.mask.items() if len(breadcrumb) > _COLUMN)
        )

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """As in the SDK; plain records are written, not yielded: nobody looks at them."""
        writer = self._tap.message_writer
        try:
            records = self.plain_records() if write_messages and not context and self.is_plain else None
            if records is None:
                yield from super()._sync_records(context, write_messages=write_messages)
            else:
                self._write_plain(records)
        finally:
            if isinstance(writer, Writer):
                writer.flush()  # all that was read, should this be an error

    def _write_plain(self, records: Iterator[Any]) -> None:
        tap, manager, stream = self._tap, self.state_manager, self.stream_maps[0].stream_alias
        keeps_bookmark = self.replication_method == REPLICATION_INCREMENTAL
        latest, number = "", 0
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            self._write_starting_replication_value(None)
            try:
                for number, record in enumerate(records, 1):
                    if keeps_bookmark and record.at and record.at > latest:
                        latest = record.at
                    version = msgspec.UNSET if self._stream_version is None else self._stream_version
                    tap.write_message(Record(stream, record, version, datetime.now(timezone.utc)))
                    manager.is_flushed = False
                    if not number % self.STATE_MSG_FREQUENCY:
                        if latest:
                            self._increment_stream_state({str(self.replication_key): latest})
                        self._write_state_message()
                        counter.increment(self.STATE_MSG_FREQUENCY)
            finally:
                counter.increment(number % self.STATE_MSG_FREQUENCY)
            self._finalize_state(self.stream_state)
            self._write_state_message()
