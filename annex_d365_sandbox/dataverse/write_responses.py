"""Replies to writes of single rows, columns and references (Dataverse page 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import addresses, errors, query
from annex_d365_sandbox.dataverse.addresses import Address
from annex_d365_sandbox.dataverse.bodies import body_for
from annex_d365_sandbox.dataverse.handling import Handlers, root
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.preferences import preferences
from annex_d365_sandbox.dataverse.reading import Reader
from annex_d365_sandbox.dataverse.writing import Writer
from annex_d365_sandbox.wire import Reply, Request


class WriteResponses(Handlers):
    """The handlers of POST, PATCH, PUT and DELETE below a set."""

    def __init__(self, organisation: Organisation) -> None:
        super().__init__(organisation)
        self._reader, self._writer = Reader(organisation), Writer(organisation)

    def create(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST to a set."""
        table = self._table(parts)
        asked = self._query(table, request)
        row_id = self._writer.create(table, body_for(request, table), request.headers)
        return self._written(request, parts, asked, addresses.of_row(table, row_id), row_id, created=True)

    def upsert(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """PATCH of one row."""
        address = self._address(parts)
        asked = self._query(address.table, request)
        row_id, created = self._writer.upsert(address, body_for(request, address.table), request.headers)
        return self._written(request, parts, asked, address, row_id, created=created)

    def delete(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of one row."""
        self._writer.delete(self._address(parts), request.headers)
        return Reply(204)

    def set_column(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """PUT of ``set(id)/column`` with ``{"value": ...}``."""
        address = self._address(parts)
        body = body_for(request, address.table)
        if not isinstance(body, Mapping) or "value" not in body:
            raise errors.bad_payload(address.table, "The member 'value' was expected.")
        return self._changed(request, address, {self._column(address, parts): body["value"]})

    def clear_column(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of ``set(id)/column``."""
        address = self._address(parts)
        return self._changed(request, address, {self._column(address, parts): None})

    def associate(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """POST or PUT of ``set(id)/navigation/$ref`` with ``{"@odata.id": "..."}``."""
        address = self._address(parts)
        body = body_for(request, address.table)
        target = body.get("@odata.id") if isinstance(body, Mapping) else None
        if target is None:
            raise errors.bad_payload(address.table, "The member '@odata.id' was expected.")
        return self._changed(request, address, {f"{self._navigation(address, parts)}@odata.bind": target})

    def disassociate(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """DELETE of ``set(id)/navigation/$ref``."""
        address = self._address(parts)
        return self._changed(request, address, {self._navigation(address, parts): None})

    def _changed(self, request: Request, address: Address, body: Mapping[str, Any]) -> Reply:
        """A part of a row exists only with the row: that there is no upsert is an assumption."""
        self._writer.upsert(address, body, {"if-match": "*", **request.headers})
        return Reply(204)

    def _column(self, address: Address, parts: Mapping[str, str]) -> str:
        if parts["column"] not in address.table.by_property:
            raise errors.unknown_segment(parts["column"])
        return parts["column"]

    def _navigation(self, address: Address, parts: Mapping[str, str]) -> str:
        if parts["navigation"] not in address.table.navigations:
            raise errors.unknown_segment(parts["navigation"])
        return parts["navigation"]

    def _written(
        self,
        request: Request,
        parts: Mapping[str, str],
        asked: query.Query,
        address: Address,
        row_id: str,
        *,
        created: bool,
    ) -> Reply:
        """The reply, with the address in the form that the client used (Dataverse page 5.1)."""
        wishes, at = preferences(request.headers), root(request, parts)
        where = {"OData-EntityId": f"{at}/{asked.table.set_name}({address.row_id or address.text})"}
        if created:
            where["Location"] = where["OData-EntityId"]
        if not wishes.representation:
            return Reply(204, b"", where)
        self._check_readable(asked.table)
        body = self._reader.row(asked, row_id, wishes, at)
        headers = {**self._head(wishes), **where, "ETag": body["@odata.etag"]}
        return Reply.json(body, 201 if created else 200, headers)
