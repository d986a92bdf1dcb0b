"""Segments (Annex page section 10)."""

from __future__ import annotations

import pytest
from annexcloud_client import SITE_ID, STAMP, Client, content, failure
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.annexcloud import rules

BASE = {"name": "VIP", "fromDate": "2026-01-01", "toDate": "2026-12-31"}
FULL = {**BASE, "type": "static", "status": "ACTIVE", "externalId": "guid-1", "externalName": "VIP (CRM)"}


@pytest.fixture
def client() -> Client:
    client = Client()
    client.site.put_members({"id": f"u{number}", "firstName": "Ada"} for number in range(5))
    return client


def create(client: Client, **changes: object) -> dict:
    return content(client.send("POST", "/segment", {**BASE, **changes}), 201)


def update(client: Client, segment_id: str = "550", **changes: object) -> dict:
    return content(client.send("PATCH", f"/segment/{segment_id}", {**BASE, "id": segment_id, **changes}))


def definition(client: Client, segment_id: str = "550") -> dict:
    return content(client.get(f"/segment/{segment_id}", segment_id))["segmentDetail"]


def listed(client: Client, segment_id: str = "550") -> list[str]:
    return definition(client, segment_id)["memberDetails"]["userId"]


def eligible(client: Client, segment_id: str = "550", query: str = "") -> dict:
    signed = f'"{segment_id}"'.encode()
    return content(client.raw("GET", f"/eligiblesegment/{segment_id}", signed=signed, query=query))


def listing(client: Client, status: str = "all") -> list[dict]:
    return content(client.get(f"/segmentlist/{status}", status))["allSegmentDetails"]


# -- create


def test_create_answers_the_documented_fields(client: Client):
    assert content(client.send("POST", "/segment", {**FULL, "member": "u1,u2"}), 201) == {
        "siteId": SITE_ID,
        "segmentId": "550",
        "segmentName": "VIP",
        "segmentType": "static",
        "segmentFromDate": "2026-01-01",
        "segmentToDate": "2026-12-31",
        "member": "u1,u2",
        "status": "ACTIVE",
        "externalId": "guid-1",
        "externalName": "VIP (CRM)",
    }
    assert listed(client) == ["u1", "u2"]


def test_create_defaults(client: Client):
    made = create(client)
    assert (made["segmentType"], made["status"], made["member"], made["externalId"]) == ("static", "ACTIVE", None, None)
    assert create(client, name="B")["segmentId"] == "551"
    assert listed(client) == []


@pytest.mark.parametrize("member", ["u3, u1,,u3", ["u3", "u1", "u3"], "u3,u1", ["u1", "u3"]])
def test_members_come_as_text_or_array_and_go_back_so(client: Client, member: object):
    echoed = create(client, member=member)["member"]
    assert type(echoed) is type(member)
    assert listed(client) == ["u1", "u3"]


def test_ids_of_nobody_are_skipped_and_reported(client: Client):
    made = create(client, member="u1,u9,u8")
    assert (made["member"], made["unknownMember"]) == ("u1,u9,u8", "u9,u8")
    assert update(client, member=["u9"])["unknownMember"] == ["u9"]
    assert listed(client) == ["u1"]
    client.site.switches.unknown_segment_members = "refused"
    body = {**BASE, "member": "u2,u9"}
    assert failure(client.send("PATCH", "/segment/550", body)) == (404, "AC1005")
    assert failure(client.send("POST", "/segment", {**body, "name": "B"})) == (404, "AC1005")
    assert listed(client) == ["u1"]
    assert len(listing(client)) == 1
    update(client, member="u1,u9", memberUpdate="REMOVE")
    assert listed(client) == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01 10:00:00", "2026-01-01"),
        ("2026-01-01 10:00:00", "2026-01-01 10:00:00"),
        ("2026-01-01T10:00:00+0100", "2026-01-01 09:00:00"),
    ],
)
def test_forms_of_dates(client: Client, start: str, end: str):
    made = create(client, fromDate=start, toDate=end)
    assert (made["segmentFromDate"], made["segmentToDate"]) == (start, end)


BAD = [
    ({"name": None}, (400, "AC1004")),
    ({"name": ""}, (400, "AC1004")),
    ({"fromDate": None}, (400, "AC1004")),
    ({"toDate": ""}, (400, "AC1004")),
    ({"fromDate": "2027-01-01"}, (400, "AC1007")),
    ({"fromDate": "2026-02-30"}, (400, "AC1007")),
    ({"fromDate": "01.01.2026"}, (400, "AC1007")),
    ({"toDate": "2026-12-31T00:00:00Z"}, (400, "AC1007")),
    ({"name": ["VIP"]}, (400, "AC1007")),
    ({"status": "asleep"}, (400, "AC1007")),
    ({"type": "liquid"}, (400, "AC1007")),
    ({"type": "dynamic", "member": "u1"}, (400, "AC1007")),
    ({"member": {"1": "u1"}}, (400, "AC1007")),
    ({"member": [["u1"]]}, (400, "AC1007")),
    ({"member": ",".join(["u1"] * 101)}, (400, "AC1007")),
    ({"memberUpdate": "MERGE"}, (400, "AC1007")),
    ({"name": "Taken"}, (409, "AC1006")),
    ({"externalId": "taken"}, (409, "AC1006")),
]


@pytest.mark.parametrize(("change", "expected"), BAD)
def test_bad_segment_changes_nothing(client: Client, change: dict, expected: tuple):
    client.site.segments.put([{"name": "Taken", "externalId": "taken"}])
    assert failure(client.send("POST", "/segment", {**BASE, **change})) == expected
    assert len(listing(client)) == 1
    create(client, member="u2")
    before = listing(client)
    client.clock.advance(60)
    assert failure(client.send("PATCH", "/segment/551", {**BASE, **change})) == expected
    assert listing(client) == before
    assert listed(client, "551") == ["u2"]


# -- update


def test_update_merges_and_answers_what_a_create_does(client: Client):
    content(client.send("POST", "/segment", {**FULL, "member": "u1"}), 201)
    client.clock.advance(60)
    changed = update(client, name="VIP 2", toDate="2027-01-31", status="inactive")
    assert changed == {
        "siteId": SITE_ID,
        "segmentId": "550",
        "segmentName": "VIP 2",
        "segmentType": "static",
        "segmentFromDate": "2026-01-01",
        "segmentToDate": "2027-01-31",
        "member": None,
        "memberUpdate": None,
        "status": "INACTIVE",
        "externalId": "guid-1",
        "externalName": "VIP (CRM)",
    }
    assert listed(client) == ["u1"]
    entry = listing(client)[0]
    assert (entry["createDate"], entry["updateDate"]) == (STAMP, "2026-03-01T12:01:00+0000")


def test_update_of_members(client: Client):
    create(client, member="u1,u2")
    assert update(client, member="u2,u3")["memberUpdate"] is None
    assert listed(client) == ["u1", "u2", "u3"]
    assert update(client, member="u1,u4", memberUpdate="remove")["memberUpdate"] == "remove"
    assert listed(client) == ["u2", "u3"]
    update(client, member=["u4"], memberUpdate="ADD")
    assert listed(client) == ["u2", "u3", "u4"]
    update(client, member="u0", memberUpdate="REPLACE")
    assert listed(client) == ["u0"]
    update(client, memberUpdate="REPLACE")
    assert listed(client) == ["u0"]
    update(client, member=[], memberUpdate="REPLACE")
    assert listed(client) == []


def test_only_the_named_segment_changes(client: Client):
    create(client, member="u1")
    create(client, name="B", member="u1,u2")
    update(client, "551", name="B", member="u3", memberUpdate="REPLACE")
    assert (listed(client, "550"), listed(client, "551")) == (["u1"], ["u3"])


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        ("551", {}, (404, "AC1005")),
        ("x", {}, (404, "AC1005")),
        ("550", {"id": "551"}, (400, "AC1007")),
        ("550", {"type": "dynamic"}, (400, "AC1007")),
    ],
)
def test_update_is_refused(client: Client, path: str, change: dict, expected: tuple):
    create(client)
    assert failure(client.send("PATCH", f"/segment/{path}", {**BASE, **change})) == expected


def test_an_own_name_and_external_id_are_not_taken(client: Client):
    create(client, externalId="e")
    assert update(client, externalId="e")["externalId"] == "e"


# -- switches of members


def test_switch_member_form(client: Client):
    for form, taken, refused in (("text", "u1", ["u1"]), ("array", ["u1"], "u1")):
        client.site.switches.segment_member_form = form
        assert failure(client.send("POST", "/segment", {**BASE, "name": form, "member": refused})) == (400, "AC1007")
        create(client, name=form, member=taken)


def test_switch_member_update_words(client: Client):
    client.site.switches.member_update_words = ["insert", "delete"]
    create(client, member="u1")
    update(client, member="u2", memberUpdate="Insert")
    update(client, member="u1", memberUpdate="DELETE")
    assert listed(client) == ["u2"]
    for word in ("ADD", "REPLACE"):
        body = {**BASE, "member": "u3", "memberUpdate": word}
        assert failure(client.send("PATCH", "/segment/550", body)) == (400, "AC1007")


def test_switch_member_update_default(client: Client):
    client.site.switches.member_update_default = "replace"
    create(client, member="u1")
    update(client, member="u2")
    assert listed(client) == ["u2"]
    update(client)
    assert listed(client) == ["u2"]


def test_switch_members_limit(client: Client):
    client.site.switches.segment_members_limit = 2
    create(client, member="u1,u2")
    assert failure(client.send("PATCH", "/segment/550", {**BASE, "member": ["u0", "u3", "u4"]})) == (400, "AC1007")
    assert listed(client) == ["u1", "u2"]


@given(st.lists(st.tuples(st.sampled_from(("ADD", "REMOVE", "REPLACE")), st.sets(st.integers(0, 4))), max_size=6))
def test_updates_are_set_operations(updates: list[tuple[str, set[int]]]):
    client = Client()
    client.site.put_members({"id": f"u{number}"} for number in range(5))
    create(client)
    expected: set[str] = set()
    for word, numbers in updates:
        ids = {f"u{number}" for number in numbers}
        update(client, member=sorted(ids), memberUpdate=word)
        update(client, member=sorted(ids), memberUpdate=word)
        expected = {"ADD": expected | ids, "REMOVE": expected - ids, "REPLACE": ids}[word]
    assert listed(client) == sorted(expected)


# -- reads


def test_definition_has_the_documented_groups(client: Client):
    create(client, member="u1")
    assert definition(client) == {
        "segmentName": "VIP",
        "segmentType": "static",
        "segmentDateFrom": "2026-01-01",
        "segmentDateTo": "2026-12-31",
        "memberDetails": {"userId": ["u1"], "zipCode": [], "anniversaryDate": None, "birthDate": None},
        "actionDetails": {"actions": [], "actionSeries": []},
        "pointsDetails": dict.fromkeys(rules.CONDITIONS["pointsDetails"]),
        "purchaseDetails": {"productPurchased": [], "productCategory": [], "source": None, "country": None},
        "storeDetails": dict.fromkeys(rules.CONDITIONS["storeDetails"]),
    }
    assert failure(client.get("/segment/551", "551")) == (404, "AC1005")
    assert failure(client.get("/segment/²", "²")) == (404, "AC1005")


def test_eligible_members_are_paged(client: Client):
    client.site.switches.page_size = 2
    create(client, member="u4,u0,u2")
    assert eligible(client) == {
        "siteId": SITE_ID,
        "segmentId": "550",
        "segmentName": "VIP",
        "pages": 2,
        "currentPage": 1,
        "records": 3,
        "members": [{"id": id_, "email": None, "firstName": "Ada", "lastName": None} for id_ in ("u0", "u2")],
    }
    assert [member["id"] for member in eligible(client, query="page=2")["members"]] == ["u4"]
    assert failure(client.raw("GET", "/eligiblesegment/550", signed=b'"550"', query="page=3")) == (404, "AC1005")
    assert failure(client.get("/eligiblesegment/551", "551")) == (404, "AC1005")


def test_eligible_of_an_empty_segment(client: Client):
    create(client)
    found = eligible(client)
    assert (found["pages"], found["records"], found["members"]) == (0, 0, [])


def test_switches_of_eligible(client: Client):
    create(client, member="u1,u2")
    switches = client.site.switches
    switches.eligible_members, switches.page_count, switches.page_beyond = "ids", False, "empty"
    switches.envelope, switches.numbers, switches.paging_key = "Data", "string", "current_page"
    assert eligible(client)["Data"] == {
        "siteId": SITE_ID,
        "segmentId": "550",
        "segmentName": "VIP",
        "current_page": "1",
        "records": "2",
        "userId": ["u1", "u2"],
    }
    assert eligible(client, query="page=2")["Data"]["userId"] == []
    assert content(client.get("/segment/550", "550"))["Data"]["segmentDetail"]["segmentName"] == "VIP"
    changed = content(client.send("PATCH", "/segment/550", BASE))["Data"]
    assert changed["segmentId"] == "550"


def test_pages_cost_no_scan_each(client: Client):
    client.site.put_members({"id": f"m{number:04}"} for number in range(1000))
    ids = [f"m{number:04}" for number in range(1000)]
    client.site.segments.put([{"name": "all", "rules": {"memberDetails": {"userId": ids}}}])
    statements: list[str] = []
    client.store.connection.set_trace_callback(statements.append)
    pages = [eligible(client, query=f"page={number}")["members"] for number in range(1, 41)]
    client.store.connection.set_trace_callback(None)
    assert [member["id"] for page in pages for member in page] == ids
    assert sum("FROM annex_members m" in statement for statement in statements) == 1


def test_list_by_status(client: Client):
    create(client, member="u1,u2", externalId="e", externalName="E")
    create(client, name="B", status="INACTIVE")
    assert listing(client)[0] == {
        "segmentId": "550",
        "segmentName": "VIP",
        "segmentType": "static",
        "segmentFromDate": "2026-01-01",
        "segmentToDate": "2026-12-31",
        "status": "ACTIVE",
        "externalId": "e",
        "externalName": "E",
        "memberCount": 2,
        "createDate": STAMP,
        "updateDate": STAMP,
    }
    found = {
        status: [each["segmentName"] for each in listing(client, status)] for status in ("ALL", "Active", "inactive")
    }
    assert found == {"ALL": ["VIP", "B"], "Active": ["VIP"], "inactive": ["B"]}
    assert failure(client.get("/segmentlist/some", "some")) == (400, "AC1007")
    client.site.switches.page_size = 1
    second = content(client.raw("GET", "/segmentlist/all", signed=b'"all"', query="page=2"))
    assert (second["pages"], second["siteId"], second["allSegmentDetails"][0]["segmentName"]) == (2, SITE_ID, "B")


def test_list_of_none(client: Client):
    assert content(client.get("/segmentlist/all", "all")) == {
        "siteId": SITE_ID,
        "pages": 0,
        "currentPage": 1,
        "allSegmentDetails": [],
    }


def test_a_deleted_member_leaves_its_segments(client: Client):
    create(client, member="u1,u2")
    client.send("POST", "/userdelete", {"id": "u1", "requestedBy": "a@example.com"})
    assert listed(client) == ["u1", "u2"]
    client.site.run_deletions()
    assert listed(client) == ["u2"]
    content(client.send("POST", "/users", {"id": "u1"}), 201)
    assert listed(client) == ["u2"]


# -- rules


@pytest.fixture
def crowd(client: Client) -> Client:
    client.site.reset()
    client.site.put_members(
        [
            {"id": "a", "zipCode": "10115", "birthDate": "1980-02-29", "anniversaryDate": "2020-03-01"},
            {"id": "b", "zipCode": "94105", "birthDate": "1990-02-28"},
            {"id": "c", "zipCode": "10115", "anniversaryDate": "2021-03-01"},
            {"id": "d"},
        ]
    )
    client.site.switches.overdraft = True
    for member_id, action_id, kind, number in (
        ("a", 100, "credit", 1000),
        ("a", 107, "debit", 500),
        ("b", 100, "credit", 400),
        ("b", 109, "credit", 100),
        ("c", 109, "credit", 50),
        ("c", 148, "debit", 90),
    ):
        body = {"id": member_id, "actionId": action_id, "activity": kind, kind: number, "rewardId": "501"}
        content(client.send("POST", "/points", body))
    return client


@pytest.mark.parametrize(
    ("group", "conditions", "found"),
    [
        ("memberDetails", {"userId": ["b", "d", "x"]}, "bd"),
        ("memberDetails", {"zipCode": ["10115", 99]}, "ac"),
        ("memberDetails", {"birthDate": "1980-02-29"}, "a"),
        ("memberDetails", {"birthDate": "02-28"}, "b"),
        ("memberDetails", {"anniversaryDate": "03-01"}, "ac"),
        ("memberDetails", {"zipCode": ["10115"], "birthDate": "02-29"}, "a"),
        ("memberDetails", {"zipCode": []}, ""),
        ("actionDetails", {"actions": [109]}, "bc"),
        ("actionDetails", {"actions": ["107", "148"]}, "ac"),
        ("actionDetails", {"actionSeries": ["100", "109"]}, "b"),
        ("pointsDetails", {"availablePointRangeFrom": 500}, "ab"),
        ("pointsDetails", {"availablePointRangeTo": 0}, "cd"),
        ("pointsDetails", {"availablePointRangeFrom": "1", "availablePointRangeTo": "499"}, ""),
        ("pointsDetails", {"lifetimePointRangeFrom": 1000}, "a"),
        ("pointsDetails", {"lifetimePointRangeTo": 499}, "cd"),
        ("pointsDetails", {"redeemPointRangeFrom": 1, "redeemPointRangeTo": 500}, "a"),
    ],
)
def test_rules(crowd: Client, group: str, conditions: dict, found: str):
    crowd.site.segments.put([{"name": "rules", "rules": {group: conditions}}])
    assert "".join(member["id"] for member in eligible(crowd)["members"]) == found
    assert definition(crowd)[group].items() >= conditions.items()
    assert (listing(crowd)[0]["segmentType"], listing(crowd)[0]["memberCount"]) == ("dynamic", len(found))


def test_conditions_of_all_groups_hold(crowd: Client):
    both = {"memberDetails": {"zipCode": ["10115"]}, "pointsDetails": {"lifetimePointRangeFrom": 500}}
    crowd.site.segments.put([{"name": "rules", "rules": both}])
    assert [member["id"] for member in eligible(crowd)["members"]] == ["a"]


def test_rules_are_evaluated_on_read(crowd: Client):
    crowd.site.segments.put([{"name": "rich", "rules": {"pointsDetails": {"availablePointRangeFrom": 500}}}])
    assert eligible(crowd)["records"] == 2
    crowd.send("POST", "/points", {"id": "d", "activity": "CREDIT", "credit": 900, "reason": "x"})
    assert eligible(crowd)["records"] == 3
    crowd.clock.advance(366 * 24 * 3600)
    assert eligible(crowd)["records"] == 0


def test_a_dynamic_segment_takes_no_members(crowd: Client):
    crowd.site.segments.put([{"name": "VIP", "rules": {"memberDetails": {"zipCode": ["10115"]}}}])
    assert failure(crowd.send("PATCH", "/segment/550", {**BASE, "member": "a"})) == (400, "AC1007")
    assert update(crowd, toDate="2027-12-31")["segmentType"] == "dynamic"
    assert eligible(crowd)["records"] == 2


def test_a_dynamic_segment_without_rules_is_empty(crowd: Client):
    create(crowd, type="Dynamic")
    assert eligible(crowd)["records"] == 0


@pytest.mark.parametrize(
    "segment",
    [
        {},
        {"name": "VIP"},
        {"name": "B", "externalId": "e"},
        {"name": "B", "id": 1},
        {"name": "B", "color": "red"},
        {"name": "B", "rules": {"storeDetails": {"country": "DE"}}},
        {"name": "B", "rules": {"shoeDetails": {}}},
        {"name": "B", "rules": {"memberDetails": {"shoeSize": 44}}},
    ],
)
def test_put_is_all_or_nothing(client: Client, segment: dict):
    client.site.segments.put([{"name": "VIP", "externalId": "e"}])
    with pytest.raises(ValueError):
        client.site.segments.put([{"name": "A"}, segment])
    assert [each["name"] for each in client.site.segments.all()] == ["VIP"]
