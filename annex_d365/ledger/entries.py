"""What the ledger remembers of a row."""

from __future__ import annotations

from enum import Enum

from annex_d365.frozen import frozen


class State(str, Enum):
    """How far a row has come."""

    #: Linked to its target, and written.
    SETTLED = "settled"
    #: Its target belongs to another row.
    RIVAL = "rival"
    #: An intent: may or may not have been carried out.
    PENDING = "pending"
    #: Tombstone: the row was deleted at its source.
    DELETED = "deleted"
    #: Tombstone: the row was merged into another one at its source.
    MERGED = "merged"
    #: The target was removed, and must not come back.
    ERASED = "erased"
    #: The row is itself the copy of its target, which belongs to the destination: it is never written back.
    COPY = "copy"


@frozen
class Entry:
    """A row.

    Attributes:
        key: of the row at its source.
        target: its key in the destination; empty if it has none.
        state: how far it has come.
        digests: of the fields last written, as :func:`annex_d365.ledger.digest` makes them.
        version: of the row at its source; empty if unknown.
        at: Unix time of the last settling; 0.0 means: when it is saved.
        run: that saved it; set by ``save``.
        stream: that the row came by; set on reading.
    """

    key: str
    target: str
    state: State = State.SETTLED
    digests: bytes = b""
    version: str = ""
    at: float = 0.0
    run: str = ""
    stream: str = ""


@frozen
class Claim:
    """A row wants to be the only one of its stream that writes to a target.

    Attributes:
        key: of the row at its source.
        target: key in the destination.
        by_id: the row names its target by an id; this outranks a match by other means, by e-mail address say.
    """

    key: str
    target: str
    by_id: bool


def fold(target: str) -> str:
    """The form in which targets are compared: e-mail addresses without case, other keys as they are."""
    return target.casefold() if "@" in target else target
