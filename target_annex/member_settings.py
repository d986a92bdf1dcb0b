"""The settings about who becomes a member, and stays one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from singer_sdk import typing as th

DEFAULT_MEMBER_ID_COLUMN = "cr0dd_loyaltyid"

SETTINGS = (
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
        "patch_replaces",
        th.BooleanType,
        default=False,
        description=(
            "Whether a PATCH of a member empties the fields that it leaves out, as `annex-d365 doctor --canary` tells. "
            "Each member is then read before it is changed, and sent whole, one request after another (`annex_cloud`)."
        ),
    ),
    th.Property(
        "delete_requested_by",
        th.StringType,
        description="E-mail address that Annex Cloud is told for a deletion. Required for `on_contact_delete: delete`.",
    ),
)


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
