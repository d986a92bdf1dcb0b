"""What is sent to write segments, and what is made of the answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from annexcloud_stub import Service
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud.errors import InDoubtError
from annex_d365.annexcloud.segment_writing import (
    MEMBERS_PER_CALL,
    DateForm,
    Definition,
    Dialect,
    MemberForm,
    SegmentWriting,
)
from annex_d365.errors import RowError, ServiceError
from annex_d365.gate import Gate

GOLD = Definition("Gold", dt.date(2026, 1, 1), dt.date(2035, 12, 31), active=True, external_id="e", external_name="n")
LISTED = Dialect(members=MemberForm.LIST)
MANDATORY = {"name": "Gold", "fromDate": "2026-01-01", "toDate": "2035-12-31"}


@pytest.fixture
def service(monkeypatch):
    for wait in ("sleep", "pause"):
        monkeypatch.setattr(Gate, wait, lambda self, seconds: None)
    return Service()


def writing(service, **dialect):
    return SegmentWriting(service.client(), replace(Dialect(), **dialect))


def test_create(service):
    service.replies = [(201, {"segmentId": 550})]
    assert writing(service).create(GOLD) == "550"
    assert service.calls == ["POST /segment"]
    others = {"status": "ACTIVE", "externalId": "e", "externalName": "n", "type": "static"}
    assert service.bodies == [{**MANDATORY, **others}]


@pytest.mark.parametrize("answer", [{"Data": {"segmentId": "550"}}, {"id": "550"}], ids=["envelope", "id"])
def test_the_id_of_a_new_segment(service, answer):
    service.replies = [(200, answer)]
    assert writing(service).create(GOLD) == "550"


def test_a_new_segment_without_an_id_is_not_understood(service):
    with pytest.raises(ServiceError, match="of no known shape"):
        writing(service).create(GOLD)


def test_a_creation_is_not_sent_twice(service):
    service.replies = [(502, b"<html>")]
    with pytest.raises(InDoubtError):
        writing(service).create(GOLD)
    assert len(service.requests) == 1


def test_update(service):
    writing(service).update("550", replace(GOLD, active=False))
    assert service.calls == ["PATCH /segment/550"]
    others = {"status": "INACTIVE", "externalId": "e", "externalName": "n"}
    assert service.bodies == [{**MANDATORY, **others, "id": "550"}]


@pytest.mark.parametrize(("form", "listed"), [(MemberForm.TEXT, "x1,x2"), (MemberForm.LIST, ["x1", "x2"])])
def test_add_and_remove(service, form, listed):
    one = writing(service, members=form, add="IN", remove="OUT")
    assert one.add("550", GOLD, ["x1", "x2"]) == set()
    one.remove("550", GOLD, ["x1", "x2"])
    body = {**MANDATORY, "id": "550", "member": listed}
    assert service.bodies == [{**body, "memberUpdate": "IN"}, {**body, "memberUpdate": "OUT"}]


@pytest.mark.parametrize(
    ("form", "text"), [("date", "2026-01-31"), ("datetime", "2026-01-31 00:00:00"), ("iso", "2026-01-31T00:00:00+0000")]
)
def test_days(form, text):
    assert DateForm(form).text(dt.date(2026, 1, 31)) == text


@pytest.mark.parametrize(
    "answer",
    [{"unknownMember": ["x2", 7]}, {"unknownMembers": "x2, 7"}, {"Data": {"unknownMember": ["x2", "7"]}}],
    ids=["list", "text", "envelope"],
)
def test_ids_of_nobody(service, answer):
    service.replies = [(200, answer)]
    assert writing(service).add("550", GOLD, ["x1", "x2", "7"]) == {"x2", "7"}


def test_too_many_members_are_a_mistake_of_the_caller(service):
    with pytest.raises(ValueError, match="more than 100"):
        writing(service).add("550", GOLD, ["x"] * (MEMBERS_PER_CALL + 1))


def test_a_comma_cannot_stand_in_a_text(service):
    one = writing(service)
    assert (one.can_name("a,b"), one.can_name("ab")) == (False, True)
    with pytest.raises(RowError, match="segment_member_form"):
        one.add("550", GOLD, ["a,b"])
    assert service.requests == []
    assert SegmentWriting(service.client(), LISTED).add("550", GOLD, ["a,b"]) == set()


@pytest.mark.parametrize(
    ("detail", "members"),
    [
        ({"memberDetails": {"userId": ["x1", 2]}}, ["x1", "2"]),
        ({"memberDetails": {"userId": []}}, []),
        ({"memberDetails": {"userId": "x1, x2"}}, ["x1", "x2"]),
        ({"memberDetails": {"zipCode": ["1"]}}, None),
        ({"memberDetails": {"userId": None}}, None),
        ({"memberDetails": None}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_members_of_a_segment(service, detail, members, wrapped):
    service.replies = [(200, {"segmentDetail": detail} if wrapped else {"segmentName": "Gold", **detail})]
    assert writing(service).members("550") == members
    assert service.calls == ["GET /segment/550"]


def test_members_of_no_known_shape(service):
    service.replies = [(200, {"segmentDetail": ["x"]})]
    with pytest.raises(ServiceError, match="of no known shape"):
        writing(service).members("550")


@pytest.mark.parametrize(
    ("reply", "there"),
    [((200, {}), True), ((404, {"errorCode": "AC1005"}), False), ((400, {"errorCode": "AC1005"}), False)],
)
def test_whether_a_segment_exists(service, reply, there):
    service.replies = [reply]
    assert writing(service).exists("550") is there


def test_whether_a_segment_exists_is_not_told_by_every_refusal(service):
    service.replies = [(400, {"errorCode": "AC1007"})]
    with pytest.raises(RowError):
        writing(service).exists("550")


@given(st.lists(st.text("abc@.%é ", min_size=1).filter(lambda text: text == text.strip()), min_size=1, max_size=20))
def test_a_text_holds_the_same_members_as_a_list(members):
    service = Service()
    writing(service).add("550", GOLD, members)
    writing(service, members=MemberForm.LIST).add("550", GOLD, members)
    text, listed = (body["member"] for body in service.bodies)
    assert text.split(",") == listed == members
