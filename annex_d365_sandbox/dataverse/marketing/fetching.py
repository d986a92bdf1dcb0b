"""``msdyncrm_FetchContactsByQuery``: which contacts a query finds, and what is shown of them (Dataverse page 8.4)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.marketing.evaluation import Room, plugin_fault
from annex_d365_sandbox.dataverse.marketing.language import parser, tree
from annex_d365_sandbox.dataverse.marketing.language.compiler import Found
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.marketing.outbound import Outbound
from annex_d365_sandbox.dataverse.preferences import Preferences
from annex_d365_sandbox.dataverse.rows import Shape
from annex_d365_sandbox.dataverse.schema import Attribute, Table

#: Columns of the real contact that the page's example asks for and the sandbox's has not: as nulls, they are not shown.
_PASSED_OVER = frozenset({"company"})
#: A page has 5,000 rows at most, here as in other queries (Dataverse page 2.3).
_MOST_ROWS = 5000


@dataclass(frozen=True)
class Fetch:
    """What is understood of a FetchXml: columns and the page; conditions and links are not (assumed: not needed)."""

    attributes: tuple[Attribute, ...]
    page: int | None
    count: int | None


def fetch(text: str, table: Table) -> Fetch:
    """A FetchXml. Raises ``DataverseError`` for one that is none, and for an unknown attribute (0x80041103)."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat of today refuses the bombs; the sandbox serves its own machine
    except ET.ParseError as error:
        raise DataverseError(400, "0x80041102", "The FetchXml is no XML.") from error
    entity = root.find("entity")
    if root.tag != "fetch" or entity is None or entity.get("name") != table.logical_name:
        raise DataverseError(400, "0x80041102", f"The FetchXml must be about the entity '{table.logical_name}'.")
    names = [name for element in entity.iter("attribute") if (name := element.get("name", "")) not in _PASSED_OVER]
    every = entity.find("all-attributes") is not None
    attributes = list(table.by_property.values()) if every else [_attribute(table, name) for name in names]
    primary = table.by_name[table.primary_id]
    return Fetch(tuple(dict.fromkeys([*attributes, primary])), _number(root.get("page")), _number(root.get("count")))


def _attribute(table: Table, name: str) -> Attribute:
    attribute = table.by_name.get(name)
    if attribute is None or not attribute.readable:
        raise DataverseError(400, "0x80041103", f"'{table.schema_name}' entity doesn't contain attribute '{name}'.")
    return attribute


def _number(text: str | None) -> int | None:
    if text is not None and not (text.isdecimal() and int(text) > 0):
        raise DataverseError(400, "0x80041102", f"'{text}' is no page and no count.")
    return int(text) if text else None


class Fetcher:
    """Answers the action."""

    def __init__(self, room: Room, outbound: Outbound) -> None:
        self._room, self._outbound = room, outbound

    def reply(self, body: Mapping[str, Any], root: str) -> dict[str, Any]:
        """The members of the reply, in the shape that the switch ``fetch_reply`` says.

        Raises:
            DataverseError: a query or a FetchXml that is none, a segment that is not live, a page too far.
        """
        asked, found, table = self._understood(body.get("Query"))
        shown = fetch(str(body.get("FetchXml") or ""), table)
        skip, take = asked.skip or 0, min(asked.take if asked.take is not None else _MOST_ROWS, _MOST_ROWS)
        self._check_page(shown, skip, asked)
        rows, total = self._rows(asked, found, shown, skip=skip, take=take)
        return _REPLIES[self._room.switches.fetch_reply](rows, total, root, more=skip + len(rows) < total)

    def _understood(self, text: Any) -> tuple[tree.Listing, Found, Table]:
        try:
            any_case = self._room.switches.query_keywords == "any_case"
            asked = parser.listing(text if isinstance(text, str) else "", any_case=any_case)
            for name in tree.segments(asked.of):
                row = self._outbound.by_name(name) or {}
                self._room.check_refused(name, row.get("msdyncrm_segmentid"), row.get("msdyncrm_segmentname"))
            found = self._room.compiler(self._outbound.resolve, self._room.now).members(asked.of)
            unknown = {*(order.column for order in asked.order), *asked.select} - found.table.by_name.keys()
        except QueryError as error:
            raise plugin_fault(str(error)) from error
        if found.table.logical_name != "contact":
            raise plugin_fault("The query must end at contact.")
        if unknown:
            raise plugin_fault(f"Contacts have no attribute {', '.join(sorted(unknown))}.")
        return asked, found, found.table

    def _check_page(self, shown: Fetch, skip: int, asked: tree.Listing) -> None:
        switches = self._room.switches
        last = max(skip + (asked.take or 0), (shown.page or 1) * (shown.count or 0))
        if switches.most_paged_rows and last > switches.most_paged_rows:
            raise DataverseError(
                400, "0x8004430A", f"Paging without a cookie ends at {switches.most_paged_rows:,} rows."
            )
        if not switches.pages_in_step or shown.page is None or shown.count is None or asked.take is None:
            return
        if (skip, asked.take) != ((shown.page - 1) * shown.count, shown.count):
            raise plugin_fault(
                f"SKIP({skip}).TAKE({asked.take}) is not page {shown.page} of {shown.count} rows of the FetchXml."
            )

    def _rows(
        self, asked: tree.Listing, found: Found, shown: Fetch, *, skip: int, take: int
    ) -> tuple[list[dict[str, Any]], int]:
        table = found.table
        shape = Shape(table, self._room.organisation.tables, shown.attributes, Preferences())
        orders = [*asked.order, tree.Order(table.primary_id)]
        by = ",".join(_order(table, order) for order in orders)
        source = f"FROM ({found.sql.text}) f JOIN {table.logical_name} t ON t.{table.primary_id} = f.id"
        given = found.sql.parameters
        columns = ",".join(f"t.{column}" for column in shape.columns)
        with self._room.organisation.store.transaction() as db:
            try:
                total = db.execute(f"SELECT count(*) {source}", given).fetchone()[0]
                held = db.execute(
                    f"SELECT {columns} {source} ORDER BY {by} LIMIT ? OFFSET ?",
                    [*given, take, skip],
                ).fetchall()
            except sqlite3.OperationalError as error:
                raise plugin_fault(f"The query is too complex: {error}.") from error
            rows = shape.rows(db, [tuple(row) for row in held])
        # Nulls are left out of fetchXml results (Dataverse page 2.2).
        return [{name: value for name, value in row.items() if value is not None} for row in rows], int(total)


def _order(table: Table, order: tree.Order) -> str:
    text = table.by_name[order.column].kind.edm == "Edm.String"
    return f"t.{order.column}{' COLLATE NOCASE' if text else ''}{' DESC' if order.descending else ''}"


def _as_value(rows: list[dict[str, Any]], total: int, root: str, *, more: bool) -> dict[str, Any]:  # noqa: ARG001
    return {"@odata.context": f"{root}/$metadata#contacts", "@odata.count": total, "value": rows}


def _as_entities(rows: list[dict[str, Any]], total: int, root: str, *, more: bool) -> dict[str, Any]:
    collection = {"EntityName": "contact", "TotalRecordCount": total, "MoreRecords": more, "Entities": rows}
    return {"@odata.context": _context(root), "Contacts": collection}


def _as_text(rows: list[dict[str, Any]], total: int, root: str, *, more: bool) -> dict[str, Any]:
    body = msgspec.json.encode({"totalRecordCount": total, "moreRecords": more, "contacts": rows}).decode()
    return {"@odata.context": _context(root), "Response": body}


def _context(root: str) -> str:
    return f"{root}/$metadata#Microsoft.Dynamics.CRM.msdyncrm_FetchContactsByQueryResponse"


_REPLIES = {"value": _as_value, "entities": _as_entities, "text": _as_text}
