"""The settings of tap-d365; README and meltano.yml are checked against them."""

from __future__ import annotations

from singer_sdk import typing as th

from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.connect import DEFAULT_PARALLEL
from annex_d365.dataverse.segments.choice import APIS, AUTO
from annex_d365.singer.organization import MAX_PARALLEL_REQUESTS, organization_settings
from tap_d365.tables import DEFAULT_TABLES, REPLICATION_METHODS

#: ``type`` allows both forms; the other keywords look at objects only.
_TABLE = th.CustomType(
    {
        "type": ["string", "object"],
        "minLength": 1,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "select": {"type": ["array", "null"], "items": {"type": "string"}},
            "filter": {"type": ["string", "null"]},
            "top": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_PAGE_SIZE},
            "expand": {"type": ["string", "null"]},
            "replication": {"type": ["string", "null"], "enum": [*REPLICATION_METHODS, None]},
        },
    }
)

CONFIG = th.PropertiesList(
    *organization_settings(),
    th.Property(
        "tables",
        th.ArrayType(_TABLE),
        default=list(DEFAULT_TABLES),
        description="Tables to read, by entity set or logical name, or `*` for all; each a name, or an object with "
        "`name` and any of `select` (columns), `filter`, `top`, `expand` (as in OData) and `replication` "
        f"({', '.join(f'`{method}`' for method in REPLICATION_METHODS)})",
    ),
    th.Property(
        "segments_api",
        th.StringType,
        default=AUTO,
        allowed_values=list(APIS),
        description="Which segments are read: those of real-time `journeys`, those of `outbound` marketing, or what "
        "there is, journeys first. Named, the streams of segments are selected by default",
    ),
    th.Property(
        "segments",
        th.ObjectType(
            th.Property("filter", th.StringType),
            th.Property("member_columns", th.ArrayType(th.StringType)),
            th.Property("origin_column", th.StringType),
            additional_properties=False,
        ),
        description="Of the streams of segments: `filter` (which ones, as in OData, over the generation's own table), "
        "`member_columns` (columns of contacts to add to `segment_members`), `origin_column` (tells which segments "
        "are copies from Annex Cloud)",
    ),
    th.Property(
        "member_id_column",
        th.StringType,
        default="cr0dd_loyaltyid",
        description="Column of contacts with the member id",
    ),
    th.Property(
        "include_labels",
        th.BooleanType,
        default=False,
        description="Add a column `<column>_label` with the text of each choice, yes/no value and lookup",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        description="Read only rows changed since then, where there is no bookmark yet",
    ),
    th.Property(
        "lookback_seconds",
        th.IntegerType(minimum=0),
        default=0,
        description="Read again what changed so long before the bookmark, for rows that are committed late",
    ),
    th.Property(
        "shard",
        th.ObjectType(
            th.Property("from", th.DateTimeType),
            th.Property("to", th.DateTimeType),
            additional_properties=False,
        ),
        description="Read only rows created since `from` and before `to`: part of a backfill on several machines "
        "(`annex-d365 plan` finds the bounds)",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        description="Send ACTIVATE_VERSION after the last row of a table with replication `FULL_TABLE`, so that a "
        "target can drop what is gone",
    ),
    th.Property(
        "snapshot_path",
        th.StringType,
        description="Directory that keeps the known keys of tables with replication `LOG_BASED`, so that deletions are "
        "exact even after the service has forgotten the last run",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=MAX_PAGE_SIZE),
        default=MAX_PAGE_SIZE,
        description="Rows per page",
    ),
    th.Property(
        "max_parallel_requests",
        th.IntegerType(minimum=1, maximum=MAX_PARALLEL_REQUESTS),
        default=DEFAULT_PARALLEL,
        description="Requests to Dynamics 365 at a time",
    ),
    th.Property("ca_bundle", th.StringType, description="File of certificates to trust instead of the usual ones"),
).to_dict()
