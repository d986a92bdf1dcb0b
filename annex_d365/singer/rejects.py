"""The file of rejected rows: Singer messages, which can be piped in again once their cause is mended."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from annex_d365.errors import ConnectorError, SettingError
from annex_d365.private_file import open_private

SETTING = "rejects_path"
#: The key that says why, in a RECORD message beside `record`.
KEY = "reject"

#: The code of rows that were rejected because another row has their member.
LINKED = "LINKED"

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Reject:
    """Why a row was not written.

    Attributes:
        reason: a sentence without member data.
        code: the service's code, :data:`LINKED`, or empty.
        status: its HTTP status, or 0 if the row was not sent.
    """

    reason: str
    code: str = ""
    status: int = 0


class RejectsFile:
    """Appends to one file, for its owner's eyes only; the file appears with the first reject.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = _now()
        self._descriptor: int | None = None
        self._schemas: dict[str, bytes] = {}
        self._unsynced = False

    def check(self) -> None:
        """See whether the file can be written, without writing it.

        Raises:
            SettingError: it cannot.
        """
        directory = self.path.parent
        if "\0" in str(self.path):
            raise SettingError(SETTING, "is not the path of a file.")
        try:
            if self.path.is_dir():
                raise SettingError(SETTING, f"{self.path} is a directory; name a file.")
            if not directory.is_dir():
                raise SettingError(SETTING, f"there is no directory {directory}.")
            writable = os.access(self.path if self.path.exists() else directory, os.W_OK)
        except OSError:  # too long
            raise SettingError(SETTING, "is not the path of a file.") from None
        if not writable:
            raise SettingError(SETTING, f"{self.path} cannot be written.")

    def add(
        self,
        message: Mapping[str, Any],
        reject: Reject,
        *,
        schema: Mapping[str, Any],
        key_properties: Sequence[str] | None,
        bookmark: str | None = None,
    ) -> None:
        """Append a row.

        Args:
            message: the RECORD message as it came, before stream maps, which will be applied when it comes again.
            reject: why.
            schema: of its stream; written before the first row, and again when it changes.
            key_properties: of its stream.
            bookmark: column that tells its versions apart.

        Raises:
            SettingError: the file cannot be written.
        """
        lines = []
        stream = message["stream"]
        head = _line(
            {
                "type": "SCHEMA",
                "stream": stream,
                "schema": schema,
                "key_properties": list(key_properties or []),
                **({"bookmark_properties": [bookmark]} if bookmark else {}),
            }
        )
        if self._schemas.get(stream) != head:
            lines.append(head)
        why = {"reason": reject.reason, "code": reject.code, "status": reject.status, "at": _now()}
        lines.append(_line({**message, KEY: why}))
        try:
            if self._descriptor is None:
                self._descriptor = _open(self.path)
            # One call, so that a line is there as a whole or, after a crash, as the end that the next run cuts off.
            data = b"".join(lines)
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise SettingError(SETTING, f"{self.path} cannot be written ({error.strerror}).") from None
        self._schemas[stream] = head
        self._unsynced = True

    def sync(self) -> None:
        """Wait until all rows are on the disk. To be called before a STATE that covers them is emitted."""
        if self._unsynced and self._descriptor is not None:
            os.fsync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        """Let go of the file."""
        self.sync()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def refuse_own_output(self, message: Mapping[str, Any]) -> None:
        """Stop a run that reads the file that it writes: it would never end.

        Raises:
            ConnectorError: ``message`` was rejected after this run began.
        """
        why = message.get(KEY)
        if why and isinstance(why, Mapping) and str(why.get("at", "")) >= self._started:
            raise ConnectorError(
                f"The input is this run's own file of rejects. Move {self.path} elsewhere, and pipe it in from there."
            )


def rejected_at(message: Mapping[str, Any]) -> dt.datetime | None:
    """When a RECORD message that is piped in again was rejected; None for any other message."""
    why = message.get(KEY)
    if why is None:
        return None
    try:
        return dt.datetime.strptime(why["at"], "%Y-%m-%dT%H:%M:%S.%f%z") if isinstance(why, Mapping) else None
    except (KeyError, TypeError, ValueError):
        return None


def _open(path: Path) -> int:
    descriptor = open_private(path, os.O_RDWR | os.O_APPEND)
    _cut_off_partial_line(descriptor)
    return descriptor


def _cut_off_partial_line(descriptor: int) -> None:
    """A run that was killed while it wrote leaves half a line. No STATE covers it: its row comes again."""
    end = size = os.lseek(descriptor, 0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)


def _line(message: Mapping[str, Any]) -> bytes:
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError:
        # Half of a surrogate pair stays what it is only as an escape, which msgspec does not write.
        return json.dumps(message, default=float).encode() + b"\n"


def _now() -> str:
    return dt.datetime.now(dt.timezone.utc).strftime(_TIME)
