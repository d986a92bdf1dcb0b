"""The streams of activities and rewards."""

from __future__ import annotations

import pytest

from annex_d365.errors import SettingError

SEARCH = {"by": "search", "from": "2023-01-01T00:00:00Z"}
#: For quick tests.
FEW = {"by": "segments", "segments": ["550"]}
MEMBER = "AC0000102"


@pytest.fixture
def one(programme, tmp_path):
    """The settings for one member."""
    path = tmp_path / "ids"
    path.write_text(MEMBER)
    programme.control("clock", freeze="2026-06-01T00:00:00Z")
    return {"members": {"by": "ids", "path": str(path)}}


def earn(programme, points, order):
    programme.sandbox.site.points.post(
        {"id": MEMBER, "activity": "CREDIT", "credit": points, "reason": "x", "orderId": order, "actionId": "100"}
    )


def state_of(until, **more):
    return {"bookmarks": {"activities": {"until": until, **more}}}


def test_all_activities_of_everybody(programme):
    messages = programme.run(programme.catalog(activities="all"), members=SEARCH)
    count = sum(len(list(programme.sandbox.site.activities.entries(each))) for each in programme.ids())
    assert len({each["activityId"] for each in messages.records("activities")}) == count > len(programme.ids())
    assert messages.states[-1]["bookmarks"]["activities"].keys() == {"until"}


def test_the_next_run_reads_the_days_before_the_last_one_again(programme, one):
    earn(programme, 5, "new")
    orders = {
        days: [
            each["orderId"]
            for each in programme.run(
                programme.catalog(activities="all"), state=state_of("2026-06-10T00:00:00Z"), lookback_days=days, **one
            ).records("activities")
        ]
        for days in (5, 30)
    }
    assert orders == {5: [], 30: ["new"]}


def test_a_status_that_changed_is_sent_again(programme, one):
    catalog = programme.catalog(activities="all")
    programme.switch(hold_status="On hold")
    earn(programme, 5, "o-1")
    first = programme.run(catalog, **one).records("activities")
    programme.switch(hold_status="Released since")
    again = programme.run(catalog, state=state_of("2026-06-02T00:00:00Z"), **one).records("activities")
    key = next(each["activityId"] for each in first if each["orderId"] == "o-1")
    assert [each["activityId"] for each in again] == [key]


def test_only_since_the_start_date(programme):
    messages = programme.run(programme.catalog(activities="all"), members=SEARCH, start_date="2025-06-01T00:00:00Z")
    dates = [each["createDate"] for each in messages.records("activities")]
    assert dates
    assert min(dates) >= "2025-06-01"


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_the_order_of_pages_makes_no_difference(programme, one, order):
    programme.switch(page_size=2, activity_order=order)
    for number in range(6):
        programme.control("clock", freeze=f"2026-06-{number + 1:02d}T00:00:00Z")
        earn(programme, 5, f"o-{number}")
    programme.forget_log()
    messages = programme.run(
        programme.catalog(activities="all"), state=state_of("2026-06-04T12:00:00Z"), lookback_days=0, **one
    )
    assert {each["orderId"] for each in messages.records("activities")} == {"o-4", "o-5"}
    assert programme.calls()["GET users/activity"] == (2 if order == "newest" else 5)


VARIANTS = [
    {"numbers": "string", "envelope": "Data"},
    {"page_size": 1, "paging_key": "current_page", "page_count": False},
    {"lone_activity": "object", "page_size": 1},
    {"missing_values": "absent"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_variants_of_the_service_make_no_difference(programme, variant):
    catalog = programme.catalog(activities="all", rewards="all")
    before = programme.run(catalog, members=FEW)
    programme.switch(**variant)
    after = programme.run(catalog, members=FEW)
    for stream, keys in (("activities", ["activityId"]), ("rewards", ["member_id", "rewardId"])):
        tables = [{tuple(each[key] for key in keys): each for each in m.records(stream)} for m in (before, after)]
        assert tables[0] == tables[1]
        assert tables[0]


def test_activities_without_ids_keep_their_keys(programme):
    programme.switch(activity_id=False)
    catalog = programme.catalog(activities="all")
    keys = [
        {each["activityId"] for each in programme.run(catalog, members=FEW).records("activities")} for _ in range(2)
    ]
    assert keys[0] == keys[1]
    assert all(each.startswith("fallback:") for each in keys[0])


def test_a_run_that_was_taken_up_has_the_bookmark_of_the_first(programme, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 1)
    monkeypatch.setattr("tap_annex.member_stream.MemberStream.STATE_MSG_FREQUENCY", 1)
    catalog = programme.catalog(activities="all")
    programme.control("faults", kind="status", route="/activity", status=503, after=35)
    first = programme.run(catalog, error=Exception, max_parallel_requests=1)
    state = first.states[-1]["bookmarks"]["activities"]
    assert "until" not in state
    began = state["enumeration"]["began"] = "2026-01-01T00:00:00Z"
    programme.sandbox.control.faults.clear()
    second = programme.run(catalog, state={"bookmarks": {"activities": state}})
    assert second.states[-1]["bookmarks"]["activities"] == {"until": began}
    sent = {each["activityId"] for m in (first, second) for each in m.records("activities")}
    assert sent == {each["activityId"] for each in programme.run(catalog).records("activities")}
    assert len(second.records("activities")) < len(sent)


def test_rewards_say_who_may_have_them(programme):
    messages = programme.run(programme.catalog(rewards="all", members=("availablePoints",)))
    points = {each["id"]: each["availablePoints"] for each in messages.records("members")}
    rewards = messages.records("rewards")
    assert {each["member_id"] for each in rewards} == set(points)
    assert all(each["eligible"] == (points[each["member_id"]] >= each["creditRequired"]) for each in rewards)


def test_a_lookback_beyond_all_dates_is_named(programme):
    catalog = programme.catalog(activities="all")
    with pytest.raises(SettingError, match="lookback_days"):
        programme.run(catalog, state=state_of("2026-06-04T12:00:00Z"), lookback_days=10**9)
