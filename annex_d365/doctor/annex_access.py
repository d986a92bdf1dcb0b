"""Checks of Annex Cloud: address, token, clock, and how it says no (Annex pages 1 to 3)."""

from __future__ import annotations

import email.utils
import time

import requests

from annex_d365.annexcloud.errors import NO_DATA, UNKNOWN_ROUTE, error_code
from annex_d365.annexcloud.token import (
    ASSUMED_TO_SIGN,
    SHORTEST_LIFETIME_SECONDS,
    TOLERATED_SKEW_SECONDS,
    IdForm,
    Signed,
    identifier_payload,
)
from annex_d365.doctor.annex_site import Site, inner, no_data, nobody
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported

TOKEN = "annex.token"  # noqa: S105 - the name of a check
_HOUR = 3600
#: Lives of tokens that are tried where the set one is refused.
_SHORTER = (150, 120, 90, 60, 45, 30, 20, SHORTEST_LIFETIME_SECONDS)
#: Signs that forms of ids treat differently, and what they are called.
_SIGNS = {"@": "an @", "/": "a slash", "é": "a letter outside ASCII"}

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
        return ok(f"The service accepts tokens that live {site.signing.lifetime} s.")
    if answer.status == requests.codes.unauthorized:
        wanted = site.signing.lifetime
        for lifetime in (each for each in _SHORTER if each < wanted):
            short = site.get("users", "0", token=site.token(identifier_payload("0"), lifetime))
            if short.status != requests.codes.unauthorized:
                return differs(
                    f"The service refuses tokens of {wanted} s and accepts those of {lifetime} s.",
                    site.learn("token_lifetime_seconds", lifetime),
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
        return differs(f"A token of an hour is refused; those of the connector live {site.signing.lifetime} s.")
    return ok("A token of an hour is accepted, too.")


@CHECKS("annex.replay", "A token may be used twice", page="2.2", how="GET /users/0 twice with one token")
def _replay(site: Site) -> Finding:
    token = site.token(identifier_payload("0"))
    first, second = (site.get("users", "0", token=token) for _ in range(2))
    if first.status != requests.codes.unauthorized == second.status:
        return differs("A token that was used before is refused; each request of the connector has one of its own.")
    return ok("The second request is answered like the first.")


@CHECKS(
    "annex.signed_id",
    "A GET signs the id as it is, not as it stands in the address",
    page="2.3",
    how="GET /users/{id} with @, / and é",
)
def _signed_id(site: Site) -> Finding:
    def refused_with(form: IdForm) -> list[str]:
        members = {sign: f"{nobody()}{sign}example.com" for sign in _SIGNS}
        tokens = {sign: site.token(identifier_payload(member, form)) for sign, member in members.items()}
        answers = {sign: site.get("users", member, token=tokens[sign]) for sign, member in members.items()}
        return [what for sign, what in _SIGNS.items() if answers[sign].status == requests.codes.unauthorized]

    form = site.signing.ids
    refused = refused_with(form)
    if not refused:
        return ok(f"Ids with such signs are accepted, signed in the form `{form.value}`.")
    told = f"An id with {' or '.join(refused)} is refused, signed in the form `{form.value}`"
    other = next((each for each in IdForm if each is not form and not refused_with(each)), None)
    if other:
        return differs(f"{told}, and accepted in the form `{other.value}`.", site.learn("signed_id_form", other.value))
    return unsupported(f"{told}, and in any other, too.", "annex_d365/annexcloud/token.py")


@CHECKS(
    "annex.undocumented_signs",
    "GETs sign their id, those too of which that is not documented",
    page="2.3",
    how="GET /segmentlist/all, GET /eligiblesegment/0, GET /mergeuser/0",
)
def _undocumented_signs(site: Site) -> Finding:
    ids = dict.fromkeys(sorted(ASSUMED_TO_SIGN), "0") | {"segmentlist": site.service.segment_words.all}

    def refused() -> list[str]:
        answers = {resource: site.get(resource, identifier) for resource, identifier in ids.items()}
        return [each for each, answer in answers.items() if answer.status == requests.codes.unauthorized]

    own = site.signing.assumed
    before = refused()
    if not before:
        return ok(f"They are accepted, signing `{own.value}`.")
    other = Signed.ID if own is Signed.EMPTY else Signed.EMPTY
    changes = site.learn("undocumented_get_signs", other.value)
    after = refused()
    if len(after) < len(before):
        told = ", ".join(f"GET /{each}" for each in before if each not in after)
        return differs(f"{told} must sign `{other.value}`, not `{own.value}`.", changes)
    site.learn("undocumented_get_signs", own.value)
    told = ", ".join(f"GET /{each}" for each in before)
    return cannot_tell(f"{told} is refused whatever it signs: the site may have no right to it.")


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
    body = site.get("users", site.someone).body
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
    points, profile = (inner(site.get(each, site.someone).body) for each in ("points", "users"))
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
