"""Routes of the Web API, and the door in front of them: version, token, membership (Dataverse page 1.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.dataverse.batch import Batch
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.responses import Responses, failure, framed
from annex_d365_sandbox.entra.models import Directory
from annex_d365_sandbox.wire import Reply, Request, Route, find

_ROOT = r"/api/data/(?P<version>v9\.[0-2])"
_ROW = r"\((?P<id>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\)"
_API_HOST = re.compile(r"^(https?://[^./]+)\.api\.(crm\d*\.)")
#: The longest URL of a GET (Dataverse page 2.1); the status beyond it is an assumption.
MAX_URL = 32_768
#: The same within a ``$batch`` (Dataverse page 2.1).
MAX_URL_IN_BATCH = 65_536


def routes(responses: Responses) -> list[Route]:
    """All routes."""
    return [
        Route.of("GET", rf"{_ROOT}/?", responses.service),
        Route.of("GET", rf"{_ROOT}/\$metadata", responses.csdl),
        Route.of("GET", rf"{_ROOT}/WhoAmI(?:\(\))?", responses.who_am_i),
        Route.of(
            "GET", rf"{_ROOT}/RetrieveTotalRecordCount\(EntityNames=(?P<names>.*)\)", responses.total_record_count
        ),
        Route.of("GET", rf"{_ROOT}/RelationshipDefinitions", responses.relationships),
        Route.of("GET", rf"{_ROOT}/EntityDefinitions(?P<rest>.*)", responses.definitions),
        Route.of("GET", rf"{_ROOT}/(?P<set>\w+)/\$count", responses.count),
        Route.of("GET", rf"{_ROOT}/(?P<set>\w+)", responses.rows),
        Route.of("POST", rf"{_ROOT}/(?P<set>\w+)", responses.create),
        Route.of("GET", rf"{_ROOT}/(?P<set>\w+){_ROW}", responses.row),
        Route.of("GET", rf"{_ROOT}/(?P<set>\w+){_ROW}/(?P<navigation>\w+)", responses.related),
        Route.of("PATCH", rf"{_ROOT}/(?P<set>\w+){_ROW}", responses.upsert),
        Route.of("DELETE", rf"{_ROOT}/(?P<set>\w+){_ROW}", responses.delete),
    ]


def application(organisation: Organisation, directory: Directory) -> Callable[[Request], Reply]:
    """Everything under ``/api/data/``."""
    table = routes(Responses(organisation))

    def dispatched(request: Request, longest: int) -> Reply:
        """The reply of the route to a client that is in."""
        if not re.match(rf"{_ROOT}(/|$)", request.path):
            raise errors.unknown_segment(request.path.split("/")[3] if request.path.count("/") > 2 else "")  # noqa: PLR2004
        if len(request.origin) + len(request.path) + len(request.query) > longest and request.method == "GET":
            raise errors.DataverseError(414, "0x80060888", f"The URL is longer than {longest:,} characters.")
        found = find(table, request)
        if found is None:
            raise errors.unknown_segment(request.path.split("/", 4)[-1])
        handler, parts = found
        return handler(request, parts)

    def within_batch(request: Request) -> Reply:
        return _safely(lambda: dispatched(request, MAX_URL_IN_BATCH))

    def answered(request: Request) -> Reply:
        _authorise(request, organisation, directory)
        if request.method == "POST" and re.fullmatch(rf"{_ROOT}/\$batch", request.path):
            return Batch(request, within_batch, organisation.store).reply()
        return dispatched(request, MAX_URL)

    return lambda request: _safely(lambda: answered(request))


def _safely(call: Callable[[], Reply]) -> Reply:
    try:
        return framed(call())
    except errors.DataverseError as error:
        return framed(failure(error))


def _audiences(request: Request, organisation: Organisation) -> Iterator[str]:
    """What a token may be bound to: the address that the client used, with and without ``.api``, and the sandbox's."""
    yield request.origin
    yield _API_HOST.sub(r"\1.\2", request.origin)
    yield re.sub(r"^(https?://[^./]+)\.(crm\d*\.)", r"\1.api.\2", request.origin)
    yield from organisation.origins


def _authorise(request: Request, organisation: Organisation, directory: Directory) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    audience = directory.audience(token.strip()) if scheme.lower() == "bearer" else None
    if audience is None or audience not in set(_audiences(request, organisation)):
        raise errors.unauthorised(f"{request.origin}/{directory.tenant_id}", request.origin)
    if not organisation.switches.member:
        raise errors.not_a_member()
