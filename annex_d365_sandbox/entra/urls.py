"""Routes of the sign-in."""

from __future__ import annotations

from collections.abc import Callable

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.entra.errors import SignInError
from annex_d365_sandbox.entra.models import Directory
from annex_d365_sandbox.entra.responses import Responses
from annex_d365_sandbox.wire import Reply, Request, Route, find


def routes(responses: Responses) -> list[Route]:
    """All routes; AD FS first, as its paths look like those of a tenant named ``adfs``."""
    tenant = r"/(?P<tenant>[^/]+)"
    return [
        Route.of("GET", r"/adfs/\.well-known/openid-configuration", responses.discovery_adfs),
        Route.of("POST", r"/adfs/oauth2/token/?", responses.token_adfs),
        Route.of("GET", r"/common/discovery/instance", responses.instance),
        Route.of("GET", r"/common/userrealm/(?P<user>[^/]+)", responses.user_realm),
        Route.of("GET", rf"{tenant}/v2\.0/\.well-known/openid-configuration", responses.discovery_v2),
        Route.of("POST", rf"{tenant}/oauth2/v2\.0/token", responses.token_v2),
        Route.of("POST", rf"{tenant}/oauth2/token", responses.token_v1),
    ]


def application(directory: Directory, clock: Clock) -> Callable[[Request], Reply | None]:
    """The sign-in; ``None`` for paths that are not its own."""
    responses = Responses(directory, clock.now)
    table = routes(responses)

    def answer(request: Request) -> Reply | None:
        found = find(table, request)
        if found is None:
            return None
        try:
            handler, parts = found
            return handler(request, parts)
        except SignInError as error:
            return responses.failure(error)

    return answer
