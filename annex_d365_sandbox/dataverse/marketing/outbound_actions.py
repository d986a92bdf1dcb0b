"""The actions of outbound marketing (Dataverse page 8.3). Of their replies little is known; see each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from annex_d365_sandbox.dataverse import errors, payload
from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.marketing import evaluation
from annex_d365_sandbox.dataverse.marketing.evaluation import Room, plugin_fault
from annex_d365_sandbox.dataverse.marketing.fetching import Fetcher
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.marketing.outbound import TABLE, Outbound
from annex_d365_sandbox.dataverse.marketing.tables.outbound import STATIC, Status

#: The most ids of one call: advised for SegmentMembersUpdate, said of its forerunners. That more is refused is assumed.
MOST_IDS, _MOST_IDS_2019 = 20_000, 10_000
_OPERATIONS = ("addByIds", "removeByIds", "addByQuery", "removeByQuery")


class OutboundActions:
    """Each takes the body and the root address; returns the members of the reply, or ``None`` for 204."""

    def __init__(self, room: Room, outbound: Outbound) -> None:
        self._room, self._outbound = room, outbound
        self._fetcher = Fetcher(room, outbound)

    def fetch_contacts(self, body: Mapping[str, Any], root: str) -> dict[str, Any]:
        """``msdyncrm_FetchContactsByQuery`` (page 8.4)."""
        return self._fetcher.reply(body, root)

    def update_members(self, body: Mapping[str, Any], root: str) -> dict[str, Any] | None:
        """``msdyncrm_SegmentMembersUpdate``: 204; ``getState`` is 200 with one text (both assumed)."""
        row = self._segment(body)
        operation = body.get("msdyncrm_operation")
        if operation == "getState" and self._room.switches.state_reply == "no_content":
            return None
        if operation == "getState":
            context = f"{root}/$metadata#Microsoft.Dynamics.CRM.msdyncrm_SegmentMembersUpdateResponse"
            return {"@odata.context": context, "msdyncrm_state": self._label(row)}
        if operation not in _OPERATIONS:
            raise plugin_fault(f"'{operation}' is not one of {', '.join(_OPERATIONS)} and getState.")
        if operation.endswith("ByIds"):
            self._change(row, operation, body.get("msdyncrm_memberids"), MOST_IDS)
            return None
        query = body.get("msdyncrm_query")
        try:
            found = self._room.found(query, self._outbound.resolve, self._room.now)
        except QueryError as error:
            raise plugin_fault(str(error)) from error
        if found.table.logical_name != "contact":
            raise plugin_fault("The query must end at contact.")
        self._check_static(row)
        self._outbound.change_members(row, {"operation": operation, "query": query})
        return None

    def include(self, body: Mapping[str, Any], _root: str) -> None:
        """``msdyncrm_IncludeMember(s)InSegment`` of 2019: 204 (assumed)."""
        self._change(self._segment(body), "addByIds", _given(body), _MOST_IDS_2019)

    def exclude(self, body: Mapping[str, Any], _root: str) -> None:
        """``msdyncrm_ExcludeMember(s)FromSegment`` of 2019: 204 (assumed)."""
        self._change(self._segment(body), "removeByIds", _given(body), _MOST_IDS_2019)

    def validate(self, body: Mapping[str, Any], root: str) -> dict[str, Any]:
        """``msdyncrm_ValidateSegment``: always 200, with the problems as a text."""
        table = self._room.organisation.tables[TABLE]
        columns = payload.columns_of(self._room.organisation, table, body, creating=True)
        context = f"{root}/$metadata#Microsoft.Dynamics.CRM.msdyncrm_ValidateSegmentResponse"
        result = msgspec.json.encode(self._outbound.problems(columns)).decode()
        return {"@odata.context": context, "ValidationResult": result}

    def _segment(self, body: Mapping[str, Any]) -> dict[str, Any]:
        table = self._room.organisation.tables[TABLE]
        try:
            row_id = str(UUID(str(body.get("msdyncrm_segmentid"))))
        except ValueError as error:
            raise errors.bad_payload(table, "msdyncrm_segmentid is no id.") from error
        row = self._room.organisation.get(TABLE, row_id)
        if row is None:
            raise errors.missing_row(table, row_id)
        return row

    def _label(self, row: Mapping[str, Any]) -> str:
        return Status(row["statuscode"]).name.replace("_", " ").capitalize()

    def _change(self, row: Mapping[str, Any], operation: str, given: Any, most: int) -> None:
        self._check_static(row)
        try:
            found = evaluation.ids(given)
        except ValueError as error:
            raise plugin_fault(f"The member ids are not understood: {error}") from error
        if len(found) > most:
            raise DataverseError(400, "0x80040265", f"{len(found):,} ids are more than {most:,}.")
        if operation == "addByIds":
            self._room.check_known(found, "contact")
        self._outbound.change_members(row, {"operation": operation, "ids": found})

    def _check_static(self, row: Mapping[str, Any]) -> None:
        if row["msdyncrm_segmenttype"] != STATIC:
            raise plugin_fault("Only members of static segments can be changed.")
        if row["statuscode"] == Status.EXPIRED:
            raise plugin_fault("The segment has expired.")


def _given(body: Mapping[str, Any]) -> Any:
    one = body.get("msdyncrm_segmentmemberid")
    return [one] if one is not None else body.get("msdyncrm_segmentmemberids")
