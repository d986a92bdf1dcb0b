"""Checks of Annex Cloud: search, and members (Annex page 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import requests

from annex_d365.annexcloud.errors import error_code
from annex_d365.annexcloud.fields import moment
from annex_d365.annexcloud.members import records
from annex_d365.annexcloud.search import CAP, EARLIEST
from annex_d365.doctor.annex_access import TOKEN
from annex_d365.doctor.annex_site import Site, inner, no_data, nobody, refused, window
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported
from annex_d365.errors import ConnectorError

_SEARCH = "annex.search"
_DATES = ("createDate", "updateDate", "optInDate")

CHECKS: Checks[Site] = Checks(needs=TOKEN)


@CHECKS(_SEARCH, "Members can be searched for", page="5.4", how="POST /users/search")
def _search(site: Site) -> Finding:
    answer = site.search(**site.all_time)
    if no_data(answer):
        return ok("The search works; nobody has opted in yet.")
    if refusal := refused(answer):
        by = site.setting("members", {}).get("by", "search")
        changes = site.change("members.by", "segments") if by == "search" else ()
        return failed(refusal.sentence, changes, "" if changes else "Contacts are not found by e-mail address.")
    if not answer.ok:
        return failed(f"{answer.route} was answered with {answer.status}.")
    body = answer.body
    try:
        found = list(records(inner(body)))
    except ConnectorError:
        return unsupported("The answer is of no known shape.", "annex_d365/annexcloud/members.py")
    if isinstance(body, Mapping) and isinstance(body.get("userDetail"), list) and "records" in body:
        return ok(f"It shows {len(found)} members, as `records` and `userDetail`.")
    return differs(f"It shows {len(found)} members in another shape than assumed, which the connector reads.")


@CHECKS(
    "annex.search_cap",
    "A search shows 50 members, not fewer",
    page="5.4",
    how="POST /users/search, whole and by halves",
    needs=_SEARCH,
)
def _search_cap(site: Site) -> Finding:
    def ids(begin: datetime, end: datetime) -> set[str]:
        answer = site.search(**window(begin, end))
        return {str(each.get("id")) for each in records(inner(answer.body))} if answer.ok else set()

    end = datetime.now(timezone.utc)
    shown = ids(EARLIEST, end)
    if len(shown) > CAP:
        return differs(f"It shows {len(shown)}: more than {CAP}, so that more searches are made than need be.")
    if len(shown) == CAP:
        return ok(f"It shows {CAP}.")
    begin, seen = EARLIEST, set(shown)
    while seen and seen <= shown and end - begin > timedelta(days=1):  # towards the newest members
        begin += (end - begin) / 2
        seen = ids(begin, end)
    if seen - shown:
        return failed(
            f"It shows {len(shown)} members, and parts of the same time others: it is cut earlier than at {CAP}.",
            site.change("members.by", "segments"),
            "Searches would miss members.",
        )
    return cannot_tell(f"There are fewer than {CAP} members, and all of them are shown.")


@CHECKS(
    "annex.search_zone",
    "Opt-in windows are in UTC, to the second",
    page="3, 5.4",
    how="POST /users/search around one member's optInDate",
    needs=_SEARCH,
)
def _search_zone(site: Site) -> Finding:
    for each in site.members:
        try:
            at = moment(str(each.get("optInDate")))
        except ValueError:
            continue
        answer = site.search(**window(at - timedelta(seconds=1), at + timedelta(seconds=1)))
        if answer.ok and str(each["id"]) in {str(one.get("id")) for one in records(inner(answer.body))}:
            return ok("A window of two seconds finds the member in it.")
        return differs(
            "A window around a member's optInDate does not find the member: its zone or form is another one. The last "
            "hours may be read a run later."
        )
    return cannot_tell("No member that is shown has an optInDate.")


@CHECKS(
    "annex.search_nobody",
    "A search that finds nobody is 404, or empty",
    page="5.4",
    how="POST /users/search for an id of nobody",
    needs=_SEARCH,
)
def _search_nobody(site: Site) -> Finding:
    answer = site.search(userId=nobody())
    if no_data(answer):
        return ok(f"It is {answer.status}.")
    if answer.ok and not list(records(inner(answer.body))):
        return differs("It is a success without members, which the connector understands, too.")
    if answer.ok:
        return unsupported("It shows members although nobody has that id.", "annex_d365/annexcloud/search.py")
    return unsupported(f"It is {answer.status}.", "annex_d365/annexcloud/search.py")


@CHECKS(
    "annex.wrong_value",
    "A wrong value is 400 with AC1007",
    page="3",
    how="POST /users/search with an optInDate that is none",
    needs=_SEARCH,
)
def _wrong_value(site: Site) -> Finding:
    answer = site.search(optInDate="x")
    code = error_code(answer.content)
    facts = f"{answer.status} {code or ''}".rstrip()
    if answer.status == requests.codes.bad_request and code == "AC1007":
        return ok(f"It is {facts}.")
    return differs(f"It is {facts}; the connector goes by the status.")


@CHECKS("annex.member_fields", "A member can be read, and its dates", page="3, 5.2", how="GET /users/{id}")
def _member_fields(site: Site) -> Finding:
    answer = site.get("users", site.someone)
    body = inner(answer.body)
    if not answer.ok or not isinstance(body, Mapping):
        return refused(answer) or failed(f"{answer.route} was answered with {answer.status}.")
    wrong = [name for name in _DATES if body.get(name) and not _is_moment(body[name])]
    if wrong:
        return unsupported(f"Dates of another form: {', '.join(wrong)}.", "annex_d365/annexcloud/fields.py")
    if "updateDate" not in body:
        return differs("There is no `updateDate`; the connector goes by the fields themselves.")
    return ok("Its dates are in a known form.")


@CHECKS(
    "annex.email_as_id",
    "An address finds a member by id only",
    page="5.2",
    how="GET /users/{e-mail address of a member}",
)
def _email_as_id(site: Site) -> Finding:
    for each in site.members:
        address = str(each.get("email") or "")
        if address and address.casefold() != str(each["id"]).casefold():
            if site.get("users", address).ok:
                return differs(
                    "An e-mail address is taken for the id, too; the connector goes by the id in the answer."
                )
            return ok("An e-mail address is not taken for an id.")
    return cannot_tell("No member that is shown has an address other than its id.")


@CHECKS(
    "annex.opt_out_date",
    "The date of opting out is `optOutDate`",
    page="5.3, 16.7",
    how="POST /users/search for optInStatus NO, GET /users/{id}",
    needs=_SEARCH,
)
def _opt_out_date(site: Site) -> Finding:
    answer = site.search(optInStatus="NO")
    found = [str(each["id"]) for each in records(inner(answer.body)) if each.get("id")] if answer.ok else []
    if not found:
        return cannot_tell("Nobody has opted out yet.")
    shown = inner(site.get("users", found[0]).body)
    return named(site, shown, "optOutDate", re.compile(r"opt_?out.*date|date.*opt_?out", re.IGNORECASE))


def named(site: Site, fields: Any, name: str, similar: re.Pattern[str]) -> Finding:
    """Whether a field has its assumed name; what else it may be called can be set for tap-annex."""
    if not isinstance(fields, Mapping):
        return cannot_tell(f"There is nothing to look for `{name}` in.")
    if name in fields:
        return ok(f"`{name}` is there.")
    other = next((each for each in fields if similar.search(each)), None)
    if other is None:
        return cannot_tell(f"There is no `{name}`, and no field that looks like it.")
    column = site.setting("members", {}).get("columns", {}).get(name)
    if column == other:
        return ok(f"It is `{other}`, as the settings say.")
    return differs(f"`{name}` is called `{other}` here.", site.change(f"members.columns.{name}", other))


def _is_moment(value: Any) -> bool:
    return suits(partial(moment, str(value)))


def suits(read: Callable[[], Any]) -> bool:
    """Whether a value can be read."""
    try:
        read()
    except ValueError:
        return False
    return True
