"""From messages to rows: what a record's sink gets, and what becomes of a record that is not fit to be written."""

from __future__ import annotations

import abc
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any, ClassVar

from singer_sdk import BatchSink, Sink, Target
from singer_sdk.exceptions import (
    InvalidRecord,
    MapExpressionError,
    RecordsWithoutSchemaException,
    StreamMapConfigError,
)
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.sinks.core import BaseJSONSchemaValidator

from annex_d365.errors import ConnectorError, SettingError
from annex_d365.frozen import frozen
from annex_d365.singer.reader import Unencodable
from annex_d365.singer.rejects import Reject
from annex_d365.singer.validator import RecordValidator

# Its debug messages hold values of records.
logging.getLogger("singer_sdk.mapper").setLevel(logging.INFO)

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

DELETED_AT = "_sdc_deleted_at"
#: What the SDK takes out of records (0.54.9, ``Sink._remove_sdc_metadata_from_record``).
_SDC = frozenset(
    {
        "_sdc_extracted_at",
        "_sdc_received_at",
        "_sdc_batched_at",
        DELETED_AT,
        "_sdc_sequence",
        "_sdc_table_version",
        "_sdc_sync_started_at",
    }
)

#: Versions of the SDK whose way of a record is known: see :meth:`RowTarget._sink_without_maps`.
KNOWN_SDK = "0.54."


@frozen
class Row:
    """One record.

    Attributes:
        record: after stream maps, validated; dates are the texts that came. Of a deletion, only the key is sure.
        message: the RECORD message as it came.
        version: of the row at its source: what its bookmark column says, or when it was deleted; empty if unknown.
        deleted: the row is no longer there.
    """

    record: Mapping[str, Any] = field(repr=False)
    message: Mapping[str, Any] = field(repr=False)
    version: str = ""
    deleted: bool = False


def shown(key: str) -> str:
    """A row's key as a message may name it: a GUID is no member data, anything else might be."""
    return key if _GUID.fullmatch(key) else "(key not shown)"


class NoSchemaError(ConnectorError, RecordsWithoutSchemaException):
    """A stream has rows before it has a SCHEMA."""


class _MapFailed(Exception):  # noqa: N818 - a signal to :class:`RowTarget`, not an error
    """A stream map cannot make a row of this record; ``problem`` does not tell the value."""

    def __init__(self, stream: str, problem: str) -> None:
        super().__init__()
        self.stream, self.problem = stream, problem


class RowTarget(Target):
    """Mixin for a target: keeps the message at hand, for what the SDK does not pass on."""

    message: Mapping[str, Any]
    bookmarks: dict[str, str]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        #: Column that tells versions of a row apart, by stream as it came.
        self.bookmarks = {}
        #: Sinks that get records as they come, by stream as it came.
        self._direct: dict[str, RowSink] = {}

    @abc.abstractmethod
    def reject(self, stream: str, row: Row, reject: Reject) -> None:
        """Put a row aside.

        Raises:
            ConnectorError: the settings want the run to end here.
        """

    def write_later(self, work: Callable[[], None], lane: str) -> None:  # noqa: ARG002 - for those who override it
        """Hook: write a batch, after those that came before it, perhaps while the next one is read.

        Args:
            work: writes it.
            lane: whose batches tell by :func:`annex_d365.relay.beside` what they touch; empty for batches that do not.
        """
        work()

    def sinks_of(self, kinds: Collection[type[Sink]]) -> list[Sink]:
        """The sinks of these classes that may hold rows, those of older schemas first."""
        return [
            sink for sink in [*self._sinks_to_clear, *self._sinks_active.values()] if isinstance(sink, tuple(kinds))
        ]

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        """As in the SDK (target_base.py:352), which takes the parts of the message for what they should be."""
        self._assert_line_requires(message_dict, requires={"stream", "schema"})
        stream, schema, key = message_dict["stream"], message_dict["schema"], message_dict.get("key_properties")
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            raise ConnectorError(f"Stream {stream}: its SCHEMA has no `properties`.")
        if key is not None and not (isinstance(key, list) and all(isinstance(name, str) for name in key)):
            raise ConnectorError(f"Stream {stream}: `key_properties` of its SCHEMA is no list of names.")
        bookmark = message_dict.get("bookmark_properties")
        if isinstance(bookmark, list) and bookmark and isinstance(bookmark[0], str):
            self.bookmarks[stream] = bookmark[0]
        try:
            super()._process_schema_message(message_dict)
        except (MapExpressionError, StreamMapConfigError) as error:
            raise SettingError("stream_maps", f"does not suit stream {stream}. {error}") from None
        for stream_map in self.mapper.stream_maps[stream]:
            # Only once: a SCHEMA that repeats keeps its maps.
            vars(stream_map).setdefault("transform", partial(_transform, stream_map.transform, stream_map.stream_alias))
        self._direct.pop(stream, None)
        if sink := self._sink_without_maps(stream):
            self._direct[stream] = sink

    def _sink_without_maps(self, stream: str) -> RowSink | None:
        """The sink of a stream that nothing is done to on its way there; None if the SDK has to do something."""
        maps = self.mapper.stream_maps[stream]
        if [type(each) for each in maps] != [SameRecordTransform] or maps[0].flattening_enabled:
            return None
        sink = self._sinks_active.get(maps[0].stream_alias)
        known = self.get_sdk_version().startswith(KNOWN_SDK)
        return sink if known and isinstance(sink, RowSink) and not sink.include_sdc_metadata_properties else None

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        """As in the SDK (target_base.py:302), without what it does to records that no map is for."""
        stream, record = message_dict.get("stream"), message_dict.get("record")
        sink = self._direct.get(stream) if isinstance(stream, str) else None
        if sink is None or not isinstance(record, dict) or isinstance(message_dict, Unencodable):
            self._process_mapped(message_dict)
            return
        self.message = message_dict
        if not record.keys().isdisjoint(_SDC):
            record = {name: value for name, value in record.items() if name not in _SDC}
        sink.take(record)
        if sink.is_full:
            message = "Target sink for '%s' is full. Current size is '%s'. Draining..."
            self.logger.info(message, sink.stream_name, sink.current_size)
            self.drain_one(sink)
        self._handle_max_record_age()

    def _process_mapped(self, message_dict: dict[str, Any]) -> None:
        """As in the SDK; a record that a stream map cannot take is rejected."""
        self._assert_line_requires(message_dict, requires={"stream", "record"})
        self._assert_schema(message_dict)
        if not isinstance(message_dict["record"], dict):
            raise ConnectorError(f"Stream {message_dict['stream']}: a RECORD message holds no object.")
        self.message = message_dict
        if isinstance(message_dict, Unencodable):
            stream_map, *_ = self.mapper.stream_maps[message_dict["stream"]]
            self.reject(stream_map.stream_alias, self.row(), Reject("a text holds half of a surrogate pair"))
            return
        try:
            super()._process_record_message(message_dict)
        except _MapFailed as failure:
            self.reject(failure.stream, self.row(), Reject(failure.problem))

    def row(self, record: Mapping[str, Any] | None = None) -> Row:
        """The row of the message at hand; ``record`` is what stream maps made of it."""
        raw = self.message["record"]
        # The SDK takes the mark out of the record (Singer page 5.12).
        deleted = raw.get(DELETED_AT) or None  # other people's taps say "" or false of rows that are there
        version = raw.get(self.bookmarks.get(self.message["stream"], "")) or deleted
        return Row(
            raw if record is None else record,
            self.message,
            version="" if version is None else str(version),
            deleted=deleted is not None,
        )

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """As in the SDK (target_base.py:420)."""
        self._assert_line_requires(message_dict, requires={"stream", "version"})
        self._assert_schema(message_dict)
        super()._process_activate_version_message(message_dict)

    def _assert_schema(self, message: Mapping[str, Any]) -> None:
        if message["stream"] not in self.mapper.stream_maps:
            raise NoSchemaError(f"Stream {message['stream']}: a {message['type']} message came before its SCHEMA.")


def _transform(
    transform: Callable[[dict[str, Any]], dict[str, Any] | None], stream: str, record: dict[str, Any]
) -> dict[str, Any] | None:
    """A stream map's ``transform``, whose errors quote values. Python's name of the error quotes nothing."""
    try:
        return transform(record)
    except Exception as error:  # noqa: BLE001 - an expression is the user's, and can fail in any way
        kind = type(error.__cause__ or error).__name__
    raise _MapFailed(stream, f"a stream map failed on it ({kind})")


class RowSink(BatchSink):
    """A sink whose batch is ``context["rows"]``, a list of :class:`Row` that are valid or deletions.

    In the SDK (0.54.9, sinks/core.py:537, :572) an invalid record ends the run, or goes on as if it were valid, and its
    value is in the log; so it is with a date that does not parse. Here the record is rejected, and dates stay texts.
    """

    #: Whether :meth:`write` tells by :func:`annex_d365.relay.beside` what a batch touches.
    beside: ClassVar[bool] = False
    #: Sinks whose rows have to be written first, because these rows refer to them.
    after: ClassVar[Collection[type[Sink]]] = ()

    target: RowTarget

    def __init__(
        self, target: RowTarget, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        self.target = target  # the SDK sets it, too, but only at its own constructor's end
        self._problem = ""
        super().__init__(target, stream_name, schema, key_properties)

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """As in the SDK, compiled."""
        return RecordValidator(self.schema, self.stream_name) if self.validate_schema else None

    def take(self, record: dict[str, Any]) -> None:
        """What the SDK does with a record that no map is for (0.54.9, target_base.py:325)."""
        context = self._get_context(record)
        self._validate_and_parse(record)
        self._singer_validate_message(record)
        self.tally_record_read()
        self.process_record(record, context)
        self.record_counter_metric.increment()

    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        self._problem = ""
        if self._validator and not self.target.message["record"].get(DELETED_AT):
            try:
                self._validator.validate(record)
            except InvalidRecord as error:
                self._problem = error.error_message
        return record

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        missing = [name for name in self.key_properties if record.get(name) is None]
        if missing and not self._problem:
            self._problem = f"key column `{missing[0]}` is empty"

    def start_batch(self, context: dict[str, Any]) -> None:
        """Begin with no rows."""
        context["rows"] = []

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Add the record to the batch, or put it aside."""
        row = self.target.row(record)
        if self._problem:
            self.target.reject(self.stream_name, row, Reject(self._problem))
        else:
            context["rows"].append(row)

    def _after_process_record(self, context: dict[str, Any]) -> None:
        """As in the SDK (sinks/core.py:644), without its message of the whole batch for each row."""

    def process_batch(self, context: dict[str, Any]) -> None:
        """Write the rows, after those of the sinks that they may refer to."""
        for sink in self.target.sinks_of(self.after):
            self.target.drain_one(sink)
        self.target.write_later(partial(self.write, context["rows"]), self.stream_name if self.beside else "")

    @abc.abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Write a batch.

        Raises:
            ConnectorError: the run cannot go on.
        """
