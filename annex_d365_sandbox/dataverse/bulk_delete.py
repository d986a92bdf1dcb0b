"""``BulkDelete``: deletes what queries find, as a system job (Dataverse page 5.3).

ASSUMPTION: the job is done at once, and a row that is gone already does not stop it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from annex_d365_sandbox.dataverse import addresses, errors, values
from annex_d365_sandbox.dataverse.bodies import member, members, object_in
from annex_d365_sandbox.dataverse.handling import JSON, Handlers, root
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.writing import Writer
from annex_d365_sandbox.wire import Reply, Request

_OPERATORS = frozenset({"In", "Equal"})


class BulkDeleteResponses(Handlers):
    """The handler of the action."""

    def __init__(self, organisation: Organisation) -> None:
        super().__init__(organisation)
        self._writer = Writer(organisation)

    def bulk_delete(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """Delete the rows of each query; answers the id of the job."""
        queries = members(object_in(request), "QuerySet")
        if not queries:
            raise errors.bad_parameters("The parameter 'QuerySet' is missing.")
        with self._organisation.store.transaction():
            for each in queries:
                self._delete(each)
        kind = "Microsoft.Dynamics.CRM.BulkDeleteResponse"
        body = {"@odata.context": f"{root(request, parts)}/$metadata#{kind}", "JobId": str(uuid4())}
        return Reply.json(body, headers=JSON)

    def _delete(self, query: Mapping[str, Any]) -> None:
        table = self._organisation.tables.get(str(query.get("EntityName")))
        if table is None:
            raise errors.unknown_table(str(query.get("EntityName")))
        conditions = list(_conditions(table, member(query, "Criteria")))
        where = " AND ".join(f"{name} IN ({','.join('?' * len(held))})" for name, held in conditions) or "1"
        with self._organisation.store.transaction() as db:
            found = db.execute(
                f"SELECT {table.primary_id} FROM {table.logical_name} WHERE {where}",
                [value for _, held in conditions for value in held],
            ).fetchall()
        for row in found:
            self._writer.delete(addresses.of_row(table, row[0]))


def _conditions(table: Table, criteria: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    if criteria.get("Filters") or criteria.get("FilterOperator", "And") != "And":
        raise errors.bad_query("The sandbox deletes in bulk by conditions that are joined by And.")
    for condition in members(criteria, "Conditions"):
        name, operator = condition.get("AttributeName"), condition.get("Operator")
        if name not in table.by_name:
            raise errors.unknown_property(str(name), table)
        if operator not in _OPERATORS:
            raise errors.bad_query(
                f"The sandbox deletes in bulk by {' and '.join(sorted(_OPERATORS))}, not {operator}."
            )
        yield (
            name,
            [values.parse(table, table.by_name[name], given.get("Value")) for given in members(condition, "Values")],
        )
