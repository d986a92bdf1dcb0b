"""The criteria of ``POST /users/search`` as SQL conditions (Annex page section 5.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from annex_d365_sandbox.annexcloud import errors, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The documented limit; what lies beyond it is cut without a word.
MAX_RECORDS: Final = 50
#: ASSUMPTION; SQLite has a limit too.
_MAX_PATTERN = 255


@dataclass(frozen=True)
class Criterion:
    """``condition`` takes the values that ``read`` makes of the criterion's text."""

    condition: str
    read: Callable[[str], tuple[str, ...]]


def fold(value: str | None) -> str | None:
    """The key under which names compare, whatever their case and script; the SQL function ``annex_fold``."""
    return None if value is None else value.casefold()


def _pattern(value: str) -> tuple[str]:
    """``%`` stays a wildcard; ASSUMPTION: ``_``, which the documents do not name, is a plain character."""
    if len(value) > _MAX_PATTERN:
        raise ValueError("too long")
    return (value.casefold().replace("\\", "\\\\").replace("_", "\\_"),)


def _one(reader: Callable[[str], str]) -> Callable[[str], tuple[str]]:
    return lambda value: (reader(value),)


def _opt_in_date(value: str) -> tuple[str, str]:
    """ASSUMPTION: a day, or a second in either documented form."""
    for reader in (fields.instant, fields.second):
        try:
            moment = reader(value)
        except ValueError:
            continue
        return moment, moment
    found = fields.day(value)
    return fields.second(f"{found} 00:00:00"), fields.second(f"{found} 23:59:59")


def _name(column: str) -> Criterion:
    return Criterion(f"annex_fold({column}) LIKE ? ESCAPE '\\'", _pattern)


CRITERIA: Final[Mapping[str, Criterion]] = {
    "userId": Criterion("id = ?", _one(fields.text)),
    "email": Criterion("lower(email) = lower(?)", _one(fields.text)),
    "firstName": _name("firstName"),
    "lastName": _name("lastName"),
    "optInStatus": Criterion("optInStatus = ?", _one(fields.OPT_IN_STATUS)),
    "optInDate": Criterion("optInDate BETWEEN ? AND ?", _opt_in_date),
    "optInStartDate": Criterion("optInDate >= ?", _one(fields.second)),
    "optInEndDate": Criterion("optInDate <= ?", _one(fields.second)),
    "phone": Criterion("phone = ?", _one(fields.text)),
    "birthDate": Criterion("birthDate = ?", _one(fields.day)),
}


def conditions(criteria: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """A WHERE clause that joins the criteria with AND, and its values. Unknown and empty criteria are passed over.

    Raises:
        ApiError: 400, AC1004 when no criterion is left, AC1007 when one breaks its format.
    """
    parts: list[str] = []
    values: list[str] = []
    for name, criterion in CRITERIA.items():
        if criteria.get(name) in (None, ""):
            continue
        given = fields.scalar(name, criteria[name])
        try:
            values.extend(criterion.read(given))
        except ValueError:
            raise errors.invalid(name) from None
        parts.append(criterion.condition)
    if not parts:
        raise errors.missing("dataSearch")
    return " AND ".join(parts), tuple(values)
