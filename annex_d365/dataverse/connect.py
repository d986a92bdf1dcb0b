"""An organisation, from settings as tap-d365 and the target have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.organization import organization_url
from annex_d365.dataverse.signin import Credentials, SignIn

DEFAULT_API_VERSION = "9.2"
DEFAULT_PARALLEL = 8


def connect(settings: Mapping[str, Any]) -> Dataverse:
    """The organisation; nothing is sent yet.

    Raises:
        SettingError: a setting is missing or wrong.
    """
    url = organization_url(*(settings.get(name) for name in ("organization_url", "organization", "region")))
    ca_bundle = settings.get("ca_bundle") or None
    return Dataverse(
        url,
        SignIn(Credentials.from_settings(settings, url), ca_bundle),
        api_version=settings.get("api_version") or DEFAULT_API_VERSION,
        ca_bundle=ca_bundle,
        parallel=settings.get("max_parallel_requests") or DEFAULT_PARALLEL,
    )
