"""Points: what is posted, what is known when a reply gets lost, and what the lists say."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import jwt
import pytest
import requests
from annexcloud_stub import SECRET, Service
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError

from annex_d365.annexcloud.errors import InDoubtError
from annex_d365.annexcloud.points import Activity, Points, Posting
from annex_d365.annexcloud.token import hmac_claim
from annex_d365.errors import OutageError, RepeatedError, RowError, ServiceError, SettingError
from annex_d365.gate import Gate

NO_CONNECTION = requests.ConnectionError(MaxRetryError(None, "", NewConnectionError(None, "refused")))
GOOD = (200, {"id": "x1"})


@pytest.fixture
def service(monkeypatch):
    for wait in ("sleep", "pause"):
        monkeypatch.setattr(Gate, wait, lambda self, seconds: None)
    return Service()


@pytest.fixture
def points(service):
    return Points(service.client())


def posting(**changes):
    return Posting(**{"member_id": "x1", "activity": "CREDIT", "amount": Decimal(5), "reason": "gift", **changes})


@pytest.mark.parametrize(
    ("given_posting", "body"),
    [
        (posting(), {"id": "x1", "activity": "CREDIT", "credit": 5, "actionId": "100", "reason": "gift"}),
        (
            posting(activity="Debit", order_id="o1", extra={"storeId": "7", "source": ""}),
            {
                "id": "x1",
                "activity": "DEBIT",
                "debit": 5,
                "actionId": "100",
                "reason": "gift",
                "orderId": "o1",
                "storeId": "7",
            },
        ),
        (posting(action_id=""), {"id": "x1", "activity": "CREDIT", "credit": 5, "reason": "gift"}),
        (
            posting(action_id="101", amount=None, reason=""),
            {"id": "x1", "activity": "CREDIT", "actionId": "101"},
        ),
        (
            posting(action_id="107", activity="DEBIT", amount=None, reason="", extra={"rewardId": "R1"}),
            {"id": "x1", "activity": "DEBIT", "actionId": "107", "rewardId": "R1"},
        ),
        (
            posting(extra={"id": "x2", "activity": "DEBIT", "actionId": "101", "debit": "7"}),
            {"id": "x1", "activity": "CREDIT", "credit": 5, "actionId": "100", "reason": "gift"},
        ),
    ],
)
def test_bodies(points, service, given_posting, body):
    points.post(given_posting)
    assert service.bodies == [body]
    assert service.calls == ["POST /points"]


@given(amount=st.decimals(min_value="0.0001", max_value="99999999999999999", allow_nan=False, places=4))
def test_amounts_are_numbers_and_exact(amount):
    service = Service()
    Points(service.client()).post(posting(amount=amount))
    (request,) = service.requests
    sent = json.loads(request.body, parse_float=Decimal)["credit"]
    assert type(sent) in {int, Decimal}
    assert sent == amount


@pytest.mark.parametrize(("amount", "text"), [("1E+3", "1000"), ("12.50", "12.50"), ("0.10", "0.10"), ("3.00", "3")])
def test_amounts_as_they_are_written(points, service, amount, text):
    points.post(posting(amount=Decimal(amount)))
    assert f'"credit":{text}'.encode() in service.requests[0].body


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"member_id": ""}, "no member id"),
        ({"activity": "GIFT"}, "neither CREDIT nor DEBIT"),
        ({"amount": Decimal(0)}, "positive"),
        ({"amount": Decimal(-5)}, "positive"),
        ({"amount": Decimal("NaN")}, "positive"),
        ({"amount": Decimal("Infinity")}, "positive"),
        ({"amount": Decimal("1E+99999999")}, "positive"),
        ({"amount": None}, "amount is mandatory"),
        ({"amount": None, "action_id": ""}, "amount is mandatory"),
        ({"action_id": "", "reason": ""}, "reason is mandatory"),
        ({"action_id": "107", "activity": "DEBIT"}, "rewardId"),
        ({"action_id": "107", "extra": {"rewardId": "R1"}}, "rewardId"),
    ],
)
def test_postings_that_the_service_cannot_take_are_not_sent(points, service, changes, words):
    with pytest.raises(RowError, match=words):
        points.post(posting(**changes))
    assert service.requests == []


@pytest.mark.parametrize(
    "lost",
    [
        requests.ReadTimeout(),
        requests.ConnectionError("reset"),
        requests.ConnectionError(MaxRetryError(None, "", ReadTimeoutError(None, "", "late"))),
        requests.exceptions.ChunkedEncodingError(),
        (408, {}),
        (500, {"errorCode": "AC1001"}),
        (502, b"<html></html>"),
        (503, {}),
        (504, {}),
        (520, b""),
        (200, b"<html></html>"),
        (200, b'{"id": "x'),
    ],
)
@pytest.mark.parametrize("before", [[], [(429, {})], [NO_CONNECTION]])
def test_a_posting_in_doubt_is_not_sent_again(points, service, lost, before):
    service.replies = [GOOD, *before, lost, GOOD]
    points.post(posting())
    with pytest.raises(InDoubtError, match="may have been carried out") as error:
        points.post(posting(member_id="marker"))
    assert not isinstance(error.value, (RowError, OutageError))
    assert len(service.requests) == 2 + len(before)
    for secret in ("marker", SECRET, "html"):
        assert secret not in str(error.value)


@pytest.mark.parametrize("not_started", [(429, {}), NO_CONNECTION, requests.ConnectTimeout()])
def test_what_was_not_started_is_sent_again(points, service, not_started):
    service.replies = [not_started, not_started, GOOD]
    points.post(posting())
    assert len(service.requests) == 3


@pytest.mark.parametrize("not_started", [(429, {}, {"Retry-After": "9999"}), NO_CONNECTION, requests.ConnectTimeout()])
def test_what_never_starts_is_not_in_doubt(points, service, not_started):
    service.replies = [GOOD, not_started]
    points.post(posting())
    with pytest.raises(OutageError):
        points.post(posting())


def test_a_service_that_was_never_reached_is_a_wrong_setting(points, service):
    service.replies = [NO_CONNECTION]
    with pytest.raises(SettingError):
        points.post(posting())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((404, {"errorCode": "AC1005"}), RowError),
        ((400, {"errorCode": "AC1004"}), RowError),
        ((409, {"errorCode": "AC1006"}), RowError),
        ((200, {"errorCode": "AC1005"}), RowError),
        ((401, {"errorCode": "AC1002"}), SettingError),
        ((404, b"<html></html>"), SettingError),
        ((403, {}), ServiceError),
        ((200, {"errorCode": "AC4711"}), ServiceError),
    ],
)
def test_refusals(points, service, reply, kind):
    service.replies = [reply]
    with pytest.raises(kind) as error:
        points.post(posting())
    assert type(error.value) is kind


def test_a_refusal_after_a_throttled_sending_is_a_refusal(points, service):
    service.replies = [NO_CONNECTION, (429, {}), (409, {"errorCode": "AC1006"})]
    with pytest.raises(RowError) as error:
        points.post(posting())
    assert not isinstance(error.value, RepeatedError)


def test_an_outage_while_an_id_is_judged_leaves_no_doubt(points, service):
    service.replies = [GOOD, (401, {}), requests.ReadTimeout()]
    points.post(posting())
    with pytest.raises(OutageError):
        points.post(posting())


ENTRY = {
    "activityId": "7",
    "actionId": 109,
    "activity": "Credit",
    "credit": 12,
    "orderId": "o1",
    "createDate": "2024-08-08T09:00:12+0200",
}
READ = Activity("o1", "109", "CREDIT", Decimal(12), dt.datetime(2024, 8, 8, 7, 0, 12, tzinfo=dt.timezone.utc), ENTRY)


@pytest.mark.parametrize(
    "body",
    [
        {"siteId": "1", "activityDetail": [ENTRY], "pages": 1, "currentPage": 1},
        {"siteId": "1", "activityDetail": ENTRY, "pages": "1"},
        {"activityDetail": {"1": ENTRY}, "pages": 1},
        {"Data": {"activityDetail": [ENTRY], "pages": 1}},
        {"activityDetail": [ENTRY]},
        {"Data": [ENTRY]},
        [ENTRY],
    ],
)
def test_activities_in_any_shape(points, service, body):
    service.replies = [(200, body), (404, {"errorCode": "AC1005"})]
    (activity,) = points.activities("x1")
    assert activity == READ
    assert service.calls[0] == "GET /users/x1/activity?page=1"
    assert "o1" in repr(activity)
    assert "activityId" not in repr(activity)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"siteId": "1", "pages": 0},
        {"activityDetail": []},
        {"activityDetail": None, "totalActivityCount": 0},
        {"activityDetail": ""},
        {"activityDetail": {}},
        [],
    ],
)
def test_no_activities(points, service, body):
    service.replies = [(200, body)]
    assert list(points.activities("x1")) == []
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    "body",
    ["fine", 7, {"history": [ENTRY]}, {"activityDetail": "fine", "x": [1]}, {"activityDetail": ["fine"]}, ["fine"]],
)
def test_activities_of_no_known_shape_are_not_taken_for_none(points, service, body):
    service.replies = [(200, body)]
    with pytest.raises(ServiceError, match="no known shape") as error:
        list(points.activities("x1"))
    assert not isinstance(error.value, RowError)


@pytest.mark.parametrize(
    ("entry", "activity", "amount"),
    [
        ({"activity": "CREDIT", "credit": "12.50"}, "CREDIT", "12.50"),
        ({"activity": "debit", "credit": 0, "debit": 3}, "DEBIT", "3"),
        ({"activity": "DEBIT", "debit": ""}, "DEBIT", None),
        ({"activity": "CREDIT", "debit": 3}, "CREDIT", None),
        ({"debit": 3}, "DEBIT", "3"),
        ({"credit": 4, "debit": "0"}, "CREDIT", "4"),
        ({"credit": 4, "debit": 4}, "", None),
        ({"activity": "CREDIT", "credit": "many"}, "CREDIT", None),
        ({"activity": "CREDIT", "credit": "NaN"}, "CREDIT", None),
        ({"activity": "CREDIT", "credit": True}, "CREDIT", None),
        ({"activity": "CREDIT", "credit": 0.1}, "CREDIT", "0.1"),
    ],
)
def test_amounts_of_activities(points, service, entry, activity, amount):
    service.replies = [(200, [{"actionId": "100", **entry}]), (200, [])]
    (read,) = points.activities("x1")
    assert (read.activity, read.amount) == (activity, amount and Decimal(amount))
    assert (read.order_id, read.created) == ("", None)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["activity", "credit", "debit", "orderId", "actionId", "createDate"]),
            st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=1),
            min_size=1,
        ),
        max_size=5,
    )
)
def test_any_entry_is_read(entries):
    service = Service()
    service.replies = [(200, {"activityDetail": entries, "pages": 1})]
    assert [activity.raw for activity in Points(service.client()).activities("x1")] == entries


def test_all_pages_are_read_and_the_id_alone_is_signed(points, service):
    pages = [[{"actionId": number}] for number in (1, 2, 3)]
    service.replies = [(200, {"activityDetail": page, "pages": "3"}) for page in pages]
    assert [activity.action_id for activity in points.activities("a/b")] == ["1", "2", "3"]
    assert service.calls == [f"GET /users/a%2Fb/activity?page={number}" for number in (1, 2, 3)]
    assert {claim(request) for request in service.requests} == {hmac_claim(SECRET, b'"a/b"')}


def claim(request):
    return jwt.decode(request.headers["Authorization"].removeprefix("Bearer "), SECRET, algorithms=["HS256"])["hmac"]


def test_members_that_are_not_there(points, service):
    service.replies = [(404, {"errorCode": "AC1005"})]
    for read in (lambda: list(points.activities("x1")), lambda: points.balance("x1")):
        with pytest.raises(RowError) as error:
            read()
        assert error.value.status == 404


@pytest.mark.parametrize("envelope", [lambda body: body, lambda body: {"Data": body}])
def test_balances(points, service, envelope):
    service.replies = [(200, envelope({"id": "x1", "availablePoints": "12", "creditsToCurrencyValue": 0.1}))]
    balance = points.balance("x1")
    assert (balance["availablePoints"], balance["creditsToCurrencyValue"]) == ("12", Decimal("0.1"))
    assert service.calls == ["GET /points/x1"]


def test_a_balance_of_no_known_shape(points, service):
    service.replies = [(200, ["fine"])]
    with pytest.raises(ServiceError, match="no known shape"):
        points.balance("x1")
