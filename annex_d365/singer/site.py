"""The settings by which tap-annex and the target reach a site of Annex Cloud; ``annexcloud.connect`` reads them."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

from singer_sdk import typing as th

from annex_d365.annexcloud.client import DEFAULT_BASE_URL
from annex_d365.annexcloud.segment_words import SegmentWords
from annex_d365.annexcloud.token import (
    LONGEST_LIFETIME_SECONDS,
    SHORTEST_LIFETIME_SECONDS,
    IdForm,
    Signed,
    Signing,
)

_Declared: TypeAlias = "th.Property[Any]"
_WORDS = dataclasses.asdict(SegmentWords())


def site_settings(*, optional: bool = False) -> list[_Declared]:
    """Declarations of what names a site, and signs its requests.

    Args:
        optional: for a plugin that need not have a site; none is required then.
    """
    required = not optional
    site_id = th.Property("site_id", th.StringType, required=required, description="Annex Cloud site id")
    site_name = th.Property("site_name", th.StringType, required=required, description="Annex Cloud site name")
    secret_key = th.Property(
        "secret_key",
        th.StringType,
        required=required,
        secret=True,
        description="Annex Cloud's secret for this site; signs every request",
    )
    base_url = th.Property(
        "base_url",
        th.StringType,
        default=DEFAULT_BASE_URL,
        description="Address of the Annex Cloud Loyalty API, up to and with its version",
    )
    if optional:
        base_url.description = f"{base_url.description}."
        for each in (site_id, site_name, secret_key):
            each.description = f"{each.description}. Required for `annex_cloud`."
    return [base_url, site_id, site_name, secret_key]


def assumption_settings(*, optional: bool = False) -> list[_Declared]:
    """Declarations of what the documents of Annex Cloud leave open.

    Args:
        optional: for a plugin that need not have a site.
    """
    properties = _assumptions()
    if optional:
        for each in properties:
            each.description = f"{each.description} (`annex_cloud`)."
    return properties


def _assumptions() -> list[_Declared]:
    return [
        th.Property(
            "token_lifetime_seconds",
            th.IntegerType(minimum=SHORTEST_LIFETIME_SECONDS, maximum=LONGEST_LIFETIME_SECONDS),
            default=Signing.lifetime,
            description="How many seconds the token of a request to Annex Cloud is good for; fewer for a site that "
            "refuses such tokens, as `annex-d365 doctor` tells",
        ),
        th.Property(
            "signed_id_form",
            th.StringType,
            allowed_values=[each.value for each in IdForm],
            default=Signing.ids.value,
            description="How a GET of Annex Cloud writes the id that it signs: `plain`, as it is; `encoded`, as it "
            "stands in the address; `ascii`, with `\\u00e9` for a letter outside ASCII; `php`, like that and with "
            "`\\/`. Only ids with such signs are concerned; `annex-d365 doctor` tells which form is accepted",
        ),
        th.Property(
            "undocumented_get_signs",
            th.StringType,
            allowed_values=[each.value for each in Signed],
            default=Signing.assumed.value,
            description="What those GETs of Annex Cloud sign of which it is not documented (lists of segments, their "
            "members, merges): the `id` in their address, or an `empty` text, as `annex-d365 doctor` tells",
        ),
        th.Property(
            "segment_words",
            th.ObjectType(
                *(
                    th.Property(name, th.CustomType({"type": "string", "minLength": 1}), default=word)
                    for name, word in _WORDS.items()
                ),
                additional_properties=False,
            ),
            default=_WORDS,
            description="Words of Annex Cloud about segments: `all`, by which it lists all of them, the types `static` "
            "and `dynamic`, the states `active` and `inactive`. They are not documented; `annex-d365 doctor` tells "
            "which are used",
        ),
    ]
