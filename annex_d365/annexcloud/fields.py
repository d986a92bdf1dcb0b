"""Values of a member's fields: as the API wants them, and when two of them are the same (Annex pages 3, 5.1)."""

from __future__ import annotations

import datetime as dt
import decimal
import re
from typing import Any

OPT_IN = "optInStatus"
OPT_IN_DATE = "optInDate"
YES, NO = "YES", "NO"

#: Documented, as far as the lists can be read (Annex page 5.1); a site may know more.
KNOWN = frozenset(
    {
        "id",
        "email",
        "firstName",
        "lastName",
        OPT_IN,
        OPT_IN_DATE,
        "status",
        "phone",
        "birthDate",
        "anniversaryDate",
        "userProfileImageUrl",
        "zipCode",
    }
)
_DATES = frozenset({"birthDate", "anniversaryDate"})
_TIMES = frozenset({OPT_IN_DATE})

#: A longer number is a mistake, and written out it might fill the memory: 1E+999999999 is one, too.
MAX_DIGITS = 40

#: No UTF-8 can hold it.
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")

#: Signs that only make a phone number readable.
_READABLE = re.compile(r"[^0-9A-Za-z+]")

_TRUE = frozenset({"yes", "true", "1", "y"})
_FALSE = frozenset({"no", "false", "0", "n"})
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ].*)?", re.DOTALL)


def yes_or_no(value: Any) -> bool | None:
    """A yes/no value of any usual spelling; None for an empty one.

    Raises:
        ValueError: it is neither yes nor no.
    """
    text = plain(value).casefold()
    if not text:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("is neither yes nor no")


def plain(value: Any) -> str:
    """A value as text; empty for None.

    Raises:
        ValueError: it is a list or an object, a number of more than 40 digits, or a text that cannot be sent.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        if not value.isascii() and _HALF_CHARACTER.search(value):
            raise ValueError("holds half of a surrogate pair")
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, decimal.Decimal)):
        return _digits(value)
    raise ValueError("is no text, number, date or yes/no")


def _digits(value: decimal.Decimal | float) -> str:
    too_long = ValueError(f"is a number of more than {MAX_DIGITS} digits")
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:  # Python does not write out all of them
        raise too_long
    if isinstance(value, int):
        return str(value)
    number = decimal.Decimal(str(value))
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("is not a number")  # noqa: TRY004 - NaN and infinity are values
    if max(len(digits) + max(exponent, 0), -exponent) > MAX_DIGITS:
        raise too_long
    return format(number, "f")


def to_field(name: str, value: Any) -> str:
    """A value as the field wants it; all fields are texts on the wire (Annex page 5.1). Empty for an empty value.

    Raises:
        ValueError: it does not suit the field. The message says why, without the value.
    """
    text = plain(value)
    if not text:
        return ""
    if name == OPT_IN:
        return YES if yes_or_no(value) else NO
    if name in _DATES:
        return _date(text)
    if name in _TIMES:
        return moment(text).replace(tzinfo=None).isoformat() + "+0000"
    return text


def same(name: str, wanted: str, current: Any) -> bool:
    """Whether a field need not be written: ``current`` comes from the service, whose types drift (Annex page 3)."""
    try:
        shown = to_field(name, current)
        if isinstance(current, (int, float, decimal.Decimal)) and not isinstance(current, bool):
            # A service that sends a postal code as a number has lost its zeros.
            return decimal.Decimal(wanted) == decimal.Decimal(str(current))
    except (ValueError, decimal.InvalidOperation):
        return False
    if name == "email":
        return shown.casefold() == wanted.casefold()
    return bare_phone(shown) == bare_phone(wanted) if name == "phone" else shown == wanted


def bare_phone(text: str) -> str:
    """A phone number without blanks, brackets and the like: services keep them in forms of their own."""
    return _READABLE.sub("", text)


def _date(text: str) -> str:
    match = _DATE.fullmatch(text)
    try:
        return dt.date.fromisoformat(match[1] if match else "").isoformat()
    except ValueError:
        raise ValueError("is not a date (yyyy-MM-dd)") from None


def moment(text: str) -> dt.datetime:
    """A date and time in any of the service's forms (Annex page 3), in UTC and to the second.

    Raises:
        ValueError: it is none.
    """
    # Python 3.10 reads neither `Z` nor zones without a colon.
    text = re.sub(r"([+-]\d{2})(\d{2})$", r"\1:\2", re.sub(r"[zZ]$", "+00:00", text))
    text = re.sub(r"\.\d+", "", text)
    utc = dt.timezone.utc
    try:
        read = dt.datetime.fromisoformat(text).replace(microsecond=0)
        return read.replace(tzinfo=utc) if read.tzinfo is None else read.astimezone(utc)
    except (ValueError, OverflowError):  # the latter for what is in the year 0 or 10000 in UTC
        raise ValueError("is not a date and time (ISO 8601)") from None
