"""What both services of the sandbox hold, and how people edit it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from annex_d365_sandbox.annexcloud.balances import points, tiers
from annex_d365_sandbox.dataverse.marketing.journeys import DEFINITIONS, groups
from annex_d365_sandbox.dataverse.marketing.seed import segment_id
from annex_d365_sandbox.dataverse.schema import SCALED
from annex_d365_sandbox.dataverse.values import decimal
from annex_d365_sandbox.sandbox import Sandbox

Row = Mapping[str, Any]
_TABLE, _ORIGIN = "msdynmkt_segment", "msdynmkt_sourcesegmenturi"


class Sides:
    """An organisation of Dynamics 365, with segments of real-time journeys, and a site of Annex Cloud."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.organisation, self.site = sandbox, sandbox.organisation, sandbox.site
        # What the service does after a minute, or a second, the demo need not wait for.
        switches = self.organisation.marketing.switches
        switches.going_live_seconds = switches.member_update_seconds = 0

    # Dynamics 365

    def contacts(self) -> list[dict[str, Any]]:
        """All contacts, in the order in which they were made."""
        return list(self.organisation.rows("contact"))

    def contacts_by_member(self) -> dict[str, dict[str, Any]]:
        """Contacts by the loyalty id that they hold."""
        return {row["cr0dd_loyaltyid"]: row for row in self.contacts() if row["cr0dd_loyaltyid"]}

    def value(self, contact: Row, column: str) -> Any:
        """What a contact has in a column, as the Web API would tell it."""
        attribute, value = self.organisation.tables["contact"].by_name[column], contact[column]
        return decimal(attribute, value) if value is not None and attribute.kind in SCALED else value

    def dynamics_segments(self) -> dict[str, dict[str, Any]]:
        """Rows of segments, by name."""
        self.organisation.marketing.tick()
        return {row["msdynmkt_displayname"]: row for row in self.organisation.rows(_TABLE)}

    def dynamics_members(self, name: str) -> set[str]:
        """Loyalty ids of the contacts in a segment that have one."""
        found = set(self.organisation.marketing.members(self.dynamics_segments()[name]["msdynmkt_segmentid"]))
        return {member for member, row in self.contacts_by_member().items() if row["contactid"] in found}

    def dynamics_copies(self) -> dict[str, str]:
        """Names of segments that come from Annex Cloud, with their origin."""
        return {name: row[_ORIGIN] for name, row in self.dynamics_segments().items() if row[_ORIGIN]}

    def change_guests(self, name: str, joins: Iterable[str], leaves: Iterable[str]) -> None:
        """Add contacts to a static segment, and take others out, as its owner does in real-time journeys."""
        marketing, definition_id = self.organisation.marketing, segment_id("journeys/definition", name)
        group = groups(self.organisation.get(DEFINITIONS, definition_id) or {})[0].group_id
        marketing.memberships.put(definition_id, joins, self.organisation.tables["contact"], group)
        marketing.memberships.take(definition_id, leaves, group)
        marketing.definitions.changed(definition_id)

    # Annex Cloud

    def members(self) -> dict[str, Row]:
        """All members, by id."""
        return {member["id"]: member for member in self.site.members()}

    def balance(self, member_id: str) -> dict[str, Any]:
        """Points and tier of a member, as the Loyalty API tells them."""
        member = self.site.get_member(member_id)
        return {**points(self.site, member), **tiers(self.site, member)}

    def annex_segments(self) -> dict[str, dict[str, Any]]:
        """Segments, by name."""
        return {segment["name"]: segment for segment in self.site.segments.all()}

    def annex_members(self, name: str) -> set[str]:
        """Ids of the members of a segment."""
        return set(self.site.segments.members(self.annex_segments()[name]))
