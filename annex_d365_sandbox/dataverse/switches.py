"""What tests turn to see a client cope; the control plane shows and turns each by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from annex_d365_sandbox.switchboard import Positive, Switchboard


@dataclass
class Switches(Switchboard):
    """How an organisation behaves where organisations differ, or where nobody knows."""

    #: The signed-in user has an application user here; otherwise every call is 403 0x80072560.
    member: bool = True
    #: Logical names of tables that the user may not read: 403 0x80040220.
    unreadable_tables: list[str] = field(default_factory=list)
    #: Logical names of tables that the user may read, but not organisation-wide: no change tracking (Dataverse page 3).
    partly_readable_tables: list[str] = field(default_factory=list)
    #: Logical names of tables that the user may not write: 403 0x80040220.
    unwritable_tables: list[str] = field(default_factory=list)
    #: Whether the user may create, change and delete tables, columns and keys; otherwise 403 0x80040220.
    may_customize: bool = True
    #: Whether the user has prvBypassCustomBusinessLogic (Dataverse page 2.1); otherwise 403 0x80040220.
    may_bypass_custom_logic: bool = True
    #: ``ChangeTrackingEnabled`` of tables where it differs from their declaration, by logical name.
    change_tracking: dict[str, bool] = field(default_factory=dict)
    #: How many days a delta token lives: ``organization.ExpireChangeTrackingInDays`` (Dataverse page 3).
    expire_change_tracking_in_days: int = 7
    #: ``x-ms-dop-hint``, the parallelism that the organisation advises.
    dop_hint: int = 4
    #: The largest page; 5,000 as published (Dataverse page 2.3), less to have many pages of few rows.
    max_page_size: Positive = 5000
    #: The most rows that ``$apply`` aggregates; 50,000 as published (Dataverse page 2.2).
    max_aggregated_rows: int = 50_000
    #: What ``RetrieveTotalRecordCount`` says of a table, by logical name: its snapshot may be a day old.
    total_record_counts: dict[str, int] = field(default_factory=dict)
    #: Tables without the bulk messages; some standard ones lacked them at first (Dataverse page 5.3).
    tables_without_bulk_messages: list[str] = field(default_factory=lambda: ["account", "businessunit"])
    #: The most rows of a bulk message before SQL times out, 0 for any number: none is published (Dataverse page 5.3).
    max_bulk_rows: int = 0
    #: Whether one UpsertMultiple may name a row once only; that it must is general knowledge (Dataverse page 5.3).
    refuse_repeated_targets: bool = True
    #: The largest body, beyond it 413; 116.85 MB is published for bulk messages with plug-ins (Dataverse page 5.3).
    max_body_bytes: int = 122_526_105
    #: How many seconds the index of a new alternate key is pending (Dataverse page 4).
    key_build_seconds: int = 0
    #: Unmanaged solutions and their publishers' prefixes, which the names of new tables, columns and keys begin with.
    solutions: dict[str, str] = field(default_factory=lambda: {"Default": "new", "LoyaltySandbox": "cr0dd"})
    #: Columns of a duplicate detection rule by table; in force where a request asks for it (Dataverse page 5.1).
    duplicate_rules: dict[str, list[str]] = field(default_factory=lambda: {"contact": ["emailaddress1"]})

    # What the Dataverse page marks as unconfirmed, as general knowledge or as an assumption

    #: What a 401 has for a body (Dataverse page 1.2, 11).
    unauthorised_body: Literal["empty", "json", "html"] = "empty"
    #: ``odata.metadata`` in the content type of replies with annotations (Dataverse page 2.1).
    annotated_metadata: Literal["minimal", "full"] = "minimal"
    #: The order of ids, and so of rows without ``$orderby``: as texts, or as SQL Server has it (Dataverse page 2.3).
    id_order: Literal["text", "sql_server"] = "text"
    #: What becomes of ``$top`` beside a page size; ignored per current documents (Dataverse page 2.3, 11).
    top_with_page_size: Literal["ignored", "honoured"] = "ignored"
    #: Whether ``$skiptoken`` is the documented cookie or a text that says nothing (Dataverse page 2.3, 3).
    skiptoken_form: Literal["cookie", "opaque"] = "cookie"
    #: The pages of a tracked load that have a delta link (Dataverse page 3).
    delta_link_on: Literal["last_page", "every_page"] = "last_page"
    #: The status of 0x80044352, a delta token that is too old (Dataverse page 3, 11).
    expired_stamp_status: Literal[400, 404, 410, 412, 500] = 400
    #: The code of a query option that change tracking does not take (Dataverse page 3, 11).
    tracking_refusal_code: str = "0x80060888"
    #: Whether ``$apply`` knows ``countdistinct`` (Dataverse page 2.2).
    countdistinct: bool = True
    #: What ``null`` does in ``@odata.bind`` (Dataverse page 5.1).
    null_bind: Literal["clears", "refused"] = "clears"
    #: The code of a row that is not there, which was empty once (Dataverse page 5.1).
    missing_row_code: Literal["0x80040217", ""] = "0x80040217"
    #: The status of a taken primary or alternate key (Dataverse page 7).
    duplicate_status: Literal[400, 409, 412] = 412
    #: How the code of a 429 is written (Dataverse page 6, 11).
    throttling_code: Literal["hex", "decimal"] = "hex"
