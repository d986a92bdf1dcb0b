"""Checks of Annex Cloud: points, tiers, activities, rewards, merges (Annex pages 5 to 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import requests

from annex_d365.annexcloud.bulk import BULK_LIMIT
from annex_d365.annexcloud.bulk_results import items
from annex_d365.annexcloud.fields import yes_or_no
from annex_d365.annexcloud.history import newest_first
from annex_d365.annexcloud.points import Points
from annex_d365.doctor.annex_access import TOKEN
from annex_d365.doctor.annex_members import named, suits
from annex_d365.doctor.annex_site import Site, inner, names_of, no_data, nobody, refused
from annex_d365.doctor.model import Checks, Finding, cannot_tell, differs, failed, ok, unsupported
from annex_d365.errors import RowError

CHECKS: Checks[Site] = Checks(needs=TOKEN)


@CHECKS("annex.points", "Balances can be read", page="7", how="GET /points/{id}")
def _points(site: Site) -> Finding:
    answer = site.get("points", site.someone)
    body = inner(answer.body)
    if not answer.ok or not isinstance(body, Mapping) or "availablePoints" not in body:
        return refused(answer) or failed(f"{answer.route} was answered with {answer.status}, without balances.")
    if "totalSpent" in body:
        return ok("They have `totalSpent`.")
    return differs(f"They have {'`totalSpend`' if 'totalSpend' in body else 'no `totalSpent`'}, which is read, too.")


@CHECKS(
    "annex.bulk_points",
    "Balances of many members can be read by one call",
    page="7",
    how="POST /getbulkpoints for 2 members",
)
def _bulk_points(site: Site) -> Finding:
    return _bulk_read(site, "getbulkpoints", "availablePoints")


@CHECKS(
    "annex.bulk_size",
    "A call may ask for the balances of 100 members",
    page="7",
    how="POST /getbulkpoints for 100 ids of nobody",
    needs="annex.bulk_points",
)
def _bulk_size(site: Site) -> Finding:
    answer = site.post("getbulkpoints", {str(number): {"id": nobody()} for number in range(1, BULK_LIMIT + 1)})
    if answer.ok or no_data(answer):
        return ok("It may.")
    return differs(f"It is {answer.status}: fewer are asked for at once, until it works.")


@CHECKS(
    "annex.tiers",
    "Tiers can be read; their dates are `tierAchieveDate` and `tierExpirationDate`",
    page="8",
    how="GET /users/{id}/tiers",
)
def _tiers(site: Site) -> Finding:
    answer = site.get("users", site.someone, "tiers")
    body = inner(answer.body)
    if not answer.ok or not isinstance(body, Mapping):
        return refused(answer) or failed(f"{answer.route} was answered with {answer.status}.")
    achieved = named(site, body, "tierAchieveDate", re.compile(r"(achiev|reach|attain|start).*date", re.IGNORECASE))
    expires = named(site, body, "tierExpirationDate", re.compile(r"(expir|end|valid).*date", re.IGNORECASE))
    if achieved.verdict is expires.verdict:
        return type(achieved)(
            achieved.verdict, f"{achieved.sentence} {expires.sentence}", achieved.changes + expires.changes
        )
    return expires if achieved == ok(achieved.sentence) else achieved


@CHECKS(
    "annex.bulk_tiers", "Tiers of many members can be read by one call", page="7", how="POST /bulktiers for 2 members"
)
def _bulk_tiers(site: Site) -> Finding:
    return _bulk_read(site, "bulktiers", "currentTier")


@CHECKS(
    "annex.activities", "Activities can be read, and have an `activityId`", page="6", how="GET /users/{id}/activity"
)
def _activities(site: Site) -> Finding:
    answers = (site.get("users", each, "activity", {"page": 1}) for each in site.ids)
    for answer in answers:
        if refusal := refused(answer):
            return refusal
        if not answer.ok:
            continue
        body = inner(answer.body)
        listed = body.get("activityDetail") if isinstance(body, Mapping) else None
        rows = [listed] if isinstance(listed, Mapping) else listed
        if not isinstance(rows, list):
            return unsupported("The answer has no `activityDetail`.", "annex_d365/annexcloud/points.py")
        if not rows:
            continue
        notes = []
        if "activityId" not in names_of(rows):
            notes.append("entries have no `activityId`, and a key is made of their fields")
        if isinstance(listed, Mapping):
            notes.append("a lone entry is an object, which is read, too")
        if isinstance(body, Mapping) and "totalActivityCount" not in body:
            notes.append("their number is not called `totalActivityCount`, which nothing needs")
        return differs(f"They can be read, but {'; '.join(notes)}.") if notes else ok("They do.")
    return cannot_tell("No member that is shown has activities.")


@CHECKS("annex.activity_order", "The newest activity comes first", page="6", how="GET /users/{id}/activity")
def _activity_order(site: Site) -> Finding:
    points = Points(site.service)
    for each in site.ids:
        try:
            times = [entry.created for entry in next(iter(points.activity_pages(each)), [])]
        except RowError:
            continue
        if newest_first(times):
            return ok("It does: what is older than the look-back is not read.")
        if newest_first(times[::-1]):
            return differs("The oldest comes first: each run reads whole histories.")
    return cannot_tell("No member that is shown has activities of different times.")


@CHECKS("annex.rewards", "Rewards can be read, with `eligible` as YES or NO", page="9", how="GET /users/{id}/reward")
def _rewards(site: Site) -> Finding:
    answer = site.get("users", site.someone, "reward", {"sort_by": "rewardSequence"})
    if refusal := refused(answer):
        return refusal
    body = inner(answer.body)
    rows = body.get("rewardDetail") or [] if answer.ok and isinstance(body, Mapping) else []
    values = {str(each.get("eligible")) for each in rows if isinstance(each, Mapping)}
    if not values:
        return cannot_tell("There is no reward to look at.")
    if values <= {"YES", "NO"}:
        return ok("They are.")
    if all(_is_yes_or_no(each) for each in values):
        return differs("`eligible` has other words, which the connector reads.")
    return unsupported("`eligible` has words that are neither yes nor no.", "annex_d365/annexcloud/fields.py")


@CHECKS("annex.merges", "Merged members can be followed", page="5.6", how="GET /mergeuser/{id}")
def _merges(site: Site) -> Finding:
    answer = site.get("mergeuser", site.ids[0] if site.ids else nobody())
    refusal = refused(answer)
    if refusal and answer.status != requests.codes.unauthorized:
        return differs(f"{refusal.sentence} Contacts of members that were merged into others are rejected.")
    return refusal or ok("The site tells about merges.")


def _bulk_read(site: Site, resource: str, telling: str) -> Finding:
    ids = [site.someone, *site.ids[1:2]]
    answer = site.post(resource, {str(number): {"id": each} for number, each in enumerate(ids, 1)})
    told = items(answer.body, ids) if answer.ok else []
    if told and all(each and telling in each for each in told):
        return ok("They can.")
    if answer.ok:
        return differs(f"The answer of {answer.route} is of no known shape; members are read one by one.")
    refusal = refused(answer)
    reason = refusal.sentence if refusal else f"{answer.route} was answered with {answer.status}."
    return differs(f"{reason} Members are read one by one, which takes longer.")


def _is_yes_or_no(value: str) -> bool:
    return suits(partial(yes_or_no, value))
