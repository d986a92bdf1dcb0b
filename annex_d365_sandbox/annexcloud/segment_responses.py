"""Segments: requests in, replies out (Annex page section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import errors, replies, rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.annexcloud.segment_fields import GivenMembers
    from annex_d365_sandbox.wire import Reply, Request


def create(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /segment``."""
    segment, members = site.segments.create(replies.json_object(request))
    return _changed(site, segment, members, {}, site.switches.create_status)


def update(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``PATCH /segment/{segmentId}``."""
    body = replies.json_object(request)
    segment, members = site.segments.update(names["segment_id"], body)
    return _changed(site, segment, members, {"memberUpdate": body.get("memberUpdate")})


def definition(site: Site, _request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /segment/{segmentId}``: the conditions; of a static segment these are its members, on one page."""
    segment = site.segments.get(names["segment_id"])
    detail = {
        "segmentName": segment["name"],
        "segmentType": segment["type"],
        "segmentDateFrom": segment["fromDate"],
        "segmentDateTo": segment["toDate"],
        **{group: {**unset, **segment["rules"].get(group, {})} for group, unset in rules.blank().items()},
    }
    if segment["type"] == "static":
        detail["memberDetails"]["userId"] = site.segments.members(segment)
    return replies.single(site, {"segmentDetail": detail})


def eligible(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /eligiblesegment/{segmentId}?page=``.

    ASSUMPTION (section 10.4): the shape, and that neither the status nor the dates of the segment matter.
    """
    segment = site.segments.get(names["segment_id"])
    found = site.segments.members(segment)
    paging, rows = replies.page(site, request, len(found))
    head = {"siteId": site.site_id, "segmentId": str(segment["id"]), "segmentName": segment["name"]}
    if site.switches.eligible_members == "ids":
        listed: dict[str, Any] = {"userId": found[rows]}
    else:
        shown = ("id", "email", "firstName", "lastName")
        people = site.members_of(found[rows])
        listed = {"members": [replies.filled(site, {name: each[name] for name in shown}) for each in people]}
    return replies.single(site, {**head, **paging, "records": len(found), **listed})


def listing(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /segmentlist/{status}``: all, active, inactive. ASSUMPTION (section 10.5): the shape; by id."""
    status = names["status"].upper()
    if status not in ("ALL", "ACTIVE", "INACTIVE"):
        raise errors.invalid("status")
    found = [segment for segment in site.segments.all() if status in ("ALL", segment["status"])]
    paging, rows = replies.page(site, request, len(found))
    views = [
        replies.filled(
            site,
            {
                **_named(segment),
                "memberCount": len(site.segments.members(segment)),
                "createDate": segment["createDate"],
                "updateDate": segment["updateDate"],
            },
        )
        for segment in found[rows]
    ]
    return replies.plain(site, {"siteId": site.site_id, **paging, "allSegmentDetails": views})


def _named(segment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "segmentId": str(segment["id"]),
        "segmentName": segment["name"],
        "segmentType": segment["type"],
        "segmentFromDate": segment["fromDate"],
        "segmentToDate": segment["toDate"],
        "status": segment["status"],
        "externalId": segment["externalId"],
        "externalName": segment["externalName"],
    }


def _changed(
    site: Site, segment: Mapping[str, Any], members: GivenMembers, more: Mapping[str, Any], status: int = 200
) -> Reply:
    """ASSUMPTION (section 10.1): members come back as received, and ids of nobody, which were skipped, once more."""
    view = {"siteId": site.site_id, **_named(segment), "member": members.echo(members.given), **more}
    if members.unknown:
        view["unknownMember"] = members.echo(members.unknown)
    return replies.single(site, replies.filled(site, view), status)
