"""What the rows of a table hold now, and whether a value is there already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from decimal import Decimal
from typing import Any

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, utc
from annex_d365.dataverse.writes import AlternateKey, ColumnDefinition, Guid, Key, TableDefinition
from annex_d365.dataverse.writes.addresses import condition
from annex_d365.errors import RowError
from target_annex.dynamics.mapping import Members, address_text
from target_annex.work import chunks, in_parallel

#: Rows, or values, of one query: well below the conditions that a query may have, and mostly one URL.
PER_QUERY = 100

_BOUND = re.compile(r"\(([0-9a-f-]{36})\)\Z")


def read_rows(
    dataverse: Dataverse, definition: TableDefinition, keys: Sequence[Key], columns: Iterable[str], executor: Executor
) -> dict[str, Row]:
    """Rows of a table.

    Args:
        dataverse: the organisation.
        definition: of the table.
        keys: of the rows, all of one kind.
        columns: as they are read.
        executor: sends requests in parallel.

    Returns:
        Key, as :func:`~target_annex.dynamics.mapping.address_text` tells it -> row; no item where there is no row.
    """
    if not keys:
        return {}
    names = () if isinstance(keys[0], Guid) else tuple(keys[0].values)
    select = list(dict.fromkeys([definition.primary_id, *names, *columns]))

    def read(part: Sequence[Key]) -> list[Row]:
        conditions = [_condition(definition, key) for key in part]
        return list(dataverse.rows(Query(definition.entity_set, select, " or ".join(conditions))))

    found = {}
    for answer in in_parallel(executor, read, chunks(keys, PER_QUERY)):
        if isinstance(answer, RowError):
            raise answer
        for row in answer:
            key: Key = AlternateKey({name: row[name] for name in names}) if names else Guid(row[definition.primary_id])
            found[address_text(key)] = row
    return found


def same(column: ColumnDefinition, members: Members, row: Mapping[str, Any]) -> bool:
    """Whether a row has the value that would be written.

    Args:
        column: that it is for.
        members: what would be sent.
        row: as it was read. A lookup that is bound by an alternate key cannot be compared, and counts as different.
    """
    (wanted,) = members.values()
    current = row.get(column.property)
    if wanted is None or current is None:
        return wanted in {None, ""} and current in {None, ""}
    if column.lookups:
        bound = _BOUND.search(wanted)
        return bound is not None and bound[1] == current
    if column.type_name == "MultiSelectPicklistType":
        return set(str(wanted).split(",")) == set(str(current).split(","))
    if column.type_name == "DateTimeType" and column.date_behavior != "DateOnly":
        return utc(wanted) == utc(current)
    if isinstance(wanted, (int, float, Decimal)) and not isinstance(wanted, bool):
        return Decimal(str(wanted)) == Decimal(str(current))
    return bool(wanted == current)


def _condition(definition: TableDefinition, key: Key) -> str:
    if isinstance(key, Guid):
        return f"{definition.primary_id} eq {key.value}"
    return f"({condition(key)})" if len(key.values) > 1 else condition(key)
