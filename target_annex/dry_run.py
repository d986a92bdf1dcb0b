"""What a dry run would have written: told in the log without values, and in a file with them when asked."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from annex_d365.errors import SettingError
from annex_d365.private_file import open_private
from annex_d365.singer.rows import shown

logger = logging.getLogger(__name__)

#: Of a stream, so many rows are told one by one; the file tells all.
TOLD_ROWS = 10


class DryRun:
    """Takes the place of writing. Safe for threads.

    Args:
        path: of the file, or None. It is begun anew.

    Raises:
        SettingError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._fields: dict[str, Counter[str]] = defaultdict(Counter)
        self._told: Counter[str] = Counter()
        if path:
            try:
                descriptor = open_private(path, os.O_WRONLY | os.O_TRUNC)
            except OSError as error:
                raise SettingError("dry_run_path", f"{path} cannot be written ({error.strerror}).") from None
            self._file = os.fdopen(descriptor, "wb")

    def add(
        self,
        stream: str,
        key: str,
        *,
        action: str,
        target: str,
        new: Mapping[str, Any] | None = None,
        old: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell of one row.

        Args:
            stream: that it came by.
            key: of the row at its source.
            action: ``create``, ``update``, ``delete`` …
            target: key in the destination.
            new: field -> value that would be written.
            old: field -> value that is there, as far as it is known.

        Raises:
            SettingError: the file cannot be written.
        """
        names = sorted(new or {})
        fields = {name: {"old": (old or {}).get(name), "new": (new or {})[name]} for name in names}
        line = {"stream": stream, "key": key, "action": action, "target": target, "fields": fields}
        with self._lock:
            self._fields[stream].update(f"{action} {name}" for name in names)
            self._told[stream] += 1
            if self._told[stream] <= TOLD_ROWS:
                logger.info("%s: would %s the target of row %s%s", stream, action, shown(key), _listed(names))
            if self._file:
                self._write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Tell the sums, and finish the file."""
        for stream, fields in self._fields.items():
            if fields:
                sums = ", ".join(f"{name} {count}" for name, count in sorted(fields.items()))
                logger.info("%s: fields that would be written: %s", stream, sums)
        self._fields.clear()
        if self._file:
            try:
                self._file.close()
            except OSError as error:
                raise self._failed(error) from None
            self._file = None

    def _write(self, line: bytes) -> None:
        assert self._file
        try:
            self._file.write(line)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> SettingError:
        return SettingError("dry_run_path", f"{self._path} cannot be written ({error.strerror}).")


def _listed(names: list[str]) -> str:
    return f": {', '.join(names)}" if names else ""
