"""``$batch``: several requests in one, changesets all or nothing (Dataverse page 5.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

from annex_d365_sandbox.dataverse import errors, multipart
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.multipart import Operation, Part
from annex_d365_sandbox.dataverse.preferences import preferences
from annex_d365_sandbox.dataverse.responses import failure, framed
from annex_d365_sandbox.wire import Reply, Request

MAX_REQUESTS = 1000
_REFERENCE = re.compile(r"^\$(?!metadata\b|batch\b)(\w+)(?=/|$)")
_BOUND = re.compile(rb'(@odata\.(?:bind|id)"\s*:\s*")\$(\w+)(?=")')
_FAILED = 400


class _RolledBackError(Exception):
    """Takes a failed part out of its changeset's transaction."""

    def __init__(self, part: bytes, status: int) -> None:
        super().__init__(status)
        self.part, self.status = part, status


class Batch:
    """One ``$batch`` request at work.

    Args:
        request: the batch, from a client that may come in.
        answer: what answers one request; never raises.
        organisation: whose transactions hold changesets together.
    """

    def __init__(self, request: Request, answer: Callable[[Request], Reply], organisation: Organisation) -> None:
        self._request, self._answer, self._organisation = request, answer, organisation
        self._root = request.path.rpartition("/")[0]
        #: Addresses of the rows that parts with a Content-ID wrote.
        self._results: dict[str, str] = {}

    def reply(self) -> Reply:
        """All replies in order; without ``odata.continue-on-error`` the first error ends the work and is the status.

        Raises:
            DataverseError: the body is no batch, or too large a one.
        """
        found = multipart.parts(self._request.body, self._request.headers.get("content-type", ""))
        changesets = [multipart.boundary(part.headers.get("content-type", "")) is not None for part in found]
        inner = [_operations(part) if nested else [] for part, nested in zip(found, changesets, strict=True)]
        if sum(len(each) or 1 for each in inner) > MAX_REQUESTS:
            raise errors.bad_query(
                "The current batch message contains too many parts. Only batch messages with a maximum number of"
                f" '{MAX_REQUESTS}' query operations and changesets are allowed."
            )
        wishes = preferences(self._request.headers)
        written: list[bytes] = []
        status = 200
        for part, nested, operations in zip(found, changesets, inner, strict=True):
            text, outcome = self._changeset(operations) if nested else self._single(part)
            written.append(text)
            if outcome >= _FAILED and not wishes.continue_on_error:
                status = outcome
                break
        content_type, body = multipart.joined("batchresponse", written)
        return Reply(status, body, {"Content-Type": content_type, **wishes.headers})

    def _single(self, part: Part) -> tuple[bytes, int]:
        content_id = part.headers.get("content-id")
        reply = self._performed(multipart.operation(part), content_id)
        return multipart.written(reply, content_id), reply.status

    def _changeset(self, operations: list[tuple[str, Operation]]) -> tuple[bytes, int]:
        status, written = 200, []
        known = dict(self._results)
        try:
            with self._organisation.store.transaction():
                for content_id, operation in operations:
                    reply = self._no_get() if operation.method == "GET" else self._performed(operation, content_id)
                    text = multipart.written(reply, content_id)
                    if reply.status >= _FAILED:
                        raise _RolledBackError(text, reply.status)  # noqa: TRY301 - the transaction must see it
                    written.append(text)
        except _RolledBackError as failure:
            status, written = failure.status, [failure.part]
            self._results = known
        return multipart.nested(*multipart.joined("changesetresponse", written)), status

    def _performed(self, operation: Operation, content_id: str | None) -> Reply:
        try:
            request = self._resolved(operation)
        except errors.DataverseError as error:
            return self._refused(error)
        reply = self._answer(request)
        if content_id is not None and "OData-EntityId" in reply.headers:
            self._results[content_id] = reply.headers["OData-EntityId"]
        return reply

    def _refused(self, error: errors.DataverseError) -> Reply:
        return framed(failure(error, self._organisation.switches))

    def _no_get(self) -> Reply:
        return self._refused(
            errors.bad_query(
                "An invalid HTTP method 'GET' was detected for a request in a change set. Requests in change sets only"
                " support the HTTP methods 'POST', 'PUT', 'DELETE', and 'PATCH'."
            )
        )

    def _resolved(self, operation: Operation) -> Request:
        """The request of a part, with references to the results of others put in."""
        target = _REFERENCE.sub(lambda match: self._result(match[1]), operation.target)
        body = _BOUND.sub(lambda match: match[1] + self._result(match[2].decode()).encode(), operation.body)
        try:
            parts = urlsplit(target)
        except ValueError as error:
            raise errors.bad_query("Invalid URI: The URI is not well formed.") from error
        path = unquote(parts.path if parts.path.startswith("/") else f"{self._root}/{parts.path}")
        if path.endswith("/$batch"):
            raise errors.bad_query("A batch cannot be nested in a batch.")
        headers = {**operation.headers, "authorization": self._request.headers.get("authorization", "")}
        return Request(operation.method, path, parts.query, headers, body, self._request.origin)

    def _result(self, content_id: str) -> str:
        if content_id not in self._results:
            raise errors.bad_query(f"Content-ID Reference: '${content_id}' does not exist in the batch context.")
        return self._results[content_id]


def _operations(changeset: Part) -> list[tuple[str, Operation]]:
    """The requests of a changeset with their Content-IDs, which they must have."""
    return list(_identified(multipart.parts(changeset.body, changeset.headers["content-type"])))


def _identified(parts: list[Part]) -> Iterator[tuple[str, Operation]]:
    for part in parts:
        operation = multipart.operation(part)
        content_id = part.headers.get("content-id") or operation.headers.get("content-id")
        if content_id is None:
            raise errors.bad_query(
                "The header with name 'Content-ID' was not present in the header collection of the batch operation."
            )
        yield content_id, operation
