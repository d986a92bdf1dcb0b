"""Members: what each endpoint reads and in which shape it answers (Annex page section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from annex_d365_sandbox.annexcloud import errors, fields, replies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.wire import Reply, Request

#: Answer of a create.
CREATED: Final = (
    "id",
    "email",
    "firstName",
    "lastName",
    "optInStatus",
    "status",
    "phone",
    "birthDate",
    "anniversaryDate",
    "createDate",
    "updateDate",
)
#: Answer of a read, as far as its documented list is known.
DETAILS: Final = (
    "id",
    "email",
    "firstName",
    "lastName",
    "zipCode",
    "optInStatus",
    "optInDate",
    "status",
    "phone",
    "birthDate",
    "anniversaryDate",
    "userProfileImageUrl",
    "createDate",
    "updateDate",
    "extendedAttribute",
    "totalSpendCurrency",
)
#: The record of a merge.
MERGE: Final = ("primaryUID", "secondaryUID", "mergedBy", "reason", "mergeDate", "updateDate")


def create_member(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /users``."""
    member = site.create_member(replies.json_object(request))
    return replies.single(site, _view(site, member, CREATED), site.switches.create_status)


def get_member(site: Site, _request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /users/{memberId}``."""
    return replies.single(site, _details(site, site.get_member(names["member_id"])))


def update_member(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``PATCH /users/{memberId}``."""
    return replies.single(site, _details(site, site.update_member(names["member_id"], replies.json_object(request))))


def search_members(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /users/search``. ASSUMPTION (section 5.4): the shape, and 404 when nothing matches."""
    criteria = replies.json_object(request).get("dataSearch")
    if criteria is None:
        raise errors.missing("dataSearch")
    if not isinstance(criteria, dict):
        raise errors.invalid("dataSearch")
    found = site.search_members(criteria)
    if not found and site.switches.search_of_nothing == "not_found":
        raise errors.no_data()
    users = [_details(site, member) for member in found]
    if site.switches.search_reply == "list":
        return replies.plain(site, users)
    reply = {"siteId": site.site_id, "records": len(users), "userDetail": users}
    return replies.plain(site, {"Data": reply} if site.switches.search_reply == "Data" else reply)


def request_deletion(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /userdelete``: the member as it is until the next batch."""
    return replies.single(site, _details(site, site.request_deletion(replies.json_object(request))))


def bulk_create(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /bulkpostusers``."""

    def create(body: dict[str, Any]) -> dict[str, Any]:
        site.create_member(body)
        return {"id": body["id"]}

    return replies.bulk(site, request, create, status=site.switches.create_status)


def bulk_update(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /bulkpatchusers``."""

    def update(body: dict[str, Any]) -> dict[str, Any]:
        fields.require(body, "id")
        site.update_member(fields.scalar("id", body["id"]), body)
        return {"id": body["id"]}

    return replies.bulk(site, request, update)


def merge_members(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /mergeuser``. ASSUMPTION: it answers as the read does."""
    merge = site.merges.merge(replies.json_object(request))
    return _merge(site, merge["primaryUID"], merge, {})


def get_merge(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /mergeuser/{memberId}`` for either member. ASSUMPTION: one merge to a page, newest first."""
    found = site.merges.of(names["member_id"])
    if not found:
        raise errors.no_data()
    paging, rows = replies.page(site, request, len(found), size=1)
    return _merge(site, names["member_id"], next(iter(found[rows]), {}), paging)


def _merge(site: Site, member_id: str, merge: Mapping[str, Any], paging: Mapping[str, int]) -> Reply:
    detail = replies.filled(site, {name: merge.get(name) for name in MERGE})
    # ``siteID`` as the document writes it here.
    return replies.single(site, {"siteID": site.site_id, "id": member_id, "userDetail": {**detail, **paging}})


def _details(site: Site, member: Mapping[str, Any]) -> dict[str, Any]:
    details = _view(site, member, DETAILS)
    key = site.switches.opt_out_date_key
    if key and member["optOutDate"]:
        details[key] = member["optOutDate"]
    return details


def _view(site: Site, member: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return replies.filled(site, {"siteId": site.site_id, **{name: member[name] for name in names}})
