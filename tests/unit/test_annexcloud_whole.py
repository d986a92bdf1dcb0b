"""Members that are sent whole, because a PATCH empties what it leaves out (Annex page 5.3)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from annexcloud_stub import Service

from annex_d365.annexcloud.members import Member, Members, whole
from annex_d365.errors import RowError, ServiceError

SHOWN = {
    "siteId": "4711",
    "id": "M1",
    "email": "m1@example.org",
    "zipCode": 8001,
    "phone": None,
    "lastName": "",
    "optInStatus": "YES",
    "optInDate": "2026-01-05T08:00:00+0000",
    "createDate": "2026-01-05T08:00:00+0000",
    "favouriteShop": "Zürich",
    "extendedAttribute": {"shoeSize": "42", "hatSize": "58"},
}
KEPT = {
    "id": "M1",
    "email": "m1@example.org",
    "zipCode": "8001",
    "optInStatus": "YES",
    "optInDate": "2026-01-05T08:00:00+0000",
    "favouriteShop": "Zürich",
}


def test_what_is_not_changed_is_sent_as_it_is():
    body = whole(SHOWN, {"id": "M1", "phone": "+34600000000", "extendedAttribute": {"shoeSize": "43"}})
    attributes = {"shoeSize": "43", "hatSize": "58"}
    assert body == {**KEPT, "phone": "+34600000000", "extendedAttribute": attributes}


def test_numbers_are_texts():
    assert whole({"zipCode": Decimal("8001.50")}, {})["zipCode"] == "8001.50"


@pytest.mark.parametrize(("status", "date"), [("NO", False), ("YES", True)])
def test_a_new_opt_in_has_a_day_of_its_own(status, date):
    assert ("optInDate" in whole(SHOWN, {"optInStatus": status})) is date


def test_a_field_is_emptied():
    assert whole(SHOWN, {"email": ""})["email"] == ""


def test_what_is_no_member():
    with pytest.raises(ServiceError, match="no known shape"):
        whole([], {})


def test_a_member_is_read_and_sent_whole():
    service = Service()
    service.replies = [(200, SHOWN), (200, {})]
    members = Members(service.client(), patch_replaces=True)
    assert members.updates_per_call == 1
    assert members.update_many([(Member("M1"), {"phone": "1"})]) == [None]
    assert service.calls == ["GET /users/M1", "PATCH /users/M1"]
    assert service.bodies == [{**KEPT, "phone": "1", "extendedAttribute": SHOWN["extendedAttribute"]}]


def test_who_is_not_there_is_not_changed():
    service = Service()
    service.replies = [(404, {"errorCode": "AC1005"})]
    (error,) = Members(service.client(), patch_replaces=True).update_many([(Member("M1"), {"phone": "1"})])
    assert isinstance(error, RowError)
    assert service.calls == ["GET /users/M1"]
