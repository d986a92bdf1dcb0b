"""Merging members (Annex page 5.6)."""

from __future__ import annotations

import pytest
from annexcloud_client import SITE_ID, STAMP, Client, content, failure

ORDER = {"primaryUID": "u1", "secondaryUID": "u2", "mergedBy": "admin@example.com", "reason": "same person"}
RECORD = {**ORDER, "mergeDate": STAMP, "updateDate": STAMP}


@pytest.fixture
def client() -> Client:
    client = Client()
    client.site.switches.extended_attributes = ("size", "color")
    old = "2025-01-01T00:00:00+0000"
    client.site.put_members(
        [
            {"id": "u1", "firstName": "Ada", "extendedAttribute": {"size": "L"}, "createDate": old, "updateDate": old},
            {
                "id": "u2",
                "firstName": "Adele",
                "phone": "1",
                "optInStatus": "NO",
                "optOutDate": old,
                "extendedAttribute": {"size": "S", "color": "red"},
            },
            {"id": "u3"},
        ]
    )
    client.site.activities.put(
        [
            {"memberId": "u1", "actionId": 101, "credit": 100, "createDate": old},
            {"memberId": "u2", "actionId": 101, "credit": 70, "createDate": old},
            {"memberId": "u2", "actionId": 109, "credit": 30, "createDate": old},
        ]
    )
    return client


def available(client: Client, member_id: str) -> int:
    return content(client.get(f"/points/{member_id}", member_id))["availablePoints"]


def test_the_secondary_member_vanishes_and_leaves_all_to_the_primary(client: Client):
    answer = content(client.send("POST", "/mergeuser", ORDER))
    assert answer == {"siteID": SITE_ID, "id": "u1", "userDetail": RECORD}
    assert failure(client.member("u2")) == (404, "AC1005")
    assert failure(client.send("PATCH", "/users/u2", {"firstName": "x"})) == (404, "AC1005")
    member = content(client.member("u1"))
    assert (member["firstName"], member["phone"], member["optInStatus"]) == ("Ada", "1", "YES")
    assert member["extendedAttribute"] == {"size": "L", "color": "red"}
    assert (member["createDate"], member["updateDate"]) == ("2025-01-01T00:00:00+0000", STAMP)
    assert "optOutDate" not in member
    assert available(client, "u1") == 200
    entries = content(client.get("/users/u1/activity", "u1"))["activityDetail"]
    assert sorted(entry["credit"] for entry in entries) == [30, 70, 100]


def test_entries_keep_their_ids(client: Client):
    before = {e["activityId"] for e in content(client.get("/users/u2/activity", "u2"))["activityDetail"]}
    client.send("POST", "/mergeuser", ORDER)
    after = {e["activityId"] for e in content(client.get("/users/u1/activity", "u1"))["activityDetail"]}
    assert len(before) == 2
    assert before < after


def test_segments_know_the_primary_once(client: Client):
    both, second = client.site.segments.put(
        [{"name": "both", "members": ["u1", "u2"]}, {"name": "second", "members": ["u2", "u3"]}]
    )
    client.send("POST", "/mergeuser", ORDER)
    assert client.site.segments.members(client.site.segments.get(both)) == ["u1"]
    assert client.site.segments.members(client.site.segments.get(second)) == ["u1", "u3"]


@pytest.mark.parametrize(("kept", "points"), [("u1", 130), ("u2", 100)])
def test_duplicate_actions_are_kept_of_one_member(client: Client, kept: str, points: int):
    choice = [{"userIdToRetainActions": kept, "actionID": 101}]
    content(client.send("POST", "/mergeuser", {**ORDER, "duplicateActions": choice}))
    assert available(client, "u1") == points


def test_the_free_id_can_be_used_again(client: Client):
    client.send("POST", "/mergeuser", ORDER)
    content(client.send("POST", "/users", {"id": "u2"}), 201)
    assert available(client, "u2") == 0


@pytest.mark.parametrize("member_id", ["u1", "u2"])
def test_merge_can_be_read_by_either_id(client: Client, member_id: str):
    client.send("POST", "/mergeuser", ORDER)
    answer = content(client.get(f"/mergeuser/{member_id}", member_id))
    assert answer == {"siteID": SITE_ID, "id": member_id, "userDetail": {**RECORD, "pages": 1, "currentPage": 1}}


def test_several_merges_are_pages(client: Client):
    client.send("POST", "/mergeuser", ORDER)
    client.send("POST", "/mergeuser", {**ORDER, "secondaryUID": "u3", "reason": None})
    first, second = (
        content(client.raw("GET", "/mergeuser/u1", signed=b'"u1"', query=f"page={number}"))["userDetail"]
        for number in (1, 2)
    )
    assert (first["secondaryUID"], first["reason"], first["pages"]) == ("u3", None, 2)
    assert (second["secondaryUID"], second["currentPage"]) == ("u2", 2)


def test_merge_of_nobody_cannot_be_read(client: Client):
    assert failure(client.get("/mergeuser/u1", "u1")) == (404, "AC1005")


def test_envelope(client: Client):
    client.site.switches.envelope = "Data"
    assert content(client.send("POST", "/mergeuser", ORDER))["Data"]["userDetail"] == RECORD
    assert content(client.get("/mergeuser/u2", "u2"))["Data"]["id"] == "u2"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"primaryUID": None}, (400, "AC1004")),
        ({"secondaryUID": ""}, (400, "AC1004")),
        ({"mergedBy": None}, (400, "AC1004")),
        ({"secondaryUID": "u1"}, (400, "AC1007")),
        ({"secondaryUID": ["u2"]}, (400, "AC1007")),
        ({"reason": {}}, (400, "AC1007")),
        ({"primaryUID": "u9"}, (404, "AC1005")),
        ({"secondaryUID": "u9"}, (404, "AC1005")),
        ({"duplicateActions": 1}, (400, "AC1007")),
        ({"duplicateActions": ["101"]}, (400, "AC1007")),
        ({"duplicateActions": [{"userIdToRetainActions": "u3", "actionID": 101}]}, (400, "AC1007")),
        ({"duplicateActions": [{"userIdToRetainActions": "u1"}]}, (400, "AC1007")),
    ],
)
def test_bad_merge_changes_nothing(client: Client, change: dict, expected: tuple):
    assert failure(client.send("POST", "/mergeuser", {**ORDER, **change})) == expected
    assert client.site.member_count() == 3
    assert available(client, "u1") == available(client, "u2") == 100


def test_reset_forgets_merges(client: Client):
    client.send("POST", "/mergeuser", ORDER)
    client.site.reset()
    assert client.site.merges.of("u1") == []
