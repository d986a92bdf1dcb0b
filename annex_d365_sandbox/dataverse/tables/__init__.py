"""The tables of the organisation. A new table is a module with one declaration and a line here."""

from __future__ import annotations

from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.tables.contact import CONTACT
from annex_d365_sandbox.dataverse.tables.loyalty import LOYALTY_ACTIVITY
from annex_d365_sandbox.dataverse.tables.messages import MESSAGE, MESSAGE_FILTER
from annex_d365_sandbox.dataverse.tables.small import ACCOUNT, BUSINESS_UNIT, SYSTEM_USER, TRANSACTION_CURRENCY
from annex_d365_sandbox.dataverse.tables.specimen import EXTRA, SPECIMEN, extra_tables

TABLES: tuple[Table, ...] = (
    ACCOUNT,
    BUSINESS_UNIT,
    CONTACT,
    LOYALTY_ACTIVITY,
    MESSAGE,
    MESSAGE_FILTER,
    SPECIMEN,
    SYSTEM_USER,
    TRANSACTION_CURRENCY,
)

__all__ = ["EXTRA", "TABLES", "extra_tables"]
