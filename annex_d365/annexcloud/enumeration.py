"""The members of a site, one after another: the API has no list of them (Annex page 5.5).

There are several ways to find them, a module each. All give batches, and after each batch a position from which another
run can go on.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from annex_d365.errors import ServiceError

Position = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """Somebody who may be a member.

    Attributes:
        id: the member id.
        fields: what is known already, by API name.
        proven: whether the service has named this member; else it is asked whether there is one.
        final: whether ``fields`` is all that is wanted, so that the service is not asked at all.
    """

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    proven: bool = False
    final: bool = False


@dataclass(frozen=True)
class Batch:
    """Some candidates.

    Attributes:
        candidates: in the order of the way they were found; one may come more than once in a run.
        position: where to go on when these, and all before, are done; None to go on from the batch before.
        left: descriptions of parts that could not be enumerated; without member data.
        torn: whether somebody may be missing though nothing failed: no one is gone for not having been found.
    """

    candidates: Sequence[Candidate]
    position: Position | None = None
    left: Sequence[str] = ()
    torn: bool = False


class Enumeration(Protocol):
    """A way to find members."""

    @property
    def whole(self) -> bool:
        """Whether it finds all members there are, so that others are none."""

    @property
    def identity(self) -> Sequence[Any]:
        """What a position of it depends on; JSON. With another identity a run begins anew."""

    def batches(self, position: Position | None) -> Iterator[Batch]:
        """The candidates after a position, or all.

        Raises:
            ConnectorError: it cannot go on.
        """


class EnumerationIncompleteError(ServiceError):
    """Some members could not be found; all others were."""

    def __init__(self, left: Sequence[str], shown: int = 5) -> None:
        more = f", and {len(left) - shown} more" if len(left) > shown else ""
        super().__init__(
            f"enumeration incomplete: all that could be found was sent; missing: {'; '.join(left[:shown])}{more}."
        )


def fingerprint(*parts: Any) -> str:
    """A short hash of what a position depends on."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


class Seen:
    """Ids that were seen, on disk when they are many: memory stays flat. For one thread."""

    def __init__(self) -> None:
        # An empty name is SQLite's for a file of its own that is gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def new(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Those that were not seen before, each once."""
        return [each for each in candidates if self._add(each.id)]

    def _add(self, member_id: str) -> bool:
        with closing(self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (member_id,))) as cursor:
            return cursor.rowcount == 1

    def close(self) -> None:
        """Forget them all."""
        self._database.close()


def regrouped(batches: Iterable[Batch], seen: Seen, size: int) -> Iterator[Batch]:
    """The same, in batches of so many candidates, each candidate once.

    A position is given with the candidates that complete it.
    """
    waiting: list[Candidate] = []
    position: Position | None = None
    for batch in batches:
        waiting += seen.new(batch.candidates)
        if batch.left or batch.torn:
            yield Batch((), None, batch.left, batch.torn)
        while len(waiting) >= size:
            # What was left from before is among these, so that all before this batch is done with them.
            some, waiting = waiting[:size], waiting[size:]
            yield Batch(some, position if waiting else batch.position or position)
            position = None if waiting else position
        position = batch.position or position
        if not waiting:
            yield Batch((), position)
    yield Batch(waiting, position)
