"""Routes of the Web API, and the door in front of them: version, token, membership (Dataverse page 1.2)."""

from __future__ import annotations

import re
from collections.abc import Callable

from annex_d365_sandbox.dataverse import addresses, admission, errors, metadata
from annex_d365_sandbox.dataverse.batch import Batch
from annex_d365_sandbox.dataverse.bulk import BulkResponses
from annex_d365_sandbox.dataverse.bulk_delete import BulkDeleteResponses
from annex_d365_sandbox.dataverse.customizing import Customizing
from annex_d365_sandbox.dataverse.marketing import urls as marketing
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.responses import Responses, failure, framed
from annex_d365_sandbox.dataverse.write_responses import WriteResponses
from annex_d365_sandbox.entra.models import Directory
from annex_d365_sandbox.wire import Reply, Request, Route, find

_ROOT = r"/api/data/(?P<version>v9\.[0-2])"
_ROW = rf"(?P<set>\w+)\((?P<id>{addresses.INSIDE})\)"
_BULK = rf"{_ROOT}/(?P<set>\w+)/Microsoft\.Dynamics\.CRM\."
_TABLE, _COLUMN, _KEY = (rf"(?P<{name}>{metadata.ONE})" for name in ("table", "column", "key"))
#: The longest URL of a GET (Dataverse page 2.1); the status beyond it is an assumption.
MAX_URL = 32_768
#: The same within a ``$batch`` (Dataverse page 2.1).
MAX_URL_IN_BATCH = 65_536


def routes(organisation: Organisation) -> list[Route]:
    """All routes; of two that fit, the first counts."""
    responses, writes = Responses(organisation), WriteResponses(organisation)
    customizing = Customizing(organisation)
    bulk, bulk_delete = BulkResponses(organisation), BulkDeleteResponses(organisation)
    return [
        Route.of("GET", rf"{_ROOT}/?", responses.service),
        Route.of("GET", rf"{_ROOT}/\$metadata", responses.csdl),
        Route.of("GET", rf"{_ROOT}/WhoAmI(?:\(\))?", responses.who_am_i),
        Route.of(
            "GET", rf"{_ROOT}/RetrieveTotalRecordCount\(EntityNames=(?P<names>.*)\)", responses.total_record_count
        ),
        Route.of("GET", rf"{_ROOT}/RelationshipDefinitions", responses.relationships),
        Route.of("POST", rf"{_ROOT}/RelationshipDefinitions", customizing.create_relationship),
        Route.of(
            "DELETE", rf"{_ROOT}/RelationshipDefinitions\((?P<id>[0-9a-fA-F-]{{36}})\)", customizing.delete_relationship
        ),
        Route.of("GET", rf"{_ROOT}/EntityDefinitions(?P<rest>.*)", responses.definitions),
        Route.of("POST", rf"{_ROOT}/EntityDefinitions", customizing.create_table),
        Route.of("POST", rf"{_ROOT}/CreateEntities", customizing.create_tables),
        Route.of("PUT", rf"{_ROOT}/EntityDefinitions{_TABLE}", customizing.change_table),
        Route.of("DELETE", rf"{_ROOT}/EntityDefinitions{_TABLE}", customizing.delete_table),
        Route.of("POST", rf"{_ROOT}/EntityDefinitions{_TABLE}/Attributes", customizing.create_column),
        Route.of("PUT", rf"{_ROOT}/EntityDefinitions{_TABLE}/Attributes{_COLUMN}", customizing.change_column),
        Route.of("DELETE", rf"{_ROOT}/EntityDefinitions{_TABLE}/Attributes{_COLUMN}", customizing.delete_column),
        Route.of("POST", rf"{_ROOT}/EntityDefinitions{_TABLE}/Keys", customizing.create_key),
        Route.of("DELETE", rf"{_ROOT}/EntityDefinitions{_TABLE}/Keys{_KEY}", customizing.delete_key),
        Route.of("PATCH", rf"{_ROOT}/(?:Entity|Relationship)Definitions.*", customizing.refuse),
        Route.of("POST", rf"{_ROOT}/Publish(?:All)?Xml", customizing.publish),
        Route.of("GET", rf"{_ROOT}/(?P<set>\w+)/\$count", responses.count),
        Route.of("GET", rf"{_ROOT}/(?P<set>\w+)", responses.rows),
        Route.of("POST", rf"{_ROOT}/BulkDelete", bulk_delete.bulk_delete),
        Route.of("POST", rf"{_ROOT}/(?P<set>\w+)", writes.create),
        Route.of("GET", rf"{_ROOT}/{_ROW}", responses.row),
        Route.of("GET", rf"{_ROOT}/{_ROW}/(?P<navigation>\w+)", responses.related),
        Route.of("POST", rf"{_BULK}CreateMultiple", bulk.create_multiple),
        Route.of("POST", rf"{_BULK}UpdateMultiple", bulk.update_multiple),
        Route.of("POST", rf"{_BULK}UpsertMultiple", bulk.upsert_multiple),
        Route.of("POST", rf"{_BULK}DeleteMultiple", bulk.delete_multiple),
        Route.of("PATCH", rf"{_ROOT}/{_ROW}", writes.upsert),
        Route.of("DELETE", rf"{_ROOT}/{_ROW}", writes.delete),
        Route.of("PUT", rf"{_ROOT}/{_ROW}/(?P<column>\w+)", writes.set_column),
        Route.of("DELETE", rf"{_ROOT}/{_ROW}/(?P<column>\w+)", writes.clear_column),
        Route.of("POST", rf"{_ROOT}/{_ROW}/(?P<navigation>\w+)/\$ref", writes.associate),
        Route.of("PUT", rf"{_ROOT}/{_ROW}/(?P<navigation>\w+)/\$ref", writes.associate),
        Route.of("DELETE", rf"{_ROOT}/{_ROW}/(?P<navigation>\w+)/\$ref", writes.disassociate),
    ]


def application(organisation: Organisation, directory: Directory) -> Callable[[Request], Reply]:
    """Everything under ``/api/data/``."""
    table = [*marketing.routes(_ROOT, organisation), *routes(organisation)]

    def dispatched(request: Request, longest: int) -> Reply:
        """The reply of the route to a client that is in."""
        _check_address(request, longest)
        found = find(table, request)
        if found is None:
            raise errors.unknown_segment(request.path.split("/", 4)[-1])
        admission.check(request, organisation)
        handler, parts = found
        return handler(request, parts)

    def within_batch(request: Request) -> Reply:
        return safely(lambda: dispatched(request, MAX_URL_IN_BATCH))

    def answered(request: Request) -> Reply:
        admission.authorise(request, organisation, directory)
        organisation.build_keys()
        organisation.marketing.tick()
        if request.method == "POST" and re.fullmatch(rf"{_ROOT}/\$batch", request.path):
            admission.check(request, organisation)
            return Batch(request, within_batch, organisation).reply()
        return dispatched(request, MAX_URL)

    def hinting(request: Request) -> Reply:
        reply = safely(lambda: answered(request))
        reply.headers["x-ms-dop-hint"] = str(organisation.switches.dop_hint)  # Dataverse page 6
        return reply

    def safely(call: Callable[[], Reply]) -> Reply:
        try:
            return framed(call())
        except errors.DataverseError as error:
            return framed(failure(error, organisation.switches))

    return hinting


def _check_address(request: Request, longest: int) -> None:
    if not re.match(rf"{_ROOT}(/|$)", request.path):
        raise errors.unknown_segment(request.path.split("/")[3] if request.path.count("/") > 2 else "")  # noqa: PLR2004
    if len(request.origin) + len(request.path) + len(request.query) > longest and request.method == "GET":
        raise errors.DataverseError(414, "0x80060888", f"The URL is longer than {longest:,} characters.")
