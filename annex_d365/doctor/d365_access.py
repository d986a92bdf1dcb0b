"""Checks of Dynamics 365: sign-in, user, privileges, versions, limits, refusals (Dataverse pages 1, 2, 6, 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests

from annex_d365.dataverse.connect import DEFAULT_API_VERSION
from annex_d365.dataverse.errors import UnknownColumnError
from annex_d365.dataverse.query import Query
from annex_d365.doctor.d365_organisation import CONTACTS, NO_ROW, Nobody, Organisation, code_of
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported
from annex_d365.errors import ConnectorError

SIGN_IN = "d365.sign_in"
USER = "d365.user"
_VERSIONS = ("9.0", "9.1", "9.2")
_MISSING_ROW = "0x80040217"
_TENANT = re.compile(r"authorization_uri=\"?https://[^/]+/([^/,\"]+)")
_READ, _WRITE = ("Read",), ("Create", "Write", "Delete")

CHECKS: Checks[Organisation] = Checks(needs=USER)


@CHECKS(
    "d365.unauthorised",
    "A request without a token is 401, names the tenant, and has no body",
    page="1.2, 11",
    how="GET WhoAmI without a token",
    needs="",
)
def _unauthorised(organisation: Organisation) -> Finding:
    answer = organisation.get("WhoAmI", "WhoAmI", auth=Nobody())
    if answer.status != requests.codes.unauthorized:
        return differs(f"It is {answer.status}.")
    tenant = _TENANT.search(answer.headers.get("WWW-Authenticate", ""))
    named = organisation.connection.get("tenant_id")
    if tenant and named and re.fullmatch(r"[0-9a-fA-F-]{36}", named) and tenant[1].lower() != named.lower():
        return failed("The organisation belongs to another tenant.", todo="Mend `tenant_id`.")
    if answer.content:
        return differs("It has a body, which the connector does not look at.")
    return ok("It is." if tenant else "It is, but does not name the tenant.")


@CHECKS(
    SIGN_IN, "Signing in works", page="1.1 to 1.5", how="a token from Entra ID or AD FS, as pipelines get it", needs=""
)
def _sign_in(organisation: Organisation) -> Finding:
    organisation.dataverse.sign_in.token()
    return ok("As a user, by password." if organisation.connection.get("username") else "As an application.")


@CHECKS(
    "d365.api_version",
    "The version of the Web API is served",
    page="2.1",
    how="GET WhoAmI of versions 9.0, 9.1, 9.2",
    needs=SIGN_IN,
)
def _api_version(organisation: Organisation) -> Finding:
    own = organisation.api_version
    served = [
        each
        for each in dict.fromkeys((own, *_VERSIONS))
        if organisation.get("WhoAmI", "WhoAmI", version=each).status != requests.codes.not_found
    ]
    told = ", ".join(f"v{each}" for each in served)
    if own in served:
        return ok(f"It is v{own}; served are {told}.")
    newest = DEFAULT_API_VERSION if DEFAULT_API_VERSION in served else next(reversed(served), "")
    changes = organisation.change("api_version", newest) if newest else ()
    return failed(
        f"v{own} is not served" + (f"; {told} are." if told else "."),
        changes,
        "" if changes else "Mend `organization_url`.",
    )


@CHECKS(
    USER,
    "The user is one of the organisation's",
    page="1.2, 10.2",
    how="GET WhoAmI, GET systemusers(UserId)",
    needs="d365.api_version",
)
def _user(organisation: Organisation) -> Finding:
    me = organisation.dataverse.get("WhoAmI")
    try:
        user = organisation.dataverse.get(f"systemusers({me['UserId']})?$select=applicationid")
    except ConnectorError:
        return ok("It is; of which kind, it may not read itself.")
    return ok("It is an application user." if user.get("applicationid") else "It is a user, not an application.")


@CHECKS(
    "d365.privileges",
    "The user has the privileges that the jobs need",
    page="1.2, 7",
    how="RetrieveUserPrivileges (GENERAL); else one row of each table",
)
def _privileges(organisation: Organisation) -> Finding:
    held = _held(organisation)
    if held is None:
        return _readable(organisation)
    wanted = [
        f"prv{verb}{name}"
        for name in organisation.used
        for verb in (*_READ, *(_WRITE if organisation.is_target else ()))
    ]
    missing = [each for each in wanted if each.casefold() not in held]
    if missing:
        names = ", ".join(missing)
        return failed(f"Missing: {names}.", todo=f"Add {names} to the user's security role.")
    return ok(f"All {len(wanted)} of them.")


def _held(organisation: Organisation) -> frozenset[str] | None:
    me = organisation.dataverse.get("WhoAmI")["UserId"]
    function = "Microsoft.Dynamics.CRM.RetrieveUserPrivileges()"
    answer = organisation.get(f"systemusers({me})/{function}", "systemusers(UserId)/RetrieveUserPrivileges")
    listed = answer.body.get("RolePrivileges") if answer.ok and isinstance(answer.body, Mapping) else None
    names = [str(each.get("PrivilegeName") or "") for each in listed or () if isinstance(each, Mapping)]
    return frozenset(each.casefold() for each in names) if any(names) else None


def _readable(organisation: Organisation) -> Finding:
    refused = []
    for name, table in organisation.used.items():
        query = Query(table.entity_set, select=(table.primary_id,), top=1)
        if organisation.get(query.url, table.entity_set).status == requests.codes.forbidden:
            refused.append(f"prvRead{name}")
    if refused:
        names = ", ".join(refused)
        return failed(f"Missing: {names}.", todo=f"Add {names} to the user's security role.")
    if organisation.is_target:
        return cannot_tell("All tables can be read; whether they can be written only `--canary` shows here.")
    return ok("All tables can be read.")


@CHECKS(
    "d365.limits",
    "The organisation advises how many requests to send at once",
    page="6",
    how="`x-ms-dop-hint` of GET WhoAmI",
)
def _limits(organisation: Organisation) -> Finding:
    headers = organisation.get("WhoAmI", "WhoAmI").headers
    hint = headers.get("x-ms-dop-hint", "")
    left = headers.get("x-ms-ratelimit-burst-remaining-xrm-requests", "")
    if not hint.isdecimal():
        return differs("It does not; the connector begins with few and finds out.")
    return ok(f"It advises {hint}." + (f" {left} requests are left in this window." if left else ""))


@CHECKS(
    "d365.unknown_column",
    "An unknown column is told by its name",
    page="2.2",
    how="GET contacts?$select of a column that is not there",
)
def _unknown_column(organisation: Organisation) -> Finding:
    try:
        organisation.dataverse.get(f"{CONTACTS}?$select=annexd365doctor&$top=1")
    except UnknownColumnError:
        return ok("It is: 400 with 0x80060888.")
    except ConnectorError:
        return differs("It is refused in other words; messages of the connector will say less.")
    return unsupported("It is not refused.", "annex_d365/dataverse/errors.py")


@CHECKS(
    "d365.missing_row",
    "A row that is not there is 404 with 0x80040217",
    page="5.1, 7",
    how="GET contacts(id) of nobody",
)
def _missing_row(organisation: Organisation) -> Finding:
    answer = organisation.get(f"{CONTACTS}({NO_ROW})?$select=contactid", f"{CONTACTS}(id)")
    if answer.status != requests.codes.not_found:
        return unsupported(f"It is {answer.status}.", "annex_d365/dataverse/writes/tasks.py")
    code = code_of(answer)
    return ok("It is.") if code == _MISSING_ROW else differs(f"It is 404 with {code or 'no code'}; the status says it.")


@CHECKS(
    "d365.annotations",
    "Annotations come when they are asked for",
    page="2.1, 2.4",
    how="GET contacts with odata.include-annotations",
)
def _annotations(organisation: Organisation) -> Finding:
    query = Query(CONTACTS, select=("modifiedon",), top=1)
    answer = organisation.get(query.url, CONTACTS, ['odata.include-annotations="*"'])
    rows = answer.body.get("value") if answer.ok and isinstance(answer.body, Mapping) else None
    if not rows:
        return cannot_tell("There is no contact to look at.")
    if not any("FormattedValue" in name for name in rows[0]):
        return differs("They do not: labels would be empty.")
    full = "odata.metadata=full" in answer.headers.get("Content-Type", "")
    return differs("They do, with full metadata.") if full else ok("They do.")
