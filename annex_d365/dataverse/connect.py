"""An organisation, from settings as tap-d365 and the target have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.organization import organization_url
from annex_d365.dataverse.signin import Credentials, SignIn
from annex_d365.errors import SettingError

DEFAULT_API_VERSION = "9.2"
DEFAULT_PARALLEL = 8
_VERSION = re.compile(r"[0-9]+\.[0-9]+")


def connect(settings: Mapping[str, Any]) -> Dataverse:
    """The organisation; nothing is sent yet.

    Raises:
        SettingError: a setting is missing or wrong.
    """
    url = organization_url(*(settings.get(name) for name in ("organization_url", "organization", "region")))
    ca_bundle = settings.get("ca_bundle") or None
    api_version = settings.get("api_version") or DEFAULT_API_VERSION
    if not _VERSION.fullmatch(api_version):  # the service would take it for a table that it does not have
        raise SettingError("api_version", f"is not a version such as {DEFAULT_API_VERSION}.")
    return Dataverse(
        url,
        SignIn(Credentials.from_settings(settings, url), ca_bundle),
        api_version=api_version,
        ca_bundle=ca_bundle,
        parallel=settings.get("max_parallel_requests") or DEFAULT_PARALLEL,
    )
