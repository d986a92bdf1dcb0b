"""Reads Singer messages fast, can be stopped between two of them, and never quotes one in an error."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import IO, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecReader, decoder

from annex_d365.errors import ConnectorError


class Unencodable(dict[str, Any]):
    """A message with half of a surrogate pair in a text: JSON can escape it, but no UTF-8 can hold it."""


class _Stopped(BaseException):
    """Breaks off the wait for the next line."""


class Reader(MsgSpecReader):
    """The SDK's msgspec reader. Its errors and its log quote the whole line, which is member data; these do not."""

    def __init__(self) -> None:
        super().__init__()
        self.line_number = 0
        self._stopped = self._waiting = False
        #: Called if the input, or a message of it, ends the run.
        self.failed: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Read no further message; for signal handlers. A message that is being worked on is finished first."""
        self._stopped = True
        if self._waiting:
            raise _Stopped

    def process_lines(
        self, file_input: IO[str] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """As in the SDK, until stopped.

        Raises:
            ConnectorError: the input is no Singer message; its line is named.
        """
        source = file_input or self.default_input
        # Bytes, where there are any: Singer is UTF-8 in every locale.
        lines: Any = self._lines(getattr(source, "buffer", source))
        try:
            return super().process_lines(lines, callbacks)
        except RecursionError:
            self.failed()
            raise ConnectorError(f"Input line {self.line_number} is nested too deeply.") from None
        except BaseException:
            self.failed()
            raise

    def _lines(self, source: IO[Any]) -> Iterator[Any]:
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
        except (msgspec.DecodeError, UnicodeError):
            message = _unencodable(line)
        if not isinstance(message, dict):
            raise ConnectorError(f"Input line {self.line_number} is no Singer message: it is not a JSON object.")
        return message

    def assert_line_requires(self, line_dict: dict[str, Any], requires: set[str]) -> None:  # type: ignore[override]
        """As in the SDK, where it is static.

        Raises:
            ConnectorError: a key is missing, or what names things is no text.
        """
        if not requires.issubset(line_dict):
            missing = ", ".join(sorted(requires - set(line_dict)))
            raise ConnectorError(f"Input line {self.line_number} is no Singer message: it has no {missing}.")
        for name in ("stream", "type"):
            if name in requires and not isinstance(line_dict[name], str):
                raise ConnectorError(f"Input line {self.line_number} is no Singer message: its {name} is not a text.")

    def _process_unknown_message(self, message_dict: dict[str, Any]) -> None:  # noqa: ARG002 - its type may be data, too
        raise ConnectorError(f"Input line {self.line_number} is no Singer message of a known type.")


def _unencodable(line: str | bytes) -> Unencodable | None:
    """The message in a line that msgspec refuses, if that is for nothing but half of a surrogate pair in a record."""
    try:
        # Python would let half of a pair pass that is no escape.
        text = line.decode() if isinstance(line, bytes) else line
        message = json.loads(text, parse_float=Decimal, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    return Unencodable(message) if isinstance(message, dict) and message.get("type") == "RECORD" else None


def _no_json(constant: str) -> None:
    """What Python would read although it is no JSON: NaN and infinities."""
    raise ValueError(constant)
