"""What a refusal of the Dataverse Web API means to the user: one table (Dataverse page 7).

The service's own messages may quote a row, so only what the table picks out of them is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

import msgspec
import requests

from annex_d365.errors import ConnectorError, PrivilegeError, ServiceError, SettingError

_UNKNOWN_COLUMN = re.compile(r"property named '([\w.]+)' on type '([\w.]+)'")
_UNKNOWN_PROPERTY = re.compile(r"property '([\w.@]+)' does not exist on type '([\w.]+)'")
_UNKNOWN_TABLE = re.compile(r"segment '([\w.]+)'")
_VERSION = re.compile(r"v[0-9]+\.[0-9]+")
_PRIVILEGE = re.compile(r"missing (prv\w+) privilege")
_NOT_TRACKED = re.compile(r"Entity '?(\w+)'? isn't enabled")
_EXPIRED = re.compile(r"version stamp .*has expired", re.IGNORECASE)


class StaleTokenError(ServiceError):
    """The service cannot list what changed since a delta token any more (Dataverse page 3): only a full load helps."""


_BAD_QUERY = "0x80060888"


class UnknownColumnError(SettingError):
    """A query names a column or a property that the table has not.

    Attributes:
        column: its name.
        problem: the message without the setting, for those who know the option that names it.
    """

    def __init__(self, column: str, table: str) -> None:
        self.column, self.problem = column, f"table {table} has no column `{column}`."
        super().__init__("select", self.problem)


def misunderstood(error: ServiceError) -> bool:
    """Whether the service says that it does not understand a query, and not why: its condition, as a rule."""
    return error.code.lower() == _BAD_QUERY


class _Detail(msgspec.Struct):
    code: str | int = ""
    message: str = ""


class _Body(msgspec.Struct):
    error: _Detail = msgspec.field(default_factory=_Detail)


def _bad_query(message: str) -> ConnectorError | None:
    if column := _UNKNOWN_COLUMN.search(message):
        return UnknownColumnError(column[1], column[2].rpartition(".")[2])
    if table_name := _UNKNOWN_TABLE.search(message):
        if _VERSION.fullmatch(table_name[1]):
            return SettingError("api_version", f"this organisation has no Web API `{table_name[1]}`.")
        return SettingError("tables", f"there is no table `{table_name[1]}`.")
    return None


def _bad_payload(message: str) -> ConnectorError | None:
    if column := _UNKNOWN_PROPERTY.search(message):
        table = column[2].rpartition(".")[2]
        return SettingError("streams", f"table {table} has no column or navigation property `{column[1]}`.")
    return None


def _no_key(_message: str) -> ConnectorError:
    return SettingError("streams", "the columns named as `key` are no alternate key of the table that is active.")


def _missing_privilege(message: str) -> ConnectorError:
    privilege = _PRIVILEGE.search(message)
    return PrivilegeError(
        "client_id",
        f"this user lacks the privilege {privilege[1] if privilege else 'for it'}; add it to its security role.",
    )


def _no_member(_message: str) -> ConnectorError:
    return SettingError(
        "client_id",
        "is no user of this organisation; add it as an application user with a security role, or check `username`.",
    )


def _not_tracked(message: str) -> ConnectorError:
    table = _NOT_TRACKED.search(message)
    return SettingError(
        f"tables.{table[1]}.replication" if table else "tables",
        "change tracking is not enabled for this table; enable it there, or use INCREMENTAL.",
    )


#: By code: a sentence of its own, or None for the general one.
_MEANING: Mapping[str, Callable[[str], ConnectorError | None]] = {
    _BAD_QUERY: _bad_query,
    "0x80048d19": _bad_payload,
    "0x80060890": _no_key,
    "0x80040220": _missing_privilege,
    "0x80072560": _no_member,
    "0x80072491": _not_tracked,
    "0x80072492": _not_tracked,
}
#: Delta tokens that are too old, or from elsewhere.
_STALE = frozenset({"0x80044352", "0x80044183"})
_NO_ACCESS = frozenset(
    {"0x80048306", "0x80040277", "0x80040231", "0x80050304", "0x80040225", "0x80072561", "0x8004A104"}
)


def explain(response: requests.Response, *, route: str = "") -> ConnectorError:
    """The error for a refusal.

    Args:
        response: the refusal.
        route: what was asked for, in messages; by default the method and the path, which may hold a row's key.

    Raises:
        StaleTokenError: it refused a delta token. Raised here, so that it is not tried again: with which status the
            service says so is UNCONFIRMED (Dataverse page 3), its code and its message are known.
    """
    code, message = details(response)
    if code.lower() in _STALE or _EXPIRED.search(message):
        raise StaleTokenError(
            "Dataverse does not know any more what changed since the last run.",
            status=response.status_code,
            code=code,
        )
    if code in _MEANING and (meaning := _MEANING[code](message)):
        return meaning
    if response.status_code == requests.codes.unauthorized:
        return SettingError("resource", "the organisation does not accept the token; check `organization_url`, too.")
    if code in _NO_ACCESS:
        return SettingError("client_id", f"this user has no access to the organisation ({code}).")
    request = response.request
    asked = route or f"{request.method} {unquote(urlsplit(request.url or '').path)}"
    request_id = response.headers.get("x-ms-service-request-id") or response.headers.get("REQ_ID", "")
    facts = ", ".join(filter(None, [str(response.status_code), code, f"request {request_id}" if request_id else ""]))
    return ServiceError(
        f"Dataverse refused {asked} ({facts}).",
        status=response.status_code,
        code=code,
        request_id=request_id,
    )


def details(response: requests.Response) -> tuple[str, str]:
    """Code, in hexadecimal, and message of a refusal; empty for a gateway's own page. The message may quote a row."""
    try:
        detail = msgspec.json.decode(response.content, type=_Body).error
    except msgspec.MsgspecError:
        return "", ""
    return hexadecimal(detail.code), detail.message


def hexadecimal(code: str | int) -> str:
    """``0x80072322`` for itself and for -2147015902: services send either (Dataverse page 6)."""
    text = str(code).strip()
    try:
        number = int(text)
    except ValueError:
        return text
    return f"0x{number & 0xFFFFFFFF:08x}"
