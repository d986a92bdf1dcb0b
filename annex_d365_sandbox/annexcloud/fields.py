"""The fields of a member and the form of their values (Annex page sections 3 and 5.1)."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from annex_d365_sandbox.annexcloud import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from annex_d365_sandbox.annexcloud.switches import Switches

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SECOND = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+"
_LOCAL = re.compile(rf'{_ATEXT}(\.{_ATEXT})*|"([\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"')
# IDN labels are letters and digits of any script.
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?:[^\W\d_]{{2,63}}|xn--[a-z0-9-]{{1,58}}[a-z0-9])", re.IGNORECASE)
_LOCAL_MAX, _DOMAIN_MAX = 64, 255


def stamp(moment: datetime) -> str:
    """A moment in the documented form, in UTC: ``2024-08-08T07:00:12+0000``. These texts sort by time."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "+0000")


def text(value: str) -> str:
    """Any text."""
    return value


def email(value: str) -> str:
    """An RFC 2822 address with a domain. ASSUMPTION: ASCII before the @, any well-formed top-level domain."""
    local, _, host = value.rpartition("@")
    if len(local) > _LOCAL_MAX or len(host) > _DOMAIN_MAX or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(host):
        raise ValueError("not an e-mail address")
    return value


def instant(value: str) -> str:
    """``yyyy-MM-dd'T'HH:mm:ssZ`` with a numeric zone; kept in UTC."""
    if not _INSTANT.fullmatch(value):
        raise ValueError("not a date with time and zone")
    # Python 3.10 reads a zone only with a colon.
    moment = datetime.fromisoformat(f"{value[:-2]}:{value[-2:]}")
    try:
        return stamp(moment)
    except OverflowError as error:  # in year 1 or 9999, moved out of range by its zone
        raise ValueError("out of range") from error


def second(value: str) -> str:
    """``yyyy-MM-dd HH:mm:ss`` in UTC, the form of search windows; returned as a stamp."""
    if not _SECOND.fullmatch(value):
        raise ValueError("not a date with time")
    return stamp(datetime.fromisoformat(f"{value}+00:00"))


def day(value: str) -> str:
    """``yyyy-MM-dd``, a day that exists."""
    if not _DAY.fullmatch(value):
        raise ValueError("not a date")
    return date.fromisoformat(value).isoformat()


def one_of(*choices: str) -> Callable[[str], str]:
    """One of some words. ASSUMPTION: in any case; kept in upper case."""

    def read(value: str) -> str:
        if value.upper() not in choices:
            raise ValueError("not one of the values")
        return value.upper()

    return read


OPT_IN_STATUS = one_of("YES", "NO")

#: What a request may set besides ``extendedAttribute``, and how each value is read.
WRITABLE: Final[Mapping[str, Callable[[str], str]]] = {
    "id": text,
    "email": email,
    "firstName": text,
    "lastName": text,
    "zipCode": text,
    "optInStatus": OPT_IN_STATUS,
    "optInDate": instant,
    "status": one_of("ACTIVE", "INACTIVE"),
    "phone": text,
    "birthDate": day,
    "anniversaryDate": day,
    "userProfileImageUrl": text,
}
#: Fields that always have a value, so that an empty text does not clear them.
ALWAYS_SET: Final = frozenset({"id", "optInStatus", "optInDate", "status"})
#: What the service itself keeps.
KEPT: Final = ("optOutDate", "createDate", "updateDate", "totalSpendCurrency")
#: Every field of a stored member.
ALL: Final = (*WRITABLE, *KEPT, "extendedAttribute")
INSTANTS: Final = ("optInDate", "optOutDate", "createDate", "updateDate")


def scalar(name: str, value: Any) -> str:
    """A JSON text or number as text: documented types drift between the two (section 3)."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise errors.invalid(name)
    return str(value)


def given(body: Mapping[str, Any], name: str) -> bool:
    """Whether a request's field has a value."""
    return body.get(name) not in (None, "")


def require(body: Mapping[str, Any], *names: str) -> None:
    """Raise 400 AC1004, naming them, unless all of these fields have a value."""
    if absent := [name for name in names if not given(body, name)]:
        raise errors.missing(*absent)


def read_member(body: Mapping[str, Any], switches: Switches) -> dict[str, Any]:
    """The known fields of a request's user object, checked; a value of None clears its field.

    Unknown fields are passed over, and so is ``null`` unless ``Switches.patch_null`` says ``clears``. ASSUMPTION: an
    empty text clears a field.

    Raises:
        ApiError: 400 AC1007, naming the field.
    """
    fields: dict[str, Any] = {}
    for name, reader in WRITABLE.items():
        if name not in body or (name == "status" and switches.activity_based_status):
            continue
        value = body[name]
        clearable = name not in ALWAYS_SET
        if value is None:
            if clearable and switches.patch_null == "clears":
                fields[name] = None
            continue
        value = scalar(name, value)
        if not value and clearable:
            fields[name] = None
            continue
        try:
            fields[name] = reader(value)
        except ValueError:
            # From nothing: the ValueError of a date names the value.
            raise errors.invalid(name) from None
    if body.get("extendedAttribute") is not None:
        fields["extendedAttribute"] = _read_extended(body["extendedAttribute"], switches)
    return fields


def _read_extended(value: Any, switches: Switches) -> dict[str, str | None]:
    """The attributes that the site has defined (section 5.1); None clears one."""
    if not isinstance(value, dict):
        raise errors.invalid("extendedAttribute")
    attributes: dict[str, str | None] = {}
    known = set(switches.extended_attributes)
    if switches.unknown_attributes == "refused" and value.keys() - known:
        raise errors.invalid("extendedAttribute")
    for key in value if switches.unknown_attributes == "kept" else switches.extended_attributes:
        if value.get(key) is not None:
            attributes[key] = scalar("extendedAttribute", value[key])
        elif key in value and switches.patch_null == "clears":
            attributes[key] = None
    return attributes
