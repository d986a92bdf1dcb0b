"""The time that both services go by; tests move it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

#: Beyond them sums of times would leave what a date can be.
YEARS = range(1900, 2200)
_BEYOND = f"the clock goes from {YEARS.start} to {YEARS.stop - 1}"


class Clock:
    """Real time plus an offset, or a time that stands still."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """The present, in UTC."""
        return self._frozen or datetime.now(timezone.utc) + self._offset

    def advance(self, seconds: float) -> None:
        """Move on (or back) by so many seconds. Raises ``ValueError`` beyond :data:`YEARS`."""
        try:
            by = timedelta(seconds=seconds)
            _checked(self.now() + by)
        except OverflowError as error:
            raise ValueError(_BEYOND) from error
        if self._frozen:
            self._frozen += by
        self._offset += by

    def freeze(self, at: datetime) -> None:
        """Stand still at ``at`` until :meth:`reset` or :meth:`advance`. Raises ``ValueError`` beyond :data:`YEARS`."""
        self._frozen = _checked(at)

    def reset(self) -> None:
        """Back to real time."""
        self._offset, self._frozen = timedelta(), None


def _checked(at: datetime) -> datetime:
    if at.year not in YEARS:
        raise ValueError(_BEYOND)
    return at.astimezone(timezone.utc)
