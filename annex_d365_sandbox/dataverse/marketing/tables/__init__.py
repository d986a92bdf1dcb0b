"""Tables that an organisation has besides, by the generation of its segments."""

from __future__ import annotations

from annex_d365_sandbox.dataverse.marketing.tables.journeys import DEFINITION
from annex_d365_sandbox.dataverse.marketing.tables.journeys import SEGMENT as JOURNEYS_SEGMENT
from annex_d365_sandbox.dataverse.marketing.tables.lead import LEAD
from annex_d365_sandbox.dataverse.marketing.tables.outbound import SEGMENT as OUTBOUND_SEGMENT
from annex_d365_sandbox.dataverse.marketing.tables.outbound import TEMPLATE
from annex_d365_sandbox.dataverse.schema import Table

_OUTBOUND, _JOURNEYS = (OUTBOUND_SEGMENT, TEMPLATE), (JOURNEYS_SEGMENT, DEFINITION)
#: By the value of ``--segments-api``.
TABLES: dict[str, tuple[Table, ...]] = {
    "": (),
    "outbound": (LEAD, *_OUTBOUND),
    "journeys": (LEAD, *_JOURNEYS),
    "both": (LEAD, *_OUTBOUND, *_JOURNEYS),
}

__all__ = ["DEFINITION", "JOURNEYS_SEGMENT", "LEAD", "OUTBOUND_SEGMENT", "TABLES", "TEMPLATE"]
