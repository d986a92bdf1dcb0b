"""What an answer means for the row that it is about: one table (Dataverse pages 5.1, 7)."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from annex_d365.dataverse.errors import details
from annex_d365.dataverse.writes.calls import Reply
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import Effect, Guid, Kind, Operation, Written
from annex_d365.errors import ConnectorError, RepeatedError, RowError, ServiceError

_CREATED, _OK, _BAD_REQUEST, _NOT_FOUND, _CONFLICT, _FAILED_CONDITION, _TOO_LARGE = 201, 200, 400, 404, 409, 412, 413
#: Statuses that can be about one row; the rest is about all of them.
_OF_A_ROW = frozenset({_BAD_REQUEST, _NOT_FOUND, _CONFLICT, _FAILED_CONDITION, _TOO_LARGE})
#: Refusals of the address, not of the row.
_OF_THE_TABLE = frozenset({"0x80060888"})
#: The status is UNCONFIRMED (page 7), so that the code alone counts.
DUPLICATE_ID, DUPLICATE_KEY = "0x80040237", "0x80060892"
#: The row has another version than the one that was read.
CHANGED_MEANWHILE = "0x80060882"
DUPLICATES = frozenset({DUPLICATE_ID, DUPLICATE_KEY})

_REASONS = {
    "0x80044331": "a text is too long",
    "0x8004432f": "a number is too large",
    "0x80044330": "a number is too small",
    "0x8004431a": "there is no such choice",
    "0x80040203": "a value that is required is missing",
    "0x80048408": "this status does not belong to this state",
    "0x80048d19": "a value is of another type than the column",
    "0x80040265": "a rule of the organisation forbids it",
    "0x80040333": "a duplicate detection rule forbids it",
    CHANGED_MEANWHILE: "someone else has changed the row",
    "0x80060883": "the row has no such version",
    DUPLICATE_ID: "there is a row with this GUID",
    DUPLICATE_KEY: "another row has the same alternate key",
    "0x80040217": "a row that it refers to is not there",
    "0x80060891": "a row that it refers to is not there",
}
_REASONS_BY_STATUS = {
    _TOO_LARGE: "the row is too large",
    _NOT_FOUND: "it is not there",
    _FAILED_CONDITION: "the row is not as expected",
    _CONFLICT: "it is in conflict with another row",
}

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_QUOTED = re.compile(r"'(\w+)'")


def outcome(
    operation: Operation, reply: Reply, definition: TableDefinition, find: Callable[[Operation], str]
) -> Written | RowError:
    """What became of the row.

    Args:
        operation: what was to be done.
        reply: the answer to it.
        definition: of its table.
        find: the GUID of the row with the operation's key; "" if there is none.

    Raises:
        ConnectorError: the answer is about more than this row.
    """
    if reply.ok:
        return Written(_effect(operation, reply), _row_id(operation, reply, definition))
    code, message = details(reply.response)
    if (
        reply.status == _NOT_FOUND
        and operation.kind in {Kind.UPDATE, Kind.DELETE}
        and code.lower() not in _OF_THE_TABLE
    ):
        if message and not _about_a_reference(operation, message, definition):
            gone = operation.kind is Kind.DELETE and reply.in_doubt
            return Written(Effect.DELETED if gone else Effect.MISSING, _own_id(operation))
    elif operation.kind is Kind.CREATE and code.lower() in DUPLICATES:
        # The GUID was taken; in the way of an alternate key may be another row.
        own_id = _own_id(operation) if code.lower() == DUPLICATE_ID else ""
        if found := own_id or find(operation):
            return Written(Effect.EXISTS, found, in_doubt=reply.in_doubt)
    error = refusal(operation, reply, definition)
    if not isinstance(error, RowError):
        raise error
    if reply.in_doubt and code.lower() == CHANGED_MEANWHILE:
        return RepeatedError(str(error), status=error.status, code=error.code, request_id=error.request_id)
    return error


def refusal(operation: Operation, reply: Reply, definition: TableDefinition) -> ConnectorError:
    """Why a row was refused, without its values: a :class:`RowError`, unless it is about more than this row."""
    code, message = details(reply.response)
    error = reply.error
    of_a_row = reply.status in _OF_A_ROW and (message or reply.status == _TOO_LARGE)
    if not of_a_row or code.lower() in _OF_THE_TABLE or not isinstance(error, ServiceError):
        return error
    reason = _REASONS.get(code.lower()) or _REASONS_BY_STATUS.get(reply.status, "see the code")
    columns = dict.fromkeys(name for name in _QUOTED.findall(message) if name in definition.columns)
    facts = [str(reply.status), code, *(f"column `{name}`" for name in columns)]
    return RowError(
        f"Dataverse refused to {operation.kind.value} this row of {definition.entity_set}: {reason} "
        f"({', '.join(filter(None, facts))}).",
        status=reply.status,
        code=code,
        request_id=error.request_id,
    )


def _effect(operation: Operation, reply: Reply) -> Effect:
    if operation.kind is not Kind.UPSERT:
        return {Kind.CREATE: Effect.CREATED, Kind.UPDATE: Effect.UPDATED, Kind.DELETE: Effect.DELETED}[operation.kind]
    if reply.status == _CREATED:
        return Effect.CREATED
    return Effect.UPDATED if reply.status == _OK and not reply.in_doubt else Effect.UPSERTED


def _own_id(operation: Operation) -> str:
    return operation.key.value.lower() if isinstance(operation.key, Guid) else ""


def _row_id(operation: Operation, reply: Reply, definition: TableDefinition) -> str:
    if own := _own_id(operation):
        return own
    try:
        told = msgspec.json.decode(reply.response.content or b"{}").get(definition.primary_id)
    except (msgspec.MsgspecError, AttributeError):
        told = None  # it has been done; an answer that tells no more is no failure
    address = reply.response.headers.get("OData-EntityId", "")
    # An alternate key may look like a GUID, but stands in quotes.
    found = re.search(rf"\(({_GUID.pattern})\)$", address, re.IGNORECASE)
    return str(told or (found[1] if found else "")).lower()


def _about_a_reference(operation: Operation, message: str, definition: TableDefinition) -> bool:
    """Whether what is not there is a row that this one refers to, not the row itself: both are told in one way."""
    bound = [str(value).lower() for name, value in operation.values.items() if name.endswith("@odata.bind") and value]
    if not bound:
        return False
    named = {found.lower() for found in _GUID.findall(message)}
    if isinstance(operation.key, Guid):
        return operation.key.value.lower() not in named
    if named:  # a row's own alternate key is refused without a GUID
        return True
    same_table = any(value.startswith(f"/{definition.entity_set}(") for value in bound)
    return same_table or definition.logical_name not in re.findall(r"\w+", message.lower())
