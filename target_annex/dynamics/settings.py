"""The settings about rows of Dynamics 365."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from singer_sdk import typing as th

from annex_d365.dataverse.writes import Way, WriteOptions
from annex_d365.errors import SettingError
from annex_d365.fields import DEFAULT_PREFIX, MEMBER_ID
from target_annex.member_settings import DEFAULT_MEMBER_ID_COLUMN

#: What `bypass_business_logic` may name (Dataverse page 2.1).
CUSTOM_LOGIC = ("CustomSync", "CustomAsync")
_OBJECT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

SETTINGS = (
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


def check(config: Mapping[str, Any]) -> None:
    """What has to be right to write into Dynamics 365.

    Raises:
        SettingError: it is not.
    """
    if config["etag_guard"] and config["skip_unchanged"] != "read":
        raise SettingError("etag_guard", "has a meaning with `skip_unchanged: read` only.")
    if set((config.get("bypass_business_logic") or CUSTOM_LOGIC[0]).split(",")) - set(CUSTOM_LOGIC):
        raise SettingError("bypass_business_logic", f"must be {' or '.join(CUSTOM_LOGIC)}, or both with a comma.")
    caller = config.get("caller_object_id")
    if caller and not _OBJECT_ID.fullmatch(caller):  # a header carries it
        raise SettingError("caller_object_id", "must be an object id, such as 00000000-0000-0000-0000-000000000000.")
