"""The integration document's way to add a row: the reply is the row."""

from __future__ import annotations

import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.writes.calls import Calls, encode_json
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.dataverse.writes.operations import Kind, Operation, WriteOptions
from annex_d365.dataverse.writes.outcomes import refusal

_row = msgspec.json.Decoder(Row, float_hook=decimal.Decimal)


def return_representation(
    dataverse: Dataverse, entity_set: str, values: Mapping[str, Any], select: Sequence[str] = ()
) -> Row:
    """Create a row by ``POST contacts?$select=...`` with ``Prefer: return=representation``.

    It is sent once only: whether a new row without a key of ours was made nobody can tell when the reply is lost.

    Args:
        dataverse: the organisation.
        entity_set: ``contacts``.
        values: wire members.
        select: columns of the reply; none means all.

    Returns:
        The row as it is now.

    Raises:
        RowError: the service refused this row.
        OutageError: the service could not be reached, or the reply is lost: the row may be there.
        ConnectorError: the service refused for another reason.
    """
    reply = Calls(dataverse, WriteOptions()).send(
        "POST",
        Query(entity_set, select=select).url,
        f"POST /{entity_set}",
        encode_json(values),
        {"Prefer": "return=representation"},
        check=lambda response: _row.decode(response.content),
        repeatable=False,
    )
    if not reply.ok:
        raise refusal(Operation(Kind.CREATE, None, values), reply, TableDefinition("", entity_set, ""))
    row: Row = reply.content
    return row
