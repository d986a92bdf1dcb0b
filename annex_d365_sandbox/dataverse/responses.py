"""Replies of the Web API: what each route does, and the frame around all of them (Dataverse page 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from annex_d365_sandbox.dataverse import csdl, errors, metadata, query
from annex_d365_sandbox.dataverse.aggregation import Aggregator
from annex_d365_sandbox.dataverse.models import BUSINESS_UNIT_ID, ORGANISATION_ID, USER_ID, Organisation
from annex_d365_sandbox.dataverse.preferences import Preferences, preferences
from annex_d365_sandbox.dataverse.reading import Reader
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.tracking import Tracker
from annex_d365_sandbox.dataverse.writing import Writer
from annex_d365_sandbox.wire import Reply, Request

JSON = {"Content-Type": "application/json; odata.metadata=minimal"}


#: Options that say where in a result a client is; links in the reply put their own.
_TOKEN = re.compile(r"(?:\$|%24)(?:skip|delta)token=", re.IGNORECASE)


#: A list of names, as JSON or with the quotes of OData.
_NAMES = re.compile(r"""\s*\[\s*(?:(["'])\w+\1\s*(?:,\s*(?=["'])|(?=\])))+\]\s*""")


class Responses:
    """The handlers of one organisation; each takes a request and the named parts of its path."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation
        self._reader, self._writer = Reader(organisation), Writer(organisation)
        self._tracker, self._aggregator = Tracker(organisation, self._reader), Aggregator(organisation)

    def who_am_i(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``WhoAmI`` with the advised parallelism (Dataverse page 6)."""
        body = {
            "@odata.context": f"{_root(request, parts)}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
            "BusinessUnitId": BUSINESS_UNIT_ID,
            "UserId": USER_ID,
            "OrganizationId": ORGANISATION_ID,
        }
        return Reply.json(body, headers={**JSON, "x-ms-dop-hint": str(self._organisation.switches.dop_hint)})

    def service(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """The service document."""
        sets = [{"name": name, "kind": "EntitySet", "url": name} for name in sorted(self._organisation.sets)]
        return Reply.json({"@odata.context": f"{_root(request, parts)}/$metadata", "value": sets}, headers=JSON)

    def csdl(self, _request: Request, _parts: Mapping[str, str]) -> Reply:
        """``$metadata``."""
        return Reply(200, csdl.document(self._organisation.tables), {"Content-Type": "application/xml"})

    def definitions(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``EntityDefinitions`` and what lies below."""
        body = metadata.answer(self._organisation, parts.get("rest") or "", request.params, _root(request, parts))
        return Reply.json(body, headers=JSON)

    def relationships(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``RelationshipDefinitions``."""
        body = metadata.relationship_definitions(self._organisation, request.params, _root(request, parts))
        return Reply.json(body, headers=JSON)

    def rows(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """GET of a set."""
        table, wishes = self._readable(parts), preferences(request.headers)
        asked = self._query(table, request)
        kept = "&".join(part for part in request.query.split("&") if part and not _TOKEN.match(part))
        root = _root(request, parts)
        if asked.apply is not None:
            return Reply.json(self._aggregator.rows(asked, root=root), headers={**JSON, **wishes.headers})
        url = f"{root}/{table.set_name}{'?' if kept else ''}{kept}"
        room = self._tracker if self._tracker.concerns(asked, wishes) else self._reader
        body = room.page(asked, wishes, root=root, url=url)
        return Reply.json(body, headers={**JSON, **wishes.headers})

    def count(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """GET of ``set/$count``: a number as text."""
        asked = self._query(self._readable(parts), request)
        counted = self._reader.count(asked) if asked.deltatoken is None else self._tracker.count(asked)
        return Reply(200, str(counted).encode(), {"Content-Type": "text/plain"})

    def total_record_count(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``RetrieveTotalRecordCount(EntityNames=['contact'])``: all rows of tables, from a snapshot (page 2.2)."""
        text = request.params.get(parts["names"], "") if parts["names"].startswith("@") else parts["names"]
        if not _NAMES.fullmatch(text):
            raise errors.bad_query(f"Syntax error in EntityNames: '{text}'.")
        names = re.findall(r"\w+", text)
        for name in names:
            if name not in self._organisation.tables:
                raise errors.unknown_table(name)
            self._check_readable(self._organisation.tables[name])
        snapshot = self._organisation.switches.total_record_counts
        counted = [snapshot.get(name, self._organisation.count(name)) for name in names]
        kind = "Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse"
        body = {
            "@odata.context": f"{_root(request, parts)}/$metadata#{kind}",
            "EntityRecordCountCollection": {
                "Count": len(names),
                "IsReadOnly": False,
                "Keys": names,
                "Values": counted,
            },
        }
        return Reply.json(body, headers=JSON)

    def row(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """GET of one row; 304 if the client holds this version."""
        table, wishes = self._readable(parts), preferences(request.headers)
        body = self._reader.row(self._query(table, request), parts["id"].lower(), wishes, _root(request, parts))
        etag = body["@odata.etag"]
        if request.headers.get("if-none-match") == etag:
            return Reply(304, b"", {"ETag": etag})
        return Reply.json(body, headers={**JSON, **wishes.headers, "ETag": etag})

    def related(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """GET of the row that a lookup of another row points to; 204 where it points to none."""
        table, row_id = self._readable(parts), parts["id"].lower()
        navigation = table.navigations.get(parts["navigation"])
        if navigation is None or navigation.table not in self._organisation.tables:
            raise errors.unknown_segment(parts["navigation"])
        row = self._organisation.get(table.logical_name, row_id)
        if row is None:
            raise errors.missing_row(table, row_id)
        end = row[navigation.attribute]
        target_column = table.by_name[navigation.attribute].target_column
        if end is None or (target_column and row[target_column] != navigation.table):
            return Reply(204)
        target = self._organisation.tables[navigation.table]
        return self.row(request, {**parts, "set": target.set_name, "id": end})

    def create(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST to a set."""
        table, wishes = self._table(parts), preferences(request.headers)
        asked = self._query(table, request)
        row_id = self._writer.create(table, _body(request, table))
        return self._written(asked, row_id, wishes, root=_root(request, parts), created=True)

    def upsert(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """PATCH of one row."""
        table, wishes = self._table(parts), preferences(request.headers)
        asked, row_id = self._query(table, request), parts["id"].lower()
        created = self._writer.upsert(table, row_id, _body(request, table), request.headers)
        return self._written(asked, row_id, wishes, root=_root(request, parts), created=created)

    def delete(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of one row."""
        self._writer.delete(self._table(parts), parts["id"].lower(), request.headers)
        return Reply(204)

    def _written(
        self,
        asked: query.Query,
        row_id: str,
        wishes: Preferences,
        *,
        root: str,
        created: bool,
    ) -> Reply:
        address = {"OData-EntityId": f"{root}/{asked.table.set_name}({row_id})"}
        if created:
            address["Location"] = address["OData-EntityId"]
        if not wishes.representation:
            return Reply(204, b"", address)
        self._check_readable(asked.table)
        body = self._reader.row(asked, row_id, wishes, root)
        headers = {**JSON, **wishes.headers, **address, "ETag": body["@odata.etag"]}
        return Reply.json(body, 201 if created else 200, headers)

    def _table(self, parts: Mapping[str, str]) -> Table:
        table = self._organisation.sets.get(parts["set"])
        if table is None:
            raise errors.unknown_segment(parts["set"])
        return table

    def _readable(self, parts: Mapping[str, str]) -> Table:
        table = self._table(parts)
        self._check_readable(table)
        return table

    def _check_readable(self, table: Table) -> None:
        if table.logical_name in self._organisation.switches.unreadable_tables:
            raise errors.missing_privilege(table, USER_ID)

    def _query(self, table: Table, request: Request) -> query.Query:
        asked = query.build(
            table, self._organisation.tables, request.query, now=self._organisation.clock.now(), user_id=USER_ID
        )
        for expand in asked.expand:
            self._check_readable(expand.table)
        return asked


def _root(request: Request, parts: Mapping[str, str]) -> str:
    return f"{request.origin}/api/data/{parts['version']}"


def _body(request: Request, table: Table) -> Any:
    try:
        return request.json()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.bad_payload(table, "Invalid JSON. An unexpected end or character was found.") from error


def failure(error: errors.DataverseError) -> Reply:
    """The reply for an error."""
    if error.status == 401:  # noqa: PLR2004 - unauthorised: no body (ASSUMPTION of Dataverse page 1.2)
        return Reply(error.status, b"", error.headers)
    body = {"error": {"code": error.code, "message": error.message}}
    return Reply.json(body, error.status, {**JSON, **error.headers})


def framed(reply: Reply) -> Reply:
    """The reply with the headers that all of them have."""
    reply.headers.setdefault("OData-Version", "4.0")
    reply.headers["REQ_ID"] = reply.headers["x-ms-service-request-id"] = str(uuid4())
    return reply
