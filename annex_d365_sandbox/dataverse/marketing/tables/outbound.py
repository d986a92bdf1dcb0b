"""Table ``msdyncrm_segment`` of outbound marketing (Dataverse page 8.2)."""

from __future__ import annotations

from enum import IntEnum

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse.schema import Table

_DEFAULT = 192350000
DYNAMIC, STATIC, COMPOUND = 192350000, 192350001, 192350002
MEMO_LENGTH = 1_000_000


class Status(IntEnum):
    """``statuscode``."""

    DRAFT = 192350000
    LIVE = 192350001
    STOPPED = 192350002
    LIVE_EDITABLE = 192350003
    EXPIRED = 192350004
    ERROR = 192350005
    GOING_LIVE = 192350006
    STOPPING = 192350007


_STATUS = {
    (0, "Active"): {
        Status.DRAFT.value: "Draft",
        Status.LIVE.value: "Live",
        Status.STOPPED.value: "Stopped",
        Status.LIVE_EDITABLE.value: "Live, editable",
        Status.ERROR.value: "Error",
        Status.GOING_LIVE.value: "Going live",
        Status.STOPPING.value: "Stopping",
    },
    (1, "Inactive"): {Status.EXPIRED.value: "Expired"},
}
#: Where a status may go (Dataverse page 8.2).
TRANSITIONS: dict[int, tuple[Status, ...]] = {
    Status.DRAFT: (Status.GOING_LIVE, Status.LIVE, Status.EXPIRED),
    Status.LIVE: (Status.STOPPING, Status.STOPPED, Status.GOING_LIVE, Status.LIVE_EDITABLE, Status.ERROR),
    Status.STOPPED: (Status.EXPIRED, Status.GOING_LIVE),
    Status.LIVE_EDITABLE: (Status.LIVE, Status.ERROR, Status.GOING_LIVE),
    Status.EXPIRED: (),
    Status.ERROR: (Status.GOING_LIVE, Status.STOPPING),
    Status.GOING_LIVE: (Status.LIVE, Status.ERROR),
    Status.STOPPING: (Status.STOPPED, Status.ERROR),
}

SEGMENT = Table(
    logical_name="msdyncrm_segment",
    set_name="msdyncrm_segments",
    schema_name="msdyncrm_segment",
    label="Segment",
    object_type_code=10301,
    primary_name="msdyncrm_segmentname",
    # Other editions of the documentation name these two so; both are taken in a body (Dataverse page 8.3).
    synonyms=(("msdyncrm_query", "msdyncrm_segmentquery"), ("msdyncrm_memberids", "msdyncrm_segmentmemberids")),
    attributes=col.with_shadows(
        (
            col.primary_id("msdyncrm_segmentid"),
            col.text("msdyncrm_segmentname", 100, label="Name", required="ApplicationRequired"),
            col.choice(
                "msdyncrm_segmenttype",
                {DYNAMIC: "Dynamic", STATIC: "Static", COMPOUND: "Compound"},
                default=_DEFAULT,
                required="ApplicationRequired",
            ),
            col.memo("msdyncrm_segmentquery", 4000),
            col.memo("msdyncrm_segmentmemberids", MEMO_LENGTH),
            col.text("msdyncrm_segmentqueryname", 100),
            col.memo("msdyncrm_segmentfilterquery", 4000),
            col.memo("msdyncrm_description", 2000, required="Recommended"),
            col.choice("msdyncrm_querytype", {192350000: "Interaction", 192350001: "Profile"}),
            col.choice("msdyncrm_scope", {270100000: "Organization", 270100001: "Business unit"}, default=270100000),
            col.choice(
                "msdyncrm_segmentactivationstatus",
                {192350000: "Active", 192350001: "Disabled"},
                default=_DEFAULT,
                required="ApplicationRequired",
            ),
            col.choice("msdyncrm_externalsource", {192350000: "Customer Insight"}),
            col.text("msdyncrm_externalsegmenturl", 2000),
            col.boolean("msdyncrm_islive"),
            col.datetime("msdyncrm_lastevaluationtime"),
            col.datetime("msdyncrm_lastupdatedtime"),
            col.datetime("msdyncrm_nextevaluation"),
            col.integer("msdyncrm_segmentevaluationdurationinminutes", 0),
            col.text("msdyncrm_segmentevaluationstate", 100),
            col.text("msdyncrm_segmentevaluationtype", 100),
            col.text("msdyncrm_segmentprovisioningstate", 100),
            col.integer("msdyncrm_segmentrefreshrateintervalminutes"),
            col.integer("msdyncrm_segmentsize"),
            col.text("msdyncrm_segmenttargetprofiletypename", 1000),
            col.integer("msdyncrm_segmenttimezone", -1500, 1500),
            # The navigation property is the schema name (Dataverse page 8.2).
            col.lookup(
                "msdyncrm_segmenttemplate",
                {"msdyncrm_segmenttemplate": "msdyncrm_SegmentTemplate"},
                schema_name="msdyncrm_SegmentTemplate",
            ),
            col.text("msdyncrm_segmentnameview", 4000, **col.READ_ONLY),
            *col.standard(_STATUS),
        )
    ),
)

TEMPLATE = Table(
    logical_name="msdyncrm_segmenttemplate",
    set_name="msdyncrm_segmenttemplates",
    schema_name="msdyncrm_segmenttemplate",
    label="Segment template",
    object_type_code=10302,
    primary_name="msdyncrm_name",
    # The page names the table only; its columns are assumed.
    attributes=col.with_shadows(
        (col.primary_id("msdyncrm_segmenttemplateid"), col.text("msdyncrm_name", 100), *col.standard())
    ),
)
