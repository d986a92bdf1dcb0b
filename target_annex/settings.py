"""The settings of the target, and what they mean together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from singer_sdk import typing as th

from annex_d365.annexcloud.client import DEFAULT_BASE_URL, service_root
from annex_d365.errors import SettingError
from target_annex.presets import ANNEX_CLOUD, D365

OBJECTS = ("members",)
DEFAULT_MEMBER_ID_COLUMN = "cr0dd_loyaltyid"

_STREAM = th.ObjectType(
    th.Property(
        "object",
        th.StringType,
        allowed_values=list(OBJECTS),
        description="What the rows of this stream become in the destination.",
    ),
    th.Property(
        "key",
        th.StringType,
        description="Column that tells the rows of this stream apart. Default: the stream's own key.",
    ),
    th.Property(
        "mode",
        th.StringType,
        allowed_values=["upsert", "update"],
        default="upsert",
        description="`upsert` creates what is missing, as far as `enrol` allows; `update` never creates anything.",
    ),
    th.Property(
        "fields",
        th.ObjectType(additional_properties=th.StringType),
        description=(
            "Field of the destination -> column, such as `firstName: firstname`. Replaces the preset of this stream. "
            "A member's site-defined fields are written `extendedAttribute.name`."
        ),
    ),
    th.Property(
        "clear_nulls",
        th.BooleanType,
        default=False,
        description="Whether an empty column empties the field in the destination. By default, it leaves it alone.",
    ),
    additional_properties=False,
)

CONFIG = th.PropertiesList(
    th.Property(
        "destination",
        th.StringType,
        required=True,
        allowed_values=[ANNEX_CLOUD, D365],
        description="Which side is written to. `d365` is reserved: this version cannot write into Dynamics 365.",
    ),
    th.Property(
        "base_url",
        th.StringType,
        default=DEFAULT_BASE_URL,
        description="Address of the Annex Cloud Loyalty API, up to and with its version.",
    ),
    th.Property("site_id", th.StringType, description="Annex Cloud site id. Required for `annex_cloud`."),
    th.Property("site_name", th.StringType, description="Annex Cloud site name. Required for `annex_cloud`."),
    th.Property(
        "secret_key",
        th.StringType,
        secret=True,
        description="Annex Cloud's secret for this site; signs every request. Required for `annex_cloud`.",
    ),
    th.Property(
        "ca_bundle",
        th.StringType,
        description="File of certificates to trust instead of the usual ones (a proxy's, or the sandbox's).",
    ),
    th.Property(
        "streams",
        th.ObjectType(additional_properties=_STREAM),
        description="How each stream is written. Streams of tap-d365 that have a preset need no entry.",
    ),
    th.Property(
        "enrol",
        th.StringType,
        allowed_values=["existing", "flagged", "all"],
        default="existing",
        description=(
            "Who becomes a member: nobody who is none yet (`existing`), contacts whose `enrol_flag_column` is true "
            "(`flagged`), or `all`. Inactive contacts never do."
        ),
    ),
    th.Property(
        "member_id_column",
        th.StringType,
        default=DEFAULT_MEMBER_ID_COLUMN,
        description="Column with the member id. Where it is empty, the e-mail address finds the member.",
    ),
    th.Property(
        "enrol_flag_column",
        th.StringType,
        default="cr0dd_loyaltyenrol",
        description="Yes/no column that asks for enrolment, with `enrol: flagged`.",
    ),
    th.Property(
        "reopt_in",
        th.BooleanType,
        default=False,
        description=(
            "Whether a mapped `optInStatus` may opt an existing member in. By default it only ever opts out: a member "
            "who left stays out."
        ),
    ),
    th.Property(
        "skip_unchanged",
        th.StringType,
        allowed_values=["read", "off"],
        default="read",
        description=(
            "`read` reads a member first and writes only what differs; `off` writes all mapped fields, unread, which "
            "takes one request instead of two for a member that did change."
        ),
    ),
    th.Property(
        "on_error",
        th.StringType,
        allowed_values=["reject", "fail"],
        default="reject",
        description="What a row that cannot be written does: go to `rejects_path`, or end the run.",
    ),
    th.Property(
        "rejects_path",
        th.StringType,
        default="rejects.singer",
        description=(
            "File that rejected rows are appended to, as Singer messages that can be piped in again. Relative to the "
            "working directory. It holds member data."
        ),
    ),
    th.Property(
        "max_reject_percent",
        th.NumberType(minimum=0, maximum=100),
        default=5,
        description="Of a stream with 100 rows or more: when more are rejected, the run counts as failed.",
    ),
    th.Property(
        "max_parallel_requests",
        th.IntegerType(minimum=1, maximum=52),
        default=8,
        description="Requests in flight at the same time.",
    ),
).to_dict()

#: The same target with its destination fixed.
CONFIG_D365 = copy.deepcopy(CONFIG)
CONFIG_D365["properties"]["destination"].update({"enum": [D365], "default": D365})
CONFIG_D365["required"] = [name for name in CONFIG["required"] if name != "destination"]

#: Of the SDK's own settings, those that say nothing here: rows are always upserted, without columns of the SDK's.
WITHOUT_MEANING = ("add_record_metadata", "load_method")


@dataclass(frozen=True)
class MemberRules:
    """Who may be enrolled, and what is written."""

    enrol: str
    member_id_column: str
    enrol_flag_column: str
    reopt_in: bool
    read_first: bool


def member_rules(config: Mapping[str, Any]) -> MemberRules:
    """The rules for members."""
    return MemberRules(
        enrol=config["enrol"],
        member_id_column=config["member_id_column"],
        enrol_flag_column=config["enrol_flag_column"],
        reopt_in=config["reopt_in"],
        read_first=config["skip_unchanged"] == "read",
    )


def check_entries(config: Mapping[str, Any]) -> None:
    """What has to be right before the SDK fills in defaults, which takes each entry of `streams` for an object.

    Raises:
        SettingError: it is none.
    """
    streams = config.get("streams")
    for stream, entry in streams.items() if isinstance(streams, Mapping) else ():
        if not isinstance(entry, Mapping):
            raise SettingError(f"streams.{stream}", "must be an object, such as `{object: members}`.")


def check(config: Mapping[str, Any]) -> None:
    """What one setting means for another.

    Raises:
        SettingError: they do not go together.
    """
    if config["destination"] == D365:
        raise SettingError(
            "destination",
            "writing into Dynamics 365 is not part of this version; the name is reserved. Use `annex_cloud`.",
        )
    for name in ("site_id", "site_name", "secret_key"):
        if not config.get(name):
            raise SettingError(name, "is required to write to Annex Cloud.")
    service_root(config["base_url"])
    site_id = config["site_id"]
    if " " in site_id or not (site_id.isascii() and site_id.isprintable()):  # a header carries it
        raise SettingError("site_id", "must not hold blanks, control characters or letters outside ASCII.")
    for stream, entry in (config.get("streams") or {}).items():
        if entry.get("fields") == {}:
            raise SettingError(f"streams.{stream}.fields", "is empty; name at least one field, or leave it out.")
        if entry.get("key") == "":
            raise SettingError(f"streams.{stream}.key", "is empty; name a column, or leave it out.")
