"""Results of bulk calls in any shape: what is told is right, and what is not clear is left open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud.bulk_results import verdicts
from annex_d365.annexcloud.bulk_words import Verdict

DONE = Verdict(200)
EXISTS = Verdict(409, "AC1006")
IDS = ["x1", "x2", "x3"]
GOOD = {"statusCode": 200}
BAD = {"statusCode": 409, "errorCode": "AC1006"}


def of_one(item):
    return verdicts([{"id": "x1", **item}], ["x1"])[0]


@pytest.mark.parametrize(
    ("item", "verdict"),
    [
        ({"status": 200}, DONE),
        ({"status": "201"}, Verdict(201)),
        ({"statusCode": "200", "status": "success"}, DONE),
        ({"statusCode": 200, "status": "ACTIVE", "errorCode": None}, DONE),
        ({"statusCode": 201, "status": 200}, DONE),
        ({"status": "Success"}, DONE),
        ({"success": True}, DONE),
        ({"statusCode": 200, "errorCode": 0, "errorMessage": ""}, DONE),
        ({"status": "ACTIVE", "createDate": "2024-08-08T07:00:12+0000"}, DONE),
        ({"Data": {"statusCode": 200}}, DONE),
        ({"statusCode": 409, "errorCode": "AC1006", "errorMessage": "exists"}, EXISTS),
        ({"status": "409", "errorCode": "ac1006"}, EXISTS),
        ({"statusCode": 200, "errorCode": "AC1006"}, EXISTS),
        ({"errorCode": "AC1006"}, EXISTS),
        ({"error": {"errorCode": "AC1006"}}, EXISTS),
        ({"errorCode": 409}, Verdict(409)),
        ({"statusCode": "102"}, Verdict(102)),
        ({"statusCode": 400, "errorCode": 1007}, Verdict(400, "1007")),
        ({"statusCode": 400, "errorCode": "AC1005"}, Verdict(400, "AC1005")),
        ({"status": "error", "statusCode": 422}, Verdict(422)),
        ({"statusCode": 200, "error_message": "no", "error_code": "AC1004"}, Verdict(400, "AC1004")),
        ({"statusCode": 200, "errorCode": "", "ErrorCode": "AC1005"}, Verdict(404, "AC1005")),
        ({"statusCode": 200, "data": {"userDetail": {"error_code": "AC1005"}}}, Verdict(404, "AC1005")),
        ({"STATUS_CODE": 200, "message": "User updated successfully."}, DONE),
        ({"statusCode": 200, "failed": False, "errors": [], "failCount": 0, "updated": True}, DONE),
        ({"statusCode": 200, "email": "a@example.com", "zipCode": 8000, "extendedAttribute": {"size": "9"}}, DONE),
    ],
)
def test_items_that_are_clear(item, verdict):
    told = of_one(item)
    assert told == verdict
    assert told.done is str(verdict.status).startswith("2")


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"status": "ACTIVE"},
        {"status": "error"},
        {"status": "pending"},
        {"status": 1},
        {"success": False},
        {"errorMessage": "no"},
        {"statusCode": 200, "errorMessage": "no"},
        {"statusCode": 200, "success": False},
        {"statusCode": 200, "status": 409},
        {"statusCode": 400, "status": 409},
        {"statusCode": 400, "status": 409, "errorCode": "AC1006"},
        {"statusCode": 409, "status": "success"},
        {"errorCode": "AC4711"},
        {"statusCode": 400, "errorCode": "Müller-marker is no name"},
        {"createDate": "2024-08-08T07:00:12+0000", "error": "no"},
        {"id": "x2", "statusCode": 200},
        {"userId": "x2", "statusCode": 200},
        {"status": "200", "message": "Member not found"},
        {"statusCode": 200, "message": "No user updated"},
        {"statusCode": 200, "message": "user"},
        {"statusCode": 200, "errorMsg": "invalid"},
        {"statusCode": 200, "error_message": "invalid"},
        {"statusCode": 200, "ErrorCode": "AC4711"},
        {"statusCode": 200, "reason": "invalid email"},
        {"statusCode": 200, "note": "left alone"},
        {"statusCode": 200, "failed": True},
        {"statusCode": 200, "saved": False},
        {"statusCode": 200, "updated": False},
        {"statusCode": 200, "errorCount": 1},
        {"statusCode": 200, "checks": {"email": "invalid"}},
        {"statusCode": 200, "email": ["invalid"]},
        {"status": {"code": 404}, "createDate": "2024-08-08"},
        {"status": 200, "Data": {"status": 404}},
        {"statusCode": 200, "errorCode": "AC1005", "error_code": "AC1006"},
        {"statusCode": 200, "Data": "Member not found"},
        {"status": "INACTIVE", "createDate": "2020-01-01", "message": "update ignored"},
    ],
)
def test_items_that_are_not_clear(item):
    assert verdicts([{"id": "x1", **item}, {"id": "x2"}], ["x1", "x2"])[0] is None


@pytest.mark.parametrize(
    "answer",
    [
        [GOOD, BAD, GOOD],
        {"1": GOOD, "2": BAD, "3": GOOD},
        {"0": GOOD, "1": BAD, "2": GOOD},
        {"siteId": "1", "status": "ok", "1": GOOD, "2": BAD, "3": GOOD},
        {"x1": GOOD, "x2": BAD, "x3": GOOD},
        {"Data": {"results": [GOOD, BAD, GOOD], "count": 3}},
        {"userDetail": {"1": GOOD, "2": BAD, "3": GOOD}},
        [{"id": "x3", **GOOD}, {"userId": "x2", **BAD}, {"member_id": "x1", **GOOD}],
        {"3": {"id": "x2", **BAD}, "1": {"id": "x3", **GOOD}, "2": {"id": "x1", **GOOD}},
        {"success": [{"id": "x3", **GOOD}, {"id": "x1", **GOOD}], "failed": [{"id": "x2", **BAD}]},
        [{"id": "x1", **GOOD}, BAD, GOOD],
        [{"Data": {"id": "x2"}, **BAD}, {"id": 4, "userId": "x1", **GOOD}, {"id": "x3", **GOOD}],
    ],
)
def test_shapes_of_answers(answer):
    assert verdicts(answer, IDS) == [DONE, EXISTS, DONE]


STORED = {"updateDate": "2025-01-01T00:00:00+0000"}


@pytest.mark.parametrize(
    "section", ["failed", "failedUsers", "errors", "rejected", "skipped", "not_updated", "Invalid"]
)
@pytest.mark.parametrize("envelope", [lambda answer: answer, lambda answer: {"Data": answer}])
def test_a_section_speaks_against_its_items(section, envelope):
    refused = [{"id": each, **STORED} for each in ("x1", "x2", "x3")]
    assert verdicts(envelope({"updated": [], section: refused}), IDS) == [None] * 3
    by_id = {section: {"x1": STORED, "x2": STORED, "x3": BAD}}
    assert verdicts(envelope(by_id), IDS) == [None, None, EXISTS]
    some = {"updated": refused[:1], section: [refused[1]], "results": [{"id": "x3", **BAD}]}
    assert verdicts(envelope(some), IDS) == [DONE, None, EXISTS]


def test_a_section_speaks_for_its_items():
    answer = {"success": [{"id": "x1"}, {"id": "x2", **BAD}], "Updated": {"x3": {"email": "a@example.com"}}}
    assert verdicts(answer, IDS) == [DONE, EXISTS, DONE]
    assert verdicts({"success": [{"id": "x1", "statusCode": 409}]}, IDS) == [None] * 3
    assert verdicts({"users": [{"id": "x1"}]}, IDS) == [None] * 3


@pytest.mark.parametrize(
    "around",
    [
        {"status": "error"},
        {"statusCode": 400},
        {"success": False},
        {"errorMessage": "two are not valid"},
        {"error_code": "AC4711"},
        {"errors": ["x2 is not valid"]},
        {"failed": ["x2"]},
        {"failed": {"x2": "not valid"}},
        {"failed": [{"index": 1, "reason": "not valid"}]},
        {"skipped": [{"id": "17"}]},
        {"leftOut": ["x2"]},
        {"failed": 1},
    ],
)
def test_a_complaint_around_items_may_be_about_each(around):
    results = [{"id": "x1", **GOOD}, {"id": "x2", **STORED}, {"id": "x3", **BAD}]
    for answer in (
        {"results": results, **around},
        {"Data": {"results": results}, **around},
        {"x1": GOOD, "x2": STORED, "x3": BAD, **around},
    ):
        assert verdicts(answer, IDS) == [None, None, EXISTS]


@pytest.mark.parametrize(
    "around",
    [
        {"status": "200", "message": "Success"},
        {"success": 2, "failed": 0, "errors": [], "errorCode": ""},
        {"success": True, "requestId": "r-17", "meta": None},
    ],
)
def test_what_is_around_items_and_no_complaint(around):
    results = [{"id": "x1", **GOOD}, {"id": "x2", **STORED}, {"id": "x3", **BAD}]
    assert verdicts({"results": results, **around}, IDS) == [DONE, DONE, EXISTS]


def test_fields_that_were_sent_may_be_repeated():
    answer = [{"id": "x1", "statusCode": 200, "shoe_size": "42"}]
    assert verdicts(answer, ["x1"]) == [None]
    assert verdicts(answer, ["x1"], {"id", "shoeSize"}) == [DONE]
    assert verdicts([{**answer[0], "reason": "no"}], ["x1"], {"shoeSize", "reason"}) == [None]


@given(name=st.text(max_size=12), value=st.text(min_size=1, max_size=12), place=st.booleans())
def test_no_unknown_text_is_taken_for_a_success(name, value, place):
    item = {"id": "x1", "statusCode": 200, f"x{name}": value}
    answer = [{"Data": item} if place else item]
    # No name of a member's field begins with an x.
    assert verdicts(answer, ["x1"]) == [None]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({}, [None, None, None]),
        ("fine", [None, None, None]),
        ([GOOD, BAD], [None, None, None]),
        ([GOOD, BAD, "x", GOOD], [None, None, None]),
        ([GOOD, BAD, GOOD, GOOD], [None, None, None]),
        ({"1": GOOD}, [None, None, None]),
        ({"1": GOOD, "3": BAD}, [DONE, None, EXISTS]),
        ({"0": GOOD, "2": BAD}, [DONE, None, EXISTS]),
        ({"0": GOOD, "3": BAD}, [None, None, None]),
        ({"x1": GOOD, "x9": BAD}, [DONE, None, None]),
        ([{"id": "x1", **GOOD}, {"id": "x1", **GOOD}, {"id": "x3", **BAD}], [None, None, EXISTS]),
        ([{"id": "x2", **GOOD}, BAD, BAD], [None, DONE, None]),
        ([{"id": "x9", **GOOD}, BAD, BAD], [None, None, None]),
        ([{"id": "x1", "userId": "x2", **GOOD}, BAD, BAD], [None, None, None]),
        ({"success": [GOOD], "failed": [BAD, BAD]}, [None, None, None]),
        ({"results": [GOOD, BAD, GOOD], "others": [BAD]}, [None, None, None]),
    ],
)
def test_what_an_answer_leaves_open(answer, told):
    assert verdicts(answer, IDS) == told


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([{"id": 17, **GOOD}, {"id": "2", **BAD}, {"id": 3, **GOOD}], [DONE, EXISTS, DONE]),
        # "2" may be the second, or the member whose id is 2.
        ({"2": BAD, "17": GOOD}, [DONE, None, None]),
        ({"1": GOOD, "2": BAD, "3": GOOD}, [DONE, EXISTS, DONE]),
    ],
)
def test_ids_that_are_numbers(answer, told):
    assert verdicts(answer, ["17", "2", "3"]) == told


def test_an_id_that_is_another_items_number():
    assert verdicts({"1": GOOD, "2": BAD}, ["2", "1"]) == [None, None]


member_ids = st.lists(
    st.text(min_size=1, max_size=8) | st.integers(0, 200).map(str), min_size=1, max_size=8, unique=True
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "status", "statusCode", "errorCode", "Data", "1", "2", "x1", "x2", "error"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(ids=member_ids, data=st.data())
def test_what_has_an_id_is_told_in_any_order_and_envelope(ids, data):
    meant = [data.draw(st.sampled_from([DONE, EXISTS])) for _ in ids]
    name = data.draw(st.sampled_from(["id", "userId", "memberId"]))
    items = [
        {name: member_id, "statusCode": data.draw(st.sampled_from([verdict.status, str(verdict.status)]))}
        | ({"errorCode": verdict.code} if verdict.code else {})
        for member_id, verdict in zip(ids, meant, strict=True)
    ]
    items = data.draw(st.permutations(items))
    answer = data.draw(
        st.sampled_from(
            [
                items,
                {str(number): item for number, item in enumerate(items, 1)},
                {str(number): item for number, item in enumerate(items)},
                {"Data": items},
                {"siteId": "1", "results": items},
            ]
        )
    )
    assert verdicts(answer, ids) == meant


@given(ids=member_ids, data=st.data())
def test_results_without_ids_are_told_by_their_place_or_left_open(ids, data):
    meant = [data.draw(st.sampled_from([DONE, EXISTS])) for _ in ids]
    items = [{"statusCode": each.status, "errorCode": each.code} for each in meant]
    assert verdicts(items, ids) == meant
    first = data.draw(st.sampled_from([0, 1]))
    kept = data.draw(st.sets(st.sampled_from(range(len(ids)))))
    told = verdicts({str(place + first): items[place] for place in kept}, ids)
    assert all(verdict is None or verdict == meant[place] for place, verdict in enumerate(told))


@given(answer=json_values)
def test_no_answer_is_too_strange(answer):
    told = verdicts(answer, ["x1", "x2"])
    assert len(told) == 2
    assert all(verdict is None or verdict.done is (verdict.status in range(200, 300)) for verdict in told)
