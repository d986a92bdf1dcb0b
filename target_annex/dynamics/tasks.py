"""A row on its way into a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from annex_d365.dataverse.writes import AlternateKey, Guid, Key
from annex_d365.dataverse.writes.addresses import identity
from annex_d365.errors import RowError
from annex_d365.ledger import Entry, State, changed, digest, merged
from annex_d365.singer.rejects import LINKED
from annex_d365.singer.rows import Row, shown
from target_annex.dynamics.mapping import GUID, Members
from target_annex.report import Outcome, Result

_encoder = msgspec.json.Encoder(decimal_format="number")

#: A row that was linked once goes on to be, also after it was deleted and restored.
_LINKS = frozenset({State.SETTLED, State.DELETED, State.ERASED})


@dataclass
class Task:
    """One row, what is known of it, and what became of it.

    Attributes:
        row: as it came.
        key: of the row at its source.
        values: what it says, by column of the table.
        filled: columns of which a row that is there already gets no value.
        both: texts of the columns that both sides may change, which can be compared.
        target: the row of the table; None while it is looked for, or if there is none yet.
        entry: what the ledger knows.
        current: what the row of the table holds, where it was read.
        read: whether it was: `current` is None then if there is no such row.
        by_id: the target was found by an id, which outranks a match by other means.
        new: the target is to be created.
        there: creating it has shown that it is there.
        turns: how often it was tried.
        perhaps: what an earlier request of this run may have made of it, whose reply got lost.
        conflicts: columns that both sides have changed.
        result: once it is done.
        remember: what the ledger shall know of it from now on, or None to leave that as it is.
    """

    row: Row
    key: str
    values: Mapping[str, Members] = field(repr=False)
    target: Key | None = None
    entry: Entry | None = None
    current: Mapping[str, Any] | None = field(default=None, repr=False)
    read: bool = False
    by_id: bool = True
    new: bool = False
    there: bool = False
    turns: int = 0
    perhaps: Outcome | None = None
    filled: Collection[str] = ()
    both: Mapping[str, str] = field(default_factory=dict, repr=False)
    conflicts: Collection[str] = ()
    result: Result | None = None
    remember: Entry | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The target as a text."""
        return identity(self.target) if self.target else ""

    @property
    def linked(self) -> bool:
        """Whether the ledger has this target for the row. One that was erased stays so, however it is addressed now."""
        entry = self.entry
        if entry is None or entry.state not in _LINKS:
            return False
        return self.target is None or entry.state is State.ERASED or entry.target == self.address

    @property
    def settled(self) -> bool:
        """Whether what the ledger has was written, and nothing has happened to it since."""
        return self.linked and self.entry is not None and self.entry.state is State.SETTLED

    @property
    def erased(self) -> bool:
        """Whether the ledger knows that the target was removed."""
        return self.linked and self.entry is not None and self.entry.state is State.ERASED

    @property
    def known(self) -> bytes:
        """Digests of what was last written, as far as nothing has happened to it since."""
        return self.entry.digests if self.entry and self.settled else b""

    @property
    def own(self) -> Mapping[str, Members]:
        """What it says of a row that is there already."""
        if not self.filled:
            return self.values
        return {name: members for name, members in self.values.items() if name not in self.filled}

    @property
    def texts(self) -> dict[str, str | bytes]:
        """The same as texts, for digests."""
        own = self.own
        # JSON has no line breaks but those between its lines.
        lines = _encoder.encode_lines(own.values()).split(b"\n")
        return {**dict(zip(own, lines, strict=False)), **self.both}

    def keep_guid(self) -> None:
        """A row that was written by its GUID goes on to be, though its table has got an alternate key meanwhile."""
        entry = self.entry
        by_key = isinstance(self.target, AlternateKey)
        if by_key and entry and entry.state in {State.SETTLED, State.DELETED} and GUID.fullmatch(entry.target):
            self.target = Guid(entry.target)

    def unwritten(self) -> dict[str, Members]:
        """The values that are not the ones last written."""
        return {name: self.values[name] for name in changed(self.texts, self.known)}

    def done(self, outcome: Outcome, *, written: bool = True, target_id: str = "") -> None:
        """The target is as the row says; ``written`` says whether that is known of its values."""
        if target_id and self.target is None:
            self.target = Guid(target_id)
        outcome = self.perhaps or outcome
        self.result = Result(outcome, conflicts=len(self.conflicts))
        if (
            outcome is Outcome.UNCHANGED
            and self.settled
            and self.row.version == (self.entry and self.entry.version) != ""
        ):
            return
        old = self.entry.digests if self.entry and self.linked else b""
        self.remember = self._entry(State.SETTLED, merged(old, digest(self.texts)) if written else old)

    def end(self, outcome: Outcome, state: State | None = None) -> None:
        """Nothing more is to be done; ``state`` is for the ledger."""
        self.result = Result(outcome)
        if state:
            self.remember = self._entry(state, self.entry.digests if self.entry else b"")

    def reject(self, error: RowError) -> None:
        """The row cannot be written."""
        self.result = Result(Outcome.REJECTED, error)

    def lose(self, holder: str) -> None:
        """Another row has the target."""
        self.reject(
            RowError(
                f"rows {shown(holder)} and {shown(self.key)} are the same contact; only the former is written",
                code=LINKED,
            )
        )
        self.remember = self._entry(State.RIVAL, b"")

    def _entry(self, state: State, digests: bytes) -> Entry:
        target = self.address or (self.entry.target if self.entry else "")
        return Entry(self.key, target, state, digests, version=self.row.version)
