"""Points, tiers, rewards, actions (Annex page sections 7 to 9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from annexcloud_client import SITE_ID, STAMP, Client, content, failure
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.annexcloud.catalogue import ACTIONS, Action

DAY = 24 * 3600
GIVE = {"id": "u1", "actionId": "100", "activity": "CREDIT", "credit": 100, "reason": "sorry"}
TAKE = {"id": "u1", "actionId": "100", "activity": "DEBIT", "debit": 30, "reason": "oops"}
REVIEW, JOIN = ({"id": "u1", "actionId": number, "activity": "CREDIT"} for number in (201, 101))
BUY = {"id": "u1", "actionId": 107, "activity": "DEBIT", "rewardId": "501"}


@pytest.fixture
def client() -> Client:
    client = Client()
    client.site.put_members([{"id": "u1"}, {"id": "u2"}])
    return client


def post(client: Client, *bodies: dict) -> list[dict]:
    return [content(client.send("POST", "/points", body)) for body in bodies]


def balances(client: Client, member_id: str = "u1") -> dict:
    return content(client.get(f"/points/{member_id}", member_id))


def some(client: Client, *names: str) -> tuple:
    found = balances(client)
    return tuple(found[name] for name in names)


def activity(client: Client, member_id: str = "u1") -> list[dict]:
    return content(client.get(f"/users/{member_id}/activity", member_id))["activityDetail"]


# -- posting


def test_credit_and_debit_answer_the_documented_fields(client: Client):
    credited, debited = post(client, {**GIVE, "orderId": "o1"}, TAKE)
    assert credited == {
        "siteId": SITE_ID,
        "id": "u1",
        "actionId": 100,
        "rewardId": None,
        "rewardCode": None,
        "activity": "CREDIT",
        "credit": 100,
        "debit": None,
        "reason": "sorry",
        "orderId": "o1",
        "holdPoints": 0,
        "releaseDate": None,
    }
    assert (debited["activity"], debited["credit"], debited["debit"], debited["orderId"]) == ("DEBIT", None, 30, None)


def test_balances_have_the_documented_fields(client: Client):
    post(client, GIVE, TAKE)
    assert balances(client) == {
        "siteId": SITE_ID,
        "id": "u1",
        "availablePoints": 70,
        "usedPoints": 30,
        "negativePoints": 0,
        "expiredPoints": 0,
        "lifetimePoints": 100,
        "holdPoints": 0,
        "usedPointsOnReward": 0,
        "pointsToExpire": 70,
        "pointsToExpireDate": "2027-03-01T12:00:00+0000",
        "pointsToNextTier": 400,
        "spendToNextTier": None,
        "totalSpent": 0,
        "creditsToCurrencyRatio": 100,
        "creditsToCurrencyValue": 0.7,
        "ytdCreditPoints": 100,
        "ytdDebitPoints": 30,
        "availableRedemptionPoints": 70,
        "usedRedemptionPoints": 0,
    }
    assert balances(client, "u2")["availablePoints"] == 0


def test_a_repeated_posting_is_a_second_posting(client: Client):
    same = {**GIVE, "orderId": "o1"}
    post(client, same, same)
    assert balances(client)["availablePoints"] == 200
    assert [entry["orderId"] for entry in activity(client)] == ["o1", "o1"]


@pytest.mark.parametrize("amount", [50, "50", 50.0])
def test_amount_may_be_number_or_text(client: Client, amount: object):
    assert post(client, {**GIVE, "credit": amount, "activity": "Credit"})[0]["credit"] == 50


def test_without_action_a_reason_says_why(client: Client):
    body = {"id": "u1", "activity": "CREDIT", "credit": 5}
    assert failure(client.send("POST", "/points", body)) == (400, "AC1004")
    assert post(client, {**body, "reason": "x"})[0]["actionId"] == 100


def test_configured_action_awards_its_own_points(client: Client):
    assert post(client, JOIN, {**JOIN, "credit": 7})[0]["credit"] == 100
    assert balances(client)["lifetimePoints"] == 107


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({**GIVE, "id": None}, (400, "AC1004")),
        ({**GIVE, "activity": ""}, (400, "AC1004")),
        ({**GIVE, "credit": None}, (400, "AC1004")),
        ({**TAKE, "debit": None, "credit": 5}, (400, "AC1004")),
        ({**GIVE, "activity": "GIFT"}, (400, "AC1007")),
        ({**GIVE, "activity": ["CREDIT"]}, (400, "AC1007")),
        ({**GIVE, "actionId": "first"}, (400, "AC1007")),
        ({**GIVE, "actionId": 999}, (400, "AC1007")),
        ({**GIVE, "credit": 0}, (400, "AC1007")),
        ({**GIVE, "credit": -5}, (400, "AC1007")),
        ({**GIVE, "credit": 1.5}, (400, "AC1007")),
        ({**GIVE, "credit": "٣"}, (400, "AC1007")),
        ({**GIVE, "credit": "9" * 13}, (400, "AC1007")),
        ({**GIVE, "credit": True}, (400, "AC1007")),
        ({**GIVE, "reason": {}}, (400, "AC1007")),
        ({**TAKE, "debit": 101}, (400, "AC1007")),
        ({**BUY, "rewardId": ""}, (400, "AC1004")),
        ({**BUY, "activity": "CREDIT"}, (400, "AC1007")),
        ({**BUY, "rewardId": "9"}, (404, "AC1005")),
        (BUY, (400, "AC1007")),
        ({**GIVE, "id": "u9"}, (404, "AC1005")),
        ([GIVE], (400, "AC1007")),
    ],
)
def test_bad_posting_moves_nothing(client: Client, body: object, expected: tuple):
    post(client, GIVE)
    assert failure(client.send("POST", "/points", body)) == expected
    assert balances(client)["availablePoints"] == 100
    assert len(activity(client)) == 1


def test_who_opted_out_cannot_earn_but_be_debited(client: Client):
    post(client, GIVE)
    client.send("PATCH", "/users/u1", {"optInStatus": "NO"})
    assert failure(client.send("POST", "/points", GIVE)) == (400, "AC1007")
    post(client, TAKE)
    client.site.switches.opted_out_earn = True
    post(client, GIVE)
    assert balances(client)["availablePoints"] == 170


def test_overdraft_is_paid_back_first(client: Client):
    client.site.switches.overdraft = True
    post(client, TAKE)
    assert some(client, "availablePoints", "negativePoints") == (0, 30)
    post(client, GIVE)
    assert some(client, "availablePoints", "negativePoints", "pointsToExpire") == (70, 0, 70)
    client.clock.advance(365 * DAY)
    assert some(client, "availablePoints", "negativePoints", "expiredPoints") == (0, 0, 70)
    assert failure(client.send("POST", "/points", BUY)) == (400, "AC1007")


# -- rewards


def test_redemption(client: Client):
    post(client, {**GIVE, "credit": 700})
    bought = post(client, BUY)[0]
    assert (bought["debit"], bought["rewardId"], bought["actionId"]) == (500, "501", 107)
    assert some(client, "availablePoints", "usedPoints", "usedPointsOnReward", "lifetimePoints") == (200, 500, 500, 700)
    used = content(client.get("/users/u1/usedreward", "u1"))
    assert used == {
        "pages": 1,
        "currentPage": 1,
        "rewardDetail": [
            {
                "rewardCode": bought["rewardCode"],
                "pointsUsed": 500,
                "rewardName": "$5 Reward",
                "rewardStatus": "ACTIVE",
                "reason": None,
                "createDate": STAMP,
            }
        ],
    }
    assert activity(client)[0]["rewardCode"] == bought["rewardCode"]


def test_retry_guards_the_order_of_a_redemption(client: Client):
    post(client, {**GIVE, "credit": 2000}, {**BUY, "orderId": "o1"}, {**BUY, "orderId": "o1"})
    assert failure(client.send("POST", "/points", {**BUY, "orderId": "o1", "retry": "yes"})) == (409, "AC1006")
    post(client, {**BUY, "orderId": "o2", "retry": "YES"}, {**GIVE, "orderId": "o1", "retry": "YES"})
    assert balances(client)["availablePoints"] == 600


def test_rewards_in_reach(client: Client):
    post(client, {**GIVE, "credit": 1000})
    answer = content(client.raw("GET", "/users/u1/reward", signed=b'"u1"', query="sort_by=rewardSequence"))
    assert [(each["displayText"], each["eligible"]) for each in answer["rewardDetail"]] == [
        ("$5 Reward", "YES"),
        ("$10 Reward", "YES"),
        ("$25 Reward", "NO"),
    ]
    assert (answer["creditsToCurrencyRatio"], answer["creditsToCurrencyValue"]) == (100, 10.0)


# -- time


def test_what_is_left_expires(client: Client):
    post(client, GIVE, TAKE)
    client.clock.advance(365 * DAY - 1)
    assert balances(client)["availablePoints"] == 70
    client.clock.advance(1)
    names = ("availablePoints", "expiredPoints", "usedPoints", "lifetimePoints", "pointsToExpire", "pointsToExpireDate")
    assert some(client, *names) == (0, 70, 30, 100, 0, None)
    newest, debit, credit = activity(client)
    assert (newest["actionId"], newest["debit"], newest["createDate"]) == (106, 70, "2027-03-01T12:00:00+0000")
    assert (credit["pointStatus"], debit["pointStatus"]) == ("Expired", "Released")
    client.clock.advance(365 * DAY)
    assert len(activity(client)) == 3


def test_debits_use_what_expires_first(client: Client):
    post(client, JOIN, GIVE)
    client.clock.advance(DAY)
    post(client, GIVE, {**TAKE, "debit": 120})
    assert some(client, "pointsToExpire", "pointsToExpireDate") == (80, "2027-03-02T12:00:00+0000")
    client.clock.advance(365 * DAY)
    assert some(client, "availablePoints", "expiredPoints") == (100, 80)
    assert [entry["pointStatus"] for entry in activity(client) if "credit" in entry] == [
        "Expired",
        "Released",
        "Released",
    ]


def test_hold_is_released_by_the_clock(client: Client):
    answer = post(client, REVIEW)[0]
    assert (answer["holdPoints"], answer["releaseDate"]) == (50, "2026-03-15T12:00:00+0000")
    assert some(client, "availablePoints", "holdPoints", "lifetimePoints", "pointsToExpire") == (0, 50, 0, 0)
    assert activity(client)[0]["pointStatus"] == "Hold"
    assert failure(client.send("POST", "/points", TAKE)) == (400, "AC1007")
    client.clock.advance(14 * DAY)
    assert some(client, "availablePoints", "holdPoints", "lifetimePoints", "pointsToExpire") == (50, 0, 50, 50)
    assert activity(client)[0]["pointStatus"] == "Released"
    client.clock.advance(400 * DAY)
    assert some(client, "availablePoints", "expiredPoints") == (0, 50)


def test_release_and_expiry_in_one_leap(client: Client):
    post(client, REVIEW, GIVE)
    client.clock.advance(1000 * DAY)
    assert some(client, "availablePoints", "holdPoints", "expiredPoints", "lifetimePoints") == (0, 0, 150, 150)


def test_release_pays_back_an_overdraft(client: Client):
    client.site.switches.overdraft = True
    post(client, REVIEW, TAKE)
    client.clock.advance(14 * DAY)
    assert some(client, "availablePoints", "negativePoints", "pointsToExpire") == (20, 0, 20)


def test_expiry_is_spread_over_members(client: Client):
    post(client, GIVE, {**GIVE, "id": "u2"}, TAKE)
    client.clock.advance(365 * DAY)
    assert (balances(client)["expiredPoints"], balances(client, "u2")["expiredPoints"]) == (70, 100)


def test_year_to_date_begins_with_the_year(client: Client):
    post(client, GIVE, TAKE)
    client.clock.freeze(datetime(2027, 1, 1, tzinfo=timezone.utc))
    post(client, JOIN)
    assert some(client, "ytdCreditPoints", "ytdDebitPoints") == (100, 0)


def test_points_never_move_the_member(client: Client):
    before = content(client.member("u1"))
    client.clock.advance(60)
    post(client, GIVE)
    assert content(client.member("u1")) == before


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("credit"), st.sampled_from((100, 101, 109, 201)), st.integers(1, 500)),
        st.tuples(st.just("debit"), st.sampled_from((100, 148, 192)), st.integers(1, 500)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 100)),
    ),
    max_size=12,
)


@given(STEPS, st.booleans())
def test_balances_follow_from_the_activities(steps: list[tuple[str, int, int]], overdraft: bool):
    client = Client()
    client.site.put_members([{"id": "u1"}])
    client.site.switches.overdraft = overdraft
    client.site.switches.page_size = 1000
    for kind, action_id, number in steps:
        if kind == "wait":
            client.clock.advance(number * DAY)
        else:
            body = {"id": "u1", "actionId": action_id, "activity": kind, kind: number}
            client.send("POST", "/points", body)
    entries, found = activity(client), balances(client)
    credits_of = dict.fromkeys(("Hold", "Released", "Expired"), 0)
    for entry in entries:
        credits_of[entry["pointStatus"]] += entry.get("credit", 0)
    earned = credits_of["Released"] + credits_of["Expired"]
    debited = sum(entry.get("debit", 0) for entry in entries)
    expired = sum(entry.get("debit", 0) for entry in entries if entry["actionId"] in (106, 192))
    assert found["availablePoints"] - found["negativePoints"] == earned - debited
    assert found["holdPoints"] == credits_of["Hold"]
    assert found["lifetimePoints"] == earned
    assert (found["expiredPoints"], found["usedPoints"]) == (expired, debited - expired)
    assert overdraft or found["negativePoints"] == 0
    client.clock.advance(1000 * DAY)
    client.site.activities.settle()
    kept_for_ever = sum(entry["credit"] for entry in entries if entry["actionId"] == 101)
    balance = client.site.activities.sums("u1").balance
    with client.store.transaction() as connection:
        left = connection.execute("SELECT coalesce(sum(remaining), 0) FROM annex_activities").fetchone()[0]
    assert left == max(0, balance) <= kept_for_ever


# -- tiers


def test_tiers(client: Client):
    assert content(client.get("/users/u1/tiers", "u1")) == {
        "siteId": SITE_ID,
        "id": "u1",
        "currentTier": "Bronze",
        "nextTier": "Silver",
        "previousTier": None,
        "pointsToNextTier": 500,
        "purchaseRatio": 1,
        "currentTierPurchaseRatio": 1,
        "tierLimitType": None,
        "tierLimitPeriod": None,
        "tierAchieveDate": STAMP,
        "tierExpirationDate": None,
    }
    post(client, {**GIVE, "credit": 499})
    client.clock.advance(DAY)
    post(client, {**GIVE, "credit": 2}, {**TAKE, "debit": 400})
    client.clock.advance(DAY)
    post(client, GIVE)
    silver = content(client.get("/users/u1/tiers", "u1"))
    assert [silver[name] for name in ("previousTier", "currentTier", "nextTier", "pointsToNextTier")] == [
        "Bronze",
        "Silver",
        "Gold",
        1399,
    ]
    assert silver["tierAchieveDate"] == "2026-03-02T12:00:00+0000"
    post(client, {**GIVE, "credit": 1399})
    gold = content(client.get("/users/u1/tiers", "u1"))
    assert (gold["currentTier"], gold["nextTier"], gold["pointsToNextTier"]) == ("Gold", None, 0)
    assert balances(client)["pointsToNextTier"] == 0


def test_tier_is_reached_when_the_hold_ends(client: Client):
    client.site.catalogue.actions[201] = Action(201, "Review", points=600, hold_days=14)
    post(client, REVIEW)
    assert content(client.get("/users/u1/tiers", "u1"))["currentTier"] == "Bronze"
    client.clock.advance(20 * DAY)
    tiers = content(client.get("/users/u1/tiers", "u1"))
    assert (tiers["currentTier"], tiers["tierAchieveDate"]) == ("Silver", "2026-03-15T12:00:00+0000")


def test_switches_of_tier_dates(client: Client):
    client.site.switches.tier_achieve_date_key, client.site.switches.tier_expiration_date_key = "tierDate", ""
    tiers = content(client.get("/users/u1/tiers", "u1"))
    assert tiers["tierDate"] == STAMP
    assert not {"tierAchieveDate", "tierExpirationDate", ""} & set(tiers)


# -- bulk


def test_bulk_posting(client: Client):
    items = {"1": GIVE, "2": {**GIVE, "id": "u9"}, "3": {**TAKE, "id": "u1"}, "4": {**TAKE, "id": "u2"}, "5": "x"}
    answer = content(client.send("POST", "/bulkpoints", items))
    assert {key: (item["status"], item["statusCode"], item.get("errorCode")) for key, item in answer.items()} == {
        "1": ("SUCCESS", 200, None),
        "2": ("FAILURE", 404, "AC1005"),
        "3": ("SUCCESS", 200, None),
        "4": ("FAILURE", 400, "AC1007"),
        "5": ("FAILURE", 400, "AC1007"),
    }
    assert (answer["1"]["credit"], answer["1"]["siteId"], answer["3"]["debit"]) == (100, SITE_ID, 30)
    assert balances(client)["availablePoints"] == 70
    assert len(activity(client)) == 2


@pytest.mark.parametrize(("path", "single"), [("/getbulkpoints", "/points/u1"), ("/bulktiers", "/users/u1/tiers")])
def test_bulk_reads_are_the_single_bodies(client: Client, path: str, single: str):
    post(client, GIVE)
    client.clock.advance(365 * DAY)
    answer = content(client.send("POST", path, {"1": {"id": "u1"}, "2": {"id": "u9"}, "3": {}, "4": {"id": "u2"}}))
    assert answer["1"] == content(client.get(single, "u1"))
    assert answer["2"].keys() == {"id", "errorCode", "errorMessage"}
    assert (answer["2"]["id"], answer["2"]["errorCode"], answer["3"]["errorCode"]) == ("u9", "AC1005", "AC1004")
    assert answer["4"]["id"] == "u2"
    assert [item["id"] for item in content(client.send("POST", path, [{"id": "u2"}, {"id": "u1"}]))] == ["u2", "u1"]


@pytest.mark.parametrize("path", ["/getbulkpoints", "/bulktiers"])
def test_bulk_reads_are_capped(client: Client, path: str):
    hundred = [{"id": "u1"}] * 100
    assert len(content(client.send("POST", path, hundred))) == 100
    assert failure(client.send("POST", path, [*hundred, {"id": "u1"}])) == (400, "AC1007")
    client.site.switches.bulk_reads_limit = 101
    assert len(content(client.send("POST", path, [*hundred, {"id": "u1"}]))) == 101


# -- switches, actions


def test_switches(client: Client):
    switches = client.site.switches
    switches.envelope, switches.numbers, switches.missing_values = "Data", "string", "absent"
    switches.total_spent_key = "totalSpend"
    posted = content(client.send("POST", "/points", GIVE))["Data"]
    assert posted["credit"] == "100"
    assert not {"debit", "rewardId"} & set(posted)
    found = balances(client)["Data"]
    assert (found["availablePoints"], found["totalSpend"]) == ("100", "0")
    assert "totalSpent" not in found
    assert content(client.get("/users/u1/tiers", "u1"))["Data"]["pointsToNextTier"] == "400"
    assert content(client.get("/users/u1/reward", "u1"))["Data"]["rewardDetail"][0]["creditRequired"] == "500"
    assert content(client.get("/users/u1/usedreward", "u1"))["Data"]["rewardDetail"] == []


@pytest.mark.parametrize("path", ["/points/u9", "/users/u9/activity", "/users/u9/tiers", "/users/u9/usedreward"])
def test_nobody(client: Client, path: str):
    assert failure(client.get(path, "u9")) == (404, "AC1005")


def test_actions(client: Client):
    client.site.switches.page_size = 4
    first = content(client.get("/actions/ALL", "ALL"))
    assert (first["records"], first["pages"], first["siteId"]) == (len(ACTIONS), 3, SITE_ID)
    assert first["allActionDetails"][1] == {
        "actionId": 101,
        "actionName": "Create Account",
        "actionPoints": 100,
        "status": "ACTIVE",
        "expireInDays": 0,
        "holdDays": 0,
    }
    last = content(client.raw("GET", "/actions/ALL", signed=b'"ALL"', query="page=3"))
    assert [action["actionId"] for action in last["allActionDetails"]] == [201, 202]
    assert content(client.get("/actions/inactive", "inactive"))["allActionDetails"][0]["actionId"] == 202
    assert content(client.get("/actions/Active", "Active"))["records"] == len(ACTIONS) - 1
    assert failure(client.get("/actions/some", "some")) == (400, "AC1007")


def test_reset_restores_the_catalogue(client: Client):
    post(client, GIVE)
    client.site.catalogue.actions[101] = replace(client.site.catalogue.actions[101], points=1)
    client.site.reset()
    assert client.site.catalogue.actions[101].points == 100
    assert client.site.activities.count() == 0
