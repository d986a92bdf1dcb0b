"""Seeded segments: in both generations the same names, queries and members, in every state that there is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_OID, uuid5

from annex_d365_sandbox.dataverse import values
from annex_d365_sandbox.dataverse.derived import Rules
from annex_d365_sandbox.dataverse.marketing import memberships
from annex_d365_sandbox.dataverse.marketing.journeys import DEFINITIONS, SEGMENTS, follows
from annex_d365_sandbox.dataverse.marketing.outbound import TABLE
from annex_d365_sandbox.dataverse.marketing.schedule import Job
from annex_d365_sandbox.dataverse.marketing.tables import journeys, outbound
from annex_d365_sandbox.dataverse.marketing.tables.journeys import Computation, DefinitionStatus
from annex_d365_sandbox.dataverse.marketing.tables.outbound import Status

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation

State = Literal["live", "draft", "stopped", "error", "ended"]
_OUTBOUND: dict[State, Status] = {
    "live": Status.LIVE,
    "draft": Status.DRAFT,
    "stopped": Status.STOPPED,
    "error": Status.ERROR,
    "ended": Status.EXPIRED,
}
_JOURNEYS: dict[State, DefinitionStatus] = {
    "live": DefinitionStatus.LIVE,
    "draft": DefinitionStatus.DRAFT,
    "stopped": DefinitionStatus.STOPPED,
    "error": DefinitionStatus.DRAFT,
    "ended": DefinitionStatus.DELETED,
}


@dataclass(frozen=True)
class Planned:
    """One segment; without a query it is static and has every ``nth`` contact."""

    name: str
    state: State
    query: str = ""
    nth: int = 0
    compound: bool = False
    base: str = "contact"


PLANNED = (
    Planned("Loyalty members", "live", "PROFILE(contact, contact_1).FILTER(ISNOTNULL(contact_1.cr0dd_loyaltyid))"),
    Planned(
        "Wish to be enrolled", "live", "PROFILE(contact).FILTER(cr0dd_loyaltyenrol == true && ISNULL(cr0dd_loyaltyid))"
    ),
    Planned("Families", "live", "PROFILE(contact).FILTER(numberofchildren >= 2 || familystatuscode == 2)"),
    Planned(
        "Buyers for a company",
        "live",
        "PROFILE(account, account_1).FILTER(ISNOTNULL(account_1.accountnumber))"
        ".TRAVERSE(contact_account_parentcustomerid, contact_1).FILTER(ISNOTNULL(contact_1.emailaddress1))",
    ),
    Planned(
        "Members who take e-mail",
        "live",
        "SEGMENT('Loyalty members') EXCEPT PROFILE(contact).FILTER(donotbulkemail == true || donotemail == true)",
        compound=True,
    ),
    Planned("Nobody", "live", "PROFILE(contact).FILTER(lastname == 'Nobody has this name')"),
    Planned(
        "Größe 38+ “Stammkunden” \N{SHOPPING BAGS}", "live", "PROFILE(contact).FILTER(address1_city STARTSWITH 'B')"
    ),
    Planned("Guests of honour", "live", nth=40),
    Planned("Guests of the next opening", "draft", nth=50),
    Planned("Spring campaign", "draft", "PROFILE(contact).FILTER(gendercode == 2)"),
    Planned("Autumn campaign", "stopped", "PROFILE(contact).FILTER(gendercode == 1)"),
    Planned("Broken", "error", "PROFILE(contact).FILTER(cr0dd_nosuchcolumn == 1)"),
    Planned("Last year", "ended", "PROFILE(contact).FILTER(createdon < '2025-01-01')"),
    Planned("New leads", "live", "PROFILE(lead).FILTER(statuscode == 1)", base="lead"),
)


def plant(organisation: Organisation, at: datetime) -> None:
    """Have the planned segments, evaluated at a moment; an organisation without contacts stays empty."""
    contacts = [row["contactid"] for row in organisation.rows("contact")]
    if not contacts:
        return
    for planned in PLANNED:
        chosen = contacts[:: planned.nth] if planned.nth else []
        if TABLE in organisation.tables:
            _Outbound(organisation, at).plant(planned, chosen)
        if SEGMENTS in organisation.tables:
            _Journeys(organisation, at).plant(planned, chosen)


def segment_id(generation: str, name: str) -> str:
    """The id of a seeded row; the same at every start."""
    return str(uuid5(NAMESPACE_OID, f"{generation}/{name}"))


@dataclass(frozen=True)
class _Planter:
    organisation: Organisation
    at: datetime

    @property
    def stamp(self) -> str:
        return values.stamp(self.at)

    def put(self, table: str, row_id: str, row: dict[str, Any]) -> None:
        declared = self.organisation.tables[table]
        self.organisation.put(table, [Rules(declared).completed({**row, "modifiedon": self.stamp}, row_id, self.stamp)])

    def refresh(self, kind: str, row_id: str) -> None:
        """The first refresh is some time after the seeding, whatever the age of the data."""
        room = self.organisation.marketing.room
        room.schedule.add(Job(kind, row_id, room.now + timedelta(minutes=room.switches.refresh_minutes)))


class _Outbound(_Planter):
    def plant(self, planned: Planned, chosen: list[str]) -> None:
        room, row_id = self.organisation.marketing.room, segment_id("outbound", planned.name)
        service = self.organisation.marketing.outbound
        # A segment of outbound marketing must end at contact (Dataverse page 8.5): that of leads never went live.
        state = planned.state if planned.base == "contact" else "draft"
        row: dict[str, Any] = {
            "msdyncrm_segmentname": planned.name,
            "msdyncrm_segmenttype": outbound.COMPOUND if planned.compound else outbound.DYNAMIC,
            "msdyncrm_segmentquery": planned.query or None,
            "msdyncrm_querytype": 192350001,
            "statuscode": int(_OUTBOUND[state]),
            "statecode": int(state == "ended"),
        }
        if not planned.query:
            row |= {"msdyncrm_segmenttype": outbound.STATIC, "msdyncrm_segmentmemberids": json.dumps(chosen)}
            room.memberships.put(row_id, chosen, self.organisation.tables["contact"])
        if state in ("live", "stopped"):
            row |= {"msdyncrm_segmentqueryname": f"SEGMENT_CRM_ID_{row_id.replace('-', '')}"}
        if state == "live":
            static = memberships.group(row_id)
            found = room.found(planned.query, service.resolve, self.at).sql if planned.query else static
            row |= {
                "msdyncrm_islive": 1,
                "msdyncrm_segmentsize": room.keep(row_id, found),
                "msdyncrm_lastevaluationtime": self.stamp,
                "msdyncrm_lastupdatedtime": self.stamp,
                "msdyncrm_segmentevaluationstate": "Succeeded",
                "msdyncrm_segmentprovisioningstate": "Provisioned",
                "msdyncrm_segmenttargetprofiletypename": planned.base,
            }
            if planned.query:
                self.refresh("outbound.refresh", row_id)
        self.put(TABLE, row_id, row)


class _Journeys(_Planter):
    def plant(self, planned: Planned, chosen: list[str]) -> None:
        room, service = self.organisation.marketing.room, self.organisation.marketing.definitions
        definition_id, status = segment_id("journeys/definition", planned.name), _JOURNEYS[planned.state]
        group_id = segment_id("journeys/group", planned.name)
        group = [{"groupId": group_id, "includeType": "Include", "name": planned.name, "inputType": "manualSelect"}]
        definition: dict[str, Any] = {
            "msdynmkt_name": planned.name,
            "msdynmkt_segmentquery": planned.query or None,
            "msdynmkt_staticlistmembers": None if planned.query else json.dumps(group, ensure_ascii=False),
            "statuscode": int(status),
            "statecode": int(status == DefinitionStatus.DELETED),
        }
        segment: dict[str, Any] = {
            "msdynmkt_displayname": planned.name,
            "msdynmkt_type": journeys.DYNAMIC if planned.query else journeys.STATIC,
            "msdynmkt_source": journeys.JOURNEYS,
            "msdynmkt_baseentitylogicalname": planned.base,
            "msdynmkt_sourcesegmentuid": definition_id,
            **follows(status),
        }
        if not planned.query:
            room.memberships.put(definition_id, chosen, self.organisation.tables["contact"], group_id)
        if planned.state == "live":
            static = memberships.group(definition_id, group_id)
            found = room.found(planned.query, service.resolve, self.at).sql if planned.query else static
            segment |= {
                "msdynmkt_membercount": room.keep(definition_id, found),
                "msdynmkt_membercount_date": self.stamp,
                "msdynmkt_lastevaluated": self.stamp,
            }
            definition |= {
                "msdynmkt_computationstatus": int(Computation.FINISHED),
                "msdynmkt_computationstartedon": self.stamp,
                "msdynmkt_computationfinishedon": self.stamp,
            }
            if planned.query:
                self.refresh("journeys.refresh", definition_id)
        elif planned.state == "error":
            definition["msdynmkt_computationstatus"] = int(Computation.ERROR)
            segment |= {"statuscode": int(journeys.Status.ERROR), "statecode": 0}
        self.put(DEFINITIONS, definition_id, definition)
        self.put(SEGMENTS, segment_id("journeys", planned.name), segment)
