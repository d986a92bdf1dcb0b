"""Segments: requests in, replies out (Annex page section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.annexcloud import errors, replies, rules, segment_fields

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
    view = segment_fields.shown(segment, site.switches)
    detail = {
        "segmentName": view["segmentName"],
        "segmentType": view["segmentType"],
        "segmentDateFrom": view["segmentFromDate"],
        "segmentDateTo": view["segmentToDate"],
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
    view = segment_fields.shown(segment, site.switches)
    head = {"siteId": site.site_id, "segmentId": view["segmentId"], "segmentName": view["segmentName"]}
    if site.switches.eligible_members == "ids":
        listed: dict[str, Any] = {"userId": found[rows]}
    else:
        columns = ("id", "email", "firstName", "lastName")
        people = site.members_of(found[rows])
        listed = {"members": [replies.filled(site, {name: each[name] for name in columns}) for each in people]}
    return replies.single(site, {**head, **paging, "records": len(found), **listed})


def listing(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /segmentlist/{status}``: all, active, inactive. ASSUMPTION (section 10.5): the shape; by id."""
    words = [word.upper() for word in site.switches.segment_list_words]
    status = dict(zip(words, ("ALL", *segment_fields.STATUSES), strict=False)).get(names["status"].upper())
    if status is None:
        raise errors.invalid("status")
    found = [segment for segment in site.segments.all() if status in ("ALL", segment["status"])]
    paging, rows = replies.page(site, request, len(found))
    views = [
        replies.filled(
            site,
            {
                **segment_fields.shown(segment, site.switches),
                "memberCount": len(site.segments.members(segment)),
                "createDate": segment["createDate"],
                "updateDate": segment["updateDate"],
            },
        )
        for segment in found[rows]
    ]
    return replies.plain(site, {"siteId": site.site_id, **paging, site.switches.segment_list_key: views})


def _changed(
    site: Site, segment: Mapping[str, Any], members: GivenMembers, more: Mapping[str, Any], status: int = 200
) -> Reply:
    """ASSUMPTION (section 10.1): members come back as received, and ids of nobody, which were skipped, once more."""
    view = {"siteId": site.site_id, **segment_fields.shown(segment, site.switches), **more}
    if site.switches.segment_member_echo == "received":
        view["member"] = members.echo(members.given)
    if members.unknown:
        view["unknownMember"] = members.echo(members.unknown)
    return replies.single(site, replies.filled(site, view), status)
