"""Objects of replies: what has to be there and is not is an answer that cannot be read, not a bug."""

from __future__ import annotations

from typing import Any, NoReturn

from annex_d365.errors import OutageError


class Answer(dict[str, Any]):
    """An object of a reply; to ask for what it lacks by ``[]`` raises an OutageError."""

    def __missing__(self, name: str) -> NoReturn:
        raise OutageError(f"Dataverse sent an answer without `{name}`.", status=200)


def unreadable() -> OutageError:
    """The error for an answer that is not what was asked for."""
    return OutageError("Dataverse sent an answer that could not be read.", status=200)
