"""Bulk calls (Annex page 5.7) and switches (15.3)."""

from __future__ import annotations

import pytest
from annexcloud_client import Client, content, failure

from annex_d365_sandbox.annexcloud import replies
from annex_d365_sandbox.annexcloud.errors import ApiError
from annex_d365_sandbox.annexcloud.models import Switches
from annex_d365_sandbox.wire import Request


@pytest.fixture
def client() -> Client:
    return Client()


def outcome(item: dict) -> tuple:
    return item["id"], item["status"], item["statusCode"], item.get("errorCode")


# -- bulk


def test_bulk_create_reports_each_item(client: Client):
    client.site.put_members([{"id": "u1"}])
    users = [{"id": "u1"}, {"id": "u2", "firstName": "Bo"}, {"email": "a@example.com"}, {"id": "u3", "email": "a"}, 7]
    answer = content(client.send("POST", "/bulkpostusers", users))
    assert [outcome(item) for item in answer] == [
        ("u1", "FAILURE", 409, "AC1006"),
        ("u2", "SUCCESS", 201, None),
        (None, "FAILURE", 400, "AC1004"),
        ("u3", "FAILURE", 400, "AC1007"),
        (None, "FAILURE", 400, "AC1007"),
    ]
    assert content(client.member("u2"))["firstName"] == "Bo"
    assert client.site.member_count() == 2


def test_bulk_create_of_the_same_id_twice(client: Client):
    answer = content(client.send("POST", "/bulkpostusers", [{"id": "u1"}, {"id": "u1"}]))
    assert [item["statusCode"] for item in answer] == [201, 409]


def test_bulk_update_reports_each_item(client: Client):
    client.site.put_members([{"id": "u1", "lastName": "Old"}, {"id": "7"}])
    users = {"1": {"id": "u1", "firstName": "Bo"}, "2": {"id": "u9"}, "3": {"firstName": "x"}, "4": {"id": 7}}
    answer = content(client.send("POST", "/bulkpatchusers", users))
    assert {key: outcome(item) for key, item in answer.items()} == {
        "1": ("u1", "SUCCESS", 200, None),
        "2": ("u9", "FAILURE", 404, "AC1005"),
        "3": (None, "FAILURE", 400, "AC1004"),
        "4": (7, "SUCCESS", 200, None),
    }
    assert (client.site.member("u1")["firstName"], client.site.member("u1")["lastName"]) == ("Bo", "Old")


@pytest.mark.parametrize("path", ["/bulkpostusers", "/bulkpatchusers"])
@pytest.mark.parametrize(
    ("body", "code"),
    [([], "AC1004"), ({}, "AC1004"), (b"", "AC1004"), ({"id": "u1"}, "AC1007"), ("u1", "AC1007"), (b"[", "AC1007")],
)
def test_bulk_needs_an_array_or_a_numbered_map(client: Client, path: str, body: object, code: str):
    assert failure(client.send("POST", path, body)) == (400, code)


def test_bulk_above_the_recommendation_is_processed_with_a_warning(client: Client):
    exactly = client.send("POST", "/bulkpostusers", [{"id": f"a{number}"} for number in range(100)])
    above = client.send("POST", "/bulkpostusers", [{"id": f"b{number}"} for number in range(101)])
    assert "X-Sandbox-Reason" not in exactly.headers
    assert "100" in above.headers["X-Sandbox-Reason"]
    assert client.site.member_count() == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/bulkpostusers", [{"id": f"u{number}"} for number in range(100)]),
        ("/points", {"id": "u100", "activity": "CREDIT", "credit": 5, "reason": "x"}),
    ],
)
def test_a_request_is_one_transaction(client: Client, path: str, body: object):
    client.site.put_members([{"id": "u100"}])
    statements: list[str] = []
    client.store.connection.set_trace_callback(statements.append)
    assert client.send("POST", path, body).status == 200
    client.store.connection.set_trace_callback(None)
    assert statements.count("COMMIT") == 1


def test_bulk_write_limit(client: Client):
    client.site.switches.bulk_writes_limit = 2
    three = [{"id": f"u{number}"} for number in range(3)]
    assert failure(client.send("POST", "/bulkpostusers", three)) == (400, "AC1007")
    assert client.site.member_count() == 0
    assert [item["statusCode"] for item in content(client.send("POST", "/bulkpostusers", three[:2]))] == [201, 201]


@pytest.mark.parametrize("users", [[{"id": "u1"}, {"id": "u1"}], {"1": {"id": "u1"}, "2": {"id": "u1"}}])
def test_switch_bulk_form(client: Client, users: object):
    client.site.switches.bulk_form = "array"
    assert [item["statusCode"] for item in content(client.send("POST", "/bulkpostusers", users))] == [201, 409]
    client.site.switches.bulk_form = "map"
    answer = content(client.send("POST", "/bulkpostusers", users))
    assert {key: item["statusCode"] for key, item in answer.items()} == {"1": 409, "2": 409}


@pytest.mark.parametrize(("status", "code"), [(403, "AC1002"), (404, "AC1001")])
def test_bulk_may_be_refused_while_singles_are_served(client: Client, status: int, code: str):
    client.site.switches.refused_endpoints = ["POST /bulkpostusers", "POST /bulkpatchusers"]
    client.site.switches.refusal_status = status
    for path in ("/bulkpostusers", "/bulkpatchusers"):
        assert failure(client.send("POST", path, [{"id": "u1"}])) == (status, code)
    assert client.site.member_count() == 0
    content(client.send("POST", "/users", {"id": "u1"}), 201)
    assert client.raw("POST", "/bulkpostusers", authorization="Bearer x").status == 401


def test_refused_endpoint_with_an_id(client: Client):
    client.site.put_members([{"id": "u1"}])
    client.site.switches.refused_endpoints = ["GET /points/{member_id}"]
    assert failure(client.get("/points/u1", "u1")) == (404, "AC1001")
    assert content(client.member("u1"))["id"] == "u1"


# -- switches


def test_switch_envelope(client: Client):
    client.site.switches.envelope = "Data"
    created = content(client.send("POST", "/users", {"id": "u1"}), 201)
    assert set(created) == {"Data"}
    order = {"id": "u1", "requestedBy": "a@example.com"}
    read = content(client.member("u1"))
    assert read["Data"]["id"] == "u1"
    assert content(client.send("PATCH", "/users/u1", {})) == content(client.send("POST", "/userdelete", order)) == read
    assert "userDetail" in content(client.send("POST", "/users/search", {"dataSearch": {"userId": "u1"}}))
    assert failure(client.member("u2")) == (404, "AC1005")


def test_switch_numbers(client: Client):
    client.site.put_members([{"id": "u1"}])
    client.site.switches.numbers = "string"
    assert content(client.send("POST", "/users/search", {"dataSearch": {"userId": "u1"}}))["records"] == "1"
    assert content(client.send("POST", "/bulkpatchusers", [{"id": "u1"}]))[0]["statusCode"] == "200"


def test_switch_missing_values(client: Client):
    client.send("POST", "/users", {"id": "u1"})
    assert content(client.member("u1"))["phone"] is None
    client.site.switches.missing_values = "blank"
    assert content(client.member("u1"))["phone"] == ""
    client.site.switches.missing_values = "absent"
    assert "phone" not in content(client.member("u1"))


def test_switch_create_status(client: Client):
    client.site.switches.create_status = 200
    assert client.send("POST", "/users", {"id": "u1"}).status == 200
    assert content(client.send("POST", "/bulkpostusers", [{"id": "u2"}]))[0]["statusCode"] == 200


def test_switch_resolve_email(client: Client):
    client.site.put_members(
        [{"id": "u1", "email": "ada@example.com"}, {"id": "bo@example.com", "email": "x@example.com"}]
    )
    assert failure(client.member("Ada@example.com")) == (404, "AC1005")
    client.site.switches.resolve_email = True
    assert content(client.member("Ada@example.com"))["id"] == "u1"
    assert content(client.send("PATCH", "/users/ada@example.com", {"firstName": "Ada"}))["firstName"] == "Ada"
    assert content(client.member("bo@example.com"))["email"] == "x@example.com"


def test_switch_patch_null(client: Client):
    client.site.switches.extended_attributes = ("size",)
    full = {"id": "u1", "phone": "1", "optInStatus": "NO", "extendedAttribute": {"size": "L"}}
    nulls = {"phone": None, "optInStatus": None, "extendedAttribute": {"size": None}}
    client.send("POST", "/users", full)
    ignored = content(client.send("PATCH", "/users/u1", nulls))
    assert (ignored["phone"], ignored["optInStatus"], ignored["extendedAttribute"]) == ("1", "NO", {"size": "L"})
    client.site.switches.patch_null = "clears"
    cleared = content(client.send("PATCH", "/users/u1", nulls))
    assert (cleared["phone"], cleared["optInStatus"], cleared["extendedAttribute"]) == (None, "NO", {})


def test_switch_opt_out_date_key(client: Client):
    client.send("POST", "/users", {"id": "u1", "optInStatus": "NO"})
    client.site.switches.opt_out_date_key = "optoutDate"
    assert "optoutDate" in content(client.member("u1"))
    client.site.switches.opt_out_date_key = ""
    assert not {"optOutDate", ""} & set(content(client.member("u1")))


def test_switch_activity_based_status(client: Client):
    client.site.switches.activity_based_status = True
    assert content(client.send("POST", "/users", {"id": "u1", "status": "INACTIVE"}), 201)["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("query", "total", "expected"),
    [
        ("", 0, ({"pages": 0, "current_page": 1}, [])),
        ("page=1", 5, ({"pages": 3, "current_page": 1}, [0, 1])),
        ("page=3", 5, ({"pages": 3, "current_page": 3}, [4])),
    ],
)
def test_switches_of_paging(client: Client, query: str, total: int, expected: tuple):
    client.site.switches.page_size, client.site.switches.paging_key = 2, "current_page"
    keys, rows = replies.page(client.site, Request("GET", "/", query), total)
    assert (keys, list(range(total))[rows]) == expected


@pytest.mark.parametrize(("query", "status"), [("page=2", 404), ("page=0", 404), ("page=x", 400), ("page=", 400)])
def test_page_that_is_not_there(client: Client, query: str, status: int):
    with pytest.raises(ApiError) as caught:
        replies.page(client.site, Request("GET", "/", query), 25)
    assert caught.value.status == status


def test_switch_page_beyond(client: Client):
    client.site.switches.page_beyond = "bad_request"
    with pytest.raises(ApiError) as caught:
        replies.page(client.site, Request("GET", "/", "page=2"), 25)
    assert (caught.value.status, caught.value.code) == (400, "AC1005")
    client.site.switches.page_beyond = "empty"
    keys, rows = replies.page(client.site, Request("GET", "/", "page=2"), 25)
    assert (keys, list(range(25))[rows]) == ({"pages": 1, "currentPage": 2}, [])


def test_switch_page_count(client: Client):
    client.site.switches.page_count = False
    assert replies.page(client.site, Request("GET", "/"), 60)[0] == {"currentPage": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("envelope", "data"),
        ("create_status", 202),
        ("create_status", True),
        ("page_size", 0),
        ("page_size", True),
        ("page_size", "25"),
        ("strict_hmac", "no"),
        ("opt_out_date_key", None),
        ("extended_attributes", "size"),
        ("extended_attributes", [1]),
        ("shoe_size", 44),
    ],
)
def test_wrong_switch_is_refused(name: str, value: object):
    with pytest.raises(ValueError, match=name):
        setattr(Switches(), name, value)


def test_switches_restore():
    switches = Switches()
    for name, value in {
        "numbers": "string",
        "page_size": 1,
        "strict_hmac": False,
        "extended_attributes": ["x"],
    }.items():
        setattr(switches, name, value)
        assert getattr(switches, name) != getattr(Switches(), name)
    switches.restore()
    assert switches == Switches()
