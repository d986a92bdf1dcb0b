"""CreateMultiple, UpdateMultiple and UpsertMultiple: all or nothing (Dataverse page 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import addresses, errors, values
from annex_d365_sandbox.dataverse.addresses import Address
from annex_d365_sandbox.dataverse.bodies import body_for
from annex_d365_sandbox.dataverse.handling import JSON, Handlers, root
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.writing import Writer
from annex_d365_sandbox.wire import Reply, Request

NAMESPACE = "Microsoft.Dynamics.CRM."
#: What tables offer; DeleteMultiple is for elastic tables only.
MESSAGES = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")


def supports(organisation: Organisation, table: Table) -> bool:
    """Whether a table has the bulk messages."""
    return table.logical_name not in organisation.switches.tables_without_bulk_messages


class BulkResponses(Handlers):
    """The handlers of POST to ``set/Microsoft.Dynamics.CRM.<message>``."""

    def __init__(self, organisation: Organisation) -> None:
        super().__init__(organisation)
        self._writer = Writer(organisation)

    def create_multiple(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """Add rows; answers their ids in order."""
        table, targets = self._targets(request, parts, "CreateMultiple")
        with self._organisation.store.transaction():
            rows = [self._writer.new_row(table, target) for target in targets]
            ids = self._organisation.create_all(table.logical_name, rows)
        kind = f"{NAMESPACE}CreateMultipleResponse"
        return Reply.json({"@odata.context": f"{root(request, parts)}/$metadata#{kind}", "Ids": ids}, headers=JSON)

    def update_multiple(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """Change rows that must be there, each known by its primary key or ``@odata.id``."""
        table, targets = self._targets(request, parts, "UpdateMultiple")
        with self._organisation.store.transaction():
            for target in targets:
                address = self._addressed(table, target)
                if address is None:
                    raise errors.bad_payload(table, "A target of UpdateMultiple has no primary key.")
                self._writer.update(address, target)
        return Reply(204)

    def upsert_multiple(self, request: Request, parts: Mapping[str, str]) -> Reply:
        """Change rows, or create those that are not there; a target without a key is a new row."""
        table, targets = self._targets(request, parts, "UpsertMultiple")
        seen: set[str] = set()
        with self._organisation.store.transaction():
            for target in targets:
                address = self._addressed(table, target)
                if address is None:
                    self._writer.create(table, target)
                    continue
                row_id, _ = self._writer.upsert(address, target)
                if row_id in seen and self._organisation.switches.refuse_repeated_targets:
                    raise errors.duplicate_row()
                seen.add(row_id)
        return Reply(204)

    def delete_multiple(self, _request: Request, parts: Mapping[str, str]) -> Reply:
        """Only elastic tables have it, and the sandbox has none; status and code are assumptions."""
        self._table(parts)
        raise errors.DataverseError(501, "0x80060888", "DeleteMultiple has not yet been implemented.")

    def _targets(self, request: Request, parts: Mapping[str, str], message: str) -> tuple[Table, list[dict[str, Any]]]:
        table = self._table(parts)
        if not supports(self._organisation, table):
            raise errors.unsupported_message(message, table)
        body = body_for(request, table)
        targets = body.get("Targets") if isinstance(body, Mapping) else None
        if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
            raise errors.bad_payload(table, "The parameter 'Targets' is not a collection of entities.")
        for target in targets:  # the parameter is of the base type, so that each must say what it is
            kind = target.get("@odata.type")
            if not isinstance(kind, str) or kind.lstrip("#") != f"{NAMESPACE}{table.logical_name}":
                raise errors.bad_payload(
                    table, f"A target has the type '{kind}', where '{NAMESPACE}{table.logical_name}' was expected."
                )
        most = self._organisation.switches.max_bulk_rows
        if most and len(targets) > most:
            raise errors.sql_timeout()
        return table, targets

    def _addressed(self, table: Table, target: Mapping[str, Any]) -> Address | None:
        """The row that a target is for; ``None`` if it does not say."""
        if "@odata.id" in target:
            address = addresses.in_body(self._organisation, target["@odata.id"])
            if address.table is not table:
                raise errors.bad_payload(table, f"'{target['@odata.id']}' is of another table.")
            return address
        row_id = values.parse(table, table.by_name[table.primary_id], target.get(table.primary_id))
        return None if row_id is None else addresses.of_row(table, row_id)
