"""Marketing of an organisation: its segments of one generation or both, and what tests ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.dataverse.marketing.evaluation import Room
from annex_d365_sandbox.dataverse.marketing.journeys import (
    DEFINITIONS,
    SEGMENTS,
    Definitions,
    JourneysSegments,
)
from annex_d365_sandbox.dataverse.marketing.language import dates
from annex_d365_sandbox.dataverse.marketing.memberships import Memberships
from annex_d365_sandbox.dataverse.marketing.outbound import TABLE, Outbound
from annex_d365_sandbox.dataverse.marketing.schedule import Schedule
from annex_d365_sandbox.dataverse.marketing.switches import Switches

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.logic import Logic
    from annex_d365_sandbox.dataverse.models import Organisation


class Marketing:
    """Segments, their members and what happens to them; the organisation's tables say of which generation."""

    def __init__(self, organisation: Organisation) -> None:
        dates.register(organisation.store.connection)
        self._organisation = organisation
        self.memberships, self.schedule = Memberships(organisation.store), Schedule(organisation.store)
        self.room = Room(organisation, self.memberships, self.schedule, Switches())
        self.outbound, self.definitions = Outbound(self.room), Definitions(self.room)
        #: What the services make of writes, by logical name.
        self.logic: dict[str, Logic] = {
            TABLE: self.outbound,
            DEFINITIONS: self.definitions,
            SEGMENTS: JourneysSegments(self.definitions),
        }

    @property
    def switches(self) -> Switches:
        """The switches of marketing."""
        return self.room.switches

    def tick(self) -> None:
        """Do what is due by the clock. Every request to the Web API does it first."""
        if self.switches.outbound_withdrawn and TABLE in self._organisation.tables:
            self.outbound.withdraw()
        self.schedule.run(self.room.now, {**self.outbound.jobs, **self.definitions.jobs})

    def members(self, segment_id: str) -> list[str]:
        """The ids of a segment's members, in their order; a segment of journeys is known by either of its ids."""
        self.tick()
        segment = self._organisation.get(SEGMENTS, segment_id) if SEGMENTS in self._organisation.tables else None
        own = (segment or {}).get("msdynmkt_sourcesegmentuid") or segment_id
        return self.memberships.ids(str(own).lower())

    def segment(self, name: str, generation: str = "outbound") -> dict[str, Any]:
        """The row of the segment of this name, in the generation ``outbound`` or ``journeys``. Raises ``KeyError``."""
        self.tick()
        table, column = {
            "outbound": (TABLE, "msdyncrm_segmentname"),
            "journeys": (SEGMENTS, "msdynmkt_displayname"),
        }[generation]
        for row in self._organisation.rows(table):
            if row[column] == name:
                return row
        raise KeyError(name)

    def reset(self) -> None:
        """Forget members and jobs, and turn every switch back."""
        self.memberships.reset()
        self.schedule.reset()
        self.room.switches = Switches()
