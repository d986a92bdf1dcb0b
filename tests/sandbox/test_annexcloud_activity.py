"""The activity list and its variants (Annex page section 6)."""

from __future__ import annotations

from uuid import UUID

import pytest
from annexcloud_client import SITE_ID, STAMP, Client, content, failure

from annex_d365_sandbox.store import Store


@pytest.fixture
def client() -> Client:
    client = Client()
    client.site.put_members([{"id": "u1"}, {"id": "u2"}])
    return client


def credit(client: Client, *amounts: int, member_id: str = "u1") -> None:
    for amount in amounts:
        body = {"id": member_id, "activity": "CREDIT", "credit": amount, "reason": "x", "pointType": "Promotional"}
        content(client.send("POST", "/points", body))


def page(client: Client, number: int | None = None) -> dict:
    query = "" if number is None else f"page={number}"
    return content(client.raw("GET", "/users/u1/activity", signed=b'"u1"', query=query))


def test_entry_has_the_documented_fields(client: Client):
    credit(client, 10)
    body = page(client)
    entry = body["activityDetail"][0]
    assert str(UUID(entry.pop("activityId"))).islower()
    assert entry == {
        "actionId": 100,
        "activity": "Credit",
        "credit": 10,
        "pointType": "Promotional",
        "pointStatus": "Released",
        "displayText": "Manual Credit/Debit",
        "reason": "x",
        "rewardId": None,
        "rewardCode": None,
        "orderId": None,
        "createDate": STAMP,
        "expireDate": "2027-03-01T12:00:00+0000",
    }
    assert {name: body[name] for name in body if name != "activityDetail"} == {
        "siteId": SITE_ID,
        "pages": 1,
        "currentPage": 1,
        "totalActivityCount": 1,
    }


def test_debit_has_no_credit(client: Client):
    credit(client, 10)
    content(client.send("POST", "/points", {"id": "u1", "actionId": 148, "activity": "DEBIT", "debit": 4}))
    entry = page(client)["activityDetail"][0]
    assert (entry["activity"], entry["debit"], entry["pointType"]) == ("Debit", 4, "Standard")
    assert "credit" not in entry


def test_pages_newest_first(client: Client):
    client.site.switches.page_size = 2
    credit(client, 1, 2, 3)
    credit(client, 99, member_id="u2")
    client.clock.advance(-60)
    credit(client, 4)
    first, second = page(client), page(client, 2)
    assert [entry["credit"] for entry in first["activityDetail"]] == [3, 2]
    assert [entry["credit"] for entry in second["activityDetail"]] == [1, 4]
    assert (first["pages"], first["totalActivityCount"], second["currentPage"]) == (2, 4, 2)
    assert failure(client.raw("GET", "/users/u1/activity", signed=b'"u1"', query="page=3")) == (404, "AC1005")
    client.site.switches.activity_order = "oldest"
    assert [entry["credit"] for entry in page(client)["activityDetail"]] == [4, 1]


def test_no_activity(client: Client):
    assert page(client) == {
        "siteId": SITE_ID,
        "pages": 0,
        "currentPage": 1,
        "totalActivityCount": 0,
        "activityDetail": [],
    }


def test_ids_are_unique_and_stay(client: Client):
    credit(client, *[5] * 10)
    ids = [entry["activityId"] for entry in page(client)["activityDetail"]]
    credit(client, 6)
    assert len(set(ids)) == 10
    assert [entry["activityId"] for entry in page(client)["activityDetail"]][1:] == ids


def test_switches(client: Client):
    switches = client.site.switches
    switches.activity_id, switches.lone_activity, switches.envelope, switches.numbers = (
        False,
        "object",
        "Data",
        "string",
    )
    switches.page_count, switches.paging_key = False, "current_page"
    credit(client, 10)
    body = page(client)["Data"]
    assert body["activityDetail"]["credit"] == "10"
    assert "activityId" not in body["activityDetail"]
    assert body["current_page"] == "1"
    assert "pages" not in body
    credit(client, 10)
    assert isinstance(page(client)["Data"]["activityDetail"], list)


def test_switch_page_beyond_empty(client: Client):
    client.site.switches.page_beyond = "empty"
    credit(client, 10)
    assert page(client, 2)["activityDetail"] == []


def test_switch_hold_status(client: Client):
    client.site.switches.hold_status = "On hold"
    content(client.send("POST", "/points", {"id": "u1", "actionId": 201, "activity": "CREDIT"}))
    assert page(client)["activityDetail"][0]["pointStatus"] == "On hold"


def test_seeded_entries_expire_and_release(client: Client):
    client.site.activities.put(
        [
            {"memberId": "u1", "actionId": 109, "credit": 9, "createDate": "2024-01-01T00:00:00+0000"},
            {
                "memberId": "u1",
                "actionId": 109,
                "credit": 8,
                "remaining": 3,
                "createDate": "2024-01-02T00:00:00+0000",
                "expireDate": "2025-01-02T00:00:00+0000",
            },
        ]
    )
    assert [entry.get("debit") or entry["credit"] for entry in page(client)["activityDetail"]] == [3, 8, 9]


def test_state_survives_a_restart(tmp_path):
    first = Client(Store(tmp_path / "state.db"))
    first.site.put_members([{"id": "u1"}])
    credit(first, 10)
    first.site.segments.put([{"name": "all", "members": ["u1"]}])
    before = page(first)
    first.store.close()
    second = Client(Store(tmp_path / "state.db"))
    assert page(second) == before
    assert second.site.segments.members(second.site.segments.get("550")) == ["u1"]
    second.store.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT 1 FROM annex_activities WHERE due <= '2026' LIMIT 1", "annex_activities_due"),
        ("SELECT sum(debit) FROM annex_activities WHERE memberId = 'u1'", "annex_activities_member"),
    ],
)
def test_reads_use_an_index(client: Client, query: str, index: str):
    with client.store.transaction() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    assert any(f"USING INDEX {index}" in row["detail"] or f"INDEX {index}" in row["detail"] for row in plan)
