"""Messages of the Airbyte protocol, as far as a source has to do with them.

Structs of our own: Airbyte's CDK brings pandas, nltk and others, and pins versions that do not go with the SDK's; its
models alone are pydantic's, and cost more per record than all the rest of the bridge. ``python -m platforms airbyte``
has Airbyte's own models read what is written here. Names and meanings: ``airbyte_protocol.yaml`` (0.18).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

SyncMode: TypeAlias = Literal["full_refresh", "incremental"]
FailureType: TypeAlias = Literal["config_error", "transient_error", "system_error"]
StreamStatus: TypeAlias = Literal["STARTED", "RUNNING", "COMPLETE", "INCOMPLETE"]
Level: TypeAlias = Literal["FATAL", "ERROR", "WARN", "INFO", "DEBUG"]
Key: TypeAlias = list[list[str]]


class Model(msgspec.Struct, omit_defaults=True):
    """What is None is left out; fields that are not known are ignored."""


class Message(Model, tag_field="type", kw_only=True):
    """A line."""


class Specification(Model):
    """How a source is configured; the schema is that of the form people fill in."""

    connectionSpecification: dict[str, Any]  # noqa: N815 - the protocol's name
    supportsIncremental: bool = False  # noqa: N815 - Airbyte's name


class SpecMessage(Message, tag="SPEC"):
    """Answer to ``spec``."""

    spec: Specification


class ConnectionStatus(Model):
    """Whether the settings work."""

    status: Literal["SUCCEEDED", "FAILED"]
    message: str | None = None


class ConnectionStatusMessage(Message, tag="CONNECTION_STATUS"):
    """Answer to ``check``."""

    connectionStatus: ConnectionStatus  # noqa: N815 - Airbyte's name


class Stream(Model):
    """A stream that there is.

    Attributes:
        is_resumable: whether a full refresh that broke off goes on where its last state is.
    """

    name: str
    json_schema: dict[str, Any]
    supported_sync_modes: list[SyncMode]
    source_defined_cursor: bool | None = None
    default_cursor_field: list[str] | None = None
    source_defined_primary_key: Key | None = None
    is_resumable: bool | None = None


class Catalog(Model):
    """All of them."""

    streams: list[Stream]


class CatalogMessage(Message, tag="CATALOG"):
    """Answer to ``discover``."""

    catalog: Catalog


class ConfiguredStream(Model):
    """A stream that is to be read."""

    stream: Stream
    sync_mode: SyncMode


class ConfiguredCatalog(Model):
    """All of them; given to ``read``."""

    streams: list[ConfiguredStream]


class Record(Model):
    """``data`` is anything that JSON makes an object of; ``emitted_at`` is in milliseconds since 1970."""

    stream: str
    data: Any
    emitted_at: int


class RecordMessage(Message, tag="RECORD"):
    """A row."""

    record: Record


class StreamDescriptor(Model):
    """A stream by name; ours have no namespaces."""

    name: str


class StreamState(Model):
    """``stream_state`` is ours alone: the platform keeps it and hands it back."""

    stream_descriptor: StreamDescriptor
    stream_state: msgspec.Raw = msgspec.Raw(b"null")


class Count(Model):
    """Records since the last state of the stream."""

    recordCount: float  # noqa: N815 - Airbyte's name


class GlobalState(Model):
    """States of several streams in one; we write none."""

    stream_states: list[StreamState]


class State(Model):
    """How far a stream has been read."""

    type: Literal["STREAM", "GLOBAL", "LEGACY"] = msgspec.field(default="LEGACY")
    stream: StreamState | None = None
    sourceStats: Count | None = None  # noqa: N815 - Airbyte's name
    all: GlobalState | None = msgspec.field(default=None, name="global")


class StateMessage(Message, tag="STATE"):
    """What was read up to here need not be read again."""

    state: State


class Log(Model):
    """A line for people."""

    level: Level
    message: str


class LogMessage(Message, tag="LOG"):
    """A line for people."""

    log: Log


class Error(Model):
    """What went wrong; ``message`` is shown to the user."""

    message: str
    failure_type: FailureType
    internal_message: str | None = None
    stack_trace: str | None = None


class Status(Model):
    """How a stream is doing."""

    stream_descriptor: StreamDescriptor
    status: StreamStatus


class Trace(Model, tag_field="type", kw_only=True):
    """``emitted_at`` is in milliseconds since 1970."""

    emitted_at: float


class ErrorTrace(Trace, tag="ERROR"):
    """Something is wrong."""

    error: Error


class StatusTrace(Trace, tag="STREAM_STATUS"):
    """A stream began or ended."""

    stream_status: Status


class TraceMessage(Message, tag="TRACE"):
    """About the run."""

    trace: ErrorTrace | StatusTrace


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """As JSON; decimals are numbers with all their digits."""
    return _encoder.encode(value)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def read_states(text: bytes) -> Mapping[str, Any]:
    """Stream -> its state, of a file that the platform made: a list of states, or an empty object for none.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    content = msgspec.json.decode(text)
    if not content:
        return {}
    streams: list[StreamState] = []
    for state in msgspec.json.decode(text, type=list[State]):
        streams += [state.stream] if state.stream else []
        streams += state.all.stream_states if state.all else []
    found = {each.stream_descriptor.name: msgspec.json.decode(each.stream_state) for each in streams}
    return {name: state for name, state in found.items() if state}
