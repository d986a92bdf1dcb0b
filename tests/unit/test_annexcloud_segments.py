"""Segments and their members, whatever form the answers have."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from annexcloud_stub import Service
from hypothesis import given
from hypothesis import strategies as st

from annex_d365 import http
from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.segment_enumeration import SegmentEnumeration
from annex_d365.annexcloud.segments import Segment, Segments, eligible
from annex_d365.errors import OutageError, ServiceError, SettingError

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NO_DATA = (404, {"errorCode": "AC1005", "errorMessage": "No data found"})
REFUSED = (400, {"errorCode": "AC1007", "errorMessage": "Invalid"})


@pytest.fixture
def service(monkeypatch):
    """A service that answers by path, in all threads."""
    made = Service()
    made.answers = {"/users/0": NO_DATA}
    made.replies = [lambda request: made.answers.get(request.path_url.removeprefix("/api/3.0"), NO_DATA)]

    def session(ca_bundle):
        new = http.Session(ca_bundle)
        new.mount("https://", made)
        return new

    monkeypatch.setattr(http, "new_session", session)
    return made


@pytest.fixture
def segments(service):
    with ThreadPoolExecutor(3) as pool:
        yield Segments(service.client(), Crew(pool, 3))


def listing(*rows, **more):
    return 200, {"siteId": "4711", "allSegmentDetails": list(rows), **more}


def row(number, **more):
    return {"segmentId": str(number), "segmentName": f"S{number}", **more}


def page(*members, **more):
    return 200, {"members": [{"id": each} for each in members], **more}


def read(segments, *wanted, **options):
    return [
        (part.segment.segment_id, [each["id"] for each in part.members], part.last and part.failure is None)
        for part in segments.parts([Segment(str(each)) for each in wanted], **options)
    ]


def test_a_segment_of_the_list(service, segments):
    service.answers["/segmentlist/all?page=1"] = listing(
        row(
            550,
            segmentType="Static",
            status="ACTIVE",
            memberCount="15",
            segmentFromDate="2024-01-01 00:00:00",
            segmentToDate="2099-12-31",
            createDate="2024-08-08T07:00:12+0200",
            externalId=None,
        ),
        pages="1",
    )
    (segment,) = segments.all()
    assert segment == Segment(
        "550",
        name="S550",
        kind="static",
        status="active",
        member_count=15,
        from_date="2024-01-01",
        to_date="2099-12-31",
        created_on="2024-08-08T05:00:12Z",
    )


def test_all_pages_of_the_list_in_the_order_of_ids(service, segments):
    service.answers["/segmentlist/all?page=1"] = listing(row(1000), row(99), pages=2)
    service.answers["/segmentlist/all?page=2"] = listing(row(100), pages=2)
    assert [each.segment_id for each in segments.all()] == ["99", "100", "1000"]


@pytest.mark.parametrize(
    "body",
    [
        [row(1)],
        {"segments": [row(1)], "pages": 1},
        {"allSegmentDetails": row(1)},
        {"allSegmentDetails": {"1": row(1)}},
        {"Data": {"allSegmentDetails": [row(1)]}},
        {"allSegmentDetails": [{"id": 1, "name": "S1"}], "links": []},
    ],
)
def test_other_forms_of_the_list(service, segments, body):
    service.answers["/segmentlist/all?page=1"] = (200, body)
    assert [(each.segment_id, each.name) for each in segments.all()] == [("1", "S1")]


def test_no_segments(service, segments):
    assert segments.all() == []
    service.answers["/segmentlist/all?page=1"] = listing()
    assert segments.all() == []


@pytest.mark.parametrize("body", [{"a": [1], "b": [2]}, {"allSegmentDetails": [{"name": "x"}]}, "x"])
def test_a_list_that_nobody_understands(service, segments, body):
    service.answers["/segmentlist/all?page=1"] = (200, body)
    with pytest.raises(ServiceError, match="of no known shape"):
        segments.all()


@pytest.mark.parametrize(
    ("external", "origin"),
    [
        (None, "annexcloud"),
        ("", "annexcloud"),
        (GUID, f"dynamics:{GUID}"),
        (f"{{{GUID.upper()}}}", f"dynamics:{GUID}"),
        (f"Dynamics:{GUID.upper()}", f"dynamics:{GUID}"),
        ("sap-77", "external:sap-77"),
    ],
)
def test_where_a_segment_comes_from(external, origin):
    assert Segment("1", external_id=external).origin == origin


def test_unknown_words_for_kinds(service, segments):
    service.answers["/segmentlist/all?page=1"] = listing(row(1, segmentType="Smart"), row(2))
    assert [each.kind for each in segments.all()] == ["other", None]


MEMBERS = [{"id": "M1", "email": "ana@example.org"}, {"id": "2"}]


@pytest.mark.parametrize(
    "answer",
    [
        {"members": MEMBERS},
        {"members": {"1": MEMBERS[0], "2": MEMBERS[1]}},
        {"userId": ["M1", 2]},
        {"member": "M1, 2"},
        MEMBERS,
        {"segmentDetail": {"memberDetails": {"userId": ["M1", "2"], "zipCode": []}}},
        {"members": [{"userId": "M1"}, {"memberId": 2}]},
        {"members": None, "userId": ["M1", "2"]},
    ],
)
def test_members_in_any_form(answer):
    found = eligible(answer)
    if isinstance(answer, dict) and answer.get("members", 0) is None:
        assert found == []  # the documented name wins
    else:
        assert [each["id"] for each in found] == ["M1", "2"]


@pytest.mark.parametrize("answer", [{"members": []}, {"members": None}, {"member": ""}, []])
def test_no_members(answer):
    assert eligible(answer) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "members", "1", "x"]), inner),
    max_leaves=12,
)


@given(json_values)
def test_members_are_told_or_refused(answer):
    try:
        found = eligible(answer)
    except ServiceError:
        return
    assert all(isinstance(each["id"], str) and each["id"] for each in found)


def test_pages_of_several_segments_in_order(service, segments):
    for number in (1, 2):
        for at in (1, 2, 3):
            service.answers[f"/eligiblesegment/{number}?page={at}"] = page(f"M{number}{at}", pages=3)
    assert read(segments, 1, 2) == [
        ("1", ["M11"], False),
        ("1", ["M12"], False),
        ("1", ["M13"], False),
        ("1", [], True),
        ("2", ["M21"], False),
        ("2", ["M22"], False),
        ("2", ["M23"], False),
        ("2", [], True),
    ]
    assert len(service.requests) == 6


@pytest.mark.parametrize(
    ("records", "complete"),
    [((3, 3), True), ((2, 1), True), ((2, 2), True), ((4, 4), False), (("3", "3"), True), ((None, None), True)],
)
def test_a_count_that_differs_makes_a_segment_incomplete(service, segments, records, complete):
    service.answers["/eligiblesegment/1?page=1"] = page("M1", "M2", pages=2, records=records[0])
    service.answers["/eligiblesegment/1?page=2"] = page("M3", pages=2, records=records[1])
    assert read(segments, 1)[-1] == ("1", [], complete)


@pytest.mark.parametrize(("records", "complete"), [((4, 4), False), ((4, 3), False), ((3, 3), True), ((2, 2), True)])
def test_a_member_who_comes_twice_is_sent_once(service, segments, records, complete):
    """One has joined while the list was read, and another one may have been missed: the count tells."""
    service.answers["/eligiblesegment/1?page=1"] = page("M1", "M2", pages=2, records=records[0])
    service.answers["/eligiblesegment/1?page=2"] = page("M2", "M3", pages=2, records=records[1])
    assert read(segments, 1) == [("1", ["M1", "M2"], False), ("1", ["M3"], False), ("1", [], complete)]


def test_what_concerns_one_segment_ends_that_one_only(service, segments):
    service.answers["/eligiblesegment/1?page=1"] = REFUSED
    service.answers["/eligiblesegment/2?page=1"] = page("M1", pages=2)
    service.answers["/eligiblesegment/2?page=2"] = REFUSED
    service.answers["/eligiblesegment/3?page=1"] = page("M2")
    assert read(segments, 1, 2, 3) == [
        ("1", [], False),
        ("2", ["M1"], False),
        ("2", [], False),
        ("3", ["M2"], False),
        ("3", [], True),
    ]


def test_an_empty_segment_that_is_not_found_is_complete_if_the_list_says_so(segments):
    parts = list(segments.parts([Segment("1", member_count=0), Segment("2", member_count=3), Segment("3")]))
    assert [part.failure is None for part in parts] == [True, False, False]


def test_a_service_without_segments_is_a_wrong_setting(service, segments):
    service.answers["/users/0"] = service.answers["/eligiblesegment/1?page=1"] = (404, "<html>")
    with pytest.raises(SettingError):
        read(segments, 1)


def test_an_outage_ends_all(service, segments, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 1)
    service.answers["/eligiblesegment/1?page=1"] = (503, {})
    with pytest.raises(OutageError):
        read(segments, 1)


def enumerate_by(segments, position=None, **options):
    return list(SegmentEnumeration(segments, **options).batches(position))


@pytest.fixture
def three(service, segments):
    service.answers["/segmentlist/all?page=1"] = listing(row(1), row(2), row(3))
    for number in (1, 2, 3):
        for at in (1, 2, 3):
            service.answers[f"/eligiblesegment/{number}?page={at}"] = page(f"M{number}{at}", pages=3)
    return segments


def ids(batches):
    return [each.id for batch in batches for each in batch.candidates]


def test_members_by_segments(three):
    batches = enumerate_by(three)
    assert ids(batches) == [f"M{number}{at}" for number in (1, 2, 3) for at in (1, 2, 3)]
    assert batches[-1].position == {"done": "3"}
    assert all(each.proven for batch in batches for each in batch.candidates)


def test_any_position_is_one_to_go_on_from(three):
    batches = enumerate_by(three)
    for place, batch in enumerate(batches):
        again = enumerate_by(three, json.loads(json.dumps(batch.position)))
        assert set(ids(batches[: place + 1])) | set(ids(again)) == set(ids(batches))
        # Within a segment the page before is read once more.
        within = batch.position and batch.position.get("page", 0) > 2
        assert any(each.torn for each in again) == bool(within)
        assert len(ids(again)) <= len(ids(batches[place + 1 :])) + (2 if batch.position else 0)


def test_some_segments_only(three):
    batches = enumerate_by(three, wanted=["2", "9"])
    assert ids(batches) == ["M21", "M22", "M23"]
    assert [each for batch in batches for each in batch.left] == [
        "segment 9 of `members.segments`, which is not listed"
    ]


def test_a_segment_that_fails_is_left(service, three):
    service.answers["/eligiblesegment/2?page=2"] = REFUSED
    batches = enumerate_by(three)
    assert [each for batch in batches for each in batch.left] == ["segment 2"]
    assert "M33" in ids(batches)


@pytest.mark.parametrize(
    ("status", "setting", "words"),
    [("zz", "members.status", "must be one of all, active, inactive"), ("", "segment_words.all", "by this word")],
)
def test_a_word_that_the_service_does_not_take_is_named_by_its_setting(service, segments, status, setting, words):
    service.answers[f"/segmentlist/{status or 'all'}?page=1"] = REFUSED
    with pytest.raises(SettingError, match=words) as error:
        segments.all(status)
    assert error.value.setting == setting
