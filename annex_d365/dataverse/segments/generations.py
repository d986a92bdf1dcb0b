"""The two generations of segments, as declarations: tables, columns and option values (Dataverse pages 8.2, 8.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: One vocabulary for both; what is not known is OTHER, with the raw values beside it.
STATIC, DYNAMIC, COMPOUND, OTHER = "static", "dynamic", "compound", "other"
DRAFT, GOING_LIVE, LIVE, STOPPING, STOPPED = "draft", "going_live", "live", "stopping", "stopped"
EXPIRED, ERROR, DELETED = "expired", "error", "deleted"

#: A segment that was copied from Annex Cloud says so: ``annexcloud:<site>/<id>``.
ANNEX_CLOUD_ORIGIN = "annexcloud:"
DYNAMICS_ORIGIN = "dynamics"


@dataclass(frozen=True)
class Generation:
    """Where one generation keeps what.

    Attributes:
        name: ``outbound`` or ``journeys``.
        logical_name: of the table of segments.
        entity_set: its name in URLs.
        id: its key.
        columns: by the attribute of :class:`~annex_d365.dataverse.segments.segment.Segment` that they fill.
        origin: column that tells whose segment it is, unless a setting names another.
        base: column that tells which table the members are of; ``contact`` where it is empty.
        kinds: kinds by option value.
        statuses: statuses by option value of ``statuscode``.
    """

    name: str
    logical_name: str
    entity_set: str
    id: str
    columns: Mapping[str, str]
    origin: str
    base: str
    kinds: Mapping[int, str]
    statuses: Mapping[int, str]


_COMMON = {
    "status_value": "statuscode",
    "state_value": "statecode",
    "created_on": "createdon",
    "modified_on": "modifiedon",
    "business_unit": "_owningbusinessunit_value",
}

OUTBOUND = Generation(
    name="outbound",
    logical_name="msdyncrm_segment",
    entity_set="msdyncrm_segments",
    id="msdyncrm_segmentid",
    columns={
        **_COMMON,
        "name": "msdyncrm_segmentname",
        "description": "msdyncrm_description",
        "kind_value": "msdyncrm_segmenttype",
        "query": "msdyncrm_segmentquery",
        "member_count": "msdyncrm_segmentsize",
        "evaluated_on": "msdyncrm_lastevaluationtime",
        "query_name": "msdyncrm_segmentqueryname",
        "scope": "msdyncrm_scope",
    },
    origin="msdyncrm_externalsegmenturl",
    # ASSUMPTION: the name of the profile type is the table's logical name; only samples with contacts are known.
    base="msdyncrm_segmenttargetprofiletypename",
    kinds={192350000: DYNAMIC, 192350001: STATIC, 192350002: COMPOUND},
    statuses={
        192350000: DRAFT,
        192350001: LIVE,
        192350002: STOPPED,
        192350003: LIVE,  # editable
        192350004: EXPIRED,
        192350005: ERROR,
        192350006: GOING_LIVE,
        192350007: STOPPING,
    },
)

JOURNEYS = Generation(
    name="journeys",
    logical_name="msdynmkt_segment",
    entity_set="msdynmkt_segments",
    id="msdynmkt_segmentid",
    columns={
        **_COMMON,
        "name": "msdynmkt_displayname",
        "description": "msdynmkt_description",
        "kind_value": "msdynmkt_type",
        "member_count": "msdynmkt_membercount",
        "evaluated_on": "msdynmkt_lastevaluated",
        "definition": "msdynmkt_sourcesegmentuid",
    },
    origin="msdynmkt_sourcesegmenturi",
    base="msdynmkt_baseentitylogicalname",
    kinds={10: STATIC, 11: DYNAMIC},  # 12 is an expansion
    statuses={
        1: LIVE,
        2: DRAFT,  # inactive: not published yet
        3: ERROR,
        4: DELETED,
        5: LIVE,  # being exported
        6: GOING_LIVE,  # being computed
        7: LIVE,  # computed with warnings
        8: STOPPING,
        9: STOPPED,
        11: ERROR,
    },
)

#: The preferred one first: outbound marketing was withdrawn in 2026 (Dataverse page 8.1).
GENERATIONS = (JOURNEYS, OUTBOUND)

DEFINITIONS = "msdynmkt_segmentdefinitions"
DEFINITION_ID = "msdynmkt_segmentdefinitionid"
DEFINITION_QUERY = "msdynmkt_segmentquery"
#: Groups of static members, JSON in a text.
DEFINITION_GROUPS = "msdynmkt_staticlistmembers"
#: Ids of static members of outbound marketing, JSON in a text.
MEMBER_IDS = "msdyncrm_segmentmemberids"
