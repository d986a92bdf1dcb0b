"""Checks of Annex Cloud: address, token, clock, and how it says no (Annex pages 1 to 3)."""

from __future__ import annotations

import email.utils
import time

import requests

from annex_d365.annexcloud.client import path_segment
from annex_d365.annexcloud.errors import NO_DATA, UNKNOWN_ROUTE, error_code
from annex_d365.annexcloud.token import LIFETIME_SECONDS, TOLERATED_SKEW_SECONDS, identifier_payload
from annex_d365.doctor.annex_site import Site, inner, no_data, nobody
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, uncovered, unsupported

TOKEN = "annex.token"  # noqa: S105 - the name of a check
_HOUR = 3600
_SHORT = 20

CHECKS: Checks[Site] = Checks(needs=TOKEN)


@CHECKS(
    "annex.clock", "This machine's clock agrees with the service's", page="2.2", how="`Date` of GET /users/0", needs=""
)
def _clock(site: Site) -> Finding:
    answer = site.get("users", "0")
    try:
        offset = email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() - time.time()
    except ValueError:
        return cannot_tell("The service sends no readable `Date` header: a wrong clock here would not be noticed.")
    if abs(offset) <= TOLERATED_SKEW_SECONDS:
        return ok(f"They are at most {TOLERATED_SKEW_SECONDS} s apart.")
    site.offset = offset
    word = "behind" if offset > 0 else "ahead of"
    return differs(f"This machine is {abs(offset):.0f} s {word} the service, whose time is used; set the clock.")


@CHECKS(
    TOKEN, "The address is right and the request token is accepted", page="1, 2.1 to 2.3", how="GET /users/0", needs=""
)
def _token(site: Site) -> Finding:
    answer = site.get("users", "0")
    if answer.ok or no_data(answer):
        return ok(f"The service accepts tokens that live {LIFETIME_SECONDS} s.")
    if answer.status == requests.codes.unauthorized:
        short = site.get("users", "0", token=site.token(identifier_payload("0"), _SHORT))
        if short.status != requests.codes.unauthorized:
            return failed(
                f"The service refuses tokens of {LIFETIME_SECONDS} s and accepts those of {_SHORT} s.",
                todo=uncovered("annex_d365/annexcloud/token.py"),
            )
        return failed(
            "The service does not accept the request's signature (401).",
            todo="Mend `site_id`, `site_name` or `secret_key`.",
        )
    site.service.get("users", "0")  # says what it is
    return failed(f"{answer.route} was answered with {answer.status}.", todo="Mend `base_url`.")


@CHECKS("annex.token_life", "Tokens may live long", page="2.2", how="GET /users/0 with a token of an hour")
def _token_life(site: Site) -> Finding:
    answer = site.get("users", "0", token=site.token(identifier_payload("0"), _HOUR))
    if answer.status == requests.codes.unauthorized:
        return differs(f"A token of an hour is refused; those of the connector live {LIFETIME_SECONDS} s.")
    return ok("A token of an hour is accepted, too.")


@CHECKS("annex.replay", "A token may be used twice", page="2.2", how="GET /users/0 twice with one token")
def _replay(site: Site) -> Finding:
    token = site.token(identifier_payload("0"), LIFETIME_SECONDS + 1)
    first, second = (site.get("users", "0", token=token) for _ in range(2))
    if first.status != requests.codes.unauthorized == second.status:
        return unsupported(
            "A token that was used before is refused; two equal requests within one second have the same one.",
            "annex_d365/annexcloud/token.py",
        )
    return ok("The second request is answered like the first.")


@CHECKS(
    "annex.signed_id",
    "A GET signs the id as it is, not as it stands in the address",
    page="2.3",
    how="GET /users/{id} with @, / and é",
)
def _signed_id(site: Site) -> Finding:
    for sign, what in (("@", "an @"), ("/", "a slash"), ("é", "a letter outside ASCII")):
        member = f"{nobody()}{sign}example.com"
        if site.get("users", member).status != requests.codes.unauthorized:
            continue
        encoded = site.get("users", member, token=site.token(identifier_payload(path_segment(member))))
        form = (
            ", and accepted if it is signed as in the address" if encoded.status != requests.codes.unauthorized else ""
        )
        return unsupported(f"An id with {what} is refused{form}.", "annex_d365/annexcloud/token.py")
    return ok("Ids with such signs are accepted.")


@CHECKS("annex.no_member", "What is not there is told by AC1005", page="3", how="GET /users/{id} of nobody")
def _no_member(site: Site) -> Finding:
    answer = site.get("users", nobody())
    code = error_code(answer.content)
    if answer.ok and not code:
        return unsupported("A member that is not there is answered with a success.", "annex_d365/annexcloud/members.py")
    if code == NO_DATA:
        return ok(f"{answer.status} {code}.")
    if answer.status == requests.codes.not_found and no_data(answer):
        return differs(f"It is {answer.status} {code}; the status says it as well.")
    return unsupported(f"It is {answer.status} {code or 'without a code'}.", "annex_d365/annexcloud/errors.py")


@CHECKS(
    "annex.no_route", "An unknown route is 404 with AC1001, or without a code", page="3", how="GET /annexd365doctor/0"
)
def _no_route(site: Site) -> Finding:
    answer = site.get("annexd365doctor", "0")
    code = error_code(answer.content)
    if answer.status == requests.codes.not_found and code in {UNKNOWN_ROUTE, "", None}:
        return ok(f"404 {code or 'without a code'}.")
    if answer.status == requests.codes.not_found:
        return unsupported(f"It is 404 {code}, like a member that is not there.", "annex_d365/annexcloud/errors.py")
    return differs(f"It is {answer.status} {code or ''}".rstrip() + ".")


@CHECKS("annex.envelope", "Answers about one thing are flat", page="3", how="GET /users/{id}")
def _envelope(site: Site) -> Finding:
    if not site.ids:
        return cannot_tell("There is no member to look at.")
    body = site.get("users", site.ids[0]).body
    if inner(body) is not body:
        return differs("They are in `Data`; the connector reads both.")
    return ok("They are, and can be read.") if isinstance(body, dict) else failed("The answer is no object.")


@CHECKS(
    "annex.values",
    "Numbers are numbers, and a field without a value is null",
    page="3",
    how="GET /points/{id}, GET /users/{id}",
)
def _values(site: Site) -> Finding:
    if not site.ids:
        return cannot_tell("There is no member to look at.")
    points, profile = (inner(site.get(each, site.ids[0]).body) for each in ("points", "users"))
    notes = []
    if isinstance(points, dict) and isinstance(points.get("availablePoints"), str):
        notes.append("numbers are texts")
    if isinstance(profile, dict) and None not in profile.values():
        notes.append(
            'empty fields are `""`' if "" in profile.values() else "empty fields are left out, or there are none"
        )
    return differs(f"The connector copes: {'; '.join(notes)}.") if notes else ok("So it is.")


@CHECKS("annex.site", "Answers name the site of the settings", page="5.2", how="GET /users/{id}")
def _site(site: Site) -> Finding:
    body = inner(site.get("users", site.ids[0]).body) if site.ids else {}
    named = str(body.get("siteId") or "")
    if not named:
        return cannot_tell("No answer names it.")
    if named == site.credentials.site_id:
        return ok("They do.")
    return failed("Answers name another site.", todo="Mend `site_id`.")
