"""What is written where when `streams` does not say: the streams of our own taps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from annex_d365.provision import ACTIVITY, ACTIVITY_COLUMNS, CONTACT, CONTACT_COLUMNS, LoyaltyColumn

ANNEX_CLOUD = "annex_cloud"
D365 = "d365"

#: The streams of both taps about segments; what their rows become is called alike.
SEGMENT_STREAMS = ("segments", "segment_members", "segment_snapshots")


@dataclass(frozen=True)
class Preset:
    """How one stream is written.

    Attributes:
        object: what its rows become.
        fields: API field -> column; those whose column the schema lacks are left out. The member id comes from
            `member_id_column`.
    """

    object: str
    fields: Mapping[str, str]


#: By (destination, stream).
PRESETS: Mapping[tuple[str, str], Preset] = {
    # Columns of a Dynamics 365 contact.
    (ANNEX_CLOUD, "contacts"): Preset(
        "members",
        {
            "email": "emailaddress1",
            "firstName": "firstname",
            "lastName": "lastname",
            "phone": "mobilephone",
            "birthDate": "birthdate",
            "zipCode": "address1_postalcode",
        },
    ),
    **{(ANNEX_CLOUD, stream): Preset(stream, {}) for stream in SEGMENT_STREAMS},
}


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
            return Preset(CONTACT, _fields(CONTACT_COLUMNS, prefix, columns))
        case "activities":
            return Preset(f"{prefix}{ACTIVITY}", _fields(ACTIVITY_COLUMNS, prefix, columns))
        case _:
            return None


def _fields(wanted: Iterable[LoyaltyColumn], prefix: str, columns: Iterable[str]) -> dict[str, str]:
    there = set(columns)
    sources = {each.column(prefix): [name for name in each.sources if name in there] for each in wanted}
    return {column: found[0] for column, found in sources.items() if found}
