"""The settings of tap-d365; README and meltano.yml are checked against them."""

from __future__ import annotations

from singer_sdk import typing as th

from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.connect import DEFAULT_API_VERSION, DEFAULT_PARALLEL
from annex_d365.dataverse.organization import REGIONS
from tap_d365.tables import DEFAULT_TABLES, REPLICATION_METHODS

#: What the service lets one user have in flight (Dataverse page 6).
MAX_PARALLEL_REQUESTS = 52

_REGION_NAMES = ", ".join(f"{key} {region.name}" for key, region in REGIONS.items())

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
    th.Property(
        "organization_url",
        th.StringType,
        description="URL of the organisation, `https://contoso.crm4.dynamics.com`",
    ),
    th.Property(
        "organization",
        th.StringType,
        description="First part of the organisation's host, `contoso`; with `region` instead of `organization_url`",
    ),
    th.Property(
        "region",
        th.StringType,
        allowed_values=list(REGIONS),
        description=f"Region of the organisation: {_REGION_NAMES}",
    ),
    th.Property(
        "api_version", th.StringType, default=DEFAULT_API_VERSION, description="Version of the Dataverse Web API"
    ),
    th.Property("client_id", th.StringType, required=True, description="Id of the registered application"),
    th.Property("client_secret", th.StringType, secret=True, description="Secret of the application"),
    th.Property(
        "client_certificate",
        th.StringType,
        description="Instead of a secret: a PEM file with private key and certificate, or a PFX file",
    ),
    th.Property(
        "tenant_id",
        th.StringType,
        description="Id or domain of the Entra ID tenant; needed unless `auth_endpoint_url` names it",
    ),
    th.Property(
        "auth_endpoint_url",
        th.StringType,
        description="Where to sign in, if not at `https://login.microsoftonline.com/<tenant_id>`: "
        "`https://<host>/<tenant>/oauth2/token`",
    ),
    th.Property("resource", th.StringType, description="What to sign in for, if not `organization_url`"),
    th.Property(
        "username",
        th.StringType,
        description="Sign in as this user, by password, instead of as the application",
    ),
    th.Property("password", th.StringType, secret=True, description="Password of the user"),
    th.Property(
        "tables",
        th.ArrayType(_TABLE),
        default=list(DEFAULT_TABLES),
        description="Tables to read, by entity set or logical name, or `*` for all; each a name, or an object with "
        "`name` and any of `select` (columns), `filter`, `top`, `expand` (as in OData) and `replication` "
        f"({', '.join(f'`{method}`' for method in REPLICATION_METHODS)})",
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
