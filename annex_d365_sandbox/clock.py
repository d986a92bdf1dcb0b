"""The time that both services go by; tests move it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


class Clock:
    """Real time plus an offset, or a time that stands still."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._frozen: datetime | None = None

    def now(self) -> datetime:
        """The present, in UTC."""
        return self._frozen or datetime.now(timezone.utc) + self._offset

    def advance(self, seconds: float) -> None:
        """Move on (or back) by so many seconds."""
        if self._frozen:
            self._frozen += timedelta(seconds=seconds)
        self._offset += timedelta(seconds=seconds)

    def freeze(self, at: datetime) -> None:
        """Stand still at ``at`` until :meth:`reset` or :meth:`advance`."""
        self._frozen = at

    def reset(self) -> None:
        """Back to real time."""
        self._offset, self._frozen = timedelta(), None
