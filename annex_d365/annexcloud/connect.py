"""The client of a site, from the settings of a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.token import Credentials
from annex_d365.errors import SettingError

DEFAULT_PARALLEL = 8


def connect(config: Mapping[str, Any]) -> AnnexCloud:
    """A client of the site that the settings name.

    Raises:
        SettingError: a setting cannot be right.
    """
    site_id = config["site_id"]
    if " " in site_id or not (site_id.isascii() and site_id.isprintable()):  # a header carries it
        raise SettingError("site_id", "must not hold blanks, control characters or letters outside ASCII.")
    return AnnexCloud(
        config["base_url"],
        Credentials(site_id, config["site_name"], config["secret_key"]),
        ca_bundle=config.get("ca_bundle"),
        parallel=config["max_parallel_requests"],
    )
