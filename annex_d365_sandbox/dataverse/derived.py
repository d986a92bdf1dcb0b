"""What the platform adds to a written row: defaults, and columns that it computes from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Table

BUSINESS_UNIT_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0002"
CURRENCY_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0003"
#: The application user, and the user of the password flow.
USER_ID = "0a9e1d6e-5f0a-4a57-9d10-6b1f6f5f0004"

#: One, as a decimal with the ten digits that exchange rates have.
_RATE = 10**10
_OF_THE_USER = ("createdby", "modifiedby", "ownerid", "owninguser")


class Rules:
    """The rules of one table, drawn from its declaration once: bulk messages apply them to many rows."""

    def __init__(self, table: Table) -> None:
        self._table = table
        own = table.by_name
        self._defaults: dict[str, Any] = {a.name: a.default for a in own.values() if a.default is not None}
        self._defaults |= {name: USER_ID for name in _OF_THE_USER if name in own}
        if "owningbusinessunit" in own:
            self._defaults["owningbusinessunit"] = BUSINESS_UNIT_ID
        self._money = [a.name for a in own.values() if a.kind is schema.MONEY and a.creatable]
        self._sums = [(a.name, a.sum_of) for a in own.values() if a.sum_of]
        self._status = own.get("statuscode")

    def completed(self, row: Mapping[str, Any], row_id: str, now: str) -> dict[str, Any]:
        """A new row with all that the client did not say."""
        full = {**self._defaults, "createdon": row.get("overriddencreatedon") or now, "modifiedon": now, **row}
        if "transactioncurrencyid" not in row and any(row.get(name) is not None for name in self._money):
            full["transactioncurrencyid"] = CURRENCY_ID
        full[self._table.primary_id] = row_id
        self.derive(full, full)
        return full

    def derive(self, row: Mapping[str, Any], into: dict[str, Any]) -> None:
        """Set the computed columns whose sources are in ``into``; ``row`` is the whole row as it will be."""
        table = self._table
        if any(part in into for part in table.computed_name):
            into[table.primary_name] = " ".join(row[part] for part in table.computed_name if row.get(part)) or None
        for name, parts in self._sums:
            if any(part in into for part in parts):
                into[name] = sum(row.get(part) or 0 for part in parts)
        for name in self._money:
            if name in into:
                into[f"{name}_base"] = into[name]
                into["exchangerate"] = _RATE
        if self._status and "statecode" in into:
            current = self._status.option(row.get("statuscode") or 0)
            if not current or current.state != into["statecode"]:
                into["statuscode"] = next(o.value for o in self._status.options if o.state == into["statecode"])
        if "ownerid" in into and "owninguser" in table.by_name:
            into["owninguser"] = into["ownerid"]
