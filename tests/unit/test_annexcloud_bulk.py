"""Bulk calls: one for many members where that works, single calls where it does not."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from annexcloud_stub import SECRET, Service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annex_d365.annexcloud.bulk import BULK_LIMIT, MAX_REFUSALS
from annex_d365.annexcloud.members import Member, Members
from annex_d365.errors import OutageError, RepeatedError, RowError, ServiceError, SettingError
from annex_d365.gate import Gate

EXISTS = {"statusCode": 409, "errorCode": "AC1006", "errorMessage": "Müller-marker"}
CREATED = {"statusCode": 201}
UNREADABLE = (200, {"status": "accepted"})


class Bulk(Service):
    """Knows members, single and in bulk.

    Attributes:
        members: by id.
        poison: ids that no call may hold.
        broken: ids at which the service fails.
        whole: what a bulk call answers instead, told by its body; None for results.
    """

    def __init__(self):
        super().__init__()
        self.replies = [self.answer]
        self.members = {}
        self.poison = set()
        self.broken = set()
        self.whole = lambda body: None

    def answer(self, request):
        body = json.loads(request.body) if request.body else {}
        route = request.url.removeprefix("https://annex.example/api/3.0/").split("/")[0]
        if request.method == "GET":
            return 404, {"errorCode": "AC1005"}
        if route == "users":
            return self.one(body, creates=request.method == "POST")
        whole = self.whole(body)
        if whole:
            return whole
        items = list(body.values()) if isinstance(body, dict) else body
        if any(item["id"] in self.broken for item in items):
            return 500, {}
        if any(item["id"] in self.poison for item in items):
            return 400, {"errorCode": "AC1007"}
        results = [self.one(item, creates=route == "bulkpostusers") for item in items]
        return 200, {
            str(number): {"id": item["id"], "statusCode": status, **answer}
            for number, (item, (status, answer)) in enumerate(zip(items, results, strict=True), 1)
        }

    def one(self, fields, *, creates):
        member_id = fields["id"]
        if member_id in self.broken:
            return 500, {}
        if member_id in self.poison:
            return 400, {"errorCode": "AC1007"}
        if creates and member_id in self.members:
            return 409, {"errorCode": "AC1006"}
        if not creates and member_id not in self.members:
            return 404, {"errorCode": "AC1005"}
        self.members.setdefault(member_id, {}).update(fields)
        return (201 if creates else 200), {}


@pytest.fixture
def service():
    return Bulk()


@pytest.fixture
def members(service, monkeypatch):
    monkeypatch.setattr(Gate, "sleep", lambda self, seconds: None)
    return Members(service.client())


def some(count, first=0):
    return [(f"x{number}", {"firstName": "Ana"}) for number in range(first, first + count)]


def stored(body):
    """The members that a body is about, as records."""
    return [{**each, "updateDate": "2025"} for each in (body.values() if isinstance(body, dict) else body)]


def only(form):
    """Refuses bodies of the other form."""
    return lambda body: None if isinstance(body, form) else (400, {"errorCode": "AC1004"})


def told(results):
    return [result and (type(result), result.status, result.code) for result in results]


def test_one_call_for_many(members, service):
    assert members.create_many(some(100)) == [None] * 100
    assert members.update_many([(Member("x1"), {"lastName": "Diaz"}), (Member("x2"), {"lastName": "Ek"})]) == [None] * 2
    assert service.calls == ["POST /bulkpostusers", "POST /bulkpatchusers"]
    assert service.bodies[0][7] == {"id": "x7", "firstName": "Ana"}
    assert service.members["x2"] == {"id": "x2", "firstName": "Ana", "lastName": "Ek"}


def test_one_member_takes_the_single_call(members, service):
    assert members.create_many(some(1)) == [None]
    assert members.update_many([(Member("x0"), {})]) == [None]
    assert members.create_many([]) == members.update_many([]) == []
    assert service.calls == ["POST /users", "PATCH /users/x0"]


def test_an_update_keeps_the_extended_attributes_that_were_read(members, service):
    service.members = {"x1": {}, "x2": {}}
    read = Member("x1", {"extendedAttribute": {"size": "41", "colour": "red"}})
    members.update_many([(read, {"extendedAttribute.size": "42"}), (Member("x2"), {"extendedAttribute.size": "9"})])
    assert service.bodies == [
        [
            {"id": "x1", "extendedAttribute": {"size": "42", "colour": "red"}},
            {"id": "x2", "extendedAttribute": {"size": "9"}},
        ]
    ]


def test_calls_that_must_not_be(members, service):
    with pytest.raises(ValueError, match="more than 100"):
        members.create_many(some(BULK_LIMIT + 1))
    with pytest.raises(ValueError, match="same member"):
        members.update_many([(Member("x1"), {}), (Member("x1"), {})])
    assert service.calls == []


def test_each_refusal_is_that_of_the_single_call(members, service):
    service.members = {"x1": {}}
    created = members.create_many(some(3))
    updated = members.update_many([(Member("x0"), {}), (Member("gone"), {})])
    assert told(created) == [None, (RowError, 409, "AC1006"), None]
    assert told(updated) == [None, (RowError, 404, "AC1005")]
    for many, alone in (
        (created[1], lambda: members.create("x1", {})),
        (updated[1], lambda: members.update(Member("gone"), {})),
    ):
        with pytest.raises(RowError) as error:
            alone()
        assert str(error.value) == str(many)
        assert "marker" not in str(many)


@pytest.mark.parametrize("lost", [(503, {}), (200, b'{"1": {"id'), requests.ReadTimeout()])
def test_a_lost_reply_may_be_why_members_exist(members, service, lost):
    service.members = {"x1": {}}
    service.replies = [lost, service.answer]
    assert told(members.create_many(some(2))) == [None, (RepeatedError, 409, "AC1006")]
    assert told(members.create_many(some(2))) == [(RowError, 409, "AC1006")] * 2


def test_a_lost_reply_counts_for_the_other_form_too(members, service):
    service.members = {"x1": {}}
    service.whole = only(dict)
    service.replies = [(503, {}), service.answer]
    assert told(members.create_many(some(2))) == [None, (RepeatedError, 409, "AC1006")]
    assert [type(body) for body in service.bodies] == [list, list, dict]


def test_members_that_all_exist_have_been_understood(members, service):
    service.members = {"x0": {}, "x1": {}}
    assert told(members.create_many(some(2))) == [(RowError, 409, "AC1006")] * 2
    assert service.calls == ["POST /bulkpostusers"]


def test_an_item_without_a_clear_result_is_sent_alone(members, service):
    service.members = {"x2": {}}
    service.replies = [
        (200, [{"id": "x0", **CREATED}, {"id": "x1", "status": "?"}, {"id": "x3", "statusCode": 503}]),
        service.answer,
    ]
    results = members.create_many(some(4))
    assert told(results) == [None, None, (RepeatedError, 409, "AC1006"), None]
    assert service.calls == ["POST /bulkpostusers"] + ["POST /users"] * 3


@pytest.mark.parametrize("form", [list, dict])
def test_the_form_that_is_accepted_is_kept(members, service, form):
    service.whole = only(form)
    for chunk in range(3):
        assert members.create_many(some(2, first=2 * chunk)) == [None, None]
    assert [type(body) for body in service.bodies] == ([list] if form is dict else []) + [form] * 3
    if form is dict:
        assert service.bodies[1] == {
            "1": {"id": "x0", "firstName": "Ana"},
            "2": {"id": "x1", "firstName": "Ana"},
        }


def test_a_form_whose_every_item_is_refused_is_not_understood(members, service):
    refused = {"statusCode": 400, "errorCode": "AC1004"}
    service.whole = lambda body: None if isinstance(body, dict) else (200, [refused] * len(body))
    assert members.create_many(some(2)) == [None, None]
    assert [type(body) for body in service.bodies] == [list, dict]


def test_refusals_of_a_form_that_works_are_believed(members, service):
    members.create_many(some(2))
    assert told(members.update_many([(Member("x0"), {}), (Member("x1"), {})])) == [None, None]
    assert told(members.update_many([(Member("g1"), {}), (Member("g2"), {})])) == [(RowError, 404, "AC1005")] * 2
    assert len(service.calls) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        *((status, {}) for status in (400, 403, 405, 422, 501)),
        (404, b"<html>no such page</html>"),
        (404, {"errorCode": "AC1001"}),
        (401, {"errorCode": "AC1002"}),
        (200, {"errorCode": "AC1004"}),
        (200, {"errorCode": "AC4711"}),
        UNREADABLE,
        (204, b""),
        (302, b""),
    ],
)
def test_where_bulk_is_refused_single_calls_do_it_and_bulk_is_given_up(members, service, refusal, caplog):
    service.whole = lambda body: refusal
    caplog.set_level(logging.WARNING)
    for chunk in range(MAX_REFUSALS + 2):
        assert members.create_many(some(2, first=2 * chunk)) == [None, None]
    assert service.calls.count("POST /bulkpostusers") == 2 * MAX_REFUSALS
    assert service.calls.count("POST /users") == 2 * (MAX_REFUSALS + 2)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "POST /bulkpostusers" in warning
    members.update_many([(Member("x0"), {}), (Member("x1"), {})])
    assert "POST /bulkpatchusers" in service.calls, "the other route may work"


@pytest.mark.parametrize("failure", [(500, {}), (503, {}), (200, b"<html>"), requests.ReadTimeout()])
def test_where_bulk_always_fails_single_calls_do_it_and_bulk_is_given_up(members, service, failure):
    assert members.get("nobody") is None, "the service is there"
    service.whole = lambda body: failure
    service.members = {"x1": {}}
    results = [members.create_many(some(2, first=2 * chunk)) for chunk in range(MAX_REFUSALS + 2)]
    assert told(results[0]) == [None, (RepeatedError, 409, "AC1006")], "the bulk call may have created it"
    assert results[1:] == [[None, None]] * (MAX_REFUSALS + 1)
    assert service.calls.count("POST /bulkpostusers") == 3 * MAX_REFUSALS
    assert members.creations_per_call == 1


def test_throttling_of_bulk_is_not_its_failure(members, service, monkeypatch):
    monkeypatch.setattr(Gate, "pause", lambda self, seconds: None)
    service.replies = [*[(429, {}, {"Retry-After": "1"})] * 20, service.answer]
    assert members.create_many(some(2)) == [None, None]
    assert service.calls == ["POST /bulkpostusers"] * 21
    service.replies = [(429, {}, {"Retry-After": "86400"}), service.answer]
    with pytest.raises(OutageError):
        members.create_many(some(2, first=2))


def test_an_outage_ends_the_run_by_a_single_call(members, service):
    service.replies = [(503, {})]
    with pytest.raises(OutageError, match=r"POST /users \(503\). Gave up after 10 tries"):
        members.create_many(some(50))
    assert service.calls == ["POST /bulkpostusers"] * 3 + ["POST /users"] * 10


def test_an_item_at_which_the_service_fails_takes_no_other_along(members, service):
    service.broken = {"x3"}
    results = members.create_many(some(6))
    assert told(results) == [None] * 3 + [(RowError, 500, "")] + [None] * 2
    assert set(service.members) == {"x0", "x1", "x2", "x4", "x5"}


def test_refused_items_in_a_section_of_their_own_are_not_taken_for_written(members, service):
    service.members = {"x0": {}, "x1": {}}
    service.whole = lambda body: (200, {"updated": [], "failed": stored(body)})
    results = members.update_many([(Member(each), {"firstName": "Eva"}) for each in ("x0", "x1", "x2")])
    assert told(results) == [None, None, (RowError, 404, "AC1005")]
    assert service.members["x1"]["firstName"] == "Eva"


def test_a_complaint_beside_the_data_is_seen(members, service):
    service.members = {"x0": {}, "x1": {}}
    service.whole = lambda body: (200, {"success": False, "Data": stored(body)})
    assert members.update_many([(Member("x0"), {"firstName": "Eva"}), (Member("x1"), {})]) == [None, None]
    assert service.members["x0"]["firstName"] == "Eva"


def test_the_answer_may_repeat_what_was_sent(members, service):
    service.whole = lambda body: (200, [{**each, "statusCode": 201} for each in body])
    assert members.create_many([("x0", {"shoe": "41"}), ("x1", {"shoe": "42"})]) == [None, None]
    assert service.calls == ["POST /bulkpostusers"]


def test_bulk_that_never_says_what_it_did_is_given_up(members, service):
    def does(body):
        for item in body.values() if isinstance(body, dict) else body:
            service.one(item, creates=True)
        return UNREADABLE

    service.whole = does
    for chunk in range(MAX_REFUSALS + 1):
        results = members.create_many(some(2, first=2 * chunk))
    assert results == [None, None]
    assert service.calls.count("POST /bulkpostusers") == 2 * MAX_REFUSALS


def test_a_success_between_refusals_counts_from_the_start(members, service):
    members.create_many(some(2))
    for chunk in range(1, 3 * MAX_REFUSALS):
        # Refused but for each third time.
        service.whole = lambda body, works=chunk % MAX_REFUSALS == 0: None if works else UNREADABLE
        assert members.create_many(some(2, first=2 * chunk)) == [None, None]
    assert service.calls.count("POST /bulkpostusers") == 3 * MAX_REFUSALS


def test_bulk_is_not_given_up_for_rows_that_are_refused_alone_as_well(members, service):
    service.poison = {"x0", "x1"}
    for _ in range(MAX_REFUSALS + 1):
        assert told(members.create_many(some(2))) == [(RowError, 400, "AC1007")] * 2
    service.poison = set()
    members.create_many(some(2))
    assert service.calls[-1] == "POST /bulkpostusers"


def test_a_poisoned_item_names_itself(members, service):
    members.create_many(some(2, first=50))
    service.poison = {"x3"}
    results = members.create_many(some(5))
    assert told(results) == [None, None, None, (RowError, 400, "AC1007"), None]
    assert set(service.members) == {"x50", "x51", "x0", "x1", "x2", "x4"}


def test_what_answers_without_results_may_have_done_it(members, service):
    service.members = {"x0": {}, "x1": {}}
    service.whole = lambda body: UNREADABLE
    assert told(members.create_many(some(2))) == [(RepeatedError, 409, "AC1006")] * 2
    service.whole = lambda body: (400, {"errorCode": "AC1004"})
    assert told(members.create_many(some(2))) == [(RowError, 409, "AC1006")] * 2


def test_a_call_that_is_too_large_is_halved(members, service):
    service.whole = lambda body: (413, b"") if len(body) > 2 else None
    service.members = {"x4": {}}
    results = members.create_many(some(7))
    assert told(results) == [None] * 4 + [(RowError, 409, "AC1006")] + [None] * 2
    assert sorted(service.members) == [f"x{number}" for number in range(7)]
    service.whole = lambda body: (413, b"")
    assert members.update_many([(Member(f"x{number}"), {}) for number in range(5)]) == [None] * 5


def test_ids_that_no_path_can_hold_stay_out_of_the_call(members, service):
    service.members = {"x0": {}, "x1": {}}
    results = members.update_many([(Member("x0"), {}), (Member("a\nb"), {}), (Member("x1"), {})])
    assert told(results) == [None, (RowError, 0, ""), None]
    assert service.calls == ["POST /bulkpatchusers"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [((401, {"errorCode": "AC1002"}), SettingError), ((403, {}), ServiceError), ((503, {}), OutageError)],
)
def test_what_is_not_about_a_row_ends_it(members, service, reply, kind):
    service.replies = [reply]
    with pytest.raises(kind) as error:
        members.create_many(some(3))
    assert not isinstance(error.value, RowError)
    assert SECRET not in str(error.value)


def test_many_chunks_at_once(members, service, monkeypatch):
    service.whole = only(dict)
    mount = requests.Session.mount
    monkeypatch.setattr(requests.Session, "mount", lambda self, prefix, adapter: mount(self, prefix, service))
    with ThreadPoolExecutor(8) as executor:
        results = list(executor.map(lambda chunk: members.create_many(some(5, first=5 * chunk)), range(40)))
    assert results == [[None] * 5] * 40
    assert len(service.members) == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_whatever_bulk_does_each_member_ends_as_by_single_calls(data, monkeypatch):
    monkeypatch.setattr(Gate, "sleep", lambda self, seconds: None)
    service = Bulk()
    ids = [f"x{number}" for number in range(data.draw(st.integers(2, 6)))]
    some_ids = st.sets(st.sampled_from(ids))
    service.poison = data.draw(some_ids)
    service.broken = data.draw(some_ids) - service.poison
    before = data.draw(some_ids) - service.poison - service.broken
    service.members = {member_id: {} for member_id in before}
    replies = st.sampled_from([None, None, UNREADABLE, (400, {}), (413, b""), (503, {}), (200, [])])
    service.whole = lambda body: data.draw(replies)
    results = Members(service.client()).create_many([(member_id, {"firstName": "Ana"}) for member_id in ids])
    refused = dict.fromkeys(before, 409) | dict.fromkeys(service.poison, 400) | dict.fromkeys(service.broken, 500)
    expected = [refused.get(each) for each in ids]
    assert [result and result.status for result in results] == expected
    assert set(service.members) == set(ids) - service.poison - service.broken | before
