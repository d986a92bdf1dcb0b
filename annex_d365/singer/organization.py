"""The settings by which tap-d365 and the target reach a Dynamics 365 organisation; ``dataverse.connect`` reads them."""

from __future__ import annotations

from singer_sdk import typing as th

from annex_d365.dataverse.connect import DEFAULT_API_VERSION
from annex_d365.dataverse.organization import REGIONS

#: What the service lets one user have in flight (Dataverse page 6).
MAX_PARALLEL_REQUESTS = 52

_REGION_NAMES = ", ".join(f"{key} {region.name}" for key, region in REGIONS.items())


def organization_settings(*, optional: bool = False) -> list[th.Property[str]]:
    """Their declarations.

    Args:
        optional: for a plugin that need not have an organisation; none is required then.
    """
    properties = _declared(required=not optional)
    if optional:
        for each in properties:
            each.description = f"{each.description} (`d365`)."
    return properties


def _declared(*, required: bool) -> list[th.Property[str]]:
    return [
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
        th.Property("client_id", th.StringType, required=required, description="Id of the registered application"),
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
    ]
