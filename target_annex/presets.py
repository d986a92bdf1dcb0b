"""What is written where when `streams` does not say: the streams of our own taps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ANNEX_CLOUD = "annex_cloud"
D365 = "d365"


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
}
