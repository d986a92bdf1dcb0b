"""The endpoints below ``/api/3.0/``, and which identifier each GET signs (Annex page sections 2.3 and 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from annex_d365_sandbox.annexcloud import errors, points_responses, replies, responses, segment_responses, token
from annex_d365_sandbox.annexcloud.errors import ApiError
from annex_d365_sandbox.wire import Handler, Reply, Request, Route, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.annexcloud.switches import Switches

    View = Callable[[Site, Request, Mapping[str, str]], Reply]

PREFIX: Final = "/api/3.0"
_NOT_SERVED: Final = "the sandbox does not serve this route"


def not_served(_site: Site, _request: Request, _names: Mapping[str, str]) -> Reply:
    """A route of the API that the sandbox knows and does not serve."""
    raise errors.not_found(_NOT_SERVED)


@dataclass(frozen=True)
class Endpoint:
    """A method and a path template.

    ``signs`` names the path value whose JSON string is the signed payload; without it the body is. ``documented``
    says whether a source tells so; where it is the sandbox's guess, ``Switches.strict_hmac`` off waives the hmac.
    """

    method: str
    template: str
    view: View = not_served
    signs: str | None = None
    documented: bool = True

    @property
    def name(self) -> str:
        """How ``Switches.refused_endpoints`` names it."""
        return f"{self.method} {self.template}"

    @property
    def pattern(self) -> str:
        """The template as a regular expression over the decoded path, in which an id may hold a slash."""
        return re.escape(PREFIX) + re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>(?s:.+))", re.escape(self.template))

    def payloads(self, request: Request, names: Mapping[str, str], switches: Switches) -> set[bytes]:
        """The byte strings of which the client must have signed one."""
        if self.method != "GET":
            return {request.body}
        empty = not self.documented and switches.undocumented_get_signs == "empty"
        identifier = names[self.signs] if self.signs and not empty else ""
        if switches.signed_identifier == "encoded":
            identifier = quote(identifier, safe="")
        return token.identifier_payloads(identifier, switches.identifier_escaping)


#: The first that fits counts, so longer paths stand first. GETs without a view are there for what they sign.
ENDPOINTS: Final = (
    Endpoint("POST", "/users", responses.create_member),
    Endpoint("POST", "/users/search", responses.search_members),
    Endpoint("PATCH", "/users/{member_id}", responses.update_member),
    Endpoint("POST", "/userdelete", responses.request_deletion),
    Endpoint("POST", "/mergeuser", responses.merge_members),
    Endpoint("GET", "/mergeuser/{member_id}", responses.get_merge, signs="member_id", documented=False),
    Endpoint("POST", "/bulkpostusers", responses.bulk_create),
    Endpoint("POST", "/bulkpatchusers", responses.bulk_update),
    Endpoint("GET", "/users/{member_id}/activity", points_responses.activity, signs="member_id"),
    Endpoint("GET", "/users/{member_id}/tiers", points_responses.tiers, signs="member_id"),
    Endpoint("GET", "/users/{member_id}/reward", points_responses.rewards, signs="member_id"),
    Endpoint("GET", "/users/{member_id}/usedreward", points_responses.used_rewards, signs="member_id"),
    Endpoint("GET", "/users/{member_id}/activitysummary/{action_id}", signs="member_id", documented=False),
    Endpoint("GET", "/users/{member_id}/rewards/history", signs="member_id", documented=False),
    Endpoint("GET", "/users/{member_id}", responses.get_member, signs="member_id"),
    Endpoint("POST", "/points", points_responses.post),
    Endpoint("GET", "/points/{member_id}", points_responses.points, signs="member_id"),
    Endpoint("POST", "/bulkpoints", points_responses.bulk_post),
    Endpoint("POST", "/getbulkpoints", points_responses.bulk_points),
    Endpoint("POST", "/bulktiers", points_responses.bulk_tiers),
    Endpoint("GET", "/actions/{status}", points_responses.actions, signs="status"),
    Endpoint("POST", "/segment", segment_responses.create),
    Endpoint("PATCH", "/segment/{segment_id}", segment_responses.update),
    Endpoint("GET", "/segment/{segment_id}", segment_responses.definition, signs="segment_id"),
    Endpoint("GET", "/eligiblesegment/{segment_id}", segment_responses.eligible, signs="segment_id", documented=False),
    Endpoint("GET", "/segmentlist/{status}", segment_responses.listing, signs="status", documented=False),
    Endpoint("GET", "/campaign/{campaign_id}", signs="campaign_id"),
    Endpoint("GET", "/store/{store_id}", signs="store_id"),
    Endpoint("GET", "/products/{product_id}", signs="product_id", documented=False),
    Endpoint("GET", "/rewards", documented=False),
)


def application(site: Site) -> Callable[[Request], Reply]:
    """Serves everything below ``/api/3.0/`` for one site; requests must come one at a time."""
    routes = [Route.of(endpoint.method, endpoint.pattern, _guarded(site, endpoint)) for endpoint in ENDPOINTS]

    def serve(request: Request) -> Reply:
        try:
            found = find(routes, request)
            if found is None:
                raise errors.not_found(_NOT_SERVED)
            handler, names = found
            return handler(request, names)
        except ApiError as failure:
            return replies.error(site, failure)

    return serve


def _guarded(site: Site, endpoint: Endpoint) -> Handler:
    """The endpoint's view behind the token check."""

    def handle(request: Request, names: Mapping[str, str]) -> Reply:
        site.last_refusal = None
        try:
            token.check(
                request,
                site_id=site.site_id,
                secret_key=site.secret_key,
                now=site.clock.now(),
                payloads=endpoint.payloads(request, names, site.switches),
                longest=site.switches.max_token_seconds,
            )
            site.check_fresh(request.headers["authorization"])
        except token.TokenError as refused:
            site.last_refusal = refused.reason
            if refused.reason != token.HMAC_MISMATCH or endpoint.documented or site.switches.strict_hmac:
                raise errors.not_authorized(refused.reason) from None
        if endpoint.name in site.switches.refused_endpoints:
            refusal = errors.forbidden if site.switches.refusal_status == 403 else errors.not_found  # noqa: PLR2004
            raise refusal("refused by a switch")
        # One transaction: a refused request leaves nothing behind, and a hundred members in bulk cost one commit.
        with site.store.transaction():
            return endpoint.view(site, request, names)

    return handle
