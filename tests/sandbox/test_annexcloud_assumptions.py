"""Each assumption about Annex Cloud, turned the other way: what a client sees then."""

from __future__ import annotations

import json

import pytest
from annexcloud_client import EXPIRY, NOW, SITE_ID, Client, claims, compact, content, jwt_of

from annex_d365_sandbox.annexcloud import errors, replies
from annex_d365_sandbox.wire import Request

SEGMENT = {"name": "S", "fromDate": "2026-01-01", "toDate": "2026-12-31"}


@pytest.fixture
def client():
    made = Client()
    made.site.put_members([{"id": "m1", "email": "m1@example.com", "firstName": "Ann", "phone": "1"}, {"id": "a/b ü"}])
    yield made
    made.store.close()


@pytest.fixture
def switches(client):
    return client.site.switches


def create_segment(client, **more):
    return client.send("POST", "/segment", {**SEGMENT, **more})


def listed(client, word="all"):
    return client.get(f"/segmentlist/{word}", word)


def told(reply):
    return reply.status, json.loads(reply.body).get("errorCode")


def test_a_token_may_live_too_long(client, switches):
    switches.max_token_seconds = int(EXPIRY - NOW.timestamp())
    assert client.member("m1").status == 200
    switches.max_token_seconds -= 1
    assert told(client.member("m1")) == (401, "AC1002")


def test_a_token_counts_once(client, switches):
    assert client.member("m1").status == client.member("m1").status == 200
    switches.refuse_replayed_tokens = True
    assert client.member("m1").status == 200
    assert told(client.member("m1")) == (401, "AC1002")


@pytest.mark.parametrize(("value", "identifier", "empty"), [("identifier", 200, 401), ("empty", 401, 200)])
def test_what_an_undocumented_get_signs(client, switches, value, identifier, empty):
    switches.undocumented_get_signs = value
    assert client.get("/segmentlist/all", "all").status == identifier
    assert client.get("/segmentlist/all", "").status == empty
    assert client.member("m1").status == 200  # what this one signs is documented


@pytest.mark.parametrize(("value", "decoded", "encoded"), [("decoded", 200, 401), ("encoded", 401, 200)])
def test_which_form_of_an_id_is_signed(client, switches, value, decoded, encoded):
    switches.signed_identifier = value
    assert client.get("/users/a/b ü", "a/b ü").status == decoded
    assert client.get("/users/a/b ü", "a%2Fb%20%C3%BC").status == encoded


@pytest.mark.parametrize(
    ("value", "accepted"),
    [("any", {"plain", "ascii", "php"}), ("plain", {"plain"}), ("ascii", {"ascii"}), ("php", {"php"})],
)
def test_the_escaping_of_a_signed_id(client, switches, value, accepted):
    switches.identifier_escaping = value
    ascii_only = json.dumps("a/b ü")
    forms = {"plain": '"a/b ü"', "ascii": ascii_only, "php": ascii_only.replace("/", "\\/")}
    seen = {
        name for name, form in forms.items() if client.raw("GET", "/users/a/b ü", signed=form.encode()).status == 200
    }
    assert seen == accepted


def test_the_code_of_a_wrong_value(client, switches):
    switches.invalid_code = "AC1042"
    assert told(client.send("POST", "/users/search", {"dataSearch": {"optInDate": "x"}})) == (400, "AC1042")


def test_the_status_of_no_data(client, switches):
    switches.no_data_status = 400
    assert told(client.member("nobody")) == (400, "AC1005")
    switches.page_beyond = "not_found"
    assert told(client.raw("GET", "/segmentlist/all", signed=b'"all"', query="page=9")) == (404, "AC1005")


def test_the_status_of_a_taken_id(client, switches):
    switches.duplicate_status = 400
    assert told(client.send("POST", "/users", {"id": "m1"})) == (400, "AC1006")
    (item,) = content(client.send("POST", "/bulkpostusers", [{"id": "m1"}]))
    assert (item["statusCode"], item["errorCode"]) == (400, "AC1006")


@pytest.mark.parametrize(
    ("value", "status", "kept"),
    [("ignored", 200, {"a": "1"}), ("kept", 200, {"a": "1", "b": "2"}), ("refused", 400, {})],
)
def test_unknown_attributes(client, switches, value, status, kept):
    switches.extended_attributes, switches.unknown_attributes = ("a",), value
    reply = client.send("PATCH", "/users/m1", {"extendedAttribute": {"a": "1", "b": "2"}})
    assert reply.status == status
    assert content(client.member("m1"))["extendedAttribute"] == kept


def test_a_zip_code_on_create(client, switches):
    switches.zip_code_on_create = "ignored"
    client.send("POST", "/users", {"id": "m2", "zipCode": "10115"})
    assert content(client.member("m2"))["zipCode"] is None
    client.send("PATCH", "/users/m2", {"zipCode": "10115"})
    assert content(client.member("m2"))["zipCode"] == "10115"


def test_a_patch_that_replaces(client, switches):
    switches.patch = "replaces"
    client.send("PATCH", "/users/m1", {"phone": "2"})
    member = content(client.member("m1"))
    assert (member["phone"], member["email"], member["firstName"], member["optInStatus"]) == ("2", None, None, "YES")


def search(client, name):
    return client.send("POST", "/users/search", {"dataSearch": {"firstName": name}})


def test_the_answers_of_a_search(client, switches):
    assert content(search(client, "Ann"))["records"] == 1
    assert search(client, "Bob").status == 404
    switches.search_of_nothing = "empty"
    assert content(search(client, "Bob"))["userDetail"] == []
    switches.search_reply = "Data"
    assert content(search(client, "Ann"))["Data"]["userDetail"][0]["id"] == "m1"
    switches.search_reply = "list"
    assert [each["id"] for each in content(search(client, "Ann"))] == ["m1"]


@pytest.mark.parametrize(("value", "array", "numbered"), [("any", 200, 200), ("array", 200, 400), ("map", 400, 200)])
def test_the_form_of_a_bulk_request(client, switches, value, array, numbered):
    switches.bulk_request = value
    item = {"id": "m1", "phone": "3"}
    assert client.send("POST", "/bulkpatchusers", [item]).status == array
    assert client.send("POST", "/bulkpatchusers", {"1": item}).status == numbered


@pytest.mark.parametrize("status", [200, 207, 400])
def test_the_status_of_a_bulk_request_that_fails_in_part(client, switches, status):
    switches.bulk_partial_status = status
    good, bad = {"id": "m1", "phone": "4"}, {"id": "nobody"}
    assert client.send("POST", "/bulkpatchusers", [good]).status == 200
    assert len(content(client.send("POST", "/bulkpatchusers", [good, bad]), status)) == 2
    assert content(client.member("m1"))["phone"] == "4"


def test_activity(client, switches):
    client.send("POST", "/points", {"id": "m1", "activity": "CREDIT", "credit": 5, "reason": "x"})
    seen = content(client.get("/users/m1/activity", "m1"))
    assert (seen["totalActivityCount"], seen["activityDetail"][0]["activity"]) == (1, "Credit")
    switches.activity_count_key, switches.activity_word = "activityCount", "CREDIT"
    seen = content(client.get("/users/m1/activity", "m1"))
    assert (seen["activityCount"], seen["activityDetail"][0]["activity"]) == (1, "CREDIT")
    assert "totalActivityCount" not in seen


@pytest.mark.parametrize(("value", "no"), [("words", "NO"), ("booleans", False), ("digits", "0")])
def test_rewards_in_reach(client, switches, value, no):
    switches.reward_eligible = value
    assert {each["eligible"] for each in content(client.get("/users/m1/reward", "m1"))["rewardDetail"]} == {no}


# Segments


def test_words_of_a_segment(client, switches):
    switches.segment_types, switches.segment_statuses = ("fixed", "ruled"), ("On", "Off")
    assert told(create_segment(client, type="static")) == (400, "AC1007")
    assert told(create_segment(client, status="INACTIVE")) == (400, "AC1007")
    made = content(create_segment(client, type="FIXED", status="off"), 201)
    assert (made["segmentType"], made["status"]) == ("fixed", "Off")
    (seen,) = content(listed(client, "inactive"))["allSegmentDetails"]
    assert (seen["segmentType"], seen["status"]) == ("fixed", "Off")
    assert content(client.get("/segment/550", "550"))["segmentDetail"]["segmentType"] == "fixed"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("day", "2026-01-01"),
        ("second", "2026-01-01 00:00:00"),
        ("instant", "2026-01-01T00:00:00+0000"),
    ],
)
def test_dates_of_a_segment(client, switches, value, shown):
    create_segment(client)
    switches.segment_dates = value
    assert content(listed(client))["allSegmentDetails"][0]["segmentFromDate"] == shown
    forms = ("2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00+0000")
    made = [create_segment(client, name=form, fromDate=form, toDate=form).status for form in forms]
    assert made == [201 if form == shown else 400 for form in forms]


def test_ids_of_segments_as_numbers(client, switches):
    switches.segment_id_type = "number"
    assert content(create_segment(client), 201)["segmentId"] == 550
    assert content(client.get("/eligiblesegment/550", "550"))["segmentId"] == 550


def test_segments_that_share_a_name(client, switches):
    create_segment(client)
    assert create_segment(client).status == 409
    switches.unique_segment_names = False
    assert create_segment(client).status == 201
    assert create_segment(client, externalId="x").status == 201
    assert create_segment(client, externalId="x").status == 409


def test_members_that_do_not_come_back(client, switches):
    assert content(create_segment(client, member="m1"), 201)["member"] == "m1"
    switches.segment_member_echo = "absent"
    assert "member" not in content(create_segment(client, name="T", member="m1"), 201)


def test_the_list_of_segments(client, switches):
    create_segment(client)
    switches.segment_list_words, switches.segment_list_key = ("every", "live", "dead"), "segments"
    assert told(listed(client)) == (400, "AC1007")
    assert len(content(listed(client, "every"))["segments"]) == 1
    assert content(listed(client, "dead"))["segments"] == []


def test_statuses_of_switches_are_none_of_other_errors(client):
    """A page has a switch of its own, whatever that of other missing data says."""
    client.site.switches.no_data_status = 400
    assert replies.error(client.site, errors.no_page(404)).status == 404
    assert replies.error(client.site, errors.missing("x")).status == 400
    assert replies.error(client.site, errors.not_found()).status == 404


def test_the_clock_of_the_token_is_the_sandbox_s(client):
    client.clock.advance(EXPIRY - NOW.timestamp())
    head = {"authorization": "Bearer " + jwt_of(claims(compact("m1"))), "x-annexcloud-site": SITE_ID}
    assert client.serve(Request("GET", "/api/3.0/users/m1", "", head)).status == 401
