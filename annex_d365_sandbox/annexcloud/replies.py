"""What all endpoints share: bodies in, the site's spelling of replies out, pages and bulk calls (Annex page 3, 5.7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from annex_d365_sandbox.annexcloud import errors
from annex_d365_sandbox.annexcloud.errors import ApiError
from annex_d365_sandbox.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.wire import Request

#: The reply header in which the sandbox tells its operator what the service would not say.
REASON: Final = "X-Sandbox-Reason"
#: A recommendation (section 5.7): more are processed all the same.
BULK_RECOMMENDED: Final = 100

_PAGE = re.compile(r"[0-9]{1,9}")


def body(request: Request) -> Any:
    """The request's JSON. Raises 400, AC1004 for none, AC1007 for something else."""
    if not request.body.strip():
        raise errors.missing("body")
    try:
        return request.json()
    except (msgspec.DecodeError, UnicodeDecodeError):
        # From nothing: the decoder's words may hold a piece of the body.
        raise errors.invalid("the body is not JSON") from None


def json_object(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises 400 as :func:`body` does."""
    given = body(request)
    if not isinstance(given, dict):
        raise errors.invalid("the body is not an object")
    return given


def error(site: Site, failure: ApiError) -> Reply:
    """The flat error body of section 3; the sandbox's reason, if any, in a header."""
    status, told = _told(site, failure)
    return Reply.json(told, status, {REASON: failure.reason} if failure.reason else None)


def _told(site: Site, failure: ApiError) -> tuple[int, dict[str, str]]:
    """The status and the members of an error, where the documents leave them open as the site has them."""
    switches = site.switches
    open_ones = {errors.NO_DATA: switches.no_data_status, errors.EXISTS: switches.duplicate_status}
    status = failure.status if failure.fixed else open_ones.get(failure.code, failure.status)
    code = switches.invalid_code if failure.code == errors.INVALID else failure.code
    return status, {"errorCode": code, "errorMessage": failure.message}


def filled(site: Site, view: dict[str, Any]) -> dict[str, Any]:
    """The fields of a reply, with what the site shows for those without a value."""
    if site.switches.missing_values == "null":
        return view
    if site.switches.missing_values == "blank":
        return {name: "" if value is None else value for name, value in view.items()}
    return {name: value for name, value in view.items() if value is not None}


def single(site: Site, content: dict[str, Any], status: int = 200) -> Reply:
    """An answer about one thing, in the site's envelope."""
    return plain(site, {"Data": content} if site.switches.envelope == "Data" else content, status)


def plain(site: Site, content: Any, status: int = 200) -> Reply:
    """An answer that has no envelope."""
    return Reply.json(_spelled(content) if site.switches.numbers == "string" else content, status)


def _spelled(value: Any) -> Any:
    """The same value with its numbers as text."""
    if isinstance(value, dict):
        return {name: _spelled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def page(site: Site, request: Request, total: int, size: int | None = None) -> tuple[dict[str, int], slice]:
    """The paging fields of a reply and the rows they stand for, by the request's ``page`` (1-based, section 3).

    ``size`` is the site's page size unless given.

    Raises:
        ApiError: 400 AC1007 for a page that is no number; what ``Switches.page_beyond`` says for one out of range.
    """
    switches = site.switches
    size = size or switches.page_size
    pages = -(-total // size)
    given = request.params.get("page", "1")
    if not _PAGE.fullmatch(given):
        raise errors.invalid("page")
    number = int(given)
    beyond = not 1 <= number <= max(pages, 1)
    if beyond and switches.page_beyond != "empty":
        raise errors.no_page(404 if switches.page_beyond == "not_found" else 400)
    start = total if beyond else (number - 1) * size
    counted = {"pages": pages} if switches.page_count else {}
    return {**counted, switches.paging_key: number}, slice(start, start + size)


def bulk(
    site: Site, request: Request, act: Callable[[dict[str, Any]], dict[str, Any]], *, status: int | None = 200
) -> Reply:
    """Section 5.7, ASSUMPTION throughout: each item stands alone, the answer has the form of the request.

    ``act`` must check an item before it changes anything, for the request is one transaction. What it returns is the
    item's answer, with ``status`` and ``statusCode`` unless ``status`` is None: a bulk read gives the single-member
    bodies as they are.
    """
    switches = site.switches
    given = body(request)
    if switches.bulk_request not in ("any", "array" if isinstance(given, list) else "map"):
        raise errors.invalid("the form of the body")
    if isinstance(given, list):
        items = {str(number): item for number, item in enumerate(given, 1)}
    elif isinstance(given, dict) and all(key.isascii() and key.isdigit() for key in given):
        items = given
    else:
        raise errors.invalid("neither an array nor a numbered map")
    if not items:
        raise errors.missing("body")
    limit = switches.bulk_reads_limit if status is None else switches.bulk_writes_limit
    if len(items) > limit:
        raise errors.invalid("too many items")
    answers = {key: _item(site, item, act, status) for key, item in items.items()}
    as_array = isinstance(given, list) if switches.bulk_form == "request" else switches.bulk_form == "array"
    partial = any(answer.get("status") == "FAILURE" for answer in answers.values())
    outcome = switches.bulk_partial_status if partial else 200
    reply = plain(site, list(answers.values()) if as_array else answers, outcome)
    if len(items) > BULK_RECOMMENDED:
        reply.headers[REASON] = f"more than the recommended {BULK_RECOMMENDED} items in one call"
    return reply


def _item(site: Site, item: Any, act: Callable[[dict[str, Any]], dict[str, Any]], status: int | None) -> dict[str, Any]:
    try:
        if not isinstance(item, dict):
            raise errors.invalid("not an object")
        done = act(item)
    except ApiError as failure:
        code, told = _told(site, failure)
        outcome = {} if status is None else {"status": "FAILURE", "statusCode": code}
        return {"id": item.get("id") if isinstance(item, dict) else None, **outcome, **told}
    return done if status is None else {**done, "status": "SUCCESS", "statusCode": status}
