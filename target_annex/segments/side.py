"""What the engine wants of a service that segments are copied to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from annex_d365.errors import ConnectorError, RowError

Status = Literal["active", "inactive"]


@dataclass(frozen=True)
class SegmentSpec:
    """A segment, as its owner has it.

    Attributes:
        key: its id at its owner.
        origin: the text that its copy carries, such as ``dynamics:<id>`` or ``annexcloud:<site>/<id>``.
        name: as people see it.
        description: empty if there is none.
        kind: static, dynamic …, as its owner calls it; empty if it is not told.
        query: what makes a dynamic segment, in its owner's language; empty if there is none.
        status: whether it is in use.
        valid_from: first day; None if its owner knows none.
        valid_to: last day; None if its owner knows none.
    """

    key: str
    origin: str
    name: str
    description: str = ""
    kind: str = ""
    query: str = ""
    status: Status = "active"
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None


class CopyGoneError(RowError):
    """There is no such copy any more: nothing can be done with its members."""


class UnknownMembersError(RowError):
    """The service says that it does not know some of the members of a call; the others were added."""

    def __init__(self, members: Collection[str]) -> None:
        self.members = frozenset(members)
        super().__init__("some of the members are not known")


class MembersLostError(ConnectorError):
    """A copy does not have the members that were added, or still has those that were removed: the run has to end."""


class SegmentSide(Protocol):
    """A service that has copies of segments.

    Copies are named by their id in the service (``target``), members of them by their key there.
    A :class:`~annex_d365.errors.RowError` of any method concerns its row, or its call, alone; any other
    :class:`~annex_d365.errors.ConnectorError` ends the run.

    Attributes:
        chunk: most members per call of :meth:`add` and :meth:`remove`.
        lookups: most members that a run asks :meth:`appeared` for.
    """

    chunk: int
    lookups: int

    def find(self, spec: SegmentSpec) -> str | None:
        """The id of a segment's copy, by its origin; None if there is none. Lists the copies once per run."""

    def create(self, spec: SegmentSpec) -> str:
        """Create a copy without members, and give its id. May be repeated: a second time finds the first one's."""

    def intact(self, target: str, spec: SegmentSpec) -> bool:
        """Whether a copy, whose segment has not changed, needs no update, as the list of copies says.

        It is there, says whose copy it is, is valid for a while, and has no status that only errors lead to. The list
        is read once per run.
        """

    def update(self, target: str, spec: SegmentSpec) -> bool:
        """Let a copy be what its segment is; False if nothing differed.

        Raises:
            CopyGoneError: there is no such copy.
        """

    def retire(self, target: str, spec: SegmentSpec) -> None:
        """The segment is gone at its owner. Of ``spec`` only key and origin are known. May be repeated."""

    def members(self, target: str) -> Iterator[str]:
        """The keys of the members that a copy has now one by one, not by a rule."""

    def known(self, members: Sequence[str]) -> dict[str, str]:
        """The keys of members here, by their ids at the owner; who is not in it is unknown here."""

    def appeared(self, members: Sequence[str]) -> dict[str, str]:
        """As :meth:`known`, of members who were unknown before: the service is asked for them."""

    def add(self, target: str, keys: Sequence[str], present: Collection[str] = ()) -> None:
        """Add at most :attr:`chunk` members. May be repeated; called for several copies at a time.

        Args:
            target: the copy.
            keys: of the members.
            present: some members that it has as far as is known: they have to stay.

        Raises:
            CopyGoneError: there is no such copy.
            UnknownMembersError: some of them are not known, the others are added.
            MembersLostError: members that were added before are lost.
            RowError: all of them are refused.
        """

    def remove(self, target: str, keys: Sequence[str]) -> None:
        """Remove at most :attr:`chunk` members. May be repeated.

        Raises:
            CopyGoneError: there is no such copy.
            MembersLostError: they are members still.
            RowError: all of them are refused.
        """

    def finish(self, target: str) -> None:
        """Let a copy go live that shall be, once per run, when all that is known of it is written.

        Raises:
            CopyGoneError: there is no such copy.
            RowError: it is refused.
        """

    def ending(self) -> list[str]:
        """The copies that will not be valid much longer, if :meth:`prolong` is not called for them."""

    def prolong(self, target: str) -> None:
        """Let a copy be valid for longer.

        Raises:
            RowError: it is refused.
        """
