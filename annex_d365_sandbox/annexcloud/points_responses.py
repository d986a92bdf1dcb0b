"""Points, activity, tiers, rewards, actions: requests in, replies out (Annex page sections 6 to 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import balances, errors, fields, replies
from annex_d365_sandbox.annexcloud import points as postings
from annex_d365_sandbox.annexcloud.catalogue import REDEMPTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.wire import Reply, Request

    Read = Callable[[Site, Mapping[str, Any]], dict[str, Any]]


def post(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /points``."""
    return replies.single(site, _posted(site, replies.json_object(request)))


def bulk_post(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /bulkpoints``. ASSUMPTION: each item is answered like a single posting."""
    return replies.bulk(site, request, lambda body: _posted(site, body))


def points(site: Site, _request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /points/{memberId}``."""
    return _read(site, names, balances.points)


def tiers(site: Site, _request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /users/{memberId}/tiers``."""
    return _read(site, names, balances.tiers)


def rewards(site: Site, _request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /users/{memberId}/reward``; in the order of the catalogue, whatever ``sort_by`` says."""
    return _read(site, names, balances.rewards)


def bulk_points(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /getbulkpoints``. ASSUMPTION (section 7): the single-member bodies."""
    return _bulk_read(site, request, balances.points)


def bulk_tiers(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /bulktiers``. ASSUMPTION (section 7): the single-member bodies."""
    return _bulk_read(site, request, balances.tiers)


def activity(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /users/{memberId}/activity?page=``. ASSUMPTION: who has no activity has an empty page."""
    member = site.get_member(names["member_id"])
    site.activities.settle()
    total = site.activities.count(member["id"])
    paging, rows = replies.page(site, request, total)
    newest_first = site.switches.activity_order == "newest"
    entries = site.activities.entries(member["id"], rows=rows, newest_first=newest_first)
    views: Any = [replies.filled(site, balances.activity(site, entry)) for entry in entries]
    if len(views) == 1 and site.switches.lone_activity == "object":
        views = views[0]
    return replies.single(
        site, {"siteId": site.site_id, **paging, site.switches.activity_count_key: total, "activityDetail": views}
    )


def used_rewards(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /users/{memberId}/usedreward?page=``."""
    member = site.get_member(names["member_id"])
    paging, rows = replies.page(site, request, site.activities.count(member["id"], REDEMPTION))
    entries = site.activities.entries(member["id"], REDEMPTION, rows=rows)
    views = [replies.filled(site, balances.used_reward(site, entry)) for entry in entries]
    return replies.single(site, {**paging, "rewardDetail": views})


def actions(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /actions/{status}``: all, active, inactive, in any case."""
    status = names["status"].upper()
    if status not in ("ALL", "ACTIVE", "INACTIVE"):
        raise errors.invalid("status")
    found = [action for action in site.catalogue.actions.values() if status in ("ALL", action.status)]
    paging, rows = replies.page(site, request, len(found))
    views = [
        {
            "actionId": action.action_id,
            "actionName": action.name,
            "actionPoints": action.points,
            "status": action.status,
            "expireInDays": action.expire_days,
            "holdDays": action.hold_days,
        }
        for action in found[rows]
    ]
    return replies.plain(site, {"siteId": site.site_id, "records": len(found), **paging, "allActionDetails": views})


def _posted(site: Site, body: Mapping[str, Any]) -> dict[str, Any]:
    return replies.filled(site, postings.view(site, site.points.post(body)))


def _read(site: Site, names: Mapping[str, str], read: Read) -> Reply:
    member = site.get_member(names["member_id"])
    site.activities.settle()
    return replies.single(site, replies.filled(site, read(site, member)))


def _bulk_read(site: Site, request: Request, read: Read) -> Reply:
    site.activities.settle()

    def of(body: Mapping[str, Any]) -> dict[str, Any]:
        fields.require(body, "id")
        return replies.filled(site, read(site, site.get_member(fields.scalar("id", body["id"]))))

    return replies.bulk(site, request, of, status=None)
