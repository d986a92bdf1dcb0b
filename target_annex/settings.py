"""The settings of the target, and what they mean together."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from singer_sdk import typing as th

from annex_d365.annexcloud.client import DEFAULT_BASE_URL, service_root
from annex_d365.dataverse.writes import Way, WriteOptions
from annex_d365.errors import SettingError
from annex_d365.fields import DEFAULT_PREFIX, MEMBER_ID
from annex_d365.singer.organization import organization_settings
from target_annex.ownership import BOTH, DEFAULT_OWNERS, ON_CONFLICT
from target_annex.presets import ANNEX_CLOUD, D365, SEGMENT_STREAMS
from target_annex.segments.settings import SETTINGS as SEGMENT_SETTINGS

OBJECTS = ("members", "points", *SEGMENT_STREAMS)
DEFAULT_MEMBER_ID_COLUMN = "cr0dd_loyaltyid"
#: What is done to rows of the destination; Annex Cloud knows the first two.
MODES = ("upsert", "update", "create", "delete")
_MODES_OF_MEMBERS = MODES[:2]

#: What `bypass_business_logic` may name (Dataverse page 2.1).
CUSTOM_LOGIC = ("CustomSync", "CustomAsync")
_OBJECT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

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
        "on_contact_delete",
        th.StringType,
        allowed_values=["opt_out", "delete", "ignore"],
        default="opt_out",
        description=(
            "What becomes of the member whose row was deleted at its source (`_sdc_deleted_at`): opted out, deleted "
            "for good, or left alone."
        ),
    ),
    th.Property(
        "delete_requested_by",
        th.StringType,
        description="E-mail address that Annex Cloud is told for a deletion. Required for `on_contact_delete: delete`.",
    ),
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
    th.Property(
        "etag_guard",
        th.BooleanType,
        default=False,
        description=(
            "With `skip_unchanged: read`: whether a row of Dynamics 365 is read again if somebody changed it between "
            "reading and writing (`d365`)."
        ),
    ),
    th.Property(
        "write_with",
        th.StringType,
        allowed_values=[*get_args(Way)],
        default="auto",
        description=(
            "How rows are sent: `auto` by bulk messages where the table has them, else by batches; `bulk` tries these "
            "messages in any case; `batch` and `single` are for an organisation in which they misbehave (`d365`)."
        ),
    ),
    th.Property(
        "column_prefix",
        th.StringType,
        default=DEFAULT_PREFIX,
        description="Publisher's prefix of the columns and the table that the presets fill (`d365`).",
    ),
    th.Property(
        "too_long",
        th.StringType,
        allowed_values=["reject", "cut"],
        default="reject",
        description="What becomes of a row with a text that is longer than its column: rejected, or cut (`d365`).",
    ),
    th.Property(
        "bypass_business_logic",
        th.StringType,
        description=(
            "Custom logic that does not run for these rows: `CustomSync`, `CustomAsync`, or both with a comma; needs "
            "the privilege `prvBypassCustomBusinessLogic` (`d365`)."
        ),
    ),
    th.Property(
        "suppress_flows",
        th.BooleanType,
        default=False,
        description="Whether flows of Power Automate are not started by these rows (`d365`).",
    ),
    th.Property(
        "caller_object_id",
        th.StringType,
        description="Entra object id of the user in whose name rows are written (`d365`).",
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


@dataclass(frozen=True)
class MemberRules:
    """Who may be enrolled, and what is written."""

    enrol: str
    member_id_column: str
    enrol_flag_column: str
    reopt_in: bool
    skip_unchanged: str
    on_contact_delete: str
    delete_requested_by: str


def member_rules(config: Mapping[str, Any]) -> MemberRules:
    """The rules for members."""
    return MemberRules(
        enrol=config["enrol"],
        member_id_column=config["member_id_column"],
        enrol_flag_column=config["enrol_flag_column"],
        reopt_in=config["reopt_in"],
        skip_unchanged=config["skip_unchanged"],
        on_contact_delete=config["on_contact_delete"],
        delete_requested_by=config.get("delete_requested_by") or "",
    )


@dataclass(frozen=True)
class RowRules:
    """How rows are written into tables of Dynamics 365."""

    skip_unchanged: str
    etag_guard: bool
    options: WriteOptions


def row_rules(config: Mapping[str, Any]) -> RowRules:
    """The rules for rows."""
    return RowRules(
        skip_unchanged=config["skip_unchanged"],
        etag_guard=config["etag_guard"],
        options=WriteOptions(
            bypass_business_logic=config.get("bypass_business_logic") or "",
            suppress_flows=config["suppress_flows"],
            caller_object_id=config.get("caller_object_id") or "",
            way=config["write_with"],
        ),
    )


def id_column(config: Mapping[str, Any]) -> str:
    """Column of contacts in Dynamics 365 with the loyalty id: the preset's, unless another one is named."""
    named = str(config["member_id_column"])
    return named if named != DEFAULT_MEMBER_ID_COLUMN else MEMBER_ID.column(config["column_prefix"])


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
        _check_d365(config)
    else:
        _check_annex_cloud(config)


def _check_d365(config: Mapping[str, Any]) -> None:
    if config["etag_guard"] and config["skip_unchanged"] != "read":
        raise SettingError("etag_guard", "has a meaning with `skip_unchanged: read` only.")
    if set((config.get("bypass_business_logic") or CUSTOM_LOGIC[0]).split(",")) - set(CUSTOM_LOGIC):
        raise SettingError("bypass_business_logic", f"must be {' or '.join(CUSTOM_LOGIC)}, or both with a comma.")
    caller = config.get("caller_object_id")
    if caller and not _OBJECT_ID.fullmatch(caller):  # a header carries it
        raise SettingError("caller_object_id", "must be an object id, such as 00000000-0000-0000-0000-000000000000.")


def _check_annex_cloud(config: Mapping[str, Any]) -> None:
    for name in ("site_id", "site_name", "secret_key"):
        if not config.get(name):
            raise SettingError(name, "is required to write to Annex Cloud.")
    if config["on_contact_delete"] == "delete" and not config.get("delete_requested_by"):
        raise SettingError("delete_requested_by", "is required for `on_contact_delete: delete`: an e-mail address.")
    service_root(config["base_url"])
    site_id = config["site_id"]
    if " " in site_id or not (site_id.isascii() and site_id.isprintable()):  # a header carries it
        raise SettingError("site_id", "must not hold blanks, control characters or letters outside ASCII.")
    for stream, entry in (config.get("streams") or {}).items():
        for name, known in (("object", OBJECTS), ("mode", _MODES_OF_MEMBERS)):
            if entry.get(name) and entry[name] not in known:
                raise SettingError(f"streams.{stream}.{name}", f"must be one of {', '.join(known)} for Annex Cloud.")
        if any(not isinstance(column, str) for column in (entry.get("fields") or {}).values()):
            raise SettingError(f"streams.{stream}.fields", "must name a column for each field of Annex Cloud.")
