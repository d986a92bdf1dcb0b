"""``$apply``: ``filter``, ``aggregate`` and ``groupby`` (Dataverse page 2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from annex_d365_sandbox.dataverse import errors, schema, values
from annex_d365_sandbox.dataverse.filters import FilterCompiler
from annex_d365_sandbox.dataverse.models import USER_ID, Organisation
from annex_d365_sandbox.dataverse.query import Query, split
from annex_d365_sandbox.dataverse.schema import Attribute, Table
from annex_d365_sandbox.dataverse.sql import Sql, joined

_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_GROUPS = re.compile(r"\s*\(([^()]*)\)\s*(?:,\s*aggregate\((.*)\)\s*)?", re.DOTALL)
_ITEM = re.compile(r"(?P<column>\w+)\s+with\s+(?P<how>\w+)\s+as\s+(?P<alias>\w+)|\$count\s+as\s+(?P<count>\w+)")
_SQL = {
    "sum": "sum({})",
    "average": "avg({})",
    "min": "min({})",
    "max": "max({})",
    "countdistinct": "count(DISTINCT {})",
}
_SUMMED = schema.WHOLE | schema.SCALED | {schema.DOUBLE}


@dataclass(frozen=True)
class _Member:
    """One member of each row of the reply."""

    name: str
    sql: str
    encode: Callable[[Any], Any] | None = None


class Aggregator:
    """Answers aggregating queries of one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation

    def rows(self, query: Query, *, root: str) -> dict[str, Any]:
        """The groups, or the one row, as the members of the reply.

        Raises:
            DataverseError: the transformations are not understood, or more than 50,000 rows would be aggregated.
        """
        compiler = FilterCompiler(query.table, self._organisation.tables, self._organisation.clock.now(), USER_ID)
        where, groups, members = _plan(query, compiler)
        if not self._organisation.switches.countdistinct and any("DISTINCT" in member.sql for member in members):
            raise _unknown(query)
        table = query.table
        condition = f" WHERE {where.text}" if where else ""
        parameters = where.parameters if where else ()
        by = ",".join(f"t.{group.name}{' COLLATE NOCASE' if group.kind in schema.TEXTS else ''}" for group in groups)
        most = self._organisation.switches.max_aggregated_rows
        with self._organisation.store.transaction() as db:
            inner = f"SELECT 1 FROM {table.logical_name} t{condition} LIMIT {most + 1}"
            if db.execute(f"SELECT count(*) FROM ({inner})", parameters).fetchone()[0] > most:
                raise errors.too_many_to_aggregate()
            found = db.execute(
                f"SELECT {','.join(member.sql for member in members)} FROM {table.logical_name} t{condition}"
                + (f" GROUP BY {by} ORDER BY {by}" if by else ""),
                parameters,
            ).fetchall()
        value = [
            {m.name: m.encode(v) if m.encode and v is not None else v for m, v in zip(members, row, strict=True)}
            for row in found
        ]
        return {"@odata.context": f"{root}/$metadata#{table.set_name}", "value": value}


def _plan(query: Query, compiler: FilterCompiler) -> tuple[Sql | None, list[Attribute], list[_Member]]:
    """The condition, the columns to group by and the members of the reply."""
    calls = [_CALL.fullmatch(part) for part in split(query.apply or "", "/")]
    conditions = []
    for call in calls[:-1]:
        if call is None or call[1] != "filter":
            raise _unknown(query)
        conditions.append(compiler.compile(call[2], {}))
    where = joined("AND", conditions) if conditions else None
    last = calls[-1] if calls else None
    if last is not None and last[1] == "aggregate":
        return where, [], list(_members(query.table, last[2]))
    match = _GROUPS.fullmatch(last[2]) if last is not None and last[1] == "groupby" else None
    if match is None:
        raise _unknown(query)
    groups = [_column(query.table, name) for name in split(match[1])]
    shown = [_Member(a.property_name, f"t.{a.name}", values.encoder(a)) for a in groups]
    return where, groups, [*shown, *_members(query.table, match[2] or "")]


def _members(table: Table, text: str) -> Iterator[_Member]:
    for part in split(text):
        match = _ITEM.fullmatch(part)
        if match is None or (match["how"] and match["how"] not in _SQL):
            raise errors.bad_query(f"Syntax error in the aggregate expression '{part}'.")
        if match["count"]:
            yield _Member(match["count"], "count(*)")
            continue
        attribute, how = _column(table, match["column"]), match["how"]
        if how in ("sum", "average") and attribute.kind not in _SUMMED:
            raise errors.bad_query(f"The aggregation method '{how}' does not fit the property '{match['column']}'.")
        yield _Member(match["alias"], _SQL[how].format(f"t.{attribute.name}"), _encoder(attribute, how))


def _encoder(attribute: Attribute, how: str) -> Callable[[Any], Any] | None:
    if how == "countdistinct":
        return None
    if how == "average" and attribute.kind in schema.SCALED:
        return lambda value: msgspec.Raw(f"{Decimal(value).scaleb(-attribute.precision):.10f}".encode())
    return values.encoder(attribute)


def _column(table: Table, name: str) -> Attribute:
    if name not in table.by_property:
        raise errors.unknown_property(name, table)
    return table.by_property[name]


def _unknown(query: Query) -> errors.DataverseError:
    return errors.bad_query(f"The sandbox knows filter, aggregate and groupby in $apply, not '{query.apply}'.")
