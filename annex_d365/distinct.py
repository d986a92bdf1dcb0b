"""Which of many ids have been there before: on disk, because there may be millions."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Collection, Iterator
from hashlib import blake2b

#: Values in one statement: old builds of SQLite take 999.
_CHUNK = 500
#: Of which memory holds so much, in KiB.
_CACHE = 8192


def fingerprint(text: str) -> int:
    """What stands for an id: a number of 64 bits, alike for two of a million ids once in a hundred million times."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big", signed=True)


class Distinct:
    """Sets of fingerprints, in a file that has no name and goes with the object. For one thread."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._database.close)
        for pragma in (f"cache_size = -{_CACHE}", "journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE ids (part, id, PRIMARY KEY (part, id)) WITHOUT ROWID")

    def add(self, part: int, ids: Collection[int]) -> set[int]:
        """Put ids into a set.

        Args:
            part: which set.
            ids: fingerprints.

        Returns:
            Those that were not in it.
        """
        new = {*ids} - self.among(part, ids)
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO ids VALUES (?, ?)", ((part, each) for each in sorted(new)))
        self._database.execute("COMMIT")
        return new

    def among(self, part: int, ids: Collection[int]) -> set[int]:
        """Those of some ids that are in a set."""
        return {each for chunk in _chunks([*ids]) for each in self._found(part, chunk)}

    def _found(self, part: int, ids: list[int]) -> Iterator[int]:
        marks = ",".join("?" * len(ids))
        query = f"SELECT id FROM ids WHERE part = ? AND id IN ({marks})"  # noqa: S608 - nothing but question marks
        return (row[0] for row in self._database.execute(query, (part, *ids)))


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
