"""All checks, by the service that they ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annex_d365.doctor import (
    annex_access,
    annex_loyalty,
    annex_members,
    annex_segments,
    canary_annex_members,
    canary_annex_segments,
    canary_d365,
    d365_access,
    d365_reading,
    d365_segments,
    d365_tables,
)
from annex_d365.doctor.annex_site import Site
from annex_d365.doctor.d365_organisation import Organisation
from annex_d365.doctor.model import Check
from annex_d365.doctor.sides import Side


@dataclass(frozen=True)
class Area:
    """A service.

    Attributes:
        title: for people.
        page: the reference page that its checks cite.
        connect: makes the context of its checks from the settings of plugins.
        checks: in their order.
    """

    title: str
    page: str
    connect: type[Side]
    checks: Sequence[Check[Any]]


AREAS: Mapping[str, Area] = {
    "d365": Area(
        "Dynamics 365",
        "reference/dataverse-web-api.md",
        Organisation,
        (
            *d365_access.CHECKS.all,
            *d365_tables.CHECKS.all,
            *d365_reading.CHECKS.all,
            *d365_segments.CHECKS.all,
            *canary_d365.CHECKS.all,
        ),
    ),
    "annex": Area(
        "Annex Cloud",
        "reference/annex-cloud-api.md",
        Site,
        (
            *annex_access.CHECKS.all,
            *annex_members.CHECKS.all,
            *annex_loyalty.CHECKS.all,
            *annex_segments.CHECKS.all,
            *canary_annex_members.CHECKS.all,
            *canary_annex_segments.CHECKS.all,
            *canary_annex_members.LAST_CHECKS.all,
        ),
    ),
}
