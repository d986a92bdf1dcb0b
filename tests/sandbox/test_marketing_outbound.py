from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

SET = "msdyncrm_segments"
DRAFT, LIVE, STOPPED, EXPIRED, ERROR, GOING_LIVE, STOPPING = (192350000 + n for n in (0, 1, 2, 4, 5, 6, 7))
QUERY = "PROFILE(contact).FILTER(lastname == 'Lee')"
SEGMENT = "e0000000-0000-4000-8000-000000000001"


def contact(number):
    return f"a0000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def crm(dataverse):
    """An organisation with six contacts, three of them called Lee."""
    dataverse.organisation.have_segments("both")
    for number in range(6):
        row = {"contactid": contact(number), "firstname": f"N{number}", "lastname": "Lee" if number < 3 else "Kim"}
        dataverse.organisation.create("contact", row)
    return dataverse


@pytest.fixture
def switches(crm):
    return crm.organisation.marketing.switches


def create(crm, **columns):
    body = {"msdyncrm_segmentid": SEGMENT, "msdyncrm_segmentname": "Lees", **columns}
    reply = crm.call("POST", SET, body=body)
    assert reply.status == 204, reply.body
    return SEGMENT


def dynamic(crm, **columns):
    return create(crm, msdyncrm_segmentquery=QUERY, statuscode=GOING_LIVE, **columns)


def static(crm, numbers=(), **columns):
    memo = json.dumps([contact(number) for number in numbers])
    return create(crm, msdyncrm_segmenttype=192350001, msdyncrm_segmentmemberids=memo, **columns)


def row(crm):
    return crm.get(f"{SET}({SEGMENT})")


def members(crm):
    return [int(member[-12:]) for member in crm.organisation.marketing.members(SEGMENT)]


def go_live(crm):
    crm.clock.advance(60)
    assert row(crm)["statuscode"] == LIVE


def update(crm, operation, **more):
    body = {"msdyncrm_segmentid": SEGMENT, "msdyncrm_operation": operation, **more}
    return crm.call("POST", "msdyncrm_SegmentMembersUpdate", body=body)


def asked(crm, *, skip=0, take=2, page=None, name=None, attributes=("fullname", "contactid")):
    columns = "".join(f'<attribute name="{each}"/>' for each in attributes)
    return {
        "Query": f"(SEGMENT({name or row(crm)['msdyncrm_segmentqueryname']}))"
        f".ORDERBY(fullname ASC).SKIP({skip}).TAKE({take}).SELECT(contactid)",
        "FetchXml": f'<fetch count="{take}" page="{page or skip // take + 1}" returntotalrecordcount="true">'
        f'<entity name="contact">{columns}</entity></fetch>',
        "Scope": 270100000,
        "TimeZone": None,
    }


def fetch(crm, **how):
    reply = crm.call("POST", "msdyncrm_FetchContactsByQuery", body=asked(crm, **how), version="v9.0")
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def test_a_dynamic_segment_goes_live_refreshes_and_stops(crm):
    dynamic(crm, msdyncrm_segmentrefreshrateintervalminutes=10)
    assert (row(crm)["statuscode"], row(crm)["msdyncrm_segmentqueryname"], members(crm)) == (GOING_LIVE, None, [])
    go_live(crm)
    first = row(crm)
    assert (first["msdyncrm_islive"], first["msdyncrm_segmentsize"], members(crm)) == (True, 3, [0, 1, 2])
    assert first["msdyncrm_segmentqueryname"] == f"SEGMENT_CRM_ID_{SEGMENT.replace('-', '')}"
    crm.organisation.create("contact", {"contactid": contact(7), "lastname": "Lee"})
    crm.clock.advance(9 * 60)
    assert members(crm) == [0, 1, 2]
    crm.clock.advance(25 * 60)  # three refreshes, of which the last is done
    after = row(crm)
    assert members(crm) == [0, 1, 2, 7]
    evaluated = [datetime.fromisoformat(at["msdyncrm_lastevaluationtime"][:-1]) for at in (first, after)]
    assert evaluated[1] - evaluated[0] == timedelta(minutes=30)
    assert after["msdyncrm_nextevaluation"] > after["msdyncrm_lastevaluationtime"]
    assert crm.call("PATCH", f"{SET}({SEGMENT})", body={"statuscode": STOPPING}).status == 204
    assert row(crm)["statuscode"] == STOPPING
    crm.clock.advance(60)
    assert (row(crm)["statuscode"], row(crm)["msdyncrm_islive"], members(crm)) == (STOPPED, False, [])
    version = row(crm)["versionnumber"]
    crm.clock.advance(15 * 60)
    assert row(crm)["versionnumber"] == version
    assert crm.call("PATCH", f"{SET}({SEGMENT})", body={"statuscode": GOING_LIVE}).status == 204
    go_live(crm)


@pytest.mark.parametrize("status", [LIVE, STOPPED, ERROR, STOPPING])
def test_the_states_of_the_service_are_not_for_clients(crm, status):
    body = {"msdyncrm_segmentname": "x", "msdyncrm_segmentquery": QUERY}
    assert crm.error("POST", SET, body={**body, "statuscode": status})[:2] == (400, "0x80040265")
    create(crm, **body)
    assert crm.error("PATCH", f"{SET}({SEGMENT})", body={"statuscode": status})[:2] == (400, "0x80040265")
    assert row(crm)["statuscode"] == DRAFT


def test_an_expired_segment_stays_so(crm):
    dynamic(crm)
    go_live(crm)
    assert crm.call("PATCH", f"{SET}({SEGMENT})", body={"statuscode": STOPPING}).status == 204
    crm.clock.advance(60)
    assert crm.call("PATCH", f"{SET}({SEGMENT})", body={"statecode": 1}).status == 204
    assert (row(crm)["statecode"], row(crm)["statuscode"]) == (1, EXPIRED)
    assert crm.error("PATCH", f"{SET}({SEGMENT})", body={"statecode": 0, "statuscode": GOING_LIVE})[0] == 400


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"msdyncrm_segmentname": None, "msdyncrm_segmentquery": QUERY},
        {"msdyncrm_segmentquery": "PROFILE(contact).FILTER(nosuch == 1)"},
        {"msdyncrm_segmentquery": "PROFILE(lead)"},
        {"msdyncrm_segmenttype": 192350001, "msdyncrm_segmentmemberids": "not json"},
        {"msdyncrm_segmenttype": 192350001, "msdyncrm_segmentmemberids": '["x"]'},
    ],
)
def test_a_draft_may_be_anything_a_segment_not(crm, columns):
    columns = {"msdyncrm_segmentname": "x", **columns}
    status, code, message = crm.error("POST", SET, body={**columns, "statuscode": GOING_LIVE})
    assert (status, code) == (400, "0x80040265")
    assert "SegmentDciValidator_SegmentInvalid" in message
    validated = crm.call("POST", "msdyncrm_ValidateSegment", body=columns)
    assert json.loads(json.loads(validated.body)["ValidationResult"]) == json.loads(message)
    assert crm.call("POST", SET, body={**columns, "statuscode": DRAFT}).status == 204


def test_a_good_segment_is_valid(crm):
    reply = crm.call("POST", "msdyncrm_ValidateSegment", body={"msdyncrm_segmentname": "x", "msdyncrm_query": QUERY})
    assert json.loads(reply.body)["ValidationResult"] == "[]"


def test_a_compound_of_other_names_for_columns(crm):
    dynamic(crm)
    go_live(crm)
    query = "SEGMENT(Lees) EXCEPT PROFILE(contact).FILTER(firstname == 'N1')"
    body = {"msdyncrm_segmentname": "c", "msdyncrm_segmenttype": 192350002, "msdyncrm_query": query}
    reply = crm.call("POST", SET, body={**body, "statuscode": GOING_LIVE}, prefer="return=representation")
    made = json.loads(reply.body)
    assert made["msdyncrm_segmentquery"] == query
    crm.clock.advance(60)
    found = crm.organisation.marketing.members(made["msdyncrm_segmentid"])
    assert found == [contact(0), contact(2)]


def test_a_failing_segment_ends_in_error_and_comes_back(crm, switches):
    switches.failing_segments = ["Lees"]
    dynamic(crm)
    crm.clock.advance(60)
    assert (row(crm)["statuscode"], members(crm)) == (ERROR, [])
    switches.failing_segments = []
    assert crm.call("PATCH", f"{SET}({SEGMENT})", body={"statuscode": GOING_LIVE}).status == 204
    go_live(crm)


def test_static_members(crm):
    static(crm, [4, 3])
    assert members(crm) == []
    crm.call("PATCH", f"{SET}({SEGMENT})", body={"statuscode": GOING_LIVE})
    go_live(crm)
    assert members(crm) == [3, 4]
    ids = [contact(0), f"crm{contact(1)}", contact(99)]
    assert update(crm, "addByIds", msdyncrm_memberids=json.dumps(ids)).status == 204
    assert members(crm) == [3, 4]
    crm.clock.advance(1)
    assert members(crm) == [0, 1, 3, 4]
    assert row(crm)["msdyncrm_segmentsize"] == 4
    assert json.loads(row(crm)["msdyncrm_segmentmemberids"]) == [contact(n) for n in (0, 1, 3, 4)]
    assert update(crm, "removeByQuery", msdyncrm_query=QUERY).status == 204
    crm.clock.advance(1)
    assert members(crm) == [3, 4]
    crm.call("PATCH", f"{SET}({SEGMENT})", body={"msdyncrm_segmentmemberids": json.dumps([contact(5)])})
    crm.clock.advance(1)
    assert members(crm) == [5]
    crm.call("PATCH", f"{SET}({SEGMENT})", body={"msdyncrm_segmentmemberids": None})
    crm.clock.advance(1)
    assert (members(crm), row(crm)["msdyncrm_segmentsize"]) == ([], 0)
    state = json.loads(update(crm, "getState").body)
    assert state["msdyncrm_state"] == "Live"


def test_an_evaluation_leaves_out_who_was_deleted(crm):
    static(crm, [1, 2, 3])
    crm.call("PATCH", f"{SET}({SEGMENT})", body={"statuscode": GOING_LIVE})
    go_live(crm)
    crm.organisation.delete("contact", contact(2))
    assert row(crm)["msdyncrm_segmentsize"] == 3, "as it was evaluated last"
    assert update(crm, "removeByIds", msdyncrm_memberids=json.dumps([contact(3)])).status == 204
    crm.clock.advance(1)
    assert (members(crm), row(crm)["msdyncrm_segmentsize"]) == ([1], 1)


def test_actions_of_2019(crm):
    static(crm, [1])
    body = {"msdyncrm_segmentid": SEGMENT, "msdyncrm_segmentmemberids": json.dumps([contact(2), contact(3)])}
    assert crm.call("POST", "msdyncrm_IncludeMembersInSegment", body=body).status == 204
    body = {"msdyncrm_segmentid": SEGMENT, "msdyncrm_segmentmemberid": contact(1)}
    assert crm.call("POST", "msdyncrm_ExcludeMemberFromSegment", body=body).status == 204
    crm.clock.advance(1)
    assert json.loads(row(crm)["msdyncrm_segmentmemberids"]) == [contact(2), contact(3)]
    assert members(crm) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"msdyncrm_segmentid": "x"}, 400),
        ({"msdyncrm_segmentid": contact(1)}, 404),
        ({"msdyncrm_operation": "add"}, 400),
        ({"msdyncrm_operation": "addByIds"}, 400),
        ({"msdyncrm_operation": "addByIds", "msdyncrm_memberids": '["x"]'}, 400),
        ({"msdyncrm_operation": "addByIds", "msdyncrm_memberids": json.dumps([contact(1)] * 20_001)}, 400),
        ({"msdyncrm_operation": "addByQuery", "msdyncrm_query": "PROFILE(lead)"}, 400),
        ({"msdyncrm_operation": "addByQuery", "msdyncrm_query": "nonsense"}, 400),
        ([], 400),
        (b"{", 400),
    ],
)
def test_updates_that_are_refused(crm, body, status):
    static(crm)
    full = {"msdyncrm_segmentid": SEGMENT, **body} if isinstance(body, dict) else body
    assert crm.error("POST", "msdyncrm_SegmentMembersUpdate", body=full)[0] == status


def test_members_of_a_dynamic_segment_are_not_changed(crm):
    dynamic(crm)
    assert update(crm, "addByIds", msdyncrm_memberids="[]").status == 400


def test_fetching_pages(crm):
    dynamic(crm)
    go_live(crm)
    pages = [fetch(crm, skip=skip)["value"] for skip in (0, 2)]
    assert [each["fullname"] for page in pages for each in page] == ["N0 Lee", "N1 Lee", "N2 Lee"]
    assert set(pages[0][0]) == {"@odata.etag", "fullname", "contactid"}
    body = fetch(crm, attributes=("emailaddress1", "company", "parentcustomerid"))
    assert (body["@odata.count"], set(body["value"][0])) == (3, {"@odata.etag", "contactid"})


def test_every_shape_of_the_reply(crm, switches):
    dynamic(crm)
    go_live(crm)
    plain = fetch(crm)["value"]
    switches.fetch_reply = "entities"
    entities = fetch(crm)["Contacts"]
    assert (entities["Entities"], entities["TotalRecordCount"], entities["MoreRecords"]) == (plain, 3, True)
    switches.fetch_reply = "text"
    assert json.loads(fetch(crm)["Response"])["contacts"] == plain
    with pytest.raises(ValueError, match="fetch_reply"):
        switches.fetch_reply = "xml"


def test_a_part_of_a_segment_behind_the_wall(crm, switches):
    dynamic(crm)
    go_live(crm)
    switches.most_paged_rows = 2
    assert len(fetch(crm, skip=0)["value"]) == 2
    assert crm.error("POST", "msdyncrm_FetchContactsByQuery", body=asked(crm, skip=2))[:2] == (400, "0x8004430A")
    body = asked(crm)
    body["Query"] = body["Query"].replace(
        ")).ORDERBY(", f") INTERSECT PROFILE(contact).FILTER(contactid > '{contact(1)}')).ORDERBY("
    )
    found = json.loads(crm.call("POST", "msdyncrm_FetchContactsByQuery", body=body).body)["value"]
    assert [each["contactid"] for each in found] == [contact(2)]


def test_pages_must_be_in_step(crm, switches):
    dynamic(crm)
    go_live(crm)
    assert crm.call("POST", "msdyncrm_FetchContactsByQuery", body=asked(crm, skip=2, page=1)).status == 400
    switches.pages_in_step = False
    assert len(fetch(crm, skip=2, page=1)["value"]) == 1


def test_fetches_that_are_refused(crm):
    dynamic(crm)
    name = f"SEGMENT_CRM_ID_{SEGMENT.replace('-', '')}"

    def code(**changes):
        return crm.error("POST", "msdyncrm_FetchContactsByQuery", body={**asked(crm, name=name), **changes})[:2]

    assert code() == (400, "0x80040265")  # not live yet
    go_live(crm)
    assert code(Query="nonsense") == (400, "0x80040265")
    assert code(Query=f"SEGMENT({name}).ORDERBY(nosuch)") == (400, "0x80040265")
    assert code(Query="PROFILE(lead)") == (400, "0x80040265")
    assert code(FetchXml="<fetch") == (400, "0x80041102")
    assert code(FetchXml="<fetch><entity name='lead'/></fetch>") == (400, "0x80041102")
    assert code(FetchXml="<fetch page='0'><entity name='contact'/></fetch>") == (400, "0x80041102")
    unknown = "<fetch><entity name='contact'><attribute name='nosuch'/></entity></fetch>"
    assert code(FetchXml=unknown) == (400, "0x80041103")


@pytest.mark.parametrize("named", [SEGMENT, "Lees"])
@pytest.mark.parametrize(("status", "code"), [(403, "0x80040220"), (500, "0x80040216")])
def test_a_segment_whose_members_are_refused(crm, switches, named, status, code):
    dynamic(crm)
    go_live(crm)
    switches.refused_segments = {named: status}
    assert crm.error("POST", "msdyncrm_FetchContactsByQuery", body=asked(crm))[:2] == (status, code)


def test_unreadable_contacts(crm):
    dynamic(crm)
    go_live(crm)
    crm.organisation.switches.unreadable_tables = ["contact"]
    assert crm.error("POST", "msdyncrm_FetchContactsByQuery", body=asked(crm))[:2] == (403, "0x80040220")


def test_the_state_of_2026(crm, switches):
    static(crm, [1, 2], statuscode=GOING_LIVE)
    go_live(crm)
    body = asked(crm)
    switches.outbound_withdrawn = True
    assert row(crm)["msdyncrm_segmentname"] == "Lees"
    assert (row(crm)["msdyncrm_segmentmemberids"], members(crm)) == (None, [])
    version = row(crm)["versionnumber"]
    assert row(crm)["versionnumber"] == version
    assert crm.error("POST", "msdyncrm_FetchContactsByQuery", body=body)[:2] == (404, "0x80060888")
    assert crm.error("PATCH", f"{SET}({SEGMENT})", body={"statuscode": GOING_LIVE})[:2] == (400, "0x80040265")


def test_a_deleted_segment_is_forgotten(crm):
    dynamic(crm)
    assert crm.call("DELETE", f"{SET}({SEGMENT})").status == 204
    crm.clock.advance(300)
    assert members(crm) == []
    assert crm.error("GET", f"{SET}({SEGMENT})")[0] == 404


def test_metadata(crm):
    path = "EntityDefinitions(LogicalName='msdyncrm_segment')"
    body = crm.get(f"{path}/Attributes/Microsoft.Dynamics.CRM.StatusAttributeMetadata", "$expand=OptionSet")
    options = body["value"][0]["OptionSet"]["Options"]
    labels = {each["Value"]: (each["State"], each["Label"]["UserLocalizedLabel"]["Label"]) for each in options}
    assert labels[GOING_LIVE] == (0, "Going live")
    assert labels[EXPIRED] == (1, "Expired")
    assert b"msdyncrm_SegmentTemplate" in crm.call("GET", "$metadata").body
    create(crm, msdyncrm_segmentquery=QUERY)
    found = crm.get(SET, "$select=msdyncrm_segmentname&$filter=msdyncrm_segmentname eq 'lees'",
                    prefer='odata.include-annotations="*"')  # fmt: skip
    assert [each["msdyncrm_segmentname"] for each in found["value"]] == ["Lees"]


def test_without_the_generation_there_is_nothing(crm):
    crm.organisation.have_segments("journeys")
    assert crm.error("GET", SET)[0] == 404
    assert crm.error("POST", "msdyncrm_FetchContactsByQuery", body={})[0] == 404
