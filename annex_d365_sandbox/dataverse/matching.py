"""Text comparison of Dataverse in SQLite: case does not count, patterns have ``%``, ``_`` and ``[...]`` (page 2.2)."""

from __future__ import annotations

import re
import sqlite3
from functools import lru_cache

#: The SQL function behind the order of ids that SQL Server has.
RANK = "d365_rank"
#: Where it finds the digits of a ``uniqueidentifier``: the last six bytes first, most of the others backwards.
_DIGITS = (24, 26, 28, 30, 32, 34, 19, 21, 16, 14, 11, 9, 6, 4, 2, 0)
#: A member of a bracket: a range or a character.
_RANGE = re.compile(r"(.)-(.)|.", re.DOTALL)


def fold(text: str | None) -> str | None:
    """Text without its case; SQLite's own NOCASE folds ASCII only."""
    return text.lower() if isinstance(text, str) else text


def _escaped(match: re.Match[str]) -> str:
    low, high = match.groups()
    return f"{re.escape(low)}-{re.escape(high)}" if low else re.escape(match[0])


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """A SQL Server LIKE pattern as a regular expression; an unclosed bracket stands for itself."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        end = pattern.find("]", at + 2) if char == "[" else -1
        if char == "%":
            if parts[-1:] != [".*"]:  # a row of them says no more, and takes very long
                parts.append(".*")
        elif char == "_":
            parts.append(".")
        elif end > 0:
            inner = pattern[at + 1 : end]
            negated = inner.startswith("^")
            body = _RANGE.sub(_escaped, inner[negated:])
            parts.append(f"[{'^' if negated else ''}{body}]")
            at = end
        else:
            parts.append(re.escape(char))
        at += 1
    try:
        return re.compile("".join(parts), re.DOTALL | re.IGNORECASE)
    except re.error:  # a range such as [z-a] matches nothing
        return re.compile(r"(?!)")


def like(pattern: str, text: str | None) -> int:
    """1 if the whole text fits the pattern."""
    return int(text is not None and compiled(pattern).fullmatch(text) is not None)


def rank(row_id: str | None) -> str | None:
    """An id in the order of bytes in which SQL Server compares it (Dataverse page 2.3)."""
    return row_id and "".join(row_id[at : at + 2] for at in _DIGITS)


def register(connection: sqlite3.Connection) -> None:
    """Make ``d365_fold``, ``d365_like`` and ``d365_rank`` known to SQLite."""
    connection.create_function(RANK, 1, rank, deterministic=True)
    connection.create_function("d365_fold", 1, fold, deterministic=True)
    connection.create_function("d365_like", 2, like, deterministic=True)
