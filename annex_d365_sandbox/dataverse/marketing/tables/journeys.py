"""Tables ``msdynmkt_segment`` and ``msdynmkt_segmentdefinition`` of real-time journeys (Dataverse page 8.6).

The page gives names and choices; types and lengths of columns, and the state that a status belongs to, are assumed.
"""

from __future__ import annotations

from enum import IntEnum

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse.schema import Table

STATIC, DYNAMIC = 10, 11
JOURNEYS = 12


class Status(IntEnum):
    """``statuscode`` of a segment."""

    ACTIVE = 1
    INACTIVE = 2
    ERROR = 3
    DELETED = 4
    EXPORTING = 5
    COMPUTING = 6
    COMPUTED_WITH_WARNINGS = 7
    STOPPING = 8
    STOPPED = 9


class DefinitionStatus(IntEnum):
    """``statuscode`` of a definition."""

    LIVE = 723270000
    DRAFT = 723270001
    GOING_LIVE = 723270002
    DELETED = 723270003
    LIVE_WITH_WARNINGS = 723270004
    STOPPING = 723270005
    STOPPED = 723270006


class Computation(IntEnum):
    """``msdynmkt_computationstatus`` of a definition."""

    RUNNING = 723270000
    FINISHED = 723270001
    ERROR = 723270002
    NOT_STARTED = 723270003


SEGMENT = Table(
    logical_name="msdynmkt_segment",
    set_name="msdynmkt_segments",
    schema_name="msdynmkt_segment",
    label="Segment",
    object_type_code=10311,
    primary_name="msdynmkt_displayname",
    attributes=col.with_shadows(
        (
            col.primary_id("msdynmkt_segmentid"),
            col.text("msdynmkt_displayname", 100, label="Name", required="ApplicationRequired"),
            col.choice("msdynmkt_type", {STATIC: "Static", DYNAMIC: "Dynamic", 12: "Expansion"}),
            col.choice("msdynmkt_source", {10: "Marketing", 11: "CI-Data", JOURNEYS: "Journeys"}),
            col.text("msdynmkt_baseentitylogicalname", 100),
            col.text("msdynmkt_sourcesegmentuid", 100),
            col.text("msdynmkt_sourcesegmenturi", 2000),
            col.integer("msdynmkt_membercount", 0, **col.READ_ONLY),
            col.datetime("msdynmkt_membercount_date", **col.READ_ONLY),
            col.integer("msdynmkt_membercount_state", **col.READ_ONLY),
            col.datetime("msdynmkt_lastevaluated"),
            col.datetime("msdynmkt_lastexportedat"),
            col.choice("msdynmkt_scope", {270100000: "Organization", 270100001: "Business unit"}, default=270100000),
            col.memo("msdynmkt_description", 2000),
            col.integer("msdynmkt_publishedjourneycount", 0),
            col.text("msdynmkt_cdmmanifestrelativepath", 2000),
            col.text("msdynmkt_cdmpartitionprimarykeycolumn", 100),
            *col.standard(
                {
                    (0, "Active"): {
                        Status.ACTIVE.value: "Active",
                        Status.ERROR.value: "Error",
                        Status.EXPORTING.value: "Exporting",
                        Status.COMPUTING.value: "Computing",
                        Status.COMPUTED_WITH_WARNINGS.value: "Computed with warnings",
                        Status.STOPPING.value: "Stopping",
                    },
                    (1, "Inactive"): {
                        Status.INACTIVE.value: "Inactive",
                        Status.DELETED.value: "Deleted",
                        Status.STOPPED.value: "Stopped",
                    },
                }
            ),
        )
    ),
)

DEFINITION = Table(
    logical_name="msdynmkt_segmentdefinition",
    set_name="msdynmkt_segmentdefinitions",
    schema_name="msdynmkt_segmentdefinition",
    label="Segment definition",
    object_type_code=10312,
    primary_name="msdynmkt_name",
    attributes=col.with_shadows(
        (
            col.primary_id("msdynmkt_segmentdefinitionid"),
            col.text("msdynmkt_name", 100, label="Name"),
            col.memo("msdynmkt_segmentquery", 1_048_576),
            col.memo("msdynmkt_staticlistmembers", 1_048_576),
            col.memo("msdynmkt_includedmembers", 1_048_576),
            col.memo("msdynmkt_excludedmembers", 1_048_576),
            col.boolean("msdynmkt_disablesegmentrefresh"),
            col.integer("msdynmkt_segmentrefreshintervalminutes", 0),
            col.datetime("msdynmkt_stoprefreshafter"),
            col.integer("msdynmkt_timezonecode", -1),
            col.datetime("msdynmkt_sourcesegmentcreatedon"),
            col.text("msdynmkt_sourcesegmentcreatedby", 100),
            col.choice(
                "msdynmkt_computationstatus",
                {
                    Computation.RUNNING.value: "Running",
                    Computation.FINISHED.value: "Finished",
                    Computation.ERROR.value: "Error",
                    Computation.NOT_STARTED.value: "Not started",
                },
                default=Computation.NOT_STARTED.value,
            ),
            col.datetime("msdynmkt_computationstartedon"),
            col.datetime("msdynmkt_computationfinishedon"),
            col.memo("msdynmkt_dependentsegmentids", 1_048_576),
            col.memo("msdynmkt_targetedsegmentids", 1_048_576),
            *col.standard(
                {
                    (0, "Active"): {
                        DefinitionStatus.DRAFT.value: "Draft",
                        DefinitionStatus.LIVE.value: "Live",
                        DefinitionStatus.GOING_LIVE.value: "Going live",
                        DefinitionStatus.LIVE_WITH_WARNINGS.value: "Live with warnings",
                        DefinitionStatus.STOPPING.value: "Stopping",
                        DefinitionStatus.STOPPED.value: "Stopped",
                    },
                    (1, "Inactive"): {DefinitionStatus.DELETED.value: "Deleted"},
                }
            ),
        )
    ),
)
