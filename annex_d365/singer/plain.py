"""Streams that send records as they are: without what the SDK does for streams that need it.

The SDK's own way (``Stream._sync_records`` in streams/core.py, 0.54.9) looks at every column of every record: is it
selected, has it the right type, is it to be mapped. A stream that asks for selected columns only, in the types of its
schema, knows the answers. Its messages are the same, and whoever wants more of the SDK gets the SDK's way.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any, TypeVar

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
#: Records that are written as one: what has to be done for each of them is then done once.
RECORDS_TOGETHER = 64

_Item = TypeVar("_Item")


def together(items: Iterable[_Item], count: int = RECORDS_TOGETHER) -> Iterator[list[_Item]]:
    """The items in their order, ``count`` at a time. Of a page: what is taken together is not to wait for the next."""
    iterator = iter(items)
    while some := list(islice(iterator, count)):
        yield some


class PlainStream(Stream):
    """Mixin, before ``Stream``, for taps that have a :class:`~annex_d365.singer.writer.Writer`."""

    # Values have their JSON types already.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def plain_records(self) -> Iterator[Sequence[Any]] | None:
        """Hook: the records as anything that msgspec makes an object of, with selected columns only.

        Some at a time (:func:`together`): they are written as one, and whatever the state says of them, it says when
        the next ones are asked for. Where the SDK compares bookmarks (INCREMENTAL), records have it as ``at``. None:
        there are but those of :meth:`get_records`.
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

    def _write_plain(self, chunks: Iterator[Sequence[Any]]) -> None:
        writer, manager, stream = self._tap.message_writer, self.state_manager, self.stream_maps[0].stream_alias
        assert isinstance(writer, Writer)
        keeps_bookmark = self.replication_method == REPLICATION_INCREMENTAL
        latest, since_state = "", 0
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            counter.with_context({})
            timer.with_context({})
            self._write_starting_replication_value(None)
            for records in chunks:
                version = msgspec.UNSET if self._stream_version is None else self._stream_version
                now = datetime.now(timezone.utc)
                writer.write_records([Record(stream, record, version, now) for record in records])
                if keeps_bookmark:
                    latest = max(latest, max((record.at or "" for record in records), default=""))
                manager.is_flushed = False
                counter.increment(len(records))
                since_state += len(records)
                if since_state >= self.STATE_MSG_FREQUENCY:
                    since_state = 0
                    if latest:
                        self._increment_stream_state({str(self.replication_key): latest})
                    self._write_state_message()
            self._finalize_state(self.stream_state)
            self._write_state_message()
