"""Checks of Dynamics 365: pages, order, counts, change tracking (Dataverse pages 2, 3)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import requests

from annex_d365.dataverse.errors import StaleTokenError
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import Query
from annex_d365.doctor.d365_access import USER
from annex_d365.doctor.d365_organisation import CONTACT, CONTACTS, NO_ROW, Organisation, code_of
from annex_d365.doctor.d365_tables import TABLES
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported
from annex_d365.errors import ConnectorError, PrivilegeError, SettingError
from annex_d365.retry import IN_DOUBT

_KEY = "contactid"
_TRACK = "odata.track-changes"
_NO_CONTACT = "There are too few contacts to see it."
_LOG_BASED, _INCREMENTAL = "LOG_BASED", "INCREMENTAL"
_TRACKED = "d365.change_tracking"
#: Rows whose order tells which one it is.
_ORDERED = 20

CHECKS: Checks[Organisation] = Checks(needs=USER)


def _page(organisation: Organisation, url: str, *prefer: str) -> Mapping[str, Any]:
    answer = organisation.get(url, CONTACTS, prefer)
    body = answer.body
    return body if answer.ok and isinstance(body, Mapping) else {}


@CHECKS(
    "d365.pages",
    "Pages have the size that is asked for, and a link with a cookie to the next one",
    page="2.3, 11",
    how="GET contacts with odata.maxpagesize=1",
)
def _pages(organisation: Organisation) -> Finding:
    page = _page(organisation, f"{CONTACTS}?$select={_KEY}", "odata.maxpagesize=1")
    rows, link = page.get("value") or [], str(page.get("@odata.nextLink") or "")
    if not rows or (len(rows) == 1 and not link):
        return cannot_tell(_NO_CONTACT)
    if len(rows) > 1:
        return differs("The size is not kept to; the connector takes pages as they come.")
    following = organisation.get(link, CONTACTS, ["odata.maxpagesize=1"])
    if not following.ok:
        return failed(
            f"The link to the next page was answered with {following.status}.", todo="Please send in the report."
        )
    if "cookie" in link.casefold():
        return ok("They do.")
    return differs("The link has another form, which the connector follows as it is.")


@CHECKS(
    "d365.top",
    "$top is passed over beside a page size",
    page="2.3, 11",
    how="GET contacts?$top=1 with odata.maxpagesize=2",
)
def _top(organisation: Organisation) -> Finding:
    page = _page(organisation, f"{CONTACTS}?$select={_KEY}&$top=1", "odata.maxpagesize=2")
    if len(page.get("value") or []) > 1:
        return ok("It is; the connector counts rows itself.")
    every = _page(organisation, f"{CONTACTS}?$select={_KEY}&$top=2")
    if len(every.get("value") or []) > 1:
        return differs("It is honoured; the connector counts rows itself, and copes.")
    return cannot_tell(_NO_CONTACT)


@CHECKS(
    "d365.order",
    "Rows come in the order of their ids, whatever order of ids that is",
    page="2.3, 11",
    how="GET contacts?$top=20",
)
def _order(organisation: Organisation) -> Finding:
    ids = [row[_KEY] for row in organisation.rows(Query(CONTACTS, select=(_KEY,), top=_ORDERED))]
    if len(ids) < _ORDERED:
        return cannot_tell(_NO_CONTACT)
    if ids == sorted(ids):
        return ok("As texts.")
    if ids == sorted(ids, key=_as_sql_server):
        return differs("As SQL Server orders them; no part of the connector relies on either.")
    return differs("In neither order of ids; no part of the connector relies on one.")


def _as_sql_server(text: str) -> bytes:
    """SQL Server compares the last six bytes first, then the groups before, each from its lower end."""
    raw = uuid.UUID(text).bytes
    return raw[10:] + raw[8:10] + raw[7:5:-1] + raw[5:3:-1] + raw[3::-1]


@CHECKS(
    "d365.row_count", "The organisation tells how many rows a table has", page="2.2", how="GET RetrieveTotalRecordCount"
)
def _row_count(organisation: Organisation) -> Finding:
    count = organisation.dataverse.row_count(CONTACT)
    if count is None:
        return differs("It does not: large tables are read by one request after another until their size is seen.")
    return ok(f"It has counted {count:,} contacts within the last day.")


@CHECKS(
    "d365.aggregates",
    "Rows can be counted by condition, also distinct ones",
    page="2.2",
    how="GET contacts?$apply over no rows",
)
def _aggregates(organisation: Organisation) -> Finding:
    def accepted(what: str) -> bool:
        query = Query(CONTACTS, apply=f"filter({_KEY} eq {NO_ROW})/aggregate({what})")
        return organisation.get(query.url, f"{CONTACTS}?$apply").ok

    if not accepted("$count as rows"):
        return differs("They cannot: `annex-d365 plan` does not work here.")
    if not accepted(f"{_KEY} with countdistinct as n"):
        return differs("They can, but not distinct ones, which nothing needs.")
    return ok("They can.")


@CHECKS(
    _TRACKED,
    "Tables that are read by change tracking have it",
    page="3",
    how="GET EntityDefinitions, one page with odata.track-changes",
    needs=TABLES,
)
def _change_tracking(organisation: Organisation) -> Finding:
    entries = [{"name": each} if isinstance(each, str) else dict(each) for each in organisation.setting_tables]
    wanted = [each for each in entries if each.get("replication") == _LOG_BASED]
    without: dict[str, str] = {}
    for each in wanted:
        table = organisation.tables.get(each["name"]) or organisation.tables.get(
            CONTACT if each["name"] == CONTACTS else ""
        )
        if table is None:
            continue
        if not table.change_tracking:
            without[each["name"]] = "it is not enabled"
        elif _forbidden(organisation, table, _TRACK) and not _forbidden(organisation, table):
            without[each["name"]] = "the user may not read it organisation-wide"
    if without:
        told = "; ".join(f"{name}: {reason}" for name, reason in without.items())
        changed = [{**each, "replication": _INCREMENTAL} if each["name"] in without else each for each in entries]
        return failed(f"Not so {told}.", organisation.change("tables", changed))
    state = "on" if organisation.contact.change_tracking else "off"
    return ok(f"All {len(wanted)} of them." if wanted else f"None is read so; for contacts it is {state}.")


def _forbidden(organisation: Organisation, table: Table, *prefer: str) -> bool:
    url = f"{table.entity_set}?$select={table.primary_id}"
    answer = organisation.get(url, table.entity_set, [*prefer, "odata.maxpagesize=1"])
    return bool(answer.status == requests.codes.forbidden)


@CHECKS(
    "d365.tracked_pages",
    "Only the last page of a tracked load has the link to later changes",
    page="3, 11",
    how="GET contacts with odata.track-changes, one page",
    needs=_TRACKED,
)
def _tracked_pages(organisation: Organisation) -> Finding:
    if not organisation.contact.change_tracking:
        return cannot_tell("Change tracking is off for contacts.")
    page = _page(organisation, f"{CONTACTS}?$select={_KEY}", _TRACK, "odata.maxpagesize=1")
    link = str(page.get("@odata.nextLink") or "")
    if not link:
        return cannot_tell(_NO_CONTACT if page else "The user may not read contacts by change tracking.")
    if "@odata.deltaLink" in page:
        return differs("Each page has one; the connector takes that of the last page.")
    if "istracking" in link.casefold():
        return ok("It has; the other pages say `istracking`.")
    return differs("It has; links between pages have another form than assumed, and are followed as they are.")


@CHECKS(
    "d365.old_token",
    "A delta token that is too old is 400 with 0x80044352",
    page="3, 11",
    how="GET contacts with the delta token of the year 2000",
    needs=_TRACKED,
)
def _old_token(organisation: Organisation) -> Finding:
    url = f"{CONTACTS}?$select={_KEY}&$deltatoken=0!01%2f01%2f2000%2000%3a00%3a00"
    try:
        organisation.dataverse.page(url, page_size=None)
    except StaleTokenError as stale:
        facts = f"{stale.status} with {stale.code or 'no code'}"
        if stale.status == requests.codes.bad_request:
            return ok(f"It is {facts}: tables are then read in full.")
        return differs(f"It is {facts}; the connector goes by code and message, and reads tables in full.")
    except (PrivilegeError, SettingError):
        return cannot_tell("Contacts cannot be read by change tracking.")
    except ConnectorError:
        return unsupported("It is refused in words that the connector does not know.", "annex_d365/dataverse/errors.py")
    return unsupported("It is not refused.", "annex_d365/dataverse/changes.py")


@CHECKS(
    "d365.tracking_options",
    "A condition beside change tracking is 400 with 0x80060888",
    page="3, 11",
    how="GET contacts?$filter with odata.track-changes",
    needs=_TRACKED,
)
def _tracking_options(organisation: Organisation) -> Finding:
    if not organisation.contact.change_tracking:
        return cannot_tell("Change tracking is off for contacts.")
    answer = organisation.get(f"{CONTACTS}?$select={_KEY}&$filter={_KEY} eq {NO_ROW}", CONTACTS, [_TRACK])
    facts = f"{answer.status} with {code_of(answer) or 'no code'}"
    if answer.status == requests.codes.bad_request and code_of(answer).lower() == "0x80060888":
        return ok("It is.")
    return differs(
        f"It is {facts}; the connector sends none." if answer.status not in IN_DOUBT else f"It fails: {facts}."
    )


@CHECKS(
    "d365.retention",
    "Changes are kept for 7 days",
    page="3",
    how="GET organizations?$select=expirechangetrackingindays (GENERAL)",
    needs=_TRACKED,
)
def _retention(organisation: Organisation) -> Finding:
    answer = organisation.get("organizations?$select=expirechangetrackingindays", "organizations")
    rows = answer.body.get("value") if answer.ok and isinstance(answer.body, Mapping) else None
    days = rows[0].get("expirechangetrackingindays") if rows else None
    if not isinstance(days, int):
        return cannot_tell("The organisation does not say. Run jobs that use change tracking at least every few days.")
    sentence = f"They are kept for {days} days: run jobs that use change tracking more often than that."
    return ok(sentence) if days == 7 else differs(sentence)  # noqa: PLR2004 - the page's figure
