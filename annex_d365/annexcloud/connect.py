"""The client of a site, from the settings of a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.segment_words import SegmentWords
from annex_d365.annexcloud.token import Credentials, IdForm, Signed, Signing
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
        signing=signing(config),
        segment_words=segment_words(config),
        ca_bundle=config.get("ca_bundle"),
        parallel=config["max_parallel_requests"],
    )


def signing(config: Mapping[str, Any]) -> Signing:
    """How requests are signed, as :mod:`annex_d365.singer.site` declares it; the defaults for what is not set."""
    return Signing(
        lifetime=config.get("token_lifetime_seconds") or Signing.lifetime,
        ids=IdForm(config.get("signed_id_form") or Signing.ids),
        assumed=Signed(config.get("undocumented_get_signs") or Signing.assumed),
    )


def segment_words(config: Mapping[str, Any]) -> SegmentWords:
    """The words of the site about segments, likewise."""
    return SegmentWords(**{name: word for name, word in (config.get("segment_words") or {}).items() if word})
