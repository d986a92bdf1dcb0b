"""Duplicate detection, which Web API writes ask for with a header (Dataverse page 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365_sandbox.dataverse import errors, layout
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Table

_HEADER = "mscrm.suppressduplicatedetection"


def wanted(headers: Mapping[str, str]) -> bool:
    """Whether the client asks for detection; it is off for Web API writes otherwise."""
    return headers.get(_HEADER, "true").strip().lower() == "false"


def check(organisation: Organisation, table: Table, columns: Mapping[str, Any], row_id: str | None) -> None:
    """No other row may have the values that a rule compares. Raises ``DataverseError``."""
    rule = organisation.switches.duplicate_rules.get(table.logical_name, [])
    if not rule or any(columns.get(name) is None for name in rule):
        return
    where = layout.matches([table.by_name[name] for name in rule])
    with organisation.store.transaction() as db:
        found = db.execute(
            f"SELECT 1 FROM {table.logical_name} WHERE {where} AND {table.primary_id} IS NOT ? LIMIT 1",
            [*(columns[name] for name in rule), row_id],
        ).fetchone()
    if found:
        raise errors.duplicate_detected()
