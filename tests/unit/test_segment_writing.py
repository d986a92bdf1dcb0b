"""Copies of segments: kinds, groups and errors, without a service."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.segments import writing_groups
from annex_d365.dataverse.segments.generations import GENERATIONS, JOURNEYS, OUTBOUND
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.dataverse.segments.writing_calls import Actions, SegmentGoneError
from annex_d365.dataverse.segments.writing_copies import GUID, Copies
from annex_d365.dataverse.segments.writing_groups import Groups, decode, encode, entry, group_id
from annex_d365.dataverse.segments.writing_journeys import JourneysCopies
from annex_d365.dataverse.segments.writing_values import SegmentValues, fitting
from annex_d365.dataverse.writes.calls import Reply
from annex_d365.errors import PrivilegeError, RowError, ServiceError, SettingError

SEGMENT = "e0000000-0000-4000-8000-000000000001"
LIMIT = 64


def number(n):
    return f"a0000000-0000-4000-8000-{n:012d}"


# Kinds


@pytest.mark.parametrize(
    "query",
    [
        "PROFILE(contact)",
        " profile (contact, c).FILTER(c.a == 1)",
        "((SEGMENT(a) UNION SEGMENT(b)) EXCEPT PROFILE(contact))",
        "INTERACTION(EmailOpened, x).HAVING(COUNT() > 1)",
    ],
)
def test_a_query_of_dynamics_makes_a_dynamic_segment(query):
    assert SegmentValues("o", "n", query=query).kind == "dynamic"


@pytest.mark.parametrize("query", ["", '{"rules": {"PROFILE(": 1}}', "profiles", "SELECT(x)", "PROFILE contact"])
def test_other_rules_do_not(query):
    assert SegmentValues("o", "n", query=query).kind == "static"


@given(st.text(max_size=20), st.integers(1, 25))
def test_texts_are_cut_to_their_column(value, longest):
    table = SimpleNamespace(columns={"a": SimpleNamespace(schema={"maxLength": longest})})
    assert fitting(table, "a", value) == value[:longest]
    assert fitting(table, "b", value) == value


# Groups


class Service:
    """Groups that never take more than they may."""

    def __init__(self):
        self.groups, self.saved, self.asked = {}, [], 0

    def ask(self, body):
        self.asked += 1
        start = (body["PageNo"] - 1) * body["PageSize"]
        members = self.groups.get(body["GroupId"], [])[start : start + body["PageSize"]]
        return {"Response": json.dumps({"entityIds": members})}

    def save(self, column):
        self.saved = decode(column)

    def add(self, groups, ids):
        group = groups.place(len(ids))
        members = self.groups.setdefault(group, [])
        members += [each for each in ids if each not in members]
        assert len(members) <= LIMIT
        assert group in {each["groupId"] for each in self.saved}

    def again(self):
        """As a new run sees it."""
        return Groups(self.ask, SEGMENT, self.saved, self.save)


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(writing_groups, "GROUP_MEMBERS", LIMIT)
    service = Service()
    service.saved = [entry(SEGMENT, 1)]
    return service


@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 300), min_size=1, max_size=20, unique=True)), max_size=40)
)
def test_no_group_is_overfilled_and_nobody_is_lost(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing_groups, "GROUP_MEMBERS", LIMIT)
        service = Service()
        service.saved = [entry(SEGMENT, 1)]
        groups, expected = Groups(service.ask, SEGMENT, service.saved, service.save, new=True), set()
        for new_run, numbers in steps:
            groups = service.again() if new_run else groups
            ids = [number(n) for n in numbers]
            service.add(groups, ids)
            expected.update(ids)
        assert set(service.again().members()) == expected


def test_a_new_segment_is_asked_for_nothing(service):
    groups = Groups(service.ask, SEGMENT, service.saved, service.save, new=True)
    for start in range(0, 4 * LIMIT, 16):
        service.add(groups, [number(n) for n in range(start, start + 16)])
    assert len(service.saved) == 4
    # Each group that is used up is asked once, and then known to be full.
    assert service.asked <= 6 * 3


def test_one_question_is_enough_while_half_a_group_is_free(service):
    groups = service.again()
    service.add(groups, [number(n) for n in range(20)])
    service.add(groups, [number(n) for n in range(20, 32)])
    assert service.asked == 1


def test_ten_groups_and_no_more(service):
    groups = service.again()
    for start in range(0, 10 * LIMIT, 16):
        service.add(groups, [number(n) for n in range(start, start + 16)])
    assert len(service.saved) == 10
    # A group that is full is not asked again in the same run.
    assert service.asked <= 10 * 6
    with pytest.raises(RowError, match="takes no more"):
        groups.place(1)
    members = service.groups[group_id(SEGMENT, 3)]
    del members[:5]
    assert service.again().place(5) == group_id(SEGMENT, 3)


def test_groups_that_people_made_stay_and_are_not_used(service):
    theirs = {"groupId": number(1), "includeType": "Exclude", "name": "VIP", "inputType": "manualSelect", "more": 1}
    service.saved = [theirs]
    groups = service.again()
    assert groups.ids == []
    service.add(groups, [number(5)])
    assert service.saved == [theirs, entry(SEGMENT, 1)]
    assert groups.ids == [group_id(SEGMENT, 1)]


def test_groups_have_guids_by_segment_and_number():
    ids = {group_id(segment, n) for segment in (SEGMENT, number(1)) for n in range(1, 11)}
    assert len(ids) == 20
    assert all(GUID.fullmatch(each) for each in ids)


def test_a_column_of_groups():
    groups = [entry(SEGMENT, n) for n in (1, 2)]
    assert decode(encode(groups)) == groups
    assert decode(None) == decode("") == []
    with pytest.raises(ServiceError, match="groups"):
        decode("nonsense")


# Copies


class Listed:
    """Segments that are there."""

    generation = JOURNEYS

    def __init__(self, *found):
        self.found, self.conditions = found, []

    def read(self, condition):
        self.conditions.append(condition)
        return iter(self.found)


def copy(n, origin="annexcloud:1/2", **more):
    return Segment(number(n), "journeys", origin=origin, **{"status": "live", **more})


def copies(*found):
    return Copies(Listed(*found), "msdynmkt_sourcesegmenturi")


def test_copies_are_listed_once():
    listed = Listed(copy(1), copy(2, "annexcloud:1/3"))
    found = Copies(listed, "x")
    assert [found.by_origin(f"annexcloud:1/{n}") for n in (2, 3, 4)] == [*listed.found, None]
    assert listed.conditions == ["startswith(x,'annexcloud:')"]


def test_of_two_copies_the_older_one_counts(caplog):
    found = copies(copy(1, created_on="2026-02-02T00:00:00Z"), copy(2, created_on="2026-01-01T00:00:00Z"))
    assert found.by_origin("annexcloud:1/2").segment_id == number(2)
    assert "2 segments are copies of annexcloud:1/2" in caplog.text


@pytest.mark.parametrize("status", ["deleted", "expired"])
def test_each_dead_copy_moves_the_guid_of_the_next_one(status):
    ids = [copies(*(copy(n, status=status) for n in range(dead))).new_id("annexcloud:1/2") for dead in range(3)]
    assert len(set(ids)) == 3
    assert copies(copy(1, status=status)).by_origin("annexcloud:1/2") is None
    assert ids[1] == copies(copy(7, status=status), copy(9, "annexcloud:1/3")).new_id("annexcloud:1/2")


@pytest.mark.parametrize("key", ["", "550", "nosuch' or 1 eq 1", number(1) + "x"])
def test_only_guids_are_looked_for(key):
    listed = Listed(copy(1))
    assert Copies(listed, "x").by_id(key) is None
    assert listed.conditions == []


def test_a_guid_in_any_case_is_looked_for_once():
    listed = Listed(copy(0xA))
    found = Copies(listed, "x")
    assert found.by_id(number(0xA).upper()) == found.get(number(0xA)) == listed.found[0]
    assert listed.conditions == [f"msdynmkt_segmentid eq {number(0xA)}"]
    assert found.read(number(0xA)) == listed.found[0]
    assert len(listed.conditions) == 2


def test_a_segment_that_is_not_there():
    with pytest.raises(SegmentGoneError, match="not there any more"):
        copies().get(number(1))


# Answers


def reply(status, code="", message="", content=None):
    response = requests.Response()
    response.status_code = status
    response.request = requests.Request("POST", "https://contoso.crm.dynamics.com/api/data/v9.2/x").prepare()
    response._content = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Reply(response, route="POST /x", content=content)


def act(answer, generation=OUTBOUND):
    return Actions(SimpleNamespace(send=lambda *_, **__: answer), generation).send("x", {})


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (reply(400, "0x80040265", "secret name"), RowError, r"refused POST /x \(400, 0x80040265\)"),
        (reply(413), RowError, "413"),
        (reply(404, "0x80040217", "secret name"), SegmentGoneError, "not there any more"),
        (
            reply(404, "0x80060888", "Resource not found for the segment 'x'."),
            SettingError,
            "`segments_api`: .*withdrawn",
        ),
        (reply(403, "0x80040220", "missing prvWriteX privilege"), PrivilegeError, "prvWriteX"),
        (reply(500, "0x80040216"), ServiceError, "500"),
    ],
)
def test_what_a_refusal_of_an_action_means(answer, error, told):
    with pytest.raises(error, match=told) as caught:
        act(answer)
    assert caught.type is error
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_unknown_action_names_its_generation(generation):
    with pytest.raises(SettingError, match=f"{generation.name} marketing was withdrawn"):
        act(reply(404, "0x80060888", "Resource not found for the segment 'x'."), generation)


@given(st.binary(max_size=20))
def test_only_the_status_of_an_action_counts(content):
    seen = []

    def send(*_, check, **__):
        response = requests.Response()
        response.status_code, response._content = 200, content
        seen.append(check(response))
        return Reply(response, content=seen[-1])

    assert Actions(SimpleNamespace(send=send), OUTBOUND).send("x", {}) == seen[0]
    assert isinstance(seen[0], dict)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"stopSingleSegmentResults": [{"WasStopped": False, "DependentJourneys": ["j"]}]}, "because journeys"),
        ({"stopSingleSegmentResults": [{"WasStopped": False, "Message": "secret"}]}, "was not stopped$"),
    ],
)
def test_a_segment_that_was_not_stopped(answer, told):
    journeys = JourneysCopies(SimpleNamespace(), SimpleNamespace(), "x")
    journeys._actions = SimpleNamespace(send=lambda *_: answer)
    with pytest.raises(RowError) as caught:
        journeys.stop(copy(1))
    assert re.search(told, str(caught.value))


@pytest.mark.parametrize("answer", [{}, {"summary": "x"}, {"stopSingleSegmentResults": [{"WasStopped": True}]}])
def test_a_segment_that_was_stopped(answer):
    journeys = JourneysCopies(SimpleNamespace(), SimpleNamespace(), "x")
    journeys._actions = SimpleNamespace(send=lambda *_: answer)
    journeys.stop(copy(1))


def test_a_segment_without_a_definition_concerns_itself_alone():
    journeys = JourneysCopies(SimpleNamespace(), SimpleNamespace(), "x")
    with pytest.raises(RowError, match="no definition"):
        journeys.add(copy(1), [number(1)])
