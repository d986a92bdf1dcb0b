"""The settings of tap-d365; README and meltano.yml are checked against them."""

from __future__ import annotations

from singer_sdk import typing as th

from annex_d365.dataverse.client import MAX_PAGE_SIZE
from annex_d365.dataverse.organization import REGIONS

_REGION_NAMES = ", ".join(f"{key} {region.name}" for key, region in REGIONS.items())

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
    th.Property("api_version", th.StringType, default="9.2", description="Version of the Dataverse Web API"),
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
        "start_date",
        th.DateTimeType,
        description="Read only rows changed since then, where there is no bookmark yet",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=MAX_PAGE_SIZE),
        default=MAX_PAGE_SIZE,
        description="Rows per page",
    ),
    th.Property("ca_bundle", th.StringType, description="File of certificates to trust instead of the usual ones"),
).to_dict()
