"""Checks of Annex Cloud that write one test member (Annex pages 3, 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from annex_d365.annexcloud.bulk_results import verdicts
from annex_d365.annexcloud.errors import EXISTS, error_code
from annex_d365.annexcloud.members import whole
from annex_d365.doctor.annex_access import TOKEN
from annex_d365.doctor.annex_site import Site, inner, no_data, nobody, refused
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported

MEMBER = "annex.canary.member"
_FIRST, _LAST, _ZIP = "Canary", "Annex-D365", "00000"
_ATTRIBUTE = "annexD365Canary"
_DELETED = "annex.canary.delete"
_WHOLE, _ON = "patch_replaces", True

CHECKS: Checks[Site] = Checks(needs=MEMBER, writes=True)
#: After those that put the member into a segment.
LAST_CHECKS: Checks[Site] = Checks(needs=MEMBER, writes=True)


@CHECKS(MEMBER, "A member can be created; a success is 201", page="3, 5.1", how="POST /users", needs=TOKEN)
def _create(site: Site) -> Finding:
    bird = site.bird
    bird.making(f"Member {bird.name}", lambda: _remove(site))
    answer = site.post(
        "users",
        {"id": bird.name, "email": bird.email, "firstName": _FIRST, "lastName": _LAST, "zipCode": _ZIP},
    )
    if not answer.ok:
        bird.not_made()
        code = error_code(answer.content) or ""
        return refused(answer) or failed(f"{answer.route} was answered with {answer.status} {code}".rstrip() + ".")
    sentence = f"It was created with {answer.status}."
    return ok(sentence) if answer.status == requests.codes.created else differs(f"{sentence} Any success will do.")


@CHECKS("annex.canary.again", "A member that exists is 409 with AC1006", page="3, 5.1", how="POST /users once more")
def _again(site: Site) -> Finding:
    answer = site.post("users", {"id": site.bird.name, "email": site.bird.email})
    code = error_code(answer.content) or ""
    facts = f"{answer.status} {code}".rstrip()
    if answer.status == requests.codes.conflict or code == EXISTS:
        expected = answer.status == requests.codes.conflict and code == EXISTS
        return ok(f"It is {facts}.") if expected else differs(f"It is {facts}, which the connector understands.")
    return unsupported(f"It is {facts}.", "annex_d365/annexcloud/members.py")


@CHECKS(
    "annex.canary.opt_in",
    "A new member has opted in, unless the request says otherwise",
    page="5.1",
    how="GET /users/{id}",
)
def _opt_in(site: Site) -> Finding:
    value = str(_shown(site).get("optInStatus") or "").upper()
    if value == "YES":
        return ok("It has: enrol only who has agreed, or map `optInStatus`.")
    return differs(f"`optInStatus` is {value or 'not shown'} for a new member.")


@CHECKS("annex.canary.zip_code", "`zipCode` is kept when a member is created", page="5.1", how="GET /users/{id}")
def _zip_code(site: Site) -> Finding:
    if str(_shown(site).get("zipCode") or "") == _ZIP:
        return ok("It is.")
    sentence = "It is not: the ledger would take it for written."
    return differs(sentence, _unless(site, "skip_unchanged", "read"))


@CHECKS(
    "annex.canary.patch",
    "A change of some fields leaves the others alone",
    page="5.3",
    how="PATCH /users/{id} of one field",
)
def _patch(site: Site) -> Finding:
    answer = _change(site, phone="+10000000000")
    shown = _shown(site)
    if not answer.ok:
        return refused(answer) or failed(f"{answer.route} was answered with {answer.status}.")
    if shown.get("phone") is None or not str(shown["phone"]).endswith("10000000000"):
        return differs("The change is not shown (yet).")
    kept = shown.get("lastName") == _LAST and shown.get("email") == site.bird.email
    if not kept:
        sentence = "It does not: fields that are left out are emptied, and what else members have would be lost."
        return failed(sentence, site.change(_WHOLE, _ON))
    if site.setting(_WHOLE):
        return ok("Members are sent whole, as the settings say.")
    return ok("It does.")


@CHECKS(
    "annex.canary.nulls",
    "An empty text empties a field, and null is passed over",
    page="5.3",
    how="PATCH /users/{id} of phone and firstName",
)
def _nulls(site: Site) -> Finding:
    _change(site, phone="", firstName=None)
    shown = _shown(site)
    notes = []
    if shown.get("phone"):
        return unsupported("An empty text does not empty a field.", "annex_d365/annexcloud/fields.py")
    if not shown.get("firstName"):
        notes.append("null empties a field, too; the connector sends none")
    return differs(f"So far as it matters: {'; '.join(notes)}.") if notes else ok("So it is.")


@CHECKS(
    "annex.canary.attributes",
    "Attributes that the site has not defined are passed over",
    page="5.1, 5.3",
    how="PATCH /users/{id} of extendedAttribute",
)
def _attributes(site: Site) -> Finding:
    answer = _change(site, extendedAttribute={_ATTRIBUTE: "1"})
    if not answer.ok:
        return differs(f"They are refused ({answer.status}): rows that map one are rejected.")
    kept = _shown(site).get("extendedAttribute")
    if not isinstance(kept, Mapping) or _ATTRIBUTE not in kept:
        return ok("They are: define them at the site before they are mapped.")
    _change(site, extendedAttribute={f"{_ATTRIBUTE}2": "2"})
    both = _shown(site).get("extendedAttribute") or {}
    merged = "merged" if _ATTRIBUTE in both else "replaced as a whole, so that the connector sends all of them"
    return differs(f"They are kept, and {merged}.")


@CHECKS("annex.canary.status", "The status of a member can be set", page="5.1", how="PATCH /users/{id} of status")
def _status(site: Site) -> Finding:
    answer = _change(site, status="INACTIVE")
    if str(_shown(site).get("status") or "").upper() == "INACTIVE":
        return ok("It can.")
    if answer.ok:
        return differs("It is passed over, as at sites where activity decides on it: leave `status` unmapped.")
    return differs(f"It is refused ({answer.status}): leave `status` unmapped.")


@CHECKS("annex.canary.opt_out", "Opting out is dated", page="5.3", how="PATCH /users/{id} of optInStatus")
def _opt_out(site: Site) -> Finding:
    before = _shown(site)
    _change(site, optInStatus="NO")
    shown = _shown(site)
    if str(shown.get("optInStatus") or "").upper() != "NO":
        return unsupported("It is not shown that the member has opted out.", "annex_d365/annexcloud/members.py")
    new = [name for name, value in shown.items() if value and not before.get(name)]
    if "optOutDate" in new:
        return ok("In `optOutDate`.")
    other = next((name for name in new if "date" in name.casefold()), None)
    if other is None:
        return cannot_tell("No field with a date has appeared.")
    set_ = site.setting("members", {}).get("columns", {}) if site.having("members") else {}
    changes = () if set_.get("optOutDate") == other else site.change("members.columns.optOutDate", other)
    return differs(f"In `{other}`.", changes)


@CHECKS(
    "annex.canary.bulk_create",
    "Members can be created by one call",
    page="5.7",
    how="POST /bulkpostusers with the member that exists",
)
def _bulk_create(site: Site) -> Finding:
    return _bulk(site, "bulkpostusers", {"id": site.bird.name, "email": site.bird.email}, "created")


@CHECKS(
    "annex.canary.bulk_update",
    "Members can be changed by one call, which tells what became of each",
    page="5.7",
    how="POST /bulkpatchusers with the member and nobody",
)
def _bulk_update(site: Site) -> Finding:
    return _bulk(site, "bulkpatchusers", {"id": site.bird.name, "lastName": f"{_LAST}-2"}, "changed")


@LAST_CHECKS(
    _DELETED,
    "A deletion is asked for, and carried out in the daily batch",
    page="5.6",
    how="POST /userdelete, GET /users/{id}",
)
def _delete(site: Site) -> Finding:
    answer = site.post("userdelete", _deletion(site))
    if not answer.ok:
        return refused(answer) or failed(f"{answer.route} was answered with {answer.status}.")
    if no_data(site.get("users", site.bird.name)):
        return differs("It was carried out at once.")
    return ok("It has been asked for, and the member is still there.")


def _bulk(site: Site, resource: str, item: Mapping[str, Any], done: str) -> Finding:
    """Both items of a call are harmless: one is the canary, the other nobody, or the canary once more."""
    other = nobody() if resource == "bulkpatchusers" else ""
    given = [item, *([{"id": other, "lastName": _LAST}] if other else [])]
    ids = [str(each["id"]) for each in given]
    forms = {"an array": given, "a numbered map": {str(number): each for number, each in enumerate(given, 1)}}
    for name, body in forms.items():
        answer = site.post(resource, body)
        if refusal := refused(answer):
            return differs(f"{refusal.sentence} Members are {done} one by one, which takes longer.")
        told = verdicts(answer.body, ids, {"lastName", "email"}) if answer.ok else []
        if told and all(told):
            return ok(f"As {name}.") if name == "an array" else differs(f"As {name}, which is tried second.")
    return differs(f"No answer says what became of each: members are {done} one by one, which takes longer.")


def _change(site: Site, **fields: Any) -> Any:
    """As the target does it."""
    body = {"id": site.bird.name, **fields}
    return site.patch("users", site.bird.name, whole(_shown(site), body) if site.setting(_WHOLE) else body)


def _shown(site: Site) -> Mapping[str, Any]:
    body = inner(site.get("users", site.bird.name).body)
    return body if isinstance(body, Mapping) else {}


def _unless(site: Site, setting: str, value: str) -> Any:
    return () if site.setting(setting) == value else site.change(setting, value)


def _deletion(site: Site) -> dict[str, str]:
    return {"id": site.bird.name, "requestedBy": site.connection.get("delete_requested_by") or site.bird.email}


def _remove(site: Site) -> str | None:
    if no_data(site.get("users", site.bird.name)):
        return None
    answer = site.post("userdelete", _deletion(site))
    # ASSUMPTION: 409 for a deletion that waits for its time (Annex page 5.6).
    if answer.ok or answer.status == requests.codes.conflict or no_data(answer):
        return None
    return f"Member {site.bird.name} could not be removed ({answer.status}): delete it in Annex Cloud."
