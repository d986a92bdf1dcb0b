"""STATE for what is written, when it is written; and an end on request that loses nothing (Singer pages 5.1, 5.2).

The SDK (0.54.9) emits STATE only every five minutes and at the end of the input, and drains inside its signal handler,
in the middle of whatever was going on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterable
from functools import cached_property, partial
from types import FrameType
from typing import Any

import msgspec
from singer_sdk import Sink, Target

from annex_d365.errors import ConnectorError
from annex_d365.singer.behind import WriteBehind
from annex_d365.singer.reader import Reader

#: A STATE has its rows written as soon as so many wait for it, ...
CHECKPOINT_ROWS = 2000
#: ... or once the last one is this old: a tap that sends one with every row must not make batches of one row.
CHECKPOINT_SECONDS = 10.0

#: What a shell reports for a process that a signal ended; Meltano takes anything but 0 for a failure.
SIGNAL_EXIT_CODE = 128

_encoder = msgspec.json.Encoder(decimal_format="number")


class Checkpoints(Target):
    """Mixin for a target: a STATE leaves as soon as all that came before it is written or rejected, never before."""

    message_reader_class = Reader
    message_reader: Reader
    #: False when what is read is not written.
    emits_state = True
    _signal = 0
    _ending = False
    _emitted: dict[str, Any] | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.message_reader.failed = self.behind.finish

    @cached_property
    def behind(self) -> WriteBehind:
        """Writes a batch while the next one is read."""
        return WriteBehind()

    def secure(self) -> None:
        """Hook: make durable what the next STATE covers."""

    def _drain_all(self, sink_list: Iterable[Sink], parallelism: int) -> None:
        """As in the SDK; what sinks do at the end of the input comes after all their rows are written."""
        super()._drain_all(sink_list, parallelism)
        if self._ending:
            self.behind.settle()

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        """As in the SDK (target_base.py:433), which then waits for the five minutes."""
        super()._process_state_message(message_dict)
        waiting = sum(sink.current_size for sink in [*self._sinks_active.values(), *self._sinks_to_clear])
        old = time.time() - self._last_full_drain_at >= CHECKPOINT_SECONDS
        if waiting == 0 or waiting >= CHECKPOINT_ROWS or old:
            self.drain_all()

    def _write_state_message(self, state: dict[str, Any]) -> None:
        """Emit a STATE once all is written that was drained before it."""
        self.behind.then(partial(self._emit, state))

    def _emit(self, state: dict[str, Any]) -> None:
        """As the SDK does (target_base.py:523), whose json.dumps fails for the exact numbers that msgspec reads.

        A STATE that was the last one to be emitted says nothing new.

        Raises:
            ConnectorError: nobody takes it.
        """
        if state == self._emitted or not self.emits_state:
            return
        self.secure()
        self._emitted = state
        try:
            _print(f"{_encoder.encode(state).decode()}\n")
        except OSError as error:
            raise ConnectorError(
                f"STATE cannot be written to standard output ({error.strerror}); all that it covers is written."
            ) from None

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as in the SDK
        """Stop reading, then end like at the end of the input. The second signal ends at once.

        Unlike the SDK (target_base.py:536) nothing is drained in here, where a drain may be under way already.
        """
        if self._signal or not hasattr(self, "message_reader"):
            os._exit(SIGNAL_EXIT_CODE + signum)
        self._signal = signum
        self.message_reader.stop()

    def process_endofpipe(self) -> None:
        """As in the SDK; the exit code says if the end came by a signal."""
        self._ending = True
        super().process_endofpipe()
        if self._signal:
            self.logger.warning("Ended by signal %d. What was read is written, and its STATE emitted.", self._signal)
            sys.exit(SIGNAL_EXIT_CODE + self._signal)


def _print(line: str) -> None:
    """Write a line to standard output, and see to it that it arrives."""
    if sys.stdout is None:  # closed before Python began
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except OSError:
        # Python tries again at its end, and would complain in its own way, with an exit code of its own.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
