"""Queries: one page of a set, one row, a count (Dataverse page 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import Any

from annex_d365_sandbox.dataverse import errors, paging
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.preferences import TOTAL, TOTAL_EXCEEDED, Preferences
from annex_d365_sandbox.dataverse.query import Expand, Order, Query
from annex_d365_sandbox.dataverse.rows import Shape, by_id
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.sql import Sql

COUNT_CAP = 5000


class Reader:
    """Answers queries of one organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation

    def page(
        self, query: Query, wishes: Preferences, *, root: str, url: str, stamp: str | None = None
    ) -> dict[str, Any]:
        """One page of a set as the members of the reply.

        Args:
            query: the options.
            wishes: preferences of the request.
            root: ``<origin>/api/data/v9.2``.
            url: the request's own address without its ``$skiptoken``.
            stamp: the version stamp that the next page must know while tracking changes.

        Raises:
            DataverseError: the ``$skiptoken`` is malformed.
        """
        switches = self._organisation.switches
        orders = paging.complete(query.order, query.table.by_name[query.table.primary_id], switches.id_order)
        cookie = paging.decode(query.skiptoken, orders) if query.skiptoken is not None else None
        limit = self.page_size(wishes)
        # With a page size $top is ignored; alone it gives no next link (Dataverse page 2.3).
        honoured = wishes.max_page_size is None or switches.top_with_page_size == "honoured"
        paged = query.top is None or not honoured
        if not paged:
            seen = (cookie.page - 1) * limit if cookie else 0
            left = max((query.top or 0) - seen, 0)
            paged, limit = wishes.max_page_size is not None and left > limit, min(limit, left)
        shape = Shape(query.table, self._organisation.tables, query.select, wishes)
        conditions = [query.where] if query.where else []
        with self._organisation.store.transaction() as db:
            found = _fetch(
                db, shape.columns, query.table, orders, [*_place(cookie, orders), *conditions], limit=limit + int(paged)
            )
            more, found = len(found) > limit, found[:limit]
            width = len(shape.columns)
            rows = shape.rows(db, [row[:width] for row in found])
            self._expand(db, query, rows, wishes)
            counted = _count(db, query.table, conditions) if query.count else None
        result: dict[str, Any] = {"@odata.context": f"{root}/$metadata#{context(query)}"}
        result.update(_counts(counted, wishes))
        result["value"] = rows
        if more and paged:
            place = paging.Cookie((cookie.page if cookie else 1) + 1, tuple(found[-1][width:]), stamp)
            token = self.skiptoken(place, tuple(found[0][width:]), orders)
            result["@odata.nextLink"] = with_option(url, "$skiptoken", token)
        return result

    def skiptoken(self, place: paging.Cookie, first: Sequence[Any], orders: Sequence[Order]) -> str:
        """The value of ``$skiptoken`` for a place, in the form that the organisation gives it."""
        token = paging.encode(place, first, orders)
        return paging.veiled(token) if self._organisation.switches.skiptoken_form == "opaque" else token

    def page_size(self, wishes: Preferences) -> int:
        """How many rows a page has at most."""
        most = self._organisation.switches.max_page_size
        return min(wishes.max_page_size or most, most)

    def row(self, query: Query, row_id: str, wishes: Preferences, root: str) -> dict[str, Any]:
        """One row as the members of the reply. Raises ``DataverseError`` if there is none."""
        table = query.table
        shape = Shape(table, self._organisation.tables, query.select, wishes)
        with self._organisation.store.transaction() as db:
            found = list(by_id(db, table, shape.columns, [row_id]))
            if not found:
                raise errors.missing_row(table, row_id)
            rows = shape.rows(db, found)
            self._expand(db, query, rows, wishes)
        return {"@odata.context": f"{root}/$metadata#{context(query)}/$entity", **rows[0]}

    def count(self, query: Query) -> int:
        """How many rows match, capped at 5,000."""
        with self._organisation.store.transaction() as db:
            return min(_count(db, query.table, [query.where] if query.where else []), COUNT_CAP)

    def _expand(self, db: Connection, query: Query, rows: list[dict[str, Any]], wishes: Preferences) -> None:
        for expand in query.expand:
            ends = self._ends(db, query, expand, rows, wishes)
            for row in rows:
                row[expand.navigation.name] = ends.get(row[query.table.primary_id])

    def _ends(
        self, db: Connection, query: Query, expand: Expand, rows: Sequence[Mapping[str, Any]], wishes: Preferences
    ) -> dict[str, dict[str, Any]]:
        """The row at the end of the navigation for each row that has one, by that row's id."""
        table = query.table
        wanted = [table.primary_id, expand.navigation.attribute]
        lookups = {r[0]: r[1] for r in by_id(db, table, wanted, [row[table.primary_id] for row in rows]) if r[1]}
        shape = Shape(expand.table, self._organisation.tables, expand.select, wishes)
        found = shape.rows(db, list(by_id(db, expand.table, shape.columns, lookups.values())))
        ends = {row[expand.table.primary_id]: row for row in found}
        return {row_id: ends[end] for row_id, end in lookups.items() if end in ends}


def _fetch(
    db: Connection,
    columns: Sequence[str],
    table: Table,
    orders: Sequence[Order],
    conditions: Sequence[Sql],
    *,
    limit: int,
) -> list[Any]:
    """Rows as the columns followed by the order values."""
    selected = [*(f"t.{column}" for column in columns), *(order.sql for order in orders)]
    by = [f"{order.compared(order.sql)} {'DESC' if order.descending else 'ASC'}" for order in orders]
    return db.execute(
        f"SELECT {','.join(selected)} FROM {table.logical_name} t{_where(conditions)} ORDER BY {','.join(by)} LIMIT ?",
        [*_parameters(conditions), limit],
    ).fetchall()


def _place(cookie: paging.Cookie | None, orders: Sequence[Order]) -> list[Sql]:
    """To stand first: of two bounds of one column SQLite seeks by the first, and a filter's would begin at page one."""
    return [paging.after(cookie, orders)] if cookie else []


def _count(db: Connection, table: Table, conditions: Sequence[Sql]) -> int:
    """How many rows match; counting stops just above the cap."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {table.logical_name} t{_where(conditions)} LIMIT {COUNT_CAP + 1})"
    return int(db.execute(sql, _parameters(conditions)).fetchone()[0])


def _where(conditions: Sequence[Sql]) -> str:
    return f" WHERE {' AND '.join(condition.text for condition in conditions)}" if conditions else ""


def _parameters(conditions: Sequence[Sql]) -> list[Any]:
    return [parameter for condition in conditions for parameter in condition.parameters]


def _counts(counted: int | None, wishes: Preferences) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if counted is not None:
        result["@odata.count"] = min(counted, COUNT_CAP)
    if wishes.wants(TOTAL):
        result[f"@{TOTAL}"] = -1 if counted is None else min(counted, COUNT_CAP)
    if wishes.wants(TOTAL_EXCEEDED):
        result[f"@{TOTAL_EXCEEDED}"] = counted is not None and counted > COUNT_CAP
    return result


def with_option(url: str, name: str, value: str) -> str:
    """The address with one more query option, whose value is encoded already."""
    return f"{url}{'&' if '?' in url else '?'}{name}={value}"


def context(query: Query) -> str:
    """What the context URL says behind ``$metadata#``."""
    parts = [*query.selected]
    for expand in query.expand:
        names = ",".join(attribute.property_name for attribute in expand.select)
        parts.append(f"{expand.navigation.name}({names})")
    return f"{query.table.set_name}({','.join(parts)})" if parts else query.table.set_name
