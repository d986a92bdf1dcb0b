"""What the rows of a table hold now, and whether a value is there already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from decimal import Decimal
from typing import Any

from annex_d365.annexcloud.fields import plain
from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, portions, utc
from annex_d365.dataverse.writes import AlternateKey, ColumnDefinition, Guid, Key, TableDefinition
from annex_d365.dataverse.writes.addresses import condition, identity
from annex_d365.errors import RowError
from annex_d365.fields import comparable
from target_annex.dynamics.mapping import Members, RowMapping
from target_annex.dynamics.tasks import Task
from target_annex.ownership import Ownership, Verdict, verdict
from target_annex.work import in_parallel

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
        Key, as :func:`~annex_d365.dataverse.writes.addresses.identity` tells it -> row; no item where there is no row.
    """
    if not keys:
        return {}
    names = () if isinstance(keys[0], Guid) else tuple(keys[0].values)
    select = list(dict.fromkeys([definition.primary_id, *names, *columns]))

    def asked(key: Key) -> str:
        return _condition(definition, key)

    def read(part: Sequence[Key]) -> list[Row]:
        conditions = map(asked, part)
        return list(dataverse.rows(Query(definition.entity_set, select, " or ".join(conditions))))

    found = {}
    for answer in in_parallel(executor, read, portions(keys, asked)):
        if isinstance(answer, RowError):
            raise answer
        for row in answer:
            key: Key = AlternateKey({name: row[name] for name in names}) if names else Guid(row[definition.primary_id])
            found[identity(key)] = row
    return found


def difference(
    mapping: RowMapping, task: Task, current: Mapping[str, Any], ownership: Ownership
) -> tuple[dict[str, Members], list[str]]:
    """What is to be written into a row that was read.

    Args:
        mapping: of the stream.
        task: the row of the stream.
        current: the row as it was read.
        ownership: what is done about columns that both sides have changed.

    Returns:
        Column -> what is sent for it; and the columns that both sides have changed.
    """
    columns = {each.column.name: each.column for each in mapping.fields}
    verdicts = {
        name: verdict(
            name, said, comparable(mapping.sides.both[name], plain(current.get(columns[name].property))), task.known
        )
        for name, said in task.both.items()
    }
    # What the row was found by is as it should be, as the service compares it.
    found_by = mapping.address if isinstance(task.target, AlternateKey) else {mapping.definition.primary_id}
    differing = {
        name: members
        for name, members in task.own.items()
        if name not in found_by
        and (ownership.writes(verdicts[name]) if name in verdicts else not same(columns[name], members, current))
    }
    return differing, [name for name, each in verdicts.items() if each is Verdict.CONFLICT]


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
