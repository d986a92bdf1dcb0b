from __future__ import annotations

import json

import pytest

DEFINITIONS, SEGMENTS = "msdynmkt_segmentdefinitions", "msdynmkt_segments"
DEFINITION, SEGMENT, GROUP, OTHER = (f"e0000000-0000-4000-8000-00000000000{n}" for n in range(4))
LIVE, DRAFT, GOING_LIVE, DELETED, _, STOPPING, STOPPED = range(723270000, 723270007)
ACTIVE, INACTIVE, ERROR, COMPUTING = 1, 2, 3, 6
QUERY = "PROFILE(contact).FILTER(lastname == 'Lee')"


def contact(number):
    return f"a0000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def crm(dataverse):
    """An organisation with six contacts, three of them called Lee, and two leads."""
    dataverse.organisation.have_segments("journeys")
    for number in range(6):
        row = {"contactid": contact(number), "firstname": f"N{number}", "lastname": "Lee" if number < 3 else "Kim"}
        dataverse.organisation.create("contact", row)
    for number in range(2):
        dataverse.organisation.create("lead", {"leadid": contact(number + 10), "lastname": "Lee"})
    return dataverse


def act(crm, name, **body):
    return crm.call("POST", f"msdynmkt_{name}", body=body)


def definition(crm):
    return crm.get(f"{DEFINITIONS}({DEFINITION})")


def segment(crm):
    return crm.get(f"{SEGMENTS}({SEGMENT})")


def create(crm, base="contact", **columns):
    """A definition and its segment, as the page has them."""
    body = {"msdynmkt_segmentdefinitionid": DEFINITION, "statecode": 0, "statuscode": DRAFT, **columns}
    assert crm.call("POST", DEFINITIONS, body=body).status == 204
    unit = next(crm.organisation.rows("businessunit"), None)
    owner = {"owningbusinessunit@odata.bind": f"/businessunits({unit['businessunitid']})"} if unit else {}
    body = {
        "msdynmkt_segmentid": SEGMENT,
        "msdynmkt_displayname": "Lees",
        "msdynmkt_type": 11,
        "msdynmkt_source": 12,
        "msdynmkt_baseentitylogicalname": base,
        "statecode": 1,
        "statuscode": 2,
        "msdynmkt_sourcesegmentuid": DEFINITION,
        **owner,
    }
    assert crm.call("POST", SEGMENTS, body=body).status == 204
    assert (segment(crm)["statecode"], segment(crm)["statuscode"]) == (1, INACTIVE)


def static(crm, **more):
    groups = [
        {"groupId": GROUP, "includeType": "Include", "name": "in", "inputType": "manualSelect"},
        {"groupId": OTHER, "includeType": "Exclude", "name": "out", "inputType": "manualSelect"},
    ]
    create(crm, msdynmkt_staticlistmembers=json.dumps(groups), **more)


def publish(crm, segment_id=SEGMENT):
    reply = act(crm, "PublishSegmentDefinition", SegmentId=segment_id)
    assert reply.status == 204, reply.body
    assert (definition(crm)["statuscode"], segment(crm)["statuscode"]) == (GOING_LIVE, COMPUTING)
    crm.clock.advance(60)


def listed(crm, segment_id=SEGMENT):
    reply = json.loads(act(crm, "MembersList", SegmentId=segment_id).body)
    assert reply["@odata.context"].endswith("msdynmkt_MembersListResponse")
    assert reply["StatusCode"] == 200, reply
    return json.loads(reply["ResultText"])


def numbers(crm):
    return [int(member[-12:]) for member in listed(crm)["members"]]


@pytest.mark.parametrize("segment_id", [SEGMENT, DEFINITION])
def test_a_dynamic_segment_is_published_refreshed_and_stopped(crm, segment_id):
    create(crm, msdynmkt_segmentquery=QUERY, msdynmkt_segmentrefreshintervalminutes=10)
    draft = json.loads(act(crm, "MembersList", SegmentId=segment_id).body)
    assert draft["StatusCode"] == 400
    publish(crm, segment_id)
    first = segment(crm)
    assert (definition(crm)["statuscode"], first["statuscode"], first["msdynmkt_membercount"]) == (LIVE, ACTIVE, 3)
    result = listed(crm, segment_id)
    assert result["members"] == crm.organisation.marketing.members(segment_id) == [contact(n) for n in range(3)]
    assert (result["baseEntityLogicalName"], result["primaryKeyColumnName"]) == ("contact", "contactid")
    crm.organisation.create("contact", {"contactid": contact(7), "lastname": "Lee"})
    crm.clock.advance(25 * 60)
    assert numbers(crm) == [0, 1, 2, 7]
    assert segment(crm)["msdynmkt_lastevaluated"] > first["msdynmkt_lastevaluated"]
    reply = json.loads(act(crm, "StopSegments", SegmentIdList=[segment_id, contact(1)]).body)
    assert [each["WasStopped"] for each in reply["stopSingleSegmentResults"]] == [True, False]
    assert definition(crm)["statuscode"] == STOPPING
    crm.clock.advance(60)
    assert (definition(crm)["statuscode"], segment(crm)["statuscode"], segment(crm)["statecode"]) == (STOPPED, 9, 1)
    assert crm.organisation.marketing.members(segment_id) == []
    again = json.loads(act(crm, "StopSegments", SegmentIdList=[segment_id]).body)["stopSingleSegmentResults"][0]
    assert (again["WasStopped"], again["Message"]) == (False, "The segment is not live.")


def test_refreshes_can_be_switched_off(crm):
    create(crm, msdynmkt_segmentquery=QUERY, msdynmkt_disablesegmentrefresh=True)
    publish(crm)
    before = segment(crm)["msdynmkt_lastevaluated"]
    crm.organisation.marketing.switches.refresh_minutes = 1
    crm.clock.advance(1800)
    assert segment(crm)["msdynmkt_lastevaluated"] == before


def test_static_groups(crm):
    static(crm)
    ids = [contact(number) for number in range(6)]
    assert act(crm, "AddStaticMembers", SegmentId=SEGMENT, GroupId=GROUP, EntityIds=[*ids, contact(99)]).status == 204
    assert act(crm, "AddStaticMembers", SegmentId=SEGMENT, GroupId=OTHER, EntityIds=ids[4:]).status == 204
    publish(crm)
    assert numbers(crm) == [0, 1, 2, 3]
    assert act(crm, "RemoveStaticMembers", SegmentId=SEGMENT, GroupId=GROUP, EntityIds=ids[:2]).status == 204
    crm.clock.advance(1)
    assert numbers(crm) == [2, 3]
    assert segment(crm)["msdynmkt_membercount"] == 2

    def page(number, size):
        reply = act(crm, "ListGroupMembers", SegmentId=SEGMENT, GroupId=GROUP, PageNo=number, PageSize=size)
        return json.loads(json.loads(reply.body)["Response"])["entityIds"]

    assert [page(1, 3), page(2, 3)] == [ids[2:5], ids[5:]]


def test_a_query_and_groups_together(crm):
    static(crm, msdynmkt_segmentquery=QUERY)
    act(crm, "AddStaticMembers", SegmentId=SEGMENT, GroupId=GROUP, EntityIds=[contact(5)])
    act(crm, "AddStaticMembers", SegmentId=SEGMENT, GroupId=OTHER, EntityIds=[contact(0)])
    publish(crm)
    assert numbers(crm) == [1, 2, 5]


def test_a_segment_of_leads(crm):
    create(crm, "lead", msdynmkt_segmentquery="PROFILE(lead).FILTER(lastname == 'Lee')")
    publish(crm)
    assert (listed(crm)["primaryKeyColumnName"], numbers(crm)) == ("leadid", [10, 11])


def test_a_segment_of_segments(crm):
    create(crm, msdynmkt_segmentquery=QUERY)
    publish(crm)
    query = f"SEGMENT('Lees') EXCEPT PROFILE(contact).FILTER(contactid == '{contact(1)}')"
    body = {"msdynmkt_segmentdefinitionid": OTHER, "msdynmkt_segmentquery": query, "statuscode": LIVE}
    assert crm.call("POST", DEFINITIONS, body=body).status == 204
    crm.clock.advance(60)
    assert json.loads(json.loads(act(crm, "MembersList", SegmentId=OTHER).body)["ResultText"])["members"] == [
        contact(0),
        contact(2),
    ]


def test_what_cannot_be_published(crm):
    create(crm, msdynmkt_segmentquery="PROFILE(contact).FILTER(nosuch == 1)")
    assert act(crm, "PublishSegmentDefinition", SegmentId=SEGMENT).status == 400
    assert definition(crm)["statuscode"] == DRAFT
    path = f"{DEFINITIONS}({DEFINITION})"
    assert crm.error("PATCH", path, body={"statuscode": GOING_LIVE})[:2] == (400, "0x80040265")
    for status in (STOPPING, STOPPED):
        assert crm.error("PATCH", path, body={"statuscode": status})[:2] == (400, "0x80040265")
    crm.call("PATCH", path, body={"msdynmkt_segmentquery": QUERY})
    publish(crm)
    assert act(crm, "PublishSegmentDefinition", SegmentId=SEGMENT).status == 400


def test_a_failing_segment(crm):
    crm.organisation.marketing.switches.failing_segments = [SEGMENT]
    create(crm, msdynmkt_segmentquery=QUERY)
    publish(crm)
    assert (definition(crm)["statuscode"], segment(crm)["statuscode"]) == (DRAFT, ERROR)
    assert definition(crm)["msdynmkt_computationstatus"] == 723270002


@pytest.mark.parametrize("status", [403, 500])
def test_a_segment_whose_members_are_refused(crm, status):
    create(crm, msdynmkt_segmentquery=QUERY)
    publish(crm)
    crm.organisation.marketing.switches.refused_segments = {"Lees": status}
    assert act(crm, "MembersList", SegmentId=SEGMENT).status == status


def test_deleted_by_status_and_by_delete(crm):
    create(crm, msdynmkt_segmentquery=QUERY)
    publish(crm)
    body = {"statecode": 1, "statuscode": DELETED}
    assert crm.call("PATCH", f"{DEFINITIONS}({DEFINITION})", body=body).status == 204
    assert (segment(crm)["statuscode"], crm.organisation.marketing.members(SEGMENT)) == (4, [])
    assert crm.call("DELETE", f"{SEGMENTS}({SEGMENT})").status == 204
    assert crm.call("DELETE", f"{DEFINITIONS}({DEFINITION})").status == 204
    crm.clock.advance(60)
    assert act(crm, "MembersList", SegmentId=SEGMENT).status == 404


def test_the_status_of_a_segment_is_that_of_its_definition(crm):
    create(crm, msdynmkt_segmentquery=QUERY)
    crm.call(
        "PATCH", f"{SEGMENTS}({SEGMENT})", body={"statecode": 0, "statuscode": ACTIVE, "msdynmkt_description": "x"}
    )
    assert (segment(crm)["statuscode"], segment(crm)["msdynmkt_description"]) == (INACTIVE, "x")


@pytest.mark.parametrize(
    "groups",
    [
        "nonsense",
        "{}",
        '[{"groupId": "x", "includeType": "Include"}]',
        json.dumps([{"groupId": GROUP, "includeType": "Maybe"}]),
        json.dumps([{"groupId": GROUP, "includeType": "Include"}] * 11),
    ],
)
def test_groups_that_are_none(crm, groups):
    assert crm.error("POST", DEFINITIONS, body={"msdynmkt_staticlistmembers": groups})[:2] == (400, "0x80040265")


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("AddStaticMembers", {"EntityIds": [contact(1)] * 1001}, 400),
        ("AddStaticMembers", {"EntityIds": ["x"]}, 400),
        ("AddStaticMembers", {"EntityIds": None}, 400),
        ("AddStaticMembers", {"GroupId": contact(1), "EntityIds": []}, 400),
        ("AddStaticMembers", {"SegmentId": contact(1), "EntityIds": []}, 404),
        ("MembersList", {"SegmentId": "x"}, 400),
        ("MembersList", {"SegmentId": None}, 400),
        ("ListGroupMembers", {"PageNo": 0, "PageSize": 5}, 400),
        ("ListGroupMembers", {"PageNo": 1}, 400),
        ("StopSegments", {"SegmentIdList": SEGMENT}, 400),
    ],
)
def test_requests_that_are_refused(crm, name, body, status):
    static(crm)
    assert act(crm, name, **{"SegmentId": SEGMENT, "GroupId": GROUP, **body}).status == status


def test_without_the_generation_there_is_nothing(crm):
    crm.organisation.have_segments("outbound")
    assert crm.error("GET", SEGMENTS)[0] == 404
    assert act(crm, "MembersList", SegmentId=SEGMENT).status == 404
