"""The settings of the target, and what they mean together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from singer_sdk import typing as th

from annex_d365.errors import SettingError
from annex_d365.singer.organization import organization_settings
from annex_d365.singer.site import assumption_settings, site_settings
from target_annex.dynamics import settings as row_settings
from target_annex.member_settings import SETTINGS as MEMBER_SETTINGS
from target_annex.ownership import BOTH, DEFAULT_OWNERS, ON_CONFLICT
from target_annex.presets import ANNEX_CLOUD, D365, SEGMENT_STREAMS
from target_annex.segments.settings import SETTINGS as SEGMENT_SETTINGS

OBJECTS = ("members", "points", *SEGMENT_STREAMS)
#: What is done to rows of the destination; Annex Cloud knows the first two.
MODES = ("upsert", "update", "create", "delete")
_MODES_OF_MEMBERS = MODES[:2]

#: A column, or the column with the key of the row that a lookup leads to.
_FIELD = th.CustomType(
    {
        "type": ["string", "object"],
        "required": ["column", "key"],
        "properties": {name: {"type": "string", "minLength": 1} for name in ("column", "table", "key")},
        "additionalProperties": False,
    }
)

_STREAM = th.ObjectType(
    th.Property(
        "object",
        th.StringType,
        description=(
            "What the rows of this stream become: `members` or `points`, or `segments`, `segment_members` and "
            "`segment_snapshots` (streams of these names need not say it); for `d365` a table, by its entity set or "
            "logical name. Default for `d365`: the table that is called like the stream."
        ),
    ),
    th.Property(
        "key",
        th.CustomType({"type": ["string", "array"], "items": {"type": "string", "minLength": 1}}),
        description="Column, or columns, that tell the rows of this stream apart. Default: the stream's own key.",
    ),
    th.Property(
        "mode",
        th.StringType,
        allowed_values=list(MODES),
        default="upsert",
        description=(
            "`upsert` creates what is missing (of members, as far as `enrol` allows); `update` never creates anything. "
            "For `d365` also `create`, which leaves what is there, and `delete`, which removes the row of each row."
        ),
    ),
    th.Property(
        "fields",
        th.ObjectType(additional_properties=_FIELD),
        description=(
            "Field of the destination -> column, such as `firstName: firstname`. Replaces the preset of this stream. "
            "A member's site-defined fields are written `extendedAttribute.name`. A lookup of Dynamics 365 takes "
            "GUIDs, or `{column, table, key}`: values of an alternate key of the table that it leads to."
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
        description="Which side is written to: Annex Cloud, or tables of Dynamics 365.",
    ),
    *site_settings(optional=True),
    *assumption_settings(optional=True),
    *organization_settings(optional=True),
    th.Property(
        "ca_bundle",
        th.StringType,
        description="File of certificates to trust instead of the usual ones (a proxy's, or the sandbox's).",
    ),
    th.Property(
        "streams",
        th.ObjectType(additional_properties=_STREAM),
        description="How each stream is written. Streams of our own taps that have a preset need no entry.",
    ),
    th.Property(
        "field_owners",
        th.ObjectType(
            *(
                th.Property(
                    group,
                    th.StringType,
                    # Annex Cloud computes points and tiers: nobody else can write them.
                    allowed_values=[owner] if owner == ANNEX_CLOUD else [D365, ANNEX_CLOUD, BOTH],
                    default=owner,
                )
                for group, owner in DEFAULT_OWNERS.items()
            ),
            additional_properties=False,
        ),
        default=dict(DEFAULT_OWNERS),
        description=(
            "Which side the fields follow that members and contacts share: group (`identity`, `consent`, `loyalty`) -> "
            "`d365`, `annex_cloud` or `both`. Make it the same for both destinations. A row that is created gets all "
            "fields."
        ),
    ),
    th.Property(
        "on_conflict",
        th.StringType,
        allowed_values=list(ON_CONFLICT),
        default=D365,
        description=(
            "Who wins when a field of a group with the owner `both` has changed on both sides; or `reject`, for the "
            "whole row."
        ),
    ),
    *MEMBER_SETTINGS,
    th.Property(
        "ledger_url",
        th.StringType,
        default="sqlite:///ledger.db",
        secret=True,
        description=(
            "Where the target remembers what it wrote: a SQLite file, or, for several machines, "
            "`postgresql://user:password@host/name`."
        ),
    ),
    th.Property(
        "skip_unchanged",
        th.StringType,
        allowed_values=["ledger", "read", "off"],
        default="ledger",
        description=(
            "`ledger` writes the fields that changed since they were last written, which costs no reading; `read` "
            "reads each member, or row, first and writes what differs, which also undoes changes made by others; `off` "
            "writes all mapped fields each time."
        ),
    ),
    *row_settings.SETTINGS,
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
    *SEGMENT_SETTINGS,
    th.Property(
        "dry_run",
        th.BooleanType,
        default=False,
        description="Whether to say what would be written, and write nothing: neither rows nor ledger nor STATE.",
    ),
    th.Property(
        "dry_run_path",
        th.StringType,
        description=(
            "File for what a dry run would write: JSON lines with old and new values. It holds member data. By "
            "default, only the log tells, without values."
        ),
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
    if config.get("dry_run_path") and not config["dry_run"]:
        raise SettingError("dry_run_path", "has a meaning with `dry_run` only.")
    for stream, entry in (config.get("streams") or {}).items():
        if entry.get("fields") == {}:
            raise SettingError(f"streams.{stream}.fields", "is empty; name at least one field, or leave it out.")
        if entry.get("key") in ("", []):
            raise SettingError(f"streams.{stream}.key", "is empty; name a column, or leave it out.")
    if config["destination"] == D365:
        row_settings.check(config)
    else:
        _check_annex_cloud(config)


def _check_annex_cloud(config: Mapping[str, Any]) -> None:
    for name in ("site_id", "site_name", "secret_key"):
        if not config.get(name):
            raise SettingError(name, "is required to write to Annex Cloud.")
    if config["on_contact_delete"] == "delete" and not config.get("delete_requested_by"):
        raise SettingError("delete_requested_by", "is required for `on_contact_delete: delete`: an e-mail address.")
    for stream, entry in (config.get("streams") or {}).items():
        for name, known in (("object", OBJECTS), ("mode", _MODES_OF_MEMBERS)):
            if entry.get(name) and entry[name] not in known:
                raise SettingError(f"streams.{stream}.{name}", f"must be one of {', '.join(known)} for Annex Cloud.")
        if any(not isinstance(column, str) for column in (entry.get("fields") or {}).values()):
            raise SettingError(f"streams.{stream}.fields", "must name a column for each field of Annex Cloud.")
