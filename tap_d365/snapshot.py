"""The keys of a table that the target may have: what makes deletions exact when the service has forgotten the last run.

They are kept beside the state, not in it (there may be millions), so the two can part: a state may be older than the
file, lost, or from another machine. Therefore keys are added before their rows are sent, are dropped only when a state
comes back that could not be there without the target having their deletion, and the file knows the delta tokens of the
states that it is good for.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from annex_d365.errors import SettingError
from annex_d365.private_file import open_private

if TYPE_CHECKING:
    from typing_extensions import Self

#: Keys per statement, when they are read.
CHUNK = 1000

# known    keys that the target may have
# present  keys that the service had at some time since the sweep of a full load began
# gone     deletions that were sent, and the token of the state that proves it; null while the run lasts
# tokens   tokens of the states whose rows are all among the known ones
# sweep    token of the sweep that `present` is about
_SCHEMA = """
CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS present (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gone (key TEXT PRIMARY KEY, token TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sweep (token TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_IS_PRESENT = "SELECT 1 FROM present WHERE key = ? AND key NOT IN (SELECT key FROM gone)"
_NO_FILE_NAME = re.compile(r"[^\w.-]")


class NoSnapshot:
    """Stands in where none is kept: knows nothing."""

    kept = False

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""

    def begin(self, token: str | None, *, completed: bool) -> bool:  # noqa: ARG002 - as in Snapshot
        """A run begins; whether all rows that the target has by the state with this token are known."""
        return False

    def sweeps(self, token: str) -> bool:  # noqa: ARG002 - as in Snapshot
        """Whether :meth:`missing` is about the full load that began with this token."""
        return False

    def begin_sweep(self) -> None:
        """A full load begins: the keys that the service has are to come."""

    def add(self, keys: Iterable[str]) -> None:
        """These rows are there, and will be sent."""

    def end_sweep(self, token: str) -> None:
        """All keys were added; changes since then come with ``token``."""

    def missing(self) -> Iterator[list[str]]:
        """Known keys that the service did not have since the sweep began, some at a time, in their order."""
        return iter(())

    def remove(self, keys: Iterable[str]) -> None:
        """The deletion of these rows will be sent."""

    def end_run(self, token: str) -> None:
        """All was sent; ``token`` will be in the state."""


class Snapshot(NoSnapshot):
    """The known keys of one table, in a file of their own that only its owner can read.

    Args:
        directory: the setting ``snapshot_path``; is made if it is not there.
        host: of the organisation.
        stream: name of the stream.

    Raises:
        SettingError: on entry, when the file cannot be used, or another run uses it; on exit, when using it failed.
    """

    kept = True

    def __init__(self, directory: str, host: str, stream: str) -> None:
        self.path = Path(directory) / f"{_NO_FILE_NAME.sub('_', host)}.{stream}.sqlite"

    def __enter__(self) -> Self:
        """Open it."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(open_private(self.path, os.O_RDWR))
            self._db = sqlite3.connect(self.path, timeout=1)
            try:
                # Nobody else may write until it is closed.
                self._db.executescript(f"PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
            except sqlite3.Error:
                self._db.close()
                raise
        except sqlite3.OperationalError:
            raise SettingError("snapshot_path", f"{self.path} is in use by another run, or not writable.") from None
        except (OSError, sqlite3.Error):
            raise SettingError("snapshot_path", f"{self.path} cannot be used; see what it is.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; what was added or removed is kept.

        Raises:
            SettingError: it could not be read or written: a full disk, say.
        """
        self._db.close()
        if isinstance(error, sqlite3.Error):
            raise SettingError("snapshot_path", f"{self.path} cannot be read or written: {error}.") from None

    def begin(self, token: str | None, *, completed: bool) -> bool:
        """A run begins; whether all rows that the target has by the state with this token are known.

        Args:
            token: in the state. Without one the target has nothing.
            completed: whether the state is that of a completed run; the deletions of that run have then arrived.
        """
        known = token is None or self._has("SELECT 1 FROM tokens WHERE token = ?", token)
        with self._db:
            if known and completed:
                self._db.execute("DELETE FROM known WHERE key IN (SELECT key FROM gone WHERE token = ?)", (token,))
                self._db.execute("DELETE FROM tokens WHERE token != ?", (token,))
            # Others will be sent again, or have to be.
            self._db.execute("DELETE FROM gone")
        return known

    def sweeps(self, token: str) -> bool:
        """Whether :meth:`missing` is about the full load that began with this token."""
        return self._has("SELECT 1 FROM sweep WHERE token = ?", token)

    def begin_sweep(self) -> None:
        """A full load begins: the keys that the service has are to come."""
        with self._db:
            self._db.execute("DELETE FROM present")
            self._db.execute("DELETE FROM sweep")

    def add(self, keys: Iterable[str]) -> None:
        """These rows are there, and will be sent."""
        new = [(key,) for key in keys if not self._has(_IS_PRESENT, key)]
        if not new:
            return
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO known VALUES (?)", new)
            self._db.executemany("INSERT OR IGNORE INTO present VALUES (?)", new)
            self._db.executemany("DELETE FROM gone WHERE key = ?", new)

    def end_sweep(self, token: str) -> None:
        """All keys were added; changes since then come with ``token``."""
        with self._db:
            self._db.execute("INSERT INTO sweep VALUES (?)", (token,))
            self._db.execute("INSERT OR IGNORE INTO tokens VALUES (?)", (token,))

    def missing(self) -> Iterator[list[str]]:
        """Known keys that the service did not have since the sweep began, some at a time, in their order."""
        last = ""
        while True:
            found = self._db.execute(
                "SELECT key FROM known WHERE key > ? AND key NOT IN present ORDER BY key LIMIT ?", (last, CHUNK)
            ).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield [key for (key,) in found]

    def remove(self, keys: Iterable[str]) -> None:
        """The deletion of these rows will be sent."""
        removed = [(key,) for key in keys]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO gone VALUES (?, NULL)", removed)

    def end_run(self, token: str) -> None:
        """All was sent; ``token`` will be in the state."""
        with self._db:
            self._db.execute("UPDATE gone SET token = ?", (token,))
            self._db.execute("INSERT OR IGNORE INTO tokens VALUES (?)", (token,))
            self._db.execute("DELETE FROM present")
            self._db.execute("DELETE FROM sweep")

    def _has(self, statement: str, value: str) -> bool:
        return self._db.execute(statement, (value,)).fetchone() is not None
