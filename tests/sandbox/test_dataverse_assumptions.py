"""Each assumption about Dataverse, turned the other way: what a client sees then."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from annex_d365_sandbox.annexcloud.switches import Switches as AnnexSwitches
from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.control.limits import Limits
from annex_d365_sandbox.dataverse.marketing.switches import Switches as MarketingSwitches
from annex_d365_sandbox.dataverse.switches import Switches
from annex_d365_sandbox.entra.switches import Switches as SignInSwitches
from annex_d365_sandbox.entra.urls import application
from annex_d365_sandbox.wire import Request

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"
BOARDS = {"dataverse": Switches, "marketing": MarketingSwitches, "sign_in": SignInSwitches, "annex": AnnexSwitches}
NOBODY = "a0000000-0000-4000-8000-0000000000ff"
#: Their order as SQL Server has it is another than that of their texts: the last six bytes count first.
IDS = [f"{first}0000000-0000-4000-8000-00000000000{last}" for first, last in (("1", "3"), ("2", "1"), ("3", "2"))]


@pytest.fixture
def crm(dataverse):
    for number, row_id in enumerate(IDS):
        dataverse.organisation.create("contact", {"contactid": row_id, "lastname": f"N{number}"})
    return dataverse


@pytest.fixture
def switches(crm):
    return crm.organisation.switches


def ids(body):
    return [row["contactid"] for row in body["value"]]


def test_the_documents_name_every_switch_of_an_assumption():
    table = DOCS.read_text().split("## Assumptions and their switches")[1].split("\n## ")[0]
    named = {tuple(name.split(".")) for name in re.findall(r"`((?:dataverse|marketing|sign_in|annex)\.\w+)`", table)}
    assert all(name in BOARDS[room].names() for room, name in named)
    assert {name for room, name in named if room == "annex"} == set(AnnexSwitches.names())
    assert {name for room, name in named if room == "sign_in"} == set(SignInSwitches.names())


def test_the_body_of_a_401(crm, switches):
    def told():
        reply = crm.call("GET", "WhoAmI", authorization="Bearer x")
        return reply.status, reply.headers.get("Content-Type"), reply.body[:6]

    assert told() == (401, None, b"")
    switches.unauthorised_body = "json"
    assert told()[2] == b'{"erro'
    switches.unauthorised_body = "html"
    assert told() == (401, "text/html", b"<html>")


def test_the_content_type_of_annotated_rows(crm, switches):
    def told():
        return crm.call("GET", "contacts", prefer='odata.include-annotations="*"').headers["Content-Type"]

    assert told().endswith("odata.metadata=minimal")
    switches.annotated_metadata = "full"
    assert told().endswith("odata.metadata=full")


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("prefer", ["odata.maxpagesize=1", "odata.maxpagesize=5000"])
def test_the_order_of_ids(crm, switches, prefer, descending):
    query = "$orderby=contactid desc" if descending else ""

    def seen():
        return [row_id for page in crm.pages("contacts", query, prefer=prefer) for row_id in ids(page)][
            :: -1 if descending else 1
        ]

    assert seen() == IDS
    switches.id_order = "sql_server"
    assert seen() == [IDS[1], IDS[2], IDS[0]]


@pytest.mark.parametrize(("top", "pages"), [(1, [1]), (2, [2]), (3, [2, 1]), (9, [2, 1])])
def test_top_beside_a_page_size(crm, switches, top, pages):
    def seen():
        return [len(ids(page)) for page in crm.pages("contacts", f"$top={top}", prefer="odata.maxpagesize=2")]

    assert seen() == [2, 1]
    switches.top_with_page_size = "honoured"
    assert seen() == pages


@pytest.mark.parametrize("prefer", ["odata.maxpagesize=1", "odata.track-changes,odata.maxpagesize=1"])
def test_a_skiptoken_that_says_nothing(crm, switches, prefer):
    switches.skiptoken_form = "opaque"
    pages = list(crm.pages("contacts", prefer=prefer))
    assert [row_id for page in pages for row_id in ids(page)] == IDS
    assert all("cookie" not in page["@odata.nextLink"] for page in pages[:-1])


def test_delta_links_on_every_page(crm, switches):
    def linked():
        pages = crm.pages("contacts", prefer="odata.track-changes,odata.maxpagesize=2")
        return ["@odata.deltaLink" in page for page in pages]

    assert linked() == [False, True]
    switches.delta_link_on = "every_page"
    assert linked() == [True, True]


@pytest.mark.parametrize("status", [404, 410, 412, 500])
def test_the_status_of_an_expired_stamp(crm, switches, status):
    query = "$deltatoken=0%2101%2f01%2f2000%2000%3a00%3a00"
    assert crm.error("GET", "contacts", query)[:2] == (400, "0x80044352")
    switches.expired_stamp_status = status
    assert crm.error("GET", "contacts", query)[:2] == (status, "0x80044352")


def test_the_code_of_an_option_beside_tracking(crm, switches):
    switches.tracking_refusal_code = "0x80040216"
    for query in ("$filter=lastname eq 'x'", "$top=1"):
        assert crm.error("GET", "contacts", query, prefer="odata.track-changes")[:2] == (400, "0x80040216")


def test_countdistinct(crm, switches):
    query = "$apply=" + quote("aggregate(lastname with countdistinct as n)")
    assert crm.get("contacts", query)["value"] == [{"n": 3}]
    switches.countdistinct = False
    assert crm.error("GET", "contacts", query)[0] == 400


def test_null_as_an_address(crm, switches):
    account = crm.organisation.create("account", {"name": "A"})
    bound = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    nothing = {"parentcustomerid_account@odata.bind": None}
    path = f"contacts({IDS[0]})"
    assert crm.call("PATCH", path, body=bound).status == 204
    switches.null_bind = "refused"
    assert crm.error("PATCH", path, body=nothing)[:2] == (400, "0x80048d19")
    assert crm.get(path)["_parentcustomerid_value"] == account
    assert crm.call("DELETE", f"{path}/parentcustomerid_account/$ref").status == 204
    assert crm.get(path)["_parentcustomerid_value"] is None
    assert crm.organisation.get("contact", IDS[0])["parentcustomerid"] is None
    switches.null_bind = "clears"
    assert crm.call("PATCH", path, body=nothing).status == 204


def test_the_code_of_a_row_that_is_not_there(crm, switches):
    switches.missing_row_code = ""
    assert crm.error("PATCH", f"contacts({NOBODY})", body={}, if_match="*")[:2] == (404, "")
    assert crm.error("GET", f"contacts({NOBODY})")[:2] == (404, "")


@pytest.mark.parametrize("status", [400, 409])
def test_the_status_of_a_taken_key(crm, switches, status):
    switches.duplicate_status = status
    body = {"contactid": IDS[0], "lastname": "x"}
    assert crm.error("POST", "contacts", body=body)[:2] == (status, "0x80040237")
    # That of a condition is documented.
    assert crm.error("PATCH", f"contacts({IDS[0]})", body={}, if_none_match="*")[0] == 412


@pytest.mark.parametrize(("decimal", "code"), [(False, "0x80072322"), (True, "-2147015902")])
def test_the_code_of_a_429(decimal, code):
    limits = Limits(Clock(), lambda: decimal)
    limits.set({"requests": 0})
    assert json.loads(limits.enter().body)["error"]["code"] == code


@pytest.mark.parametrize(("status", "seen"), [("listed", 401), ("all_400", 400), ("all_401", 401)])
@pytest.mark.parametrize("numbered", [True, False])
def test_refused_sign_ins(crm, status, seen, numbered):
    crm.directory.switches.error_status, crm.directory.switches.error_numbers = status, numbered
    form = (
        "grant_type=client_credentials&client_secret=wrong&scope=https://org.crm4.dynamics.com/.default"
        f"&client_id={next(iter(crm.directory.applications))}"
    )
    path = f"/{crm.directory.tenant_id}/oauth2/v2.0/token"
    reply = application(crm.directory, crm.clock)(Request("POST", path, body=form.encode()))
    body = json.loads(reply.body)
    assert (reply.status, body["error"]) == (seen, "invalid_client")
    assert ("AADSTS" in body["error_description"], "error_codes" in body) == (numbered, numbered)


# Segments


def made(crm, api, **switches):
    crm.organisation.have_segments(api)
    board = crm.organisation.marketing.switches
    for name, value in switches.items():
        setattr(board, name, value)
    return crm


def draft(crm, **columns):
    """An outbound segment."""
    row = {"msdyncrm_segmentname": "S", "msdyncrm_segmenttype": 192350001, "statuscode": 192350000, **columns}
    return crm.call("POST", "msdyncrm_segments", body=row)


def outbound(crm, **body):
    row_id = next(crm.organisation.rows("msdyncrm_segment"))["msdyncrm_segmentid"]
    return crm.call("POST", "msdyncrm_SegmentMembersUpdate", body={"msdyncrm_segmentid": row_id, **body})


def test_replies_that_no_page_shows(crm):
    made(crm, "outbound", unshown_replies="ok")
    draft(crm)
    reply = outbound(crm, msdyncrm_operation="addByIds", msdyncrm_memberids="[]")
    assert reply.status == 200
    assert list(json.loads(reply.body)) == ["@odata.context"]


def test_the_state_reply(crm):
    draft(made(crm, "outbound", state_reply="no_content"))
    assert outbound(crm, msdyncrm_operation="getState").status == 204


@pytest.mark.parametrize(("value", "status"), [("ignored", 204), ("refused", 400)])
def test_ids_of_nobody(crm, value, status):
    draft(made(crm, "outbound", unknown_member_ids=value))
    given = json.dumps([IDS[0], NOBODY])
    assert outbound(crm, msdyncrm_operation="addByIds", msdyncrm_memberids=given).status == status
    assert outbound(crm, msdyncrm_operation="removeByIds", msdyncrm_memberids=given).status == 204


def test_the_prefix_of_member_ids(crm):
    draft(made(crm, "outbound", member_id_prefix="crm", member_update_seconds=0))
    outbound(crm, msdyncrm_operation="addByIds", msdyncrm_memberids=json.dumps(IDS[:1]))
    (row,) = crm.get("msdyncrm_segments")["value"]
    assert json.loads(row["msdyncrm_segmentmemberids"]) == [f"crm{IDS[0]}"]


@pytest.mark.parametrize(
    ("spoken", "new", "old"),
    [("any", 204, 204), ("msdyncrm_segmentquery", 204, 400), ("msdyncrm_query", 400, 204)],
)
def test_the_name_of_the_query(crm, spoken, new, old):
    made(crm, "outbound", segment_query_member=spoken)
    assert draft(crm, msdyncrm_segmentquery="PROFILE(contact)").status == new
    assert draft(crm, msdyncrm_query="PROFILE(contact)").status == old


@pytest.mark.parametrize(("value", "problems"), [("any_case", 0), ("upper_case", 1)])
def test_the_case_of_keywords(crm, value, problems):
    made(crm, "outbound", query_keywords=value)

    def found(query):
        row = {"msdyncrm_segmentname": "S", "msdyncrm_segmenttype": 192350000, "msdyncrm_segmentquery": query}
        reply = crm.call("POST", "msdyncrm_ValidateSegment", body=row)
        return len(json.loads(json.loads(reply.body)["ValidationResult"]))

    assert found("PROFILE(contact).FILTER(ISNOTNULL(lastname))") == 0
    assert found("profile(contact).filter(isnotnull(lastname))") == problems


@pytest.fixture
def journey(crm):
    """An organisation with a draft of journeys; the ids of its segment and its definition."""
    made(crm, "journeys")
    crm.organisation.create("msdynmkt_segmentdefinition", {"msdynmkt_segmentdefinitionid": IDS[0]})
    row = {"msdynmkt_segmentid": IDS[1], "msdynmkt_displayname": "S", "msdynmkt_sourcesegmentuid": IDS[0]}
    crm.organisation.create("msdynmkt_segment", row)
    return crm


@pytest.mark.parametrize(
    ("taken", "segment", "definition"), [("either", 200, 200), ("segment", 200, 404), ("definition", 404, 200)]
)
def test_whose_id_a_segment_id_is(journey, taken, segment, definition):
    journey.organisation.marketing.switches.journey_segment_ids = taken
    seen = [journey.call("POST", "msdynmkt_MembersList", body={"SegmentId": each}).status for each in IDS[1::-1]]
    assert seen == [segment, definition]


def test_members_of_a_draft(journey):
    journey.organisation.marketing.switches.not_live_members = "http"
    assert journey.error("POST", "msdynmkt_MembersList", body={"SegmentId": IDS[1]})[0] == 400


def test_switches_are_turned_all_or_none(sandbox):
    with pytest.raises(ValueError, match="duplicate_status"):
        sandbox.control.turn({"annex": {"page_size": 3}, "dataverse": {"duplicate_status": 418}})
    assert sandbox.site.switches.page_size == 25
    sandbox.control.turn({"sign_in": {"error_numbers": False}, "annex": {"segment_types": ["fest", "flexibel"]}})
    assert sandbox.control.switches()["sign_in"]["error_numbers"] is False
    sandbox.control.reset()
    assert sandbox.control.switches()["sign_in"]["error_numbers"] is True


@pytest.mark.parametrize(
    ("room", "name", "value"),
    [
        ("dataverse", "max_page_size", 0),
        ("dataverse", "max_page_size", True),
        ("dataverse", "unreadable_tables", "contact"),
        ("dataverse", "unreadable_tables", [1]),
        ("dataverse", "change_tracking", {"contact": 1}),
        ("dataverse", "solutions", {1: "x"}),
        ("dataverse", "member", 1),
        ("marketing", "going_live_seconds", -1),
        ("marketing", "refused_segments", {"x": "403"}),
        ("sign_in", "error_status", 400),
    ],
)
def test_wrong_values_are_refused(room, name, value):
    with pytest.raises(ValueError, match=name):
        setattr(BOARDS[room](), name, value)


def test_any_text_goes_through_a_skiptoken_that_says_nothing(crm, switches):
    switches.skiptoken_form = "opaque"
    for number in range(3):
        crm.organisation.create("contact", {"lastname": f"Ü & <{number}> %2541'"})
    seen = [
        row["lastname"]
        for page in crm.pages("contacts", "$orderby=lastname desc", prefer="odata.maxpagesize=1")
        for row in page["value"]
    ]
    assert seen == [*(f"Ü & <{n}> %2541'" for n in (2, 1, 0)), "N2", "N1", "N0"]
    assert crm.error("GET", "contacts", "$skiptoken=" + quote("no token"))[:2] == (400, "0x80060888")
