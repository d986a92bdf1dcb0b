"""Reads Singer messages fast, can be stopped between two of them, and never quotes one in an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecReader, decoder

from annex_d365.errors import ConnectorError


class _Stopped(BaseException):
    """Breaks off the wait for the next line."""


class Reader(MsgSpecReader):
    """The SDK's msgspec reader. Its errors and its log quote the whole line, which is member data; these do not."""

    def __init__(self) -> None:
        super().__init__()
        self.line_number = 0
        self._stopped = self._waiting = False

    def stop(self) -> None:
        """Read no further message; for signal handlers. A message that is being worked on is finished first."""
        self._stopped = True
        if self._waiting:
            raise _Stopped

    def process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """As in the SDK, until stopped."""
        lines: Any = self._lines(file_input or self.default_input)
        return super().process_lines(lines, callbacks)

    def _lines(self, source: IO[str]) -> Iterator[str]:
        iterator = iter(source)
        try:
            while True:
                # In this order, so that a signal is seen wherever it arrives.
                self._waiting = True
                if self._stopped:
                    return
                line = next(iterator, None)
                self._waiting = False
                if line is None:
                    return
                self.line_number += 1
                if line.strip():
                    yield line
        except _Stopped:
            return
        finally:
            self._waiting = False

    def deserialize_json(self, line: str) -> dict[str, Any]:
        """As in the SDK; numbers with a fraction are exact.

        Raises:
            ConnectorError: the line is no JSON object. It is named by its number.
        """
        try:
            message = decoder.decode(line)
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            raise ConnectorError(f"Input line {self.line_number} is no Singer message: it is not a JSON object.")
        return message

    def assert_line_requires(self, line_dict: dict[str, Any], requires: set[str]) -> None:  # type: ignore[override]
        """As in the SDK, where it is static.

        Raises:
            ConnectorError: a key is missing.
        """
        if missing := sorted(requires - set(line_dict)):
            raise ConnectorError(f"Input line {self.line_number} is no Singer message: it has no {', '.join(missing)}.")

    def _process_unknown_message(self, message_dict: dict[str, Any]) -> None:  # noqa: ARG002 - its type may be data, too
        raise ConnectorError(f"Input line {self.line_number} is no Singer message of a known type.")
