"""Writes Singer messages, many records at a time."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, ClassVar

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder
from singer_sdk.singerlib.encoding.simple import Message

#: As much as a pipe holds.
BUFFER_BYTES = 64 * 1024
#: Records of a slow stream wait no longer.
PATIENCE_SECONDS = 1.0


class Record(msgspec.Struct, tag_field="type", tag="RECORD"):
    """A RECORD message, as the SDK's :class:`~singer_sdk.singerlib.RecordMessage` appears in JSON.

    Attributes:
        stream: its name.
        record: anything that msgspec makes an object of.
        version: of the full load, if there is one.
        time_extracted: with a time zone.
    """

    stream: str
    record: Any
    version: int | msgspec.UnsetType = msgspec.UNSET
    time_extracted: datetime | msgspec.UnsetType = msgspec.UNSET
    type: ClassVar[str] = "RECORD"


class Writer(MsgSpecWriter):
    """The SDK's msgspec writer, which makes a system call for each message; this one gathers records.

    Other messages are written at once, after the records before them: a STATE never waits, nor comes too early. Safe
    for threads, and for signal handlers, see :meth:`after_message`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._lock = threading.RLock()
        self._is_writing = False
        self._afterwards: Callable[[], object] | None = None
        self._clock: threading.Thread | None = None
        self._over = threading.Event()

    def write_message(self, message: Message) -> None:
        """Write a message; a record soon."""
        with self._whole():
            self._append([message.to_dict()], flush=message.type != "RECORD")

    def write_records(self, records: Sequence[Record]) -> None:
        """Write records soon, none of them without those before it."""
        with self._whole():
            self._append(records)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A block that a signal does not interrupt."""
        self._is_writing = True
        try:
            with self._lock:
                yield
        finally:
            self._is_writing = False
        if self._afterwards:
            action, self._afterwards = self._afterwards, None
            action()

    def flush(self) -> None:
        """Write what was gathered."""
        with self._lock:
            if self._buffer:
                gathered, self._buffer = self._buffer, bytearray()
                sys.stdout.flush()
                _write(sys.stdout.buffer, gathered)

    def after_message(self, action: Callable[[], object]) -> bool:
        """For signal handlers: whether a message is being written now; ``action`` then follows as soon as it is whole.

        A handler runs in between, wherever the main thread is: what it wrote would end up inside the other message.
        """
        if self._is_writing:
            self._afterwards = action
        return self._is_writing

    def _append(self, messages: Sequence[object], *, flush: bool = False) -> None:
        self._buffer += encoder.encode_lines(messages)
        if flush or len(self._buffer) >= BUFFER_BYTES:
            self.flush()
        elif not self._clock:
            self._start_clock()

    def _start_clock(self) -> None:
        """It ends when no records come any more."""
        self._clock = threading.Thread(target=self._tick, name="singer-writer", daemon=True)
        self._clock.start()

    def _tick(self) -> None:
        while not self._over.wait(PATIENCE_SECONDS):
            with self._lock:
                if not self._buffer:
                    self._clock = None
                    return
                try:
                    self.flush()
                except (OSError, ValueError):  # nobody reads: the next message of the main thread meets it, too
                    return


def _write(output: BinaryIO, content: bytearray) -> None:
    """Write all of it. Python's own buffer (3.11.7) loses the end when a signal comes while a pipe is full."""
    raw = getattr(output, "raw", output)
    rest = memoryview(content)
    while rest:
        written = raw.write(rest)
        if written is None:  # the output does not block, and is full
            select.select([], [raw], [])
        else:
            rest = rest[written:]
