"""What services behind a table make of writes to it: the business logic that Dataverse runs with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Logic(Protocol):
    """The logic of one table. Rows are as SQLite holds them; ``before`` is ``None`` for a new row."""

    def before(self, before: Mapping[str, Any] | None, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The columns that are really written. Raises ``DataverseError`` if the write is refused."""

    def after(self, row_id: str, before: Mapping[str, Any] | None, row: Mapping[str, Any], /) -> None:
        """Do what follows from a write, in its transaction."""

    def deleted(self, row_id: str, /) -> None:
        """Do what follows from a deletion, in its transaction."""
