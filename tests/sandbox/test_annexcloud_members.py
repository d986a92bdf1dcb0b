"""Members: create, read, update, search, delete, as Annex page section 5 says."""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime, timedelta, timezone

import pytest
from annexcloud_client import NOW, SITE_ID, STAMP, Client, content, failure
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.annexcloud import fields
from annex_d365_sandbox.store import Store

FULL = {
    "id": "u1",
    "email": "Ada@example.com",
    "firstName": "Ada",
    "lastName": "O'Neill",
    "zipCode": "94105",
    "optInStatus": "YES",
    "optInDate": "2024-08-08T09:00:12+0200",
    "status": "ACTIVE",
    "phone": "+1 555 0100",
    "birthDate": "1980-02-29",
    "anniversaryDate": "2020-01-31",
    "userProfileImageUrl": "https://img.example.com/u1.png",
}


@pytest.fixture
def client() -> Client:
    return Client()


# -- create and read


def test_create_answers_the_documented_fields_and_read_more(client: Client):
    created = content(client.send("POST", "/users", FULL), 201)
    assert created == {
        "siteId": SITE_ID,
        **{name: FULL[name] for name in ("id", "email", "firstName", "lastName", "optInStatus", "status", "phone")},
        **{name: FULL[name] for name in ("birthDate", "anniversaryDate")},
        "createDate": STAMP,
        "updateDate": STAMP,
    }
    assert content(client.member("u1")) == {
        "siteId": SITE_ID,
        **FULL,
        "optInDate": "2024-08-08T07:00:12+0000",
        "createDate": STAMP,
        "updateDate": STAMP,
        "extendedAttribute": {},
        "totalSpendCurrency": None,
    }


def test_create_defaults(client: Client):
    content(client.send("POST", "/users", {"id": 17, "shoeSize": 44, "firstName": None, "lastName": ""}), 201)
    member = content(client.member("17"))
    assert (member["optInStatus"], member["optInDate"], member["status"]) == ("YES", STAMP, "ACTIVE")
    assert member["firstName"] is member["lastName"] is None
    assert "shoeSize" not in member


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": None}, {"email": "a@example.com"}, b"", b" \n"])
def test_create_needs_an_id(client: Client, body: object):
    assert failure(client.send("POST", "/users", body)) == (400, "AC1004")


def test_create_refuses_a_taken_id(client: Client):
    client.send("POST", "/users", FULL)
    assert failure(client.send("POST", "/users", {"id": "u1", "firstName": "Eve"})) == (409, "AC1006")
    assert content(client.member("u1"))["firstName"] == "Ada"


@pytest.mark.parametrize("body", [b"{", b'{"id":"u1",}', b'{"id":"\xff"}', b'{"id":"\\ud800"}', b"[]", b'"u1"', b"1"])
def test_body_must_be_a_json_object(client: Client, body: bytes):
    assert failure(client.send("POST", "/users", body)) == (400, "AC1007")
    assert client.site.member_count() == 0


BAD_VALUES = [
    ("email", "ada"),
    ("email", "ada@"),
    ("email", "@example.com"),
    ("email", "a" * 65 + "@example.com"),
    ("email", "a@" + "b." * 126 + "example"),
    ("email", "a@localhost"),
    ("email", "a@-x.example.com"),
    ("email", "a@x_y.example.com"),
    ("email", "a@example.1"),
    ("email", "a@example.com."),
    ("email", "a..b@example.com"),
    ("email", ".a@example.com"),
    ("email", "a b@example.com"),
    ("email", "a@b@example.com"),
    ("email", "é@example.com"),
    ("email", "a@example.com\n"),
    ("birthDate", "1981-02-29"),
    ("birthDate", "29.02.1980"),
    ("birthDate", "1980-2-9"),
    ("birthDate", "1980-02-29T00:00:00+0000"),
    ("anniversaryDate", "2020-13-01"),
    ("optInDate", "2024-08-08"),
    ("optInDate", "2024-08-08T07:00:12Z"),
    ("optInDate", "2024-08-08T07:00:12+00:00"),
    ("optInDate", "2024-08-08T25:00:12+0000"),
    ("optInDate", "2024-08-08T07:00:12+9999"),
    ("optInDate", "0001-01-01T00:00:00+0100"),
    ("optInDate", ""),
    ("optInStatus", "maybe"),
    ("optInStatus", ""),
    ("status", "asleep"),
    ("firstName", ["Ada"]),
    ("firstName", {"first": "Ada"}),
    ("firstName", True),
    ("extendedAttribute", "size"),
    ("extendedAttribute", {"size": ["L"]}),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_bad_value_is_refused_without_being_told(client: Client, name: str, value: object):
    client.site.switches.extended_attributes = ("size",)
    reply = client.send("POST", "/users", {"id": "u1", name: value})
    assert failure(reply) == (400, "AC1007")
    assert content(reply, 400)["errorMessage"] == f"Invalid parameters: {name}"
    client.site.put_members([{"id": "u1"}])
    assert failure(client.send("PATCH", "/users/u1", {name: value})) == (400, "AC1007")


@pytest.mark.parametrize(
    "email",
    [
        "a@example.com",
        "a" * 64 + "@example.com",
        "first.last+tag@sub-domain.example.org",
        '"a b"@example.com',
        "o'neill@example.net",
        "a@bücher.example",
        "a@xn--bcher-kva.example",
    ],
)
def test_good_email(client: Client, email: str):
    assert content(client.send("POST", "/users", {"id": "u1", "email": email}), 201)["email"] == email


def test_words_are_read_in_any_case(client: Client):
    created = content(client.send("POST", "/users", {"id": "u1", "optInStatus": "no", "status": "Inactive"}), 201)
    assert (created["optInStatus"], created["status"]) == ("NO", "INACTIVE")


@pytest.mark.parametrize("member_id", ["a b", "a/b", "ü@example.com", "100%", "a\nb", "x" * 300, "u1/tiersome"])
def test_any_id_can_be_read(client: Client, member_id: str):
    content(client.send("POST", "/users", {"id": member_id}), 201)
    assert content(client.member(member_id))["id"] == member_id


def test_read_of_nobody(client: Client):
    assert failure(client.member("u1")) == (404, "AC1005")
    assert failure(client.send("PATCH", "/users/u1", {})) == (404, "AC1005")


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/users/u1"), ("GET", "/users"), ("GET", "/users/"), ("POST", "/segments"), ("GET", "/events")],
)
def test_unknown_route(client: Client, method: str, path: str):
    assert failure(client.raw(method, path)) == (404, "AC1001")


def test_documented_route_that_is_not_served(client: Client):
    reply = client.get("/store/9", "9")
    assert failure(reply) == (404, "AC1001")
    assert reply.headers["X-Sandbox-Reason"] == "the sandbox does not serve this route"


# -- update


def test_update_merges(client: Client):
    client.send("POST", "/users", FULL)
    client.clock.advance(60)
    updated = content(
        client.send("PATCH", "/users/u1", {"id": "u1", "lastName": "Lovelace", "phone": "", "zipCode": 1})
    )
    assert updated == content(client.member("u1"))
    assert updated == {
        "siteId": SITE_ID,
        **FULL,
        "lastName": "Lovelace",
        "phone": None,
        "zipCode": "1",
        "optInDate": "2024-08-08T07:00:12+0000",
        "createDate": STAMP,
        "updateDate": "2026-03-01T12:01:00+0000",
        "extendedAttribute": {},
        "totalSpendCurrency": None,
    }


def test_update_never_touches_the_opt_in_unless_told(client: Client):
    client.send("POST", "/users", {"id": "u1", "optInStatus": "NO"})
    before = content(client.member("u1"))
    client.clock.advance(60)
    after = content(client.send("PATCH", "/users/u1", {"firstName": "Ada"}))
    for name in ("optInStatus", "optInDate", "optOutDate", "status"):
        assert after[name] == before[name]


def test_opting_out_and_in_again_stamps_dates(client: Client):
    client.send("POST", "/users", {"id": "u1"})
    assert "optOutDate" not in content(client.member("u1"))
    client.clock.advance(60)
    out = content(client.send("PATCH", "/users/u1", {"optInStatus": "NO"}))
    assert (out["optInDate"], out["optOutDate"]) == (STAMP, "2026-03-01T12:01:00+0000")
    client.clock.advance(60)
    again = content(client.send("PATCH", "/users/u1", {"optInStatus": "NO"}))
    assert again["optOutDate"] == out["optOutDate"]
    back = content(client.send("PATCH", "/users/u1", {"optInStatus": "YES"}))
    assert back["optInDate"] == "2026-03-01T12:02:00+0000"
    assert "optOutDate" not in back


def test_update_refuses_another_id(client: Client):
    client.send("POST", "/users", FULL)
    assert failure(client.send("PATCH", "/users/u1", {"id": "u2"})) == (400, "AC1007")
    assert client.site.member("u2") is None


def test_extended_attributes_are_kept_when_defined(client: Client):
    client.site.switches.extended_attributes = ["size", "color", "level"]
    client.send("POST", "/users", {"id": "u1", "extendedAttribute": {"size": "L", "level": 3, "taste": "good"}})
    assert content(client.member("u1"))["extendedAttribute"] == {"size": "L", "level": "3"}
    patched = content(client.send("PATCH", "/users/u1", {"extendedAttribute": {"color": "red", "size": None}}))
    assert patched["extendedAttribute"] == {"size": "L", "level": "3", "color": "red"}


# -- search


@pytest.fixture
def crowd(client: Client) -> Client:
    client.site.put_members(
        [
            {"id": "u1", "email": "ada@example.com", "firstName": "John", "lastName": "Smith", "phone": "1"},
            {
                "id": "u2",
                "email": "bob@example.com",
                "firstName": "JOHNNY",
                "lastName": "Smith_y",
                "birthDate": "1980-02-29",
            },
            {"id": "u3", "email": "ADA@example.com", "firstName": "Élodie", "lastName": "100%", "optInStatus": "NO"},
        ]
    )
    for number, member_id in enumerate(("u1", "u2", "u3")):
        moment = NOW.replace(hour=0) + timedelta(days=number)
        member = client.site.member(member_id)
        client.site.put_members([{**member, "optInDate": fields.stamp(moment)}])
    return client


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({"userId": "u2"}, ["u2"]),
        ({"userId": "U2"}, []),
        ({"email": "Ada@Example.com"}, ["u1", "u3"]),
        ({"email": "ada%"}, []),
        ({"firstName": "john"}, ["u1"]),
        ({"firstName": "john%"}, ["u1", "u2"]),
        ({"firstName": "%OHN%"}, ["u1", "u2"]),
        ({"firstName": "élo%"}, ["u3"]),
        ({"lastName": "smith_"}, []),
        ({"lastName": "smith_y"}, ["u2"]),
        ({"lastName": "\\%"}, []),
        ({"firstName": "j%", "lastName": "smith"}, ["u1"]),
        ({"optInStatus": "no"}, ["u3"]),
        ({"phone": 1}, ["u1"]),
        ({"birthDate": "1980-02-29"}, ["u2"]),
        ({"optInDate": "2026-03-02"}, ["u2"]),
        ({"optInDate": "2026-03-02 00:00:00"}, ["u2"]),
        ({"optInDate": "2026-03-02T01:00:00+0100"}, ["u2"]),
        ({"optInDate": "2026-03-02 00:00:01"}, []),
        ({"optInStartDate": "2026-03-02 00:00:00"}, ["u2", "u3"]),
        ({"optInEndDate": "2026-03-02 00:00:00"}, ["u1", "u2"]),
        ({"optInStartDate": "2026-03-01 00:00:01", "optInEndDate": "2026-03-02 23:59:59"}, ["u2"]),
        ({"optInStartDate": "2026-03-03 00:00:01"}, []),
        ({"userId": "u1", "shoeSize": "44", "email": ""}, ["u1"]),
    ],
)
def test_search(crowd: Client, criteria: dict, found: list[str]):
    reply = crowd.send("POST", "/users/search", {"dataSearch": criteria})
    if not found:
        assert failure(reply) == (404, "AC1005")
        return
    body = content(reply)
    assert [user["id"] for user in body["userDetail"]] == found
    assert (body["siteId"], body["records"]) == (SITE_ID, len(found))
    assert body["userDetail"][0] == content(crowd.member(found[0]))


@pytest.mark.parametrize("body", [{}, {"dataSearch": {}}, {"dataSearch": None}, {"dataSearch": {"shoeSize": 1}}])
def test_search_needs_criteria(crowd: Client, body: dict):
    assert failure(crowd.send("POST", "/users/search", body)) == (400, "AC1004")


@pytest.mark.parametrize(
    "criteria",
    [
        [],
        {"birthDate": "yesterday"},
        {"optInStartDate": "2026-03-02"},
        {"optInEndDate": "2026-03-02T00:00:00+0000"},
        {"optInDate": "2026-02-30"},
        {"optInStatus": "maybe"},
        {"userId": ["u1"]},
        {"firstName": "%a" * 200},
    ],
)
def test_search_refuses_a_bad_criterion(crowd: Client, criteria: object):
    assert failure(crowd.send("POST", "/users/search", {"dataSearch": criteria})) == (400, "AC1007")


def test_search_is_cut_at_fifty(client: Client):
    client.site.put_members({"id": f"u{number:03}", "lastName": "Smith"} for number in range(51))
    body = content(client.send("POST", "/users/search", {"dataSearch": {"lastName": "smith"}}))
    assert body["records"] == 50
    assert [user["id"] for user in body["userDetail"]] == [f"u{number:03}" for number in range(50)]


@pytest.mark.parametrize(
    ("condition", "index"),
    [("lower(email) = lower('a')", "annex_members_email"), ("optInDate BETWEEN '2' AND '3'", "annex_members_opt_in")],
)
def test_search_uses_an_index(client: Client, condition: str, index: str):
    with client.store.transaction() as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT * FROM annex_members WHERE {condition} ORDER BY optInDate, id"
        ).fetchall()
    assert any(f"SEARCH annex_members USING INDEX {index}" in row["detail"] for row in plan)


# -- delete


def test_deletion_waits_for_the_batch(client: Client):
    client.send("POST", "/users", FULL)
    client.send("POST", "/users", {"id": "u2"})
    order = {"id": "u1", "requestedBy": "admin@example.com"}
    assert content(client.send("POST", "/userdelete", order)) == content(client.member("u1"))
    assert content(client.send("POST", "/userdelete", order))["id"] == "u1"
    assert failure(client.send("POST", "/users", {"id": "u1"})) == (409, "AC1006")
    assert client.site.run_deletions() == 1
    assert failure(client.member("u1")) == (404, "AC1005")
    assert failure(client.send("POST", "/userdelete", order)) == (404, "AC1005")
    content(client.send("POST", "/users", {"id": "u1"}), 201)
    assert client.site.run_deletions() == 0
    assert client.site.member_count() == 2


def test_member_is_as_ever_until_the_batch(client: Client):
    client.send("POST", "/users", FULL)
    client.send("POST", "/userdelete", {"id": "u1", "requestedBy": "admin@example.com"})
    assert client.site.pending_deletions() == ["u1"]
    assert content(client.member("u1"))["status"] == "ACTIVE"
    assert content(client.send("PATCH", "/users/u1", {"lastName": "Lovelace"}))["lastName"] == "Lovelace"
    content(client.send("POST", "/points", {"id": "u1", "activity": "CREDIT", "credit": 5, "reason": "x"}))
    client.site.run_deletions()
    for path in ("/users/u1", "/points/u1", "/users/u1/activity", "/users/u1/tiers", "/users/u1/reward"):
        assert failure(client.get(path, "u1")) == (404, "AC1005")
    assert client.site.activities.count() == 0


def test_deletion_can_be_revoked(client: Client):
    client.site.put_members([{"id": "u1"}])
    client.send("POST", "/userdelete", {"id": "u1", "requestedBy": "admin@example.com"})
    client.site.revoke_deletion("u1")
    assert client.site.pending_deletions() == []
    assert client.site.run_deletions() == 0
    assert client.member("u1").status == 200


def test_switch_deletion_at_once(client: Client):
    client.site.put_members([{"id": "u1"}])
    client.site.switches.deletion = "at_once"
    assert content(client.send("POST", "/userdelete", {"id": "u1", "requestedBy": "a@example.com"}))["id"] == "u1"
    assert failure(client.member("u1")) == (404, "AC1005")
    assert client.site.run_deletions() == 0


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"id": "u1"}, "AC1004"),
        ({"requestedBy": "admin@example.com"}, "AC1004"),
        ({"id": "u1", "requestedBy": "admin"}, "AC1007"),
        ({"id": ["u1"], "requestedBy": "admin@example.com"}, "AC1007"),
    ],
)
def test_deletion_needs_id_and_requester(client: Client, order: dict, code: str):
    client.site.put_members([{"id": "u1"}])
    assert failure(client.send("POST", "/userdelete", order)) == (400, code)
    assert client.site.run_deletions() == 0


# -- what the operator sees


def test_put_members_defaults_and_replaces(client: Client):
    client.site.put_members([{"id": "u2", "createDate": "2024-01-01T01:00:00+0100"}, {"id": "u1", "firstName": "Ada"}])
    client.site.put_members([{"id": "u1", "lastName": "Lovelace", "extendedAttribute": {"size": "L"}}])
    assert [member["id"] for member in client.site.members()] == ["u1", "u2"]
    first, second = client.site.members()
    assert (first["firstName"], first["lastName"], first["extendedAttribute"]) == (None, "Lovelace", {"size": "L"})
    assert (first["createDate"], first["updateDate"], first["optInStatus"]) == (STAMP, STAMP, "YES")
    assert (second["createDate"], second["updateDate"]) == ("2024-01-01T00:00:00+0000", STAMP)
    assert set(first) == set(fields.ALL)


def test_put_members_takes_back_what_members_gives(client: Client):
    client.send("POST", "/users", {**FULL, "optInStatus": "NO"})
    before = list(client.site.members())
    client.site.reset()
    assert list(client.site.members()) == []
    client.clock.advance(60)
    client.site.put_members(before)
    assert list(client.site.members()) == before


@pytest.mark.parametrize(
    "member", [{"id": "u1", "shoeSize": 44}, {"firstName": "Ada"}, {"id": "u1", "createDate": "x"}]
)
def test_put_members_is_all_or_nothing(client: Client, member: dict):
    with pytest.raises(ValueError):
        client.site.put_members([{"id": "u0"}, member])
    assert client.site.member_count() == 0


def test_members_reads_past_one_chunk(client: Client):
    client.site.put_members({"id": f"u{number}"} for number in range(2001))
    assert len({member["id"] for member in client.site.members()}) == client.site.member_count() == 2001


def test_state_survives_a_restart(tmp_path):
    first = Client(Store(tmp_path / "state.db"))
    first.send("POST", "/users", FULL)
    before = content(first.member("u1"))
    first.send("POST", "/userdelete", {"id": "u1", "requestedBy": "admin@example.com"})
    first.store.close()
    second = Client(Store(tmp_path / "state.db"))
    assert content(second.member("u1")) == before
    assert second.site.run_deletions() == 1
    second.store.close()


def test_reset_forgets_everything(client: Client):
    client.send("POST", "/users", FULL)
    client.send("POST", "/userdelete", {"id": "u1", "requestedBy": "admin@example.com"})
    switches = client.site.switches
    switches.envelope = "Data"
    client.site.reset()
    assert client.site.member_count() == client.site.run_deletions() == 0
    assert client.site.switches is switches
    assert switches.envelope == "flat"


def test_errors_and_logs_hold_no_member_data(client: Client, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    secret = "Xyzzy"
    client.site.put_members([{"id": secret}])
    replies = [
        client.send("POST", "/users", {"id": secret}),
        client.send("POST", "/users", {"id": "u1", "birthDate": secret}),
        client.send("POST", "/users", {"id": "u1", "email": secret, "firstName": [secret]}),
        client.send("POST", "/users", f'{{"id":"{secret}'.encode()),
        client.send("PATCH", f"/users/{secret}", {"id": secret + "2"}),
        client.send("POST", "/users/search", {"dataSearch": {"birthDate": secret}}),
        client.send("POST", "/userdelete", {"id": secret, "requestedBy": secret}),
        client.raw("GET", f"/users/{secret}"),
        client.member(secret + "2"),
    ]
    assert all(reply.status >= 400 for reply in replies)
    assert not any(secret in repr((reply.body, reply.headers)) for reply in replies)
    assert secret not in caplog.text


# -- values


YEAR_2, YEAR_9998 = datetime(2, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 - the strategy adds the zone


@given(st.datetimes(timezones=st.timezones(), min_value=YEAR_2, max_value=YEAR_9998))
def test_stamp_reads_back_and_sorts(moment: datetime):
    utc = moment.replace(microsecond=0).astimezone(timezone.utc)
    stamped = fields.stamp(moment)
    assert fields.instant(stamped) == stamped
    assert datetime.strptime(stamped, "%Y-%m-%dT%H:%M:%S%z") == utc
    assert fields.stamp(utc + timedelta(seconds=1)) > stamped


@given(
    st.datetimes(min_value=YEAR_2, max_value=YEAR_9998),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_instant_is_brought_to_utc(moment: datetime, zone: timezone):
    local = moment.replace(microsecond=0, tzinfo=zone)
    text = local.isoformat()
    assert fields.instant(text[:-3] + text[-2:]) == fields.stamp(local)


@pytest.mark.parametrize("reader", [fields.instant, fields.second, fields.day, fields.email])
@given(
    value=st.one_of(
        st.text(),
        st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}([+-][0-9]{4})?)?", fullmatch=True),
    )
)
def test_readers_give_text_or_value_error(reader, value: str):
    with contextlib.suppress(ValueError):
        assert isinstance(reader(value), str)
