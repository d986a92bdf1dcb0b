"""What ``--canary`` makes, and how it is taken away again, whatever happens."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

#: In the name of everything that is made.
NAME = "annex-d365-canary"


class Canary:
    """Test rows of one service; the last one made is the first to be taken away.

    Attributes:
        name: of all of them, ``annex-d365-canary-1f2e3d4c``.
        left: sentences about what could not be taken away.
    """

    def __init__(self) -> None:
        self.name = f"{NAME}-{secrets.token_hex(4)}"
        self.left: list[str] = []
        self._undo: list[tuple[str, Callable[[], str | None]]] = []

    @property
    def email(self) -> str:
        """An address that nobody can have."""
        return f"{self.name}@example.com"

    def making(self, what: str, undo: Callable[[], str | None]) -> None:
        """Something is about to be made: called before the request, whose reply may get lost.

        Args:
            what: for people.
            undo: takes it away, if it is there; what is left of it, if something is.
        """
        self._undo.append((what, undo))

    def not_made(self) -> None:
        """What was announced last was clearly refused, so that there is nothing to take away."""
        self._undo.pop()

    def clear(self) -> None:
        """Take everything away. An interruption skips what is being taken away, not the rest."""
        while self._undo:
            what, undo = self._undo.pop()
            try:
                left = undo()
            except KeyboardInterrupt:
                left = f"{what} may still be there: it was interrupted."
            except Exception as error:
                logger.debug("Taking away %s failed.", what, exc_info=True)
                left = f"{what} could not be removed ({type(error).__name__})."
            if left:
                self.left.append(left)


@contextmanager
def canary() -> Iterator[Canary]:
    """A canary that is cleared at the end of the block, however it ends."""
    made = Canary()
    try:
        yield made
    finally:
        made.clear()
