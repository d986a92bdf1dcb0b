"""Where a Dynamics 365 organisation lives: its URL, from settings (Dataverse page 9; the document's regions)."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from annex_d365.errors import SettingError
from annex_d365.http import secure_origin

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Region:
    """One of the regions of the integration document."""

    name: str
    host_suffix: str


REGIONS = {
    "r1": Region("Europe", "crm4.dynamics.com"),
    "r2": Region("North America", "crm.dynamics.com"),
    "r3": Region("Asia Pacific", "crm5.dynamics.com"),
}

#: Hosts of organisations in every cloud. Others are accepted too: new geographies appear, and tests have their own.
DYNAMICS_HOST = re.compile(
    r"[a-z0-9-]+(\.api)?\.(crm\d*\.(dynamics\.com|microsoftdynamics\.(us|de)|dynamics\.cn)|crm\.appsplatform\.us)",
    re.IGNORECASE,
)

#: Sign-in hosts of the clouds that have one of their own; all others use the public one.
_LOGIN_HOSTS = (
    (".microsoftdynamics.us", "login.microsoftonline.us"),
    (".appsplatform.us", "login.microsoftonline.us"),
    (".dynamics.cn", "login.partner.microsoftonline.cn"),
)
PUBLIC_LOGIN_HOST = "login.microsoftonline.com"


def organization_url(url: str | None, organization: str | None, region: str | None) -> str:
    """The organisation's URL without a path.

    Args:
        url: setting ``organization_url``; wins. A path to the API, as copied from elsewhere, is cut off.
        organization: setting ``organization``, the first part of the host.
        region: setting ``region``, a key of :data:`REGIONS`.

    Raises:
        SettingError: neither is complete, or the URL is not one.
    """
    if url:
        return secure_origin("organization_url", url)
    if not organization:
        raise SettingError("organization_url", "is required, unless `organization` and `region` are given.")
    if not region:
        raise SettingError("region", f"is required with `organization`: {', '.join(REGIONS)}.")
    if not re.fullmatch(r"[A-Za-z0-9-]+", organization):
        raise SettingError("organization", "is the first part of the host, letters, digits and hyphens only.")
    if region == "r3":
        logger.warning(
            "Region r3 means the host suffix %s; Japan, India, Oceania and others have their own: "
            "set `organization_url` if your organisation is on one of these.",
            REGIONS[region].host_suffix,
        )
    return f"https://{organization.lower()}.{REGIONS[region].host_suffix}"


def login_host(organization: str) -> str:
    """The sign-in host of the cloud that the organisation's URL belongs to."""
    host = urlsplit(organization).hostname or ""
    return next((login for suffix, login in _LOGIN_HOSTS if host.endswith(suffix)), PUBLIC_LOGIN_HOST)
