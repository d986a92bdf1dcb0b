"""Routes of the control plane."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import DecodeError

from annex_d365_sandbox.control.models import Control
from annex_d365_sandbox.control.responses import Responses
from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.wire import Handler, Reply, Request, Route, find

ROOT = "/_sandbox/"


def routes(responses: Responses) -> list[Route]:
    """All routes."""
    table: dict[str, tuple[Handler, tuple[str, ...]]] = {
        "reset": (responses.reset, ("POST",)),
        "seed": (responses.seed, ("POST",)),
        "clock": (responses.clock, ("GET", "POST")),
        "faults": (responses.faults, ("GET", "POST", "DELETE")),
        "deletions": (responses.deletions, ("GET", "POST")),
        "limits": (responses.limits, ("GET", "POST")),
        "log": (responses.log, ("GET", "POST", "DELETE")),
        "stats": (responses.stats, ("GET",)),
        "switches": (responses.switches, ("GET", "POST")),
    }
    return [Route.of(method, f"{ROOT}{name}", call) for name, (call, methods) in table.items() for method in methods]


def application(control: Control) -> Callable[[Request], Reply]:
    """Everything under ``/_sandbox/``."""
    table = routes(Responses(control))

    def answer(request: Request) -> Reply:
        found = find(table, request)
        if found is None:
            return Reply.json({"error": f"there is no {request.method} {request.path}"}, 404)
        handler, parts = found
        try:
            return handler(request, parts)
        except (ValueError, TypeError, KeyError, DecodeError, DataverseError) as error:
            return Reply.json({"error": str(error)}, 400)

    return answer
