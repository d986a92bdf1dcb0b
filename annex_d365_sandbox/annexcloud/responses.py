"""Requests in, replies out: what each endpoint reads and in which shape it answers (Annex page sections 3 and 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from annex_d365_sandbox.annexcloud import errors, fields
from annex_d365_sandbox.annexcloud.errors import ApiError
from annex_d365_sandbox.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.wire import Request

#: The reply header in which the sandbox tells its operator what the service would not say.
REASON: Final = "X-Sandbox-Reason"
#: A recommendation (section 5.7): more are processed all the same.
BULK_RECOMMENDED: Final = 100

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


_PAGE = re.compile(r"[0-9]{1,9}")


def not_found(_site: Site, _request: Request, _names: Mapping[str, str]) -> Reply:
    """Any route of the API that the sandbox does not serve."""
    raise errors.not_found("the sandbox does not serve this route")


def create_member(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /users``."""
    member = site.create_member(_object(request))
    return _single(site, _view(site, member, CREATED), site.switches.create_status)


def get_member(site: Site, _request: Request, names: Mapping[str, str]) -> Reply:
    """``GET /users/{memberId}``."""
    return _single(site, _details(site, site.get_member(names["member_id"])))


def update_member(site: Site, request: Request, names: Mapping[str, str]) -> Reply:
    """``PATCH /users/{memberId}``."""
    return _single(site, _details(site, site.update_member(names["member_id"], _object(request))))


def search_members(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /users/search``. ASSUMPTION (section 5.4): the shape, and 404 when nothing matches."""
    criteria = _object(request).get("dataSearch")
    if criteria is None:
        raise errors.missing("dataSearch")
    if not isinstance(criteria, dict):
        raise errors.invalid("dataSearch")
    found = site.search_members(criteria)
    if not found:
        raise errors.no_data()
    users = [_details(site, member) for member in found]
    return _reply(site, {"siteId": site.site_id, "records": len(users), "userDetail": users})


def request_deletion(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /userdelete``: the member as it is until the next batch."""
    return _single(site, _details(site, site.request_deletion(_object(request))))


def bulk_create(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /bulkpostusers``."""

    def create(body: dict[str, Any]) -> int:
        site.create_member(body)
        return site.switches.create_status

    return _bulk(site, request, create)


def bulk_update(site: Site, request: Request, _names: Mapping[str, str]) -> Reply:
    """``POST /bulkpatchusers``."""

    def update(body: dict[str, Any]) -> int:
        if body.get("id") in (None, ""):
            raise errors.missing("id")
        site.update_member(fields.scalar("id", body["id"]), body)
        return 200

    return _bulk(site, request, update)


def error(failure: ApiError) -> Reply:
    """The flat error body of section 3; the sandbox's reason, if any, in a header."""
    body = {"errorCode": failure.code, "errorMessage": failure.message}
    return Reply.json(body, failure.status, {REASON: failure.reason} if failure.reason else None)


def page(site: Site, request: Request, total: int) -> tuple[dict[str, int], slice]:
    """The paging fields of a reply and the rows they stand for, by the request's ``page`` (1-based, section 3).

    Raises:
        ApiError: 400 AC1007 for a page that is no number; 404 AC1005 for one out of range (ASSUMPTION).
    """
    switches = site.switches
    pages = -(-total // switches.page_size)
    given = request.params.get("page", "1")
    if not _PAGE.fullmatch(given):
        raise errors.invalid("page")
    number = int(given)
    if not 1 <= number <= max(pages, 1):
        raise errors.no_data()
    start = (number - 1) * switches.page_size
    return {"pages": pages, switches.paging_key: number}, slice(start, start + switches.page_size)


def _bulk(site: Site, request: Request, act: Callable[[dict[str, Any]], int]) -> Reply:
    """Section 5.7, ASSUMPTION throughout: each item stands alone, the answer has the form of the request."""
    body = _body(request)
    if isinstance(body, list):
        answer: Any = [_bulk_item(item, act) for item in body]
    elif isinstance(body, dict) and all(key.isascii() and key.isdigit() for key in body):
        answer = {key: _bulk_item(item, act) for key, item in body.items()}
    else:
        raise errors.invalid("neither an array nor a numbered map of users")
    if not answer:
        raise errors.missing("users")
    reply = _reply(site, answer)
    if len(answer) > BULK_RECOMMENDED:
        reply.headers[REASON] = f"more than the recommended {BULK_RECOMMENDED} users in one call"
    return reply


def _bulk_item(item: Any, act: Callable[[dict[str, Any]], int]) -> dict[str, Any]:
    if not isinstance(item, dict):
        return _bulk_failure(None, errors.invalid("not a user object"))
    member_id = item.get("id")
    try:
        status = act(item)
    except ApiError as failure:
        return _bulk_failure(member_id, failure)
    return {"id": member_id, "status": "SUCCESS", "statusCode": status}


def _bulk_failure(member_id: Any, failure: ApiError) -> dict[str, Any]:
    return {
        "id": member_id,
        "status": "FAILURE",
        "statusCode": failure.status,
        "errorCode": failure.code,
        "errorMessage": failure.message,
    }


def _body(request: Request) -> Any:
    if not request.body.strip():
        raise errors.missing("body")
    try:
        return request.json()
    except (msgspec.DecodeError, UnicodeDecodeError):
        # From nothing: the decoder's words may hold a piece of the body.
        raise errors.invalid("the body is not JSON") from None


def _object(request: Request) -> dict[str, Any]:
    body = _body(request)
    if not isinstance(body, dict):
        raise errors.invalid("the body is not an object")
    return body


def _details(site: Site, member: Mapping[str, Any]) -> dict[str, Any]:
    details = _view(site, member, DETAILS)
    key = site.switches.opt_out_date_key
    if key and member["optOutDate"]:
        details[key] = member["optOutDate"]
    return details


def _view(site: Site, member: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    view = {"siteId": site.site_id, **{name: member[name] for name in names}}
    if site.switches.missing_values == "null":
        return view
    if site.switches.missing_values == "blank":
        return {name: "" if value is None else value for name, value in view.items()}
    return {name: value for name, value in view.items() if value is not None}


def _single(site: Site, member: dict[str, Any], status: int = 200) -> Reply:
    return _reply(site, {"Data": member} if site.switches.envelope == "Data" else member, status)


def _reply(site: Site, value: Any, status: int = 200) -> Reply:
    return Reply.json(_spelled(value) if site.switches.numbers == "string" else value, status)


def _spelled(value: Any) -> Any:
    """The same value with its numbers as text."""
    if isinstance(value, dict):
        return {name: _spelled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
