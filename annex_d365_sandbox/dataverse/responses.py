"""Replies of the Web API: what each route does, and the frame around all of them (Dataverse page 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import uuid4

from annex_d365_sandbox.dataverse import csdl, errors, messages, metadata
from annex_d365_sandbox.dataverse.addresses import Address
from annex_d365_sandbox.dataverse.aggregation import Aggregator
from annex_d365_sandbox.dataverse.handling import JSON, Handlers, root
from annex_d365_sandbox.dataverse.models import BUSINESS_UNIT_ID, ORGANISATION_ID, USER_ID, Organisation
from annex_d365_sandbox.dataverse.preferences import preferences
from annex_d365_sandbox.dataverse.reading import Reader
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.switches import Switches
from annex_d365_sandbox.dataverse.tracking import Tracker
from annex_d365_sandbox.wire import Reply, Request

#: Options that say where in a result a client is; links in the reply put their own.
_TOKEN = re.compile(r"(?:\$|%24)(?:skip|delta)token=", re.IGNORECASE)


#: A list of names, as JSON or with the quotes of OData.
_NAMES = re.compile(r"""\s*\[\s*(?:(["'])\w+\1\s*(?:,\s*(?=["'])|(?=\])))+\]\s*""")


_UNAUTHORISED = b"<html><head><title>401</title></head><body><h1>401 - Unauthorized</h1></body></html>"


class Responses(Handlers):
    """The handlers of GET, and of what belongs to no table."""

    def __init__(self, organisation: Organisation) -> None:
        super().__init__(organisation)
        self._reader = Reader(organisation)
        self._tracker, self._aggregator = Tracker(organisation, self._reader), Aggregator(organisation)

    def who_am_i(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``WhoAmI``: who the caller is (Dataverse page 10)."""
        body = {
            "@odata.context": f"{root(request, parts)}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
            "BusinessUnitId": BUSINESS_UNIT_ID,
            "UserId": USER_ID,
            "OrganizationId": ORGANISATION_ID,
        }
        return Reply.json(body, headers=JSON)

    def service(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """The service document."""
        sets = [{"name": name, "kind": "EntitySet", "url": name} for name in sorted(self._organisation.sets)]
        return Reply.json({"@odata.context": f"{root(request, parts)}/$metadata", "value": sets}, headers=JSON)

    def csdl(self, _request: Request, _parts: Mapping[str, str]) -> Reply:
        """``$metadata``."""
        return Reply(200, csdl.document(self._organisation.tables), {"Content-Type": "application/xml"})

    def definitions(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``EntityDefinitions`` and what lies below."""
        body = metadata.answer(self._organisation, parts.get("rest") or "", request.params, root(request, parts))
        return Reply.json(body, headers=JSON)

    def relationships(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """``RelationshipDefinitions``."""
        body = metadata.relationship_definitions(self._organisation, request.params, root(request, parts))
        return Reply.json(body, headers=JSON)

    def rows(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """GET of a set."""
        table, wishes = self._readable(parts), preferences(request.headers)
        asked = self._query(table, request)
        kept = "&".join(part for part in request.query.split("&") if part and not _TOKEN.match(part))
        at = root(request, parts)
        if asked.apply is not None:
            return Reply.json(self._aggregator.rows(asked, root=at), headers=self._head(wishes))
        url = f"{at}/{table.set_name}{'?' if kept else ''}{kept}"
        room = self._tracker if self._tracker.concerns(asked, wishes) else self._reader
        body = room.page(asked, wishes, root=at, url=url)
        return Reply.json(body, headers=self._head(wishes))

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
            "@odata.context": f"{root(request, parts)}/$metadata#{kind}",
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
        body = self._reader.row(
            self._query(table, request), self._row_id(self._address(parts)), wishes, root(request, parts)
        )
        etag = body["@odata.etag"]
        if request.headers.get("if-none-match") == etag:
            return Reply(304, b"", {"ETag": etag})
        return Reply.json(body, headers={**self._head(wishes), "ETag": etag})

    def related(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """GET of the row that a lookup of another row points to; 204 where it points to none."""
        table, address = self._readable(parts), self._address(parts)
        navigation = table.navigations.get(parts["navigation"])
        if navigation is None or navigation.table not in self._organisation.tables:
            raise errors.unknown_segment(parts["navigation"])
        row = address.find(self._organisation)
        if row is None:
            raise address.missing()
        end = row[navigation.attribute]
        target_column = table.by_name[navigation.attribute].target_column
        if end is None or (target_column and row[target_column] != navigation.table):
            return Reply(204)
        target = self._organisation.tables[navigation.table]
        return self.row(request, {**parts, "set": target.set_name, "id": end})

    def _row_id(self, address: Address) -> str:
        """The primary key of the row at an address."""
        if address.row_id:
            return address.row_id
        row = address.find(self._organisation)
        if row is None:
            raise address.missing()
        return str(row[address.table.primary_id])

    def _readable(self, parts: Mapping[str, str]) -> Table:
        table = self._table(parts)
        self._check_readable(table)
        messages.refresh(self._organisation, table)
        return table


def failure(error: errors.DataverseError, switches: Switches) -> Reply:
    """The reply for an error."""
    if error.status == 401 and switches.unauthorised_body != "json":  # noqa: PLR2004 - unauthorised
        page = b"" if switches.unauthorised_body == "empty" else _UNAUTHORISED
        return Reply(error.status, page, {"Content-Type": "text/html", **error.headers} if page else error.headers)
    code = switches.missing_row_code if error.code == errors.MISSING_ROW else error.code
    body = {"error": {"code": code, "message": error.message}}
    return Reply.json(body, error.status, {**JSON, **error.headers})


def framed(reply: Reply) -> Reply:
    """The reply with the headers that all of them have."""
    reply.headers.setdefault("OData-Version", "4.0")
    reply.headers["REQ_ID"] = reply.headers["x-ms-service-request-id"] = str(uuid4())
    return reply
