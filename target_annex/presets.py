"""What is written where when `streams` does not say: the streams of our own taps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from annex_d365.annexcloud.fields import KNOWN
from annex_d365.fields import (
    ACTIVITY,
    ACTIVITY_COLUMNS,
    CONTACT,
    CONTACT_COLUMNS,
    DEFAULT_PREFIX,
    Group,
    LoyaltyColumn,
)

ANNEX_CLOUD = "annex_cloud"
D365 = "d365"

#: The streams of both taps about segments; what their rows become is called alike.
SEGMENT_STREAMS = ("segments", "segment_members", "segment_snapshots")

#: What members of Annex Cloud may get from contacts: of the group of loyalty values, none can be written there.
_OF_CONTACTS = (Group.IDENTITY, Group.CONSENT)


@dataclass(frozen=True)
class Preset:
    """How one stream is written.

    Attributes:
        object: what its rows become.
        fields: field of the destination -> column; those whose column the schema lacks are left out. The member id
            comes from `member_id_column`.
        shared: of those fields, the ones that members and contacts have in common, with what is known of them.
    """

    object: str
    fields: Mapping[str, str]
    shared: Mapping[str, LoyaltyColumn] = field(default_factory=dict)


def member_preset(prefix: str) -> Preset:
    """How contacts of tap-d365 become members.

    Args:
        prefix: of the publisher, the setting `column_prefix`.
    """
    columns = {each.field: each for each in CONTACT_COLUMNS if each.group in _OF_CONTACTS and each.field in KNOWN}
    return Preset("members", {name: each.column(prefix) for name, each in columns.items()}, columns)


#: By (destination, stream); of `d365`, see :func:`row_preset`.
PRESETS: Mapping[tuple[str, str], Preset] = {
    (ANNEX_CLOUD, "contacts"): member_preset(DEFAULT_PREFIX),
    **{(ANNEX_CLOUD, stream): Preset(stream, {}) for stream in SEGMENT_STREAMS},
}


def annex_preset(stream: str, prefix: str) -> Preset | None:
    """How a stream of tap-d365 is written into Annex Cloud; None for another stream."""
    return member_preset(prefix) if stream == "contacts" else PRESETS.get((ANNEX_CLOUD, stream))


def row_preset(stream: str, prefix: str, columns: Iterable[str]) -> Preset | None:
    """How a stream of tap-annex is written into Dynamics 365.

    Args:
        stream: its name.
        prefix: of the publisher, the setting `column_prefix`.
        columns: of its schema.

    Returns:
        A table and its columns; None for another stream.
    """
    match stream:
        case "members":
            shared = {each.column(prefix): each for each in CONTACT_COLUMNS}
            return Preset(CONTACT, _fields(CONTACT_COLUMNS, prefix, columns), shared)
        case "activities":
            return Preset(f"{prefix}{ACTIVITY}", _fields(ACTIVITY_COLUMNS, prefix, columns))
        case _:
            return None


def _fields(wanted: Iterable[LoyaltyColumn], prefix: str, columns: Iterable[str]) -> dict[str, str]:
    there = set(columns)
    sources = {each.column(prefix): [name for name in each.sources if name in there] for each in wanted}
    return {column: found[0] for column, found in sources.items() if found}
