"""What the state says of a way through all members that is not at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import msgspec

from annex_d365.annexcloud.enumeration import Batch, Position

_KEY = "enumeration"


class _Kept(msgspec.Struct):
    of: str
    began: str
    at: dict[str, Any] | None = None
    left: list[str] = []
    torn: bool = False


class Passage:
    """One way through all members, which may take several runs.

    In the state while it lasts: ``{"enumeration": {"of": what the position depends on, "began": start of the first
    run, "at": position, "left": what could not be enumerated, "torn": whether somebody may be missing}}``.

    Args:
        state: of the stream.
        of: fingerprint of what a position depends on; after another one, a new way begins.
        now: start of this run, ISO 8601.
    """

    def __init__(self, state: MutableMapping[str, Any], of: str, now: str) -> None:
        self._state = state
        kept = _kept(state.get(_KEY))
        self._kept = kept if kept and kept.of == of else _Kept(of, now)

    @property
    def began(self) -> str:
        """Start of the run in which it began."""
        return self._kept.began

    @property
    def position(self) -> Position | None:
        """Where to go on; None at the beginning."""
        return self._kept.at

    @property
    def left(self) -> list[str]:
        """What could not be enumerated."""
        return self._kept.left

    @property
    def torn(self) -> bool:
        """Whether somebody may be missing for another reason."""
        return self._kept.torn

    def note(self, batch: Batch, refused: Iterable[str] = ()) -> None:
        """All of the batch was sent."""
        kept = self._kept
        kept.left += [each for each in (*batch.left, *refused) if each not in kept.left]
        kept.torn = kept.torn or batch.torn
        if batch.position is not None:
            kept.at = dict(batch.position)
        self._state[_KEY] = msgspec.to_builtins(kept)

    def finish(self) -> None:
        """The end is reached: the next run begins anew."""
        self._state.pop(_KEY, None)


def _kept(state: Any) -> _Kept | None:
    """What the state says; None for what is not readable."""
    if not isinstance(state, Mapping):
        return None
    try:
        return msgspec.convert(state, _Kept)
    except msgspec.ValidationError:
        return None
