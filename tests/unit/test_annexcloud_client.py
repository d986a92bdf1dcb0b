"""Calls to the Loyalty API: what is sent, signed and understood. The service is an adapter of requests."""

from __future__ import annotations

import base64
import email.utils
import json
import time
from urllib.parse import unquote

import jwt
import pytest
import requests
from annexcloud_stub import SECRET, Service
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from annex_d365.annexcloud.client import MAX_ID_LENGTH, AnnexCloud, path_segment, service_root
from annex_d365.annexcloud.judge import MAX_BAD_ROWS
from annex_d365.annexcloud.members import Member, Members, nested
from annex_d365.annexcloud.token import Credentials, hmac_claim
from annex_d365.errors import OutageError, RepeatedError, RowError, ServiceError, SettingError
from annex_d365.gate import Gate


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def annex(service, monkeypatch):
    monkeypatch.setattr(Gate, "sleep", lambda self, seconds: None)
    return service.client()


@pytest.fixture
def members(annex):
    return Members(annex)


def hmac_of(request: requests.PreparedRequest) -> str:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    return str(jwt.decode(token, SECRET, algorithms=["HS256"])["hmac"])


def test_a_get_signs_the_identifier(members, service):
    members.get("a/b@example.com")
    (request,) = service.requests
    assert (request.method, request.url) == ("GET", "https://annex.example/api/3.0/users/a%2Fb%40example.com")
    assert request.headers["Content-Type"] == "application/json"
    assert hmac_of(request) == hmac_claim(SECRET, b'"a/b@example.com"')


def test_what_has_a_body_signs_its_very_bytes(members, service):
    members.create("x1", {"firstName": "Zoë"})
    members.update(Member("x1"), {"firstName": "Zoë"})
    for request in service.requests:
        assert hmac_of(request) == hmac_claim(SECRET, request.body)
    assert [request.method for request in service.requests] == ["POST", "PATCH"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(member_id=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=MAX_ID_LENGTH))
def test_any_id_is_one_segment_of_the_path(annex, service, member_id):
    assume(member_id not in {".", ".."})
    service.requests.clear()
    annex.get("users", member_id)
    (request,) = service.requests
    path = request.url.removeprefix("https://annex.example/api/3.0/users/")
    assert "/" not in path
    assert "?" not in path
    assert "#" not in path
    assert unquote(path) == member_id
    assert hmac_of(request) == hmac_claim(SECRET, json.dumps(member_id, ensure_ascii=False).encode())


@pytest.mark.parametrize("member_id", ["", ".", "..", "a\n\rb", "a\x00b", "a\x7fb", "a\ud800b", "M" * 501])
def test_ids_that_no_path_can_hold_reject_the_row_unsent(members, service, member_id):
    for call in (members.get, lambda each: members.update(Member(each), {"firstName": "Ana"})):
        with pytest.raises(RowError):
            call(member_id)
    assert service.requests == []
    path_segment("M" * 500)


GOOD = (200, {"id": "x1"})
REFUSED = (401, {"errorCode": "AC1002"})
LOST = (404, b"<html>not here</html>")


@pytest.mark.parametrize("reply", [REFUSED, LOST, (404, {"errorCode": "AC1001"}), (302, b"")])
@pytest.mark.parametrize("others", [GOOD, (404, {"errorCode": "AC1005"})])
def test_an_id_that_alone_is_refused_rejects_the_row(members, service, reply, others):
    service.replies = [GOOD, lambda request: reply if "marker" in request.url else others]
    assert members.get("known").id == "x1"
    member = Member("marker/tiers")
    for call in (lambda: members.get(member.id), lambda: members.update(member, {})):
        with pytest.raises(RowError, match="refuses this id, and no other") as error:
            call()
        assert "marker" not in str(error.value)
        assert error.value.status == 0, "it is not known whether there is such a member"
    asked = [request.url.rpartition("/")[2] for request in service.requests[1:]]
    once_more = ["marker%2Ftiers"] if reply == REFUSED else []
    assert asked == ["marker%2Ftiers", "known", *once_more] * 2


def test_the_first_id_of_a_run_may_be_the_one_that_is_refused(members, service):
    service.replies = [REFUSED, (404, {"errorCode": "AC1005"}), REFUSED]
    with pytest.raises(RowError, match="refuses this id"):
        members.get("x/tiers")


@pytest.mark.parametrize("reply", [LOST, (404, {"errorCode": "AC1001"}), (302, b"")])
def test_a_route_that_the_site_lacks_ends_the_run(members, service, reply):
    service.replies = [reply, GOOD]
    with pytest.raises(ServiceError, match="offers no POST /users/search to this site") as error:
        members.find_by_email("ana@example.com")
    assert not isinstance(error.value, RowError)
    assert "ana@" not in str(error.value)


@pytest.mark.parametrize("reply", [LOST, (404, {"errorCode": "AC1001"}), (302, b""), REFUSED])
def test_a_body_that_alone_is_refused_rejects_the_row(members, service, reply):
    service.replies = [(409, {"errorCode": "AC1006"}), reply, GOOD, reply]
    with pytest.raises(RowError, match="exists"):
        members.create("x1", {})
    with pytest.raises(RowError, match="refuses POST /users for this row") as error:
        members.create("marker", {})
    assert error.value.status == 0
    assert "marker" not in str(error.value)


def test_bodies_that_are_all_refused_are_a_route_that_is_closed(members, service):
    service.replies = [lambda request: GOOD if request.method == "GET" else REFUSED]
    for number in range(MAX_BAD_ROWS):
        with pytest.raises(RowError, match="for this row"):
            members.create(f"x{number}", {})
    with pytest.raises(ServiceError, match="offers no POST /users") as error:
        members.create("one more", {})
    assert not isinstance(error.value, RowError)


def failing_at(*ids, others=GOOD, status=500):
    """Fails at writes of these members."""

    def answer(request):
        about = json.loads(request.body)["id"] if request.body else ""
        return (status, {}) if about in ids else others

    return answer


WRITES = {
    "create": lambda members, each: members.create(each, {}),
    "update": lambda members, each: members.update(Member(each), {}),
    "delete": lambda members, each: members.delete(each, "a@example.com"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("others", [GOOD, (404, {"errorCode": "AC1005"})])
def test_a_row_at_which_alone_the_service_fails_is_rejected(members, service, write, others):
    service.replies = [failing_at("marker", others=others)]
    with pytest.raises(RowError, match=r"fails at (POST|PATCH) /[a-z]") as error:
        write(members, "marker")
    assert error.value.status == 500
    assert "marker" not in str(error.value)
    sent = [request.method == "GET" for request in service.requests]
    assert sent == [False] * 3 + [True, False, True], "another is answered before and after the last failure"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_service_that_is_not_there_for_a_row_is_an_outage(members, service, status):
    service.replies = [failing_at("x1", status=status)]
    with pytest.raises(OutageError, match="10 tries"):
        members.create("x1", {})


def test_a_service_that_fails_at_all_is_an_outage(members, service):
    service.replies = [(500, {})]
    with pytest.raises(OutageError, match="10 tries"):
        members.create("x1", {})


@pytest.mark.parametrize("failures", range(1, 5))
def test_an_outage_that_ends_while_a_row_is_judged_is_no_bad_row(members, service, failures):
    service.replies = [(500, {})] * failures + [GOOD]
    members.create("x1", {})


@pytest.mark.parametrize("reply", [(500, {}), (403, {}), REFUSED, requests.ReadTimeout()])
def test_another_request_has_to_be_answered_after_the_last_failure(members, service, reply):
    service.replies = [(500, {})] * 3 + [GOOD, (500, {}), reply, GOOD]
    members.create("x1", {})
    assert [request.method for request in service.requests] == ["POST"] * 3 + ["GET", "POST", "GET", "POST"]


def test_bad_rows_in_a_row_are_an_outage(members, service):
    ids = [f"x{number}" for number in range(2 * MAX_BAD_ROWS + 1)]
    service.replies = [failing_at(*ids)]
    for place, each in enumerate(ids[:-1]):
        if place == MAX_BAD_ROWS:
            members.update(Member("good"), {})
        with pytest.raises(RowError):
            members.update(Member(each), {})
    with pytest.raises(OutageError, match="10 tries"):
        members.update(Member(ids[-1]), {})


def test_a_create_that_was_done_and_failed_is_repeated(members, service):
    service.replies = [(500, {})] * 3 + [GOOD, (409, {"errorCode": "AC1006"})]
    with pytest.raises(RepeatedError):
        members.create("x1", {})


@pytest.mark.parametrize(("reply", "setting"), [(REFUSED, "secret_key"), (LOST, "base_url")])
def test_what_is_refused_for_others_too_is_a_wrong_setting(members, service, reply, setting):
    service.replies = [GOOD, reply]
    members.get("known")
    with pytest.raises(SettingError) as error:
        members.get("x1")
    assert error.value.setting == setting


def test_an_outage_while_an_id_is_judged_is_an_outage(members, service):
    service.replies = [GOOD, REFUSED, (503, {})]
    members.get("known")
    with pytest.raises(OutageError):
        members.get("x1")


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("", "must be a URL"),
        ("example.com/api/3.0", "must be a URL"),
        ("ftp://annex.example", "must be a URL"),
        ("http://annex.example/api/3.0", "plain http is for this machine only"),
        ("https://annex.example/api/3.0?x=1", "must not carry"),
        ("https://annex.example/api/3.0#x", "must not carry"),
        ("https://user:marker@annex.example/api/3.0", "must not carry"),
        ("https://@annex.example/api/3.0", "must not carry"),
        ("https://annex.example:99999/", "is not a URL"),
    ],
)
def test_addresses_that_are_refused(base_url, words):
    with pytest.raises(SettingError, match=words) as error:
        AnnexCloud(base_url, Credentials("4711", "shop", SECRET))
    assert error.value.setting == "base_url"
    assert "marker" not in str(error.value)


@pytest.mark.parametrize(
    "base_url", ["https://annex.example/Proxy/api/3.0/", "http://127.0.0.1:8080/api", "http://[::1]"]
)
def test_addresses_keep_their_path(base_url):
    assert service_root(f" {base_url} ") == base_url.rstrip("/")


def test_requests_in_flight_are_as_many_as_wanted():
    service = AnnexCloud("https://annex.example", Credentials("4711", "shop", SECRET), parallel=16)
    assert service.http.gate.allowed == 16


@pytest.mark.parametrize(
    "body",
    [
        {"id": "x1", "firstName": "Ana", "zipCode": 1234},
        {"Data": {"id": "x1", "firstName": "Ana", "zipCode": "1234"}},
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_member_in_any_envelope(members, service, status, body):
    service.replies = [(status, body)]
    member = members.get("x1")
    assert member.id == "x1"
    assert member.value("firstName") == "Ana"
    assert member.value("missing") is None


def test_ids_that_are_numbers(members, service):
    service.replies = [(200, {"id": 17})]
    assert members.get("17").id == "17"


def test_the_answer_names_the_real_id(members, service):
    service.replies = [(200, {"id": "M7", "email": "ana@example.com"})]
    assert members.get("ana@example.com").id == "M7"


@pytest.mark.parametrize(
    "reply",
    [
        (404, {"errorCode": "AC1005", "errorMessage": "no data"}),
        (400, {"errorCode": "AC1005"}),
        (404, {"errorCode": "AC1099"}),
        (200, {"errorCode": "AC1005"}),
    ],
)
def test_no_such_member(members, service, reply):
    service.replies = [reply]
    assert members.get("x1") is None
    assert members.find_by_email("ana@example.com") == []


@pytest.mark.parametrize(
    "body",
    [
        {"siteId": "1", "records": 1, "userDetail": [{"id": "x1", "email": "Ana@example.com"}]},
        {"userDetail": {"id": "x1", "email": "ana@example.com"}},
        {"Data": {"userDetail": [{"id": "x1"}]}},
        {"Data": [{"id": "x1", "email": "ana@example.com"}]},
        [{"id": "x1", "email": "ana@example.com"}],
        {"id": "x1", "email": "ana@example.com"},
        {"userDetail": [{"id": "x1", "email": "ana@example.com"}, {"id": "x1", "email": "ana@example.com"}]},
        {"userDetail": [{"id": "x1", "email": "ana@example.com"}, {"id": "x2", "email": "anna@example.com"}]},
    ],
)
def test_a_search_in_any_shape(members, service, body):
    service.replies = [(200, body)]
    assert [member.id for member in members.find_by_email("ana@example.com")] == ["x1"]
    assert service.bodies == [{"dataSearch": {"email": "ana@example.com"}}]


def test_a_search_answer_of_no_known_shape_stops_the_run(members, service):
    service.replies = [(200, "fine")]
    with pytest.raises(ServiceError, match="no known shape") as error:
        members.find_by_email("ana@example.com")
    assert not isinstance(error.value, RowError)


def test_create_and_update_send_nested_fields(members, service):
    members.create("x1", {"firstName": "Ana", "extendedAttribute.size": "42"})
    members.update(
        Member("x1", {"extendedAttribute": {"size": "41", "colour": "red"}}), {"extendedAttribute.size": "42"}
    )
    assert service.bodies == [
        {"id": "x1", "firstName": "Ana", "extendedAttribute": {"size": "42"}},
        {"id": "x1", "extendedAttribute": {"size": "42", "colour": "red"}},
    ]
    assert nested({}) == {}


def test_an_empty_answer_to_a_write_is_a_success(members, service):
    service.replies = [(204, b"")]
    members.update(Member("x1"), {"firstName": "Ana"})


MEMBER_MARKER = "Müller-marker"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ((400, {"errorCode": "AC1004"}), RowError, "a required field is missing (400 AC1004)"),
        ((400, {"errorCode": "AC1007", "errorMessage": MEMBER_MARKER}), RowError, "not valid (400 AC1007)"),
        ((422, {}), RowError, "not valid (422)"),
        ((404, {"errorCode": "AC1005"}), RowError, "PATCH /users/{id}: it has no such data (404 AC1005)"),
        ((409, {"errorCode": "AC1006"}), RowError, "exists already (409 AC1006)"),
        ((200, {"errorCode": "AC1006"}), RowError, "exists already (409 AC1006)"),
        ((404, {"errorCode": "AC1001"}), SettingError, "Setting `base_url`"),
        ((404, b"<html>not here</html>"), SettingError, "Setting `base_url`"),
        ((404, {"error": "not here"}), SettingError, "Setting `base_url`"),
        ((302, b""), SettingError, "Setting `base_url`"),
        ((401, {"errorCode": "AC1002", "errorMessage": MEMBER_MARKER}), SettingError, "Setting `secret_key`"),
        ((200, {"errorCode": "AC1002"}), SettingError, "`site_id` and `site_name`"),
        ((403, {"errorCode": "AC1002"}), ServiceError, "(403 AC1002)"),
        ((200, {"errorCode": "AC4711"}), ServiceError, "(200 AC4711)"),
    ],
)
def test_the_table_of_errors(members, service, reply, kind, words):
    service.replies = [reply]
    with pytest.raises(kind) as error:
        members.update(Member("ana@example.com"), {"firstName": MEMBER_MARKER})
    assert type(error.value) is kind
    assert words in str(error.value)
    for secret in (MEMBER_MARKER, "ana@example.com", SECRET, "html"):
        assert secret not in str(error.value)


def test_create_is_sent_again_after_a_lost_reply(members, service):
    service.replies = [(503, {}), (409, {"errorCode": "AC1006"})]
    with pytest.raises(RepeatedError) as error:
        members.create("x1", {})
    assert (error.value.status, error.value.code) == (409, "AC1006")
    assert [request.method for request in service.requests] == ["POST", "POST"]


@pytest.mark.parametrize(
    ("first", "in_doubt"),
    [
        ([], False),
        ([(429, {}, {"Retry-After": "1"})], False),
        ([(401, {}, {"Date": email.utils.formatdate(time.time() + 7200, usegmt=True)})], False),
        ([(504, b"")], True),
        ([(201, b'{"id": "x')], True),
        ([(429, {}), (500, {})], True),
    ],
)
def test_a_refusal_tells_whether_an_earlier_sending_may_be_why(members, service, first, in_doubt):
    service.replies = [*first, (409, {"errorCode": "AC1006"})]
    with pytest.raises(RowError) as error:
        members.create("x1", {})
    assert isinstance(error.value, RepeatedError) is in_doubt
    assert error.value.status == 409


def test_a_wrong_clock_is_set_once_for_all_calls(members, service):
    date = {"Date": email.utils.formatdate(time.time() + 7200, usegmt=True)}
    service.replies = [(401, {"errorCode": "AC1002"}, date), (200, {"id": "x1"})]
    assert members.get("x1").id == "x1"
    members.get("x1")
    assert len(service.requests) == 3


def test_a_real_401_names_the_setting_after_one_other_request(members, service):
    service.replies = [(401, {"errorCode": "AC1002"}, {"Date": email.utils.formatdate(time.time(), usegmt=True)})]
    with pytest.raises(SettingError):
        members.get("x1")
    assert len(service.requests) == 2


def test_an_answer_that_is_no_json_is_an_outage(members, service):
    service.replies = [(200, b"<html>" + base64.b64encode(b"x") + b"</html>")]
    with pytest.raises(OutageError):
        members.get("x1")
    assert len(service.requests) > 1
