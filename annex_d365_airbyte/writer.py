"""What a tap writes, as Airbyte messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import msgspec
from singer_sdk import Stream
from singer_sdk.singerlib import ActivateVersionMessage, Message, SchemaMessage, StateMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

from annex_d365.errors import SettingError
from annex_d365_airbyte import protocol
from annex_d365_airbyte.catalog import DELETED_AT, NO_STATE, SDC_DELETED_AT, UPDATED_AT
from annex_d365_airbyte.protocol import StreamDescriptor, StreamStatus, encode, now


class Output:
    """Lines; each is written at once, so that those of threads (log lines) do not mix."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, message: protocol.Message) -> None:
        """Write a message, and all before it."""
        self.buffer(message)
        self._file.flush()

    def buffer(self, message: protocol.Message) -> None:
        """Write a message soon."""
        self._file.write(encode(message) + b"\n")


class SilentWriter(GenericSingerWriter[bytes, Message]):
    """Writes nothing: a tap that is only tried may have something to say, too."""

    def serialize_message(self, message: Message) -> bytes:
        """As the SDK wants it."""
        return encode(message.to_dict())

    def write_message(self, message: Message) -> None:
        """Forget it."""


class AirbyteWriter(SilentWriter):
    """Takes Singer messages from a tap.

    A stream begins with its SCHEMA, and ends with the SCHEMA of the next one, except that a child is written by its
    parent: both are open at a time.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._children: frozenset[str] = frozenset()
        self._with_deletions: frozenset[str] = frozenset()
        #: Of the streams that are open: records since the last state; whether there was one.
        self._counts: dict[str, int] = {}
        self._told: set[str] = set()
        self._running: set[str] = set()
        #: What the states say, as JSON.
        self._states: dict[str, bytes] = {}

    def begin(self, streams: Iterable[Stream], state: Mapping[str, Any]) -> None:
        """Learn what will be written, and the state that the platform has already."""
        known = list(streams)
        self._children = frozenset(each.name for each in known if each.parent_stream_type)
        self._with_deletions = frozenset(each.name for each in known if SDC_DELETED_AT in each.schema["properties"])
        self._states = {name: encode(each) for name, each in state.get("bookmarks", {}).items()}

    def end(self) -> None:
        """All was read."""
        for stream in list(self._counts):
            self._complete(stream)

    def fail(self) -> None:
        """What is open will not be read to its end."""
        for stream in self._counts:
            self._status(stream, "INCOMPLETE")

    def write_message(self, message: Message) -> None:
        """Write what it means to Airbyte."""
        if message.type == "RECORD":  # of whichever class
            self._record(message)
            return
        match message:
            case StateMessage():
                self._bookmarks(message.value.get("bookmarks", {}))
            case SchemaMessage():
                self._open(message.stream)
            case ActivateVersionMessage():
                self._log(
                    f"All rows of {message.stream} were read, for it cannot be told which ones were deleted since the "
                    "last sync. Refresh the stream in Airbyte to drop them."
                )
            case _:  # BATCH: of the SDK's messages there is no other one
                raise SettingError("batch_config", "Airbyte takes records, not files of them; leave it out.")

    def _open(self, stream: str) -> None:
        if stream in self._counts:
            return
        if stream not in self._children:
            self.end()
        self._counts[stream] = 0
        self._status(stream, "STARTED")

    def _record(self, message: Any) -> None:
        stream, data = message.stream, message.record
        if stream not in self._running:
            self._running.add(stream)
            self._status(stream, "RUNNING")
        if stream in self._with_deletions:
            # It may be anything that JSON is made of; each value stays as it is.
            values: dict[str, Any] = msgspec.json.decode(encode(data), type=dict[str, msgspec.Raw])
            data = values | {DELETED_AT: values.pop(SDC_DELETED_AT, None), UPDATED_AT: message.time_extracted}
        self._counts[stream] += 1
        self._output.buffer(protocol.RecordMessage(record=protocol.Record(stream, data, now())))

    def _bookmarks(self, bookmarks: Mapping[str, Any]) -> None:
        for stream, bookmark in bookmarks.items():
            # Others are not in the platform's catalog, or will say it themselves.
            if stream in self._counts and (state := encode(bookmark)) != self._states.get(stream):
                self._states[stream] = state
                self._state(stream)

    def _state(self, stream: str) -> None:
        blob = self._states.get(stream) or encode(NO_STATE)
        count, self._counts[stream] = self._counts[stream], 0
        self._told.add(stream)
        self._output.write(
            protocol.StateMessage(
                state=protocol.State(
                    type="STREAM",
                    stream=protocol.StreamState(StreamDescriptor(stream), msgspec.Raw(blob)),
                    sourceStats=protocol.Count(float(count)),
                )
            )
        )

    def _complete(self, stream: str) -> None:
        if self._counts[stream] or stream not in self._told:
            self._state(stream)
        del self._counts[stream]
        self._status(stream, "COMPLETE")

    def _status(self, stream: str, status: StreamStatus) -> None:
        told = protocol.Status(StreamDescriptor(stream), status)
        self._output.write(protocol.TraceMessage(trace=protocol.StatusTrace(emitted_at=now(), stream_status=told)))

    def _log(self, text: str) -> None:
        self._output.write(protocol.LogMessage(log=protocol.Log("WARN", text)))
