"""The settings about segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from singer_sdk import typing as th

from annex_d365.annexcloud.segment_writing import DateForm, Dialect, MemberForm
from annex_d365.dataverse.segments.choice import APIS, AUTO
from annex_d365.dataverse.segments.generations import JOURNEYS, OUTBOUND

_UPDATE_WORDS = th.ObjectType(
    *(
        th.Property(name, th.CustomType({"type": "string", "minLength": 1}), default=word)
        for name, word in (("add", Dialect.add), ("remove", Dialect.remove))
    ),
    additional_properties=False,
)

SETTINGS = (
    th.Property(
        "max_removal_percent",
        th.NumberType(minimum=0, maximum=100),
        default=20,
        description=(
            "Of a segment's members: when a snapshot would remove more, nobody is removed, the snapshot is rejected, "
            "and the run counts as failed."
        ),
    ),
    th.Property(
        "segment_member_update",
        _UPDATE_WORDS,
        default={"add": Dialect.add, "remove": Dialect.remove},
        description=(
            "Values of `memberUpdate` that add members to a segment of Annex Cloud, and remove them: `{add, remove}`. "
            "They are not documented; what they do is checked in each run."
        ),
    ),
    th.Property(
        "segment_member_form",
        th.StringType,
        allowed_values=[each.value for each in MemberForm],
        default=Dialect.members.value,
        description="How Annex Cloud is told the members of a segment: one `text` with commas, or a `list`.",
    ),
    th.Property(
        "segment_date_form",
        th.StringType,
        allowed_values=[each.value for each in DateForm],
        default=Dialect.dates.value,
        description=(
            "How Annex Cloud is told the days of a segment: `2026-01-31` (`date`), `2026-01-31 00:00:00` (`datetime`) "
            "or `2026-01-31T00:00:00+0000` (`iso`)."
        ),
    ),
    th.Property(
        "segment_validity_days",
        th.IntegerType(minimum=1, maximum=36500),
        default=3650,
        description="How long a segment is valid in Annex Cloud, which wants a last day; it is then valid anew.",
    ),
    th.Property(
        "segments_api",
        th.StringType,
        allowed_values=list(APIS),
        default=AUTO,
        description=(
            "Which segments are written in Dynamics 365: those of real-time `journeys`, those of `outbound` marketing, "
            "or what there is, journeys first (`d365`)."
        ),
    ),
    th.Property(
        "segment_origin_column",
        th.StringType,
        description=(
            "Column of segments in Dynamics 365 that says of which segment of Annex Cloud one is the copy (`d365`). "
            f"Default: `{JOURNEYS.origin}` or `{OUTBOUND.origin}`."
        ),
    ),
    th.Property(
        "on_segment_delete",
        th.StringType,
        allowed_values=["stop", "delete"],
        default="stop",
        description="What becomes of a copy in Dynamics 365 whose segment is gone in Annex Cloud (`d365`).",
    ),
)


def dialect(config: Mapping[str, Any]) -> Dialect:
    """What Annex Cloud's documents leave open."""
    words = config["segment_member_update"]
    return Dialect(
        add=words.get("add", Dialect.add),
        remove=words.get("remove", Dialect.remove),
        members=MemberForm(config["segment_member_form"]),
        dates=DateForm(config["segment_date_form"]),
    )
