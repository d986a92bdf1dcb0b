"""What a row of the table says, and how it says what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

#: How many differences are shown: enough to see of what kind they are.
_SHOWN = 5


class Failure(Exception):  # noqa: N818 - what the row of the table says, not a fault of the program
    """Something is not as promised. The text is the reason that the table shows."""


@dataclass(frozen=True)
class Result:
    """A platform that does what its page says.

    Attributes:
        versions: program -> version, of everything that is not ours.
        rows: how many rows went through and were compared with the source.
        shown: what was followed through besides: ``deletion``, ``schema change``, ...
    """

    versions: Mapping[str, str]
    rows: int
    shown: Collection[str] = field(default=())


def expect(condition: object, reason: str) -> None:
    """Raise ``Failure`` with the reason unless the condition holds."""
    if not condition:
        raise Failure(reason)


def same(got: Mapping[Any, Any], wanted: Mapping[Any, Any], what: str) -> int:
    """How many rows were compared. Raises ``Failure`` with the first differences, unless there are none.

    Args:
        got: key -> row, as the platform has it.
        wanted: key -> row, as the source has it; only its columns are compared.
        what: what the rows are, for the reason.
    """
    wrong = [f"{key} is missing" for key in wanted if key not in got]
    wrong += [f"{key} should not be there" for key in got if key not in wanted]
    for key in wanted.keys() & got.keys():
        for column, value in wanted[key].items():
            there = got[key].get(column, "no such column")
            if there != value or isinstance(there, bool) != isinstance(value, bool):
                wrong.append(f"{key}: {column} is {there!r}, in the source {value!r}")
    if wrong:
        raise Failure(f"{what}: {len(wrong)} differences: {'; '.join(wrong[:_SHOWN])}"[:1000])
    if not wanted:
        raise Failure(f"{what}: the source has no rows, so nothing is compared")
    return len(wanted)
