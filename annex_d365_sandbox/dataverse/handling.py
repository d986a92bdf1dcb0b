"""What handlers of the Web API share: the parts of a path as tables and rows, queries, privileges."""

from __future__ import annotations

from collections.abc import Mapping

from annex_d365_sandbox.dataverse import addresses, errors, query
from annex_d365_sandbox.dataverse.addresses import Address
from annex_d365_sandbox.dataverse.derived import USER_ID
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.preferences import Preferences
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.wire import Request

JSON = {"Content-Type": "application/json; odata.metadata=minimal"}


class Handlers:
    """The handlers of one organisation; each takes a request and the named parts of its path."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation

    def _table(self, parts: Mapping[str, str]) -> Table:
        table = self._organisation.sets.get(parts["set"])
        if table is None:
            raise errors.unknown_segment(parts["set"])
        return table

    def _address(self, parts: Mapping[str, str]) -> Address:
        return addresses.in_url(self._table(parts), parts["id"])

    def _check_readable(self, table: Table) -> None:
        if table.logical_name in self._organisation.switches.unreadable_tables:
            raise errors.missing_privilege(table, USER_ID)

    def _head(self, wishes: Preferences) -> dict[str, str]:
        """Headers of a reply with rows."""
        head = {**JSON, **wishes.headers}
        if wishes.annotations and self._organisation.switches.annotated_metadata == "full":
            head["Content-Type"] = head["Content-Type"].replace("minimal", "full")
        return head

    def _query(self, table: Table, request: Request) -> query.Query:
        asked = query.build(
            table, self._organisation.tables, request.query, now=self._organisation.clock.now(), user_id=USER_ID
        )
        for expand in asked.expand:
            self._check_readable(expand.table)
        return asked


def root(request: Request, parts: Mapping[str, str]) -> str:
    """The service's own address, ``<origin>/api/data/v9.2``."""
    return f"{request.origin}/api/data/{parts['version']}"
