"""Which generation of segments an organisation has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.metadata import Table, read_tables
from annex_d365.dataverse.segments.generations import GENERATIONS, MEMBER_IDS, OUTBOUND, Generation
from annex_d365.dataverse.segments.journeys import JourneysMembers
from annex_d365.dataverse.segments.members import ContactColumns, Members
from annex_d365.dataverse.segments.outbound import OutboundMembers
from annex_d365.dataverse.segments.segment import CONTACT
from annex_d365.errors import SettingError

AUTO = "auto"
#: Values of the setting ``segments_api``.
APIS = (AUTO, *(each.name for each in GENERATIONS))


@dataclass(frozen=True)
class Marketing:
    """What an organisation has of segments.

    Attributes:
        generation: the one that is read.
        table: of its segments.
        contacts: the table of their members.
    """

    generation: Generation
    table: Table
    contacts: Table

    def members(self, columns: ContactColumns) -> Members:
        """The reader of members."""
        if self.generation is OUTBOUND:
            return OutboundMembers(columns, has_ids=MEMBER_IDS in self.table.columns)
        return JourneysMembers(columns)


def find_marketing(dataverse: Dataverse, api: str) -> Marketing | None:
    """The segments that the setting ``segments_api`` chooses; None where ``auto`` finds none.

    Raises:
        SettingError: the organisation does not have the named ones.
    """
    candidates = [each for each in GENERATIONS if api in {AUTO, each.name}]
    tables: Mapping[str, Table] = read_tables(dataverse, [*(each.logical_name for each in candidates), CONTACT])
    for each in candidates:
        if each.logical_name in tables and CONTACT in tables:
            return Marketing(each, tables[each.logical_name], tables[CONTACT])
    if api == AUTO:
        return None
    raise SettingError("segments_api", f"this organisation has no table `{candidates[0].logical_name}`.")
