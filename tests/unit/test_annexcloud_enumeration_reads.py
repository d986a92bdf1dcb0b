"""What is read of members that were found: profiles, balances, tiers, rewards, activities."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from annexcloud_stub import Service
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud import columns
from annex_d365.annexcloud.bulk_reads import BulkReads
from annex_d365.annexcloud.columns import ACTIVITY, Column, ColumnReader, Kind, number
from annex_d365.annexcloud.enumeration import Candidate
from annex_d365.annexcloud.history import History, newest_first
from annex_d365.annexcloud.points import Points
from annex_d365.annexcloud.profiles import Profiles
from annex_d365.errors import RowError, ServiceError

NO_DATA = (404, {"errorCode": "AC1005", "errorMessage": "No data found"})
NO_ROUTE = (404, {"errorCode": "AC1001", "errorMessage": "Unknown"})
TOO_MANY = (400, {"errorCode": "AC1007", "errorMessage": "Too many"})
UTC = dt.timezone.utc


@pytest.fixture
def service():
    """Answers by method and path; posts are answered by functions of their body."""
    made = Service()
    made.answers = {}

    def answer(request):
        given = made.answers.get(f"{request.method} {request.path_url.removeprefix('/api/3.0')}", NO_DATA)
        return given(json.loads(request.body)) if callable(given) else given

    made.replies = [answer]
    return made


@pytest.mark.parametrize(
    ("raw", "exact"), [(3, 3), ("3", 3), (" 3.0 ", 3), ("2.50", Decimal("2.50")), (Decimal("1E+2"), 100), ("-7", -7)]
)
def test_numbers_are_exact_whatever_the_wire_says(raw, exact):
    read = number(raw)
    assert read == exact
    assert type(read) is type(exact)


@pytest.mark.parametrize("raw", ["1,5", "many", "NaN", "1E+999999999", True, [], "9" * 41])
def test_what_is_no_number_is_said(raw):
    with pytest.raises(ValueError):
        number(raw)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20))
def test_a_number_survives_as_text_and_as_number(value):
    assert number(str(value)) == number(value) == value


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (Kind.TEXT, 1099, "1099"),
        (Kind.TIME, "2024-08-08T09:00:12+0200", "2024-08-08T07:00:12Z"),
        (Kind.TIME, "2024-08-08 07:00:12", "2024-08-08T07:00:12Z"),
        (Kind.DATE, "1982-07-14T00:00:00+0000", "1982-07-14"),
        (Kind.FLAG, "YES", True),
        (Kind.FLAG, "no", False),
        (Kind.OBJECT, [], {}),
        (Kind.OBJECT, '{"a": "b"}', {"a": "b"}),
        (Kind.NUMBER, "", None),
        (Kind.TIME, None, None),
    ],
)
def test_values_have_one_type(kind, raw, value):
    assert Column("x", kind).value({"x": raw}) == value


def test_a_value_that_does_not_suit_is_null_and_said_once(caplog):
    reader = ColumnReader([Column("day", Kind.DATE), Column("name")])
    for _ in range(2):
        assert reader.read({"day": "31.12.1999", "name": "Ana"}) == {"day": None, "name": "Ana"}
    assert caplog.text.count("`day`") == 1
    assert "1999" not in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(Kind)), json_values)
def test_no_value_is_too_strange(kind, raw):
    value = ColumnReader([Column("x", kind)]).read({"x": raw})["x"]
    types = {"string": str, "number": (int, Decimal), "boolean": bool, "object": dict}
    assert value is None or isinstance(value, types[kind.value[0]])


# Bulk reads


def bulk(answer):
    """A handler that has balances of all but those whose id begins with X."""

    def handle(body):
        return answer(
            {
                key: {"id": each["id"], "availablePoints": 5}
                if each["id"][0] != "X"
                else {"id": each["id"], "errorCode": "AC1005"}
                for key, each in body.items()
            }
        )

    return handle


def balances(service):
    client = service.client()
    return BulkReads(client, "getbulkpoints", Points(client).balance, frozenset({"availablePoints"}))


def available(found):
    return {each: fields and fields["availablePoints"] for each, fields in found.items()}


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        lambda rows: list(rows.values()),
        lambda rows: {"siteId": "1", "members": list(rows.values())},
        lambda rows: {"Data": rows},
        lambda rows: [dict(reversed(each.items())) for each in reversed(rows.values())],
    ],
)
def test_balances_of_many_by_one_call(service, form):
    service.answers["POST /getbulkpoints"] = bulk(lambda rows: (200, form(rows)))
    assert available(balances(service).read(["A", "B", "X"])) == {"A": 5, "B": 5, "X": None}
    assert service.calls == ["POST /getbulkpoints"]
    assert service.bodies == [{"1": {"id": "A"}, "2": {"id": "B"}, "3": {"id": "X"}}]


def test_what_a_bulk_call_does_not_tell_is_asked_for_alone(service):
    service.answers["POST /getbulkpoints"] = bulk(lambda rows: (200, [rows["1"], {"id": "B", "errorCode": "AC1004"}]))
    for each in "BC":
        service.answers[f"GET /points/{each}"] = (200, {"availablePoints": 7})
    assert available(balances(service).read(["A", "B", "C", "X"])) == {"A": 5, "B": 7, "C": 7, "X": None}


def test_fewer_at_once_when_they_were_too_many(service):
    sizes = []

    def limited(body):
        sizes.append(len(body))
        return bulk(lambda rows: (200, rows))(body) if len(body) <= 30 else TOO_MANY

    service.answers["POST /getbulkpoints"] = limited
    ids = [f"M{each}" for each in range(120)]
    reads = balances(service)
    assert set(available(reads.read(ids)).values()) == {5}
    assert sizes == [100, 50, 25, 25, 25, 25, 20]
    reads.read(ids[:25])
    assert sizes[-1] == 25


@pytest.mark.parametrize("refusal", [NO_ROUTE, TOO_MANY, (403, {"errorCode": "AC1002"}), (200, {"status": "fine"})])
def test_a_service_without_bulk_calls_is_asked_alone(service, refusal):
    service.answers["POST /getbulkpoints"] = refusal
    ids = [f"M{each}" for each in range(12)]
    for each in ids:
        service.answers[f"GET /points/{each}"] = (200, {"availablePoints": "9"})
    reads = balances(service)
    for start in range(0, 12, 2):
        assert set(available(reads.read(ids[start : start + 2])).values()) == {"9"}
    assert service.calls.count("POST /getbulkpoints") <= 3


def test_ids_that_no_address_can_hold_are_nobody(service):
    assert balances(service).read([".", ".."]) == {".": None, "..": None}
    assert service.calls == []


# Profiles


PROFILE = {"id": "M1", "email": "ana@example.org", "firstName": "Ana", "zipCode": 1099}


def test_only_what_is_wanted_is_asked_for(service):
    service.answers["GET /users/M1"] = (200, PROFILE)
    read = Profiles(service.client(), ["email", "zipCode"]).read([Candidate("M1")])
    assert read == [{"id": "M1", "email": "ana@example.org", "zipCode": "1099"}]
    assert service.calls == ["GET /users/M1"]


def test_what_is_known_is_not_asked_for(service):
    known = Candidate("M1", {"id": "M1", "email": "ana@example.org"}, proven=True)
    assert Profiles(service.client(), ["email"]).read([known]) == [{"id": "M1", "email": "ana@example.org"}]
    assert Profiles(service.client(), []).read([Candidate("M2", proven=True)]) == [{"id": "M2"}]
    assert service.calls == []
    assert Profiles(service.client(), ["phone"]).read([known]) == []
    assert service.calls == ["GET /users/M1"]


def test_an_id_from_elsewhere_is_proven_by_a_call(service):
    service.answers["GET /users/M1"] = (200, PROFILE)
    read = Profiles(service.client(), ["id"]).read([Candidate("M1"), Candidate("M2")])
    assert read == [{"id": "M1"}]


def test_balances_prove_members_too(service):
    service.answers["POST /getbulkpoints"] = bulk(lambda rows: (200, rows))
    read = Profiles(service.client(), ["availablePoints"]).read([Candidate("A"), Candidate("X"), Candidate("X2")])
    assert read == [{"id": "A", "availablePoints": 5}]
    assert service.calls == ["POST /getbulkpoints"]


def test_a_member_without_points_is_one(service):
    service.answers["GET /users/M1"] = (200, PROFILE)
    read = Profiles(service.client(), ["email", "availablePoints"]).read([Candidate("M1")])
    assert read == [{"id": "M1", "email": "ana@example.org", "availablePoints": None}]


def test_an_address_leads_to_the_member(service):
    service.answers["GET /users/ana%40example.org"] = (200, PROFILE)
    (read,) = Profiles(service.client(), ["firstName"]).read([Candidate("ana@example.org")])
    assert read == {"id": "M1", "firstName": "Ana"}


def test_tiers_by_the_sites_own_names(service):
    service.answers["GET /users/M1/tiers"] = (200, {"currentTier": "Gold", "achievedOn": "2024-08-08T07:00:12+0000"})
    profiles = Profiles(service.client(), ["currentTier", "tierAchieveDate"], {"tierAchieveDate": "achievedOn"})
    assert profiles.read([Candidate("M1")]) == [
        {"id": "M1", "currentTier": "Gold", "tierAchieveDate": "2024-08-08T07:00:12Z"}
    ]


def test_rewards_to_have_now_and_next(service):
    service.answers["GET /points/M1"] = (200, {"availablePoints": "12.5"})
    service.answers["GET /users/M1/reward?sort_by=rewardSequence"] = (
        200,
        {
            "rewardDetail": [
                {"rewardId": 1, "displayText": "$5", "creditRequired": "5", "eligible": "YES"},
                {"rewardId": 2, "displayText": "$10", "creditRequired": 10, "eligible": "Y"},
                {"rewardId": 3, "displayText": "$50", "creditRequired": 50, "eligible": "NO"},
                {"rewardId": 4, "displayText": "$25", "creditRequired": "25", "eligible": False},
            ]
        },
    )
    (read,) = Profiles(service.client(), ["availableRewards", "pointsToNextReward"]).read([Candidate("M1")])
    assert read == {"id": "M1", "availableRewards": "$5 | $10", "pointsToNextReward": Decimal("12.5")}


def test_a_feed_needs_no_calls(service):
    fed = Candidate("M1", {"id": "M1", "availablePoints": "12", "email": "", "unknown": "x"}, final=True)
    profiles = Profiles(service.client(), ["availablePoints", "email", "phone", "currentTier"])
    assert profiles.read([fed]) == [{"id": "M1", "availablePoints": 12, "email": None}]
    assert service.calls == []


def test_a_refusal_is_no_absence(service):
    service.answers["GET /users/M1"] = (400, {"errorCode": "AC1004"})
    with pytest.raises(RowError):
        Profiles(service.client(), ["email"]).read([Candidate("M1")])


def test_a_profile_that_nobody_understands(service):
    service.answers["GET /users/M1"] = (200, ["fine"])
    with pytest.raises(ServiceError, match="of no known shape"):
        Profiles(service.client(), ["email"]).read([Candidate("M1")])


def test_columns_are_named_once():
    everything = (*columns.PROFILE, *columns.POINTS, *columns.TIERS, *columns.NEXT_REWARDS)
    names = [each.name for each in everything]
    assert len(names) == len(set(names))


# Activities


def entry(number, day, **more):
    return {
        "activityId": f"A{number}",
        "actionId": 109,
        "activity": "Credit",
        "credit": "5",
        "pointStatus": "Released",
        "createDate": f"2024-01-{day:02d}T00:00:00+0000",
        **more,
    }


def history(service, *days_by_page, start=None, make=entry):
    numbers = iter(range(100))
    for at, days in enumerate(days_by_page, 1):
        body = {"activityDetail": [make(next(numbers), day) for day in days], "pages": len(days_by_page)}
        service.answers[f"GET /users/M1/activity?page={at}"] = (200, body)
    since = dt.datetime(2024, 1, start, tzinfo=UTC) if start else None
    return History(Points(service.client())).since("M1", since)


def test_an_activity_as_a_record(service):
    (record,) = history(service, [3])
    assert record == {
        **dict.fromkeys(each.name for each in ACTIVITY),
        "activityId": "A0",
        "actionId": "109",
        "activity": "Credit",
        "credit": 5,
        "pointStatus": "Released",
        "createDate": "2024-01-03T00:00:00Z",
        "member_id": "M1",
        "points": 5,
    }


def test_a_debit_counts_down(service):
    (record,) = history(service, [3], make=lambda n, d: {**entry(n, d), "activity": "DEBIT", "credit": 0, "debit": 7})
    assert (record["points"], record["debit"]) == (-7, 7)


@pytest.mark.parametrize(
    ("pages", "read"),
    [
        (([9, 8], [7, 4], [3, 2]), 2),  # newest first: the second page ends before the start
        (([9, 8], [8, 7], [6, 5]), 3),  # all are in time
        (([4, 3], [9, 8], [7, 6]), 1),  # says so, and is believed
        (([1, 2], [3, 8], [9, 9]), 3),  # oldest first
        (([4, 4], [4, 4], [9, 9]), 3),  # all alike: no order
    ],
)
def test_pages_are_read_until_an_order_says_enough(service, pages, read):
    records = history(service, *pages, start=5)
    assert len(service.calls) == read
    wanted = [f"2024-01-{day:02d}T00:00:00Z" for page in pages[:read] for day in page if day >= 5]
    assert [each["createDate"] for each in records] == wanted


def test_an_entry_without_a_date_is_always_sent(service):
    records = history(
        service, [9, 1], start=5, make=lambda n, d: {**entry(n, d), "createDate": None if d == 1 else "x"}
    )
    assert len(records) == 2


def test_nobody_and_nothing(service):
    assert History(Points(service.client())).since("M1", None) is None
    assert history(service, []) == []


def test_activities_without_ids_have_keys_of_their_own(service):
    def nameless(number, day):
        return {**entry(number, day), "activityId": None, "credit": "5.0" if number else 5, "orderId": f"o{day}"}

    first = history(service, [9, 8, 8])
    assert len({each["activityId"] for each in first}) == 3
    keys = [each["activityId"] for each in history(service, [9, 8, 8], make=nameless)]
    assert all(key.startswith("fallback:") for key in keys)
    assert len(set(keys)) == 3
    assert keys[2] == f"{keys[1]}-2"
    # Neither the status nor the place of an entry changes its key.
    later = history(service, [9], [8, 8], make=lambda n, d: {**nameless(n, d), "pointStatus": "Expired"})
    assert [each["activityId"] for each in later] == keys


@given(st.lists(st.datetimes() | st.none()))
def test_an_order_is_believed_only_if_it_is_one(times):
    told = newest_first(times)
    assert told == (None not in times and len(set(times)) > 1 and times == sorted(times, reverse=True))
