"""The words that hostile requests are made of."""

from __future__ import annotations

ORIGIN = "https://127.0.0.1"
MEMBER = "AC0000102"
ID = "a0000000-0000-4000-8000-000000000001"
SETS = tuple(
    """
    contacts contacts contacts contacts accounts cr0dd_specimens cr0dd_loyaltyactivities systemusers
    msdyncrm_segments msdynmkt_segments msdynmkt_segmentdefinitions sdkmessagefilters EntityDefinitions nothings
    """.split()
)
COLUMNS = tuple(
    """
    lastname emailaddress1 modifiedon birthdate creditlimit donotbulkemail statecode statuscode contactid
    _parentcustomerid_value cr0dd_loyaltyid cr0dd_interests versionnumber name accountid
    parentcustomerid_account cr0dd_whole cr0dd_decimal cr0dd_day nothing
    """.split()
)
OPTIONS = (
    "$filter",
    "$select",
    "$orderby",
    "$expand",
    "$top",
    "$count",
    "$apply",
    "$skiptoken",
    "$deltatoken",
    "$skip",
    "$search",
    "fetchXml",
    "savedQuery",
    "@p",
    "$",
    "",
)
FUNCTIONS = tuple(
    """
    contains startswith endswith not any length Microsoft.Dynamics.CRM.In Microsoft.Dynamics.CRM.Between
    Microsoft.Dynamics.CRM.LastXDays Microsoft.Dynamics.CRM.On Microsoft.Dynamics.CRM.ContainValues
    Microsoft.Dynamics.CRM.Nothing geo.distance
    """.split()
)
OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "in", "has", "add", "mod")
ACTIONS = tuple(
    """
    msdyncrm_FetchContactsByQuery msdyncrm_SegmentMembersUpdate msdyncrm_ValidateSegment
    msdyncrm_IncludeMemberInSegment msdynmkt_AddStaticMembers msdynmkt_RemoveStaticMembers
    msdynmkt_ListGroupMembers msdynmkt_MembersList msdynmkt_PublishSegmentDefinition msdynmkt_StopSegments
    BulkDelete CreateEntities PublishXml PublishAllXml
    """.split()
)
MEMBERS = tuple(
    """
    Query FetchXml SegmentId GroupId EntityIds PageNo PageSize SegmentIdList QuerySet msdyncrm_segmentid
    msdyncrm_operation msdyncrm_memberids msdyncrm_query Targets Entities msdyncrm_segmentname
    msdyncrm_segmentquery msdyncrm_segmenttype msdyncrm_segmentmemberids msdynmkt_segmentquery
    msdynmkt_staticlistmembers msdynmkt_sourcesegmentuid EntityName Criteria Conditions Filters AttributeName
    Operator Values
    """.split()
)
DEFINITION = tuple(
    """
    @odata.type SchemaName LogicalName DisplayName Attributes OwnershipType MaxLength Precision MinValue
    OptionSet Options Value Label LocalizedLabels KeyAttributes IsPrimaryName Lookup ReferencedEntity
    ReferencingEntity FormatName Format
    """.split()
)
WORDS = (
    "PROFILE",
    "contact",
    "FILTER",
    "SEGMENT",
    "UNION",
    "EXCEPT",
    "(",
    ")",
    ".",
    ",",
    "==",
    "&&",
    "'x'",
    "1",
    "lastname",
    "TRAVERSE",
    "contact_account_parentcustomerid",
    "DATEADD",
    "DAY",
    "DATETIMEUTCNOW",
    "ORDERBY",
    "SKIP",
    "TAKE",
    "SELECT",
    "ISNULL",
    "CONTAINS",
    "NOT",
    "9" * 30,
    "-",
    "*",
    "INTERACTION",
    "HAVING",
)
ANNEX = (
    "POST /users",
    "GET /users/{}",
    "PATCH /users/{}",
    "POST /users/search",
    "POST /userdelete",
    "POST /mergeuser",
    "GET /mergeuser/{}",
    "POST /bulkpostusers",
    "POST /bulkpatchusers",
    "GET /users/{}/activity",
    "GET /users/{}/tiers",
    "GET /users/{}/reward",
    "GET /users/{}/usedreward",
    "POST /points",
    "GET /points/{}",
    "POST /bulkpoints",
    "POST /getbulkpoints",
    "POST /bulktiers",
    "GET /actions/{}",
    "POST /segment",
    "PATCH /segment/{}",
    "GET /segment/{}",
    "GET /eligiblesegment/{}",
    "GET /segmentlist/{}",
    "GET /campaign/{}",
    "GET /rewards",
    "PUT /nothing/{}",
)
ANNEX_MEMBERS = (
    "id",
    "email",
    "firstName",
    "optInStatus",
    "optInDate",
    "status",
    "birthDate",
    "extendedAttribute",
    "dataSearch",
    "userId",
    "requestedBy",
    "primaryUID",
    "secondaryUID",
    "mergedBy",
    "duplicateActions",
    "activity",
    "credit",
    "debit",
    "actionId",
    "reason",
    "rewardId",
    "retry",
    "name",
    "fromDate",
    "toDate",
    "type",
    "member",
    "memberUpdate",
    "externalId",
    "1",
    "2",
)
CONTROL: dict[str, tuple[str, ...]] = {
    "clock": ("advance", "freeze", "reset"),
    "faults": ("kind", "route", "status", "count", "retry_after", "after", "seconds", "probability", "method", "code"),
    "limits": ("requests", "seconds", "window", "published", "concurrent"),
    "switches": ("dataverse", "annex", "marketing", "sign_in"),
    "seed": ("table", "rows", "members", "segments", "segments_api"),
    "log": (),
    "stats": (),
    "deletions": (),
    "nothing": (),
    "": (),
}
CONTROL_MEMBERS = tuple(
    """
    advance freeze reset kind route status count retry_after after seconds probability requests window published
    concurrent dataverse annex marketing sign_in page_size id max_page_size name rules method code lastname
    contactid memberDetails userId email birthDate optInDate
    """.split()
)
TEXTS: tuple[str, ...] = (
    "",
    " ",
    "x",
    "'",
    '"',
    "''",
    "\\",
    "\x00",
    "\n",
    "%",
    "%00",
    "%zz",
    "..",
    "/",
    "//",
    "ü",
    "\u202e",
    "\U0001f600",
    "ﬃ",
    "1e999",
    "-1",
    "0",
    "٣",
    "true",
    "null",
    "NaN",
    "9" * 40,
    "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    ID,
    ID.upper(),
    "{" + ID + "}",
    f"/contacts({ID})",
    "$1",
    "<a>",
    "<fetch/>",
    "]]>",
    "[",
    "(",
    "static",
    MEMBER,
    "CREDIT",
    "contact",
    "YES",
    "a@b.c",
    "A" * 5000,
    "''" * 40 + "(",
    "%" * 40 + "_x",
    "[%]%a" * 20 + "_",
    "[" + "a " * 40,
    "[" + "'a' " * 40 + "x",
    "(" + "a=''," * 40,
    "2026-01-01",
)
NUMBERS = (0, -1, 1, 2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**30, 1e308, -1e308, 0.1, 1e-320, 1.5, 192350001)
HEADERS = {
    "prefer": (
        "return=representation",
        "odata.maxpagesize=0",
        "odata.maxpagesize=9" * 9,
        "odata.track-changes",
        'odata.include-annotations="*"',
        '"',
        ",,;=",
        "odata.maxpagesize=" + "9" * 5000,
        "odata.maxpagesize=٣",
    ),
    "if-match": ("*", 'W/"1"', "x", 'W/"' + "9" * 5000 + '"', ""),
    "if-none-match": ("*", "null", 'W/"1"', ""),
    "content-type": ("text/plain", "application/xml", "", "multipart/mixed", "multipart/mixed; boundary="),
    "authorization": ("", "Bearer", "Bearer ..", "Basic eA==", "Bearer a.b.c", "Bearer " + "e" * 9000),
    "mscrm.bypasscustompluginexecution": ("true", "maybe", ""),
    "mscrm.suppressduplicatedetection": ("false", "x"),
    "mscrm.solutionuniquename": ("Nothing", "Default", "\x00"),
    "x-annexcloud-site": ("", "1"),
    "accept-encoding": ("gzip;q=x",),
}
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "X")
