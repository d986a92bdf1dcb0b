"""The request token: test vectors of Annex page 2.4, the checks of 15.2, what each GET signs (2.3)."""

from __future__ import annotations

import json

import pytest
from annexcloud_client import EXPIRY, NOW, SECRET, SITE_ID, Client, claims, compact, failure, jwt_of, request_hmac
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.annexcloud import token
from annex_d365_sandbox.annexcloud.urls import ENDPOINTS
from annex_d365_sandbox.wire import Request

BODY = b'{"id":"u1","email":"u1@example.com"}'
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhY21lc2l0ZSIsImV4cCI6MTg5MzQ1NjAwMCwic2l0ZV9pZCI6IjEyMzQ1Njc4Iiwi"
    "aG1hYyI6InFyUk9pT1RpWlRTU1ZrWFdJd0xaanlxV1BsR2dzVDV1SXFDUHZYdHR4VnM9In0."
    "yoNh2tBZe2-Fb2ldRZApOcDfpw0FcpOaf-_U490uShI"
)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'"user@domain.com"', b"Gel2yplwV8dHSrLNGuLwvKXpTvlqABWcKbyDQy+nSKQ="),
        (b'"ALL"', b"ROGRGANxhsXsGNeg73zb4FXNJxUdgJd3DYGP+K2UPLI="),
        (BODY, b"qrROiOTiZTSSVkXWIwLZjyqWPlGgsT5uIqCPvXttxVs="),
    ],
)
def test_hmac_vectors(payload: bytes, expected: bytes):
    assert token.hmac_claim(payload, SECRET) == expected


def test_full_token_vector_is_accepted(client: Client):
    assert jwt_of(claims(BODY)) == VECTOR
    reply = client.raw("POST", "/users", BODY, authorization="Bearer " + VECTOR)
    assert reply.status == 201
    assert client.site.last_refusal is None


GET = b'"u1"'
REFUSALS = {
    "no bearer token": {"authorization": "Basic eA=="},
    "no X-AnnexCloud-Site header": {"x_annexcloud_site": None},
    "X-AnnexCloud-Site names another site": {"x_annexcloud_site": "1"},
    "not a JSON web token": {"authorization": "Bearer a.b"},
    "alg is not HS256": {"authorization": "Bearer " + jwt_of(claims(GET), alg="HS512")},
    "the token's signature does not match": {"authorization": "Bearer " + jwt_of(claims(GET), secret="other")},
    "the token's payload is not an object": {"authorization": "Bearer " + jwt_of([])},
    "exp is not a number of seconds": {"authorization": "Bearer " + jwt_of(claims(GET, exp="soon"))},
    "the token has expired": {"authorization": "Bearer " + jwt_of(claims(GET, exp=int(NOW.timestamp())))},
    "site_id differs from X-AnnexCloud-Site": {"authorization": "Bearer " + jwt_of(claims(GET, site_id="1"))},
    "no sub claim": {"authorization": "Bearer " + jwt_of(claims(GET, sub=None))},
    "no hmac claim": {"authorization": "Bearer " + jwt_of(claims(GET, hmac=None))},
    "the hmac claim does not match the request": {"authorization": "Bearer " + jwt_of(claims(b'"u2"'))},
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_refusal(client: Client, reason: str):
    client.site.put_members([{"id": "u1"}])
    headers = {
        "authorization": "Bearer " + jwt_of(claims(GET)),
        "x-annexcloud-site": SITE_ID,
        **{name.replace("_", "-"): value for name, value in REFUSALS[reason].items()},
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    reply = client.serve(Request("GET", "/api/3.0/users/u1", headers=sent))
    assert failure(reply) == (401, "AC1002")
    assert json.loads(reply.body)["errorMessage"] == "Request not authorized"
    assert reply.headers["X-Sandbox-Reason"] == client.site.last_refusal == reason


def test_refusals_come_in_the_documented_order(client: Client):
    wrong = claims(b"x", exp=0, site_id="1", sub=None)
    seen = []
    for fix in ({}, {"exp": EXPIRY}, {"site_id": SITE_ID}, {"sub": "x"}, {"hmac": request_hmac(GET)}):
        wrong.update(fix)
        client.raw("GET", "/users/u1", authorization="Bearer " + jwt_of(wrong))
        seen.append(client.site.last_refusal)
    assert seen == [
        "the token has expired",
        "site_id differs from X-AnnexCloud-Site",
        "no sub claim",
        "the hmac claim does not match the request",
        None,
    ]


@pytest.mark.parametrize("exp", [NOW.timestamp() + 1, str(EXPIRY), EXPIRY * 1000000, NOW.timestamp() + 0.5])
def test_expiry_may_be_number_or_string_and_far_away(client: Client, exp: object):
    client.site.put_members([{"id": "u1"}])
    reply = client.raw("GET", "/users/u1", authorization="Bearer " + jwt_of(claims(GET, exp=exp)))
    assert reply.status == 200


@pytest.mark.parametrize("exp", [True, None, "nan", "inf", [EXPIRY], ""])
def test_expiry_of_another_form_is_refused(client: Client, exp: object):
    reply = client.raw("GET", "/users/u1", authorization="Bearer " + jwt_of(claims(GET, exp=exp)))
    assert failure(reply) == (401, "AC1002")
    assert client.site.last_refusal == "exp is not a number of seconds"


def test_token_expires_by_the_sandbox_clock(client: Client):
    client.site.put_members([{"id": "u1"}])
    client.clock.advance(EXPIRY - NOW.timestamp() - 1)
    assert client.member("u1").status == 200
    client.clock.advance(1)
    assert client.member("u1").status == 401


def test_body_hmac_is_over_the_raw_bytes(client: Client):
    body = b'{ "id" : "u1" }'
    assert client.raw("POST", "/users", body, signed=compact(json.loads(body))).status == 401
    assert client.raw("POST", "/users", body, signed=body).status == 201


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_identifier_may_be_escaped_in_any_usual_way(identifier: str):
    accepted = token.identifier_payloads(identifier)
    for ascii_only in (True, False):
        literal = json.dumps(identifier, ensure_ascii=ascii_only)
        assert literal.encode() in accepted
        assert literal.replace("/", "\\/").encode() in accepted
    assert {json.loads(payload) for payload in accepted} == {identifier}


@pytest.mark.parametrize("signed", [b'"a/\xc3\xa9"', b'"a\\/\xc3\xa9"', b'"a/\\u00e9"', b'"a\\/\\u00e9"'])
def test_get_accepts_an_escaped_identifier(client: Client, signed: bytes):
    client.site.put_members([{"id": "a/é"}])
    assert client.raw("GET", "/users/a/é", signed=signed).status == 200


SIGNED = [
    ("/users/u1/activity", "u1"),
    ("/users/u1/tiers", "u1"),
    ("/users/u1/reward", "u1"),
    ("/users/u1/usedreward", "u1"),
    ("/points/u1", "u1"),
    ("/segment/550", "550"),
    ("/campaign/7", "7"),
    ("/store/9", "9"),
    ("/actions/ALL", "ALL"),
]
GUESSED = [
    ("/users/u1/activitysummary/100", "u1"),
    ("/users/u1/rewards/history", "u1"),
    ("/mergeuser/u1", "u1"),
    ("/eligiblesegment/550", "550"),
    ("/segmentlist/all", "all"),
    ("/products/p1", "p1"),
    ("/rewards", ""),
]


@pytest.mark.parametrize(("path", "identifier"), SIGNED + GUESSED)
def test_what_a_get_signs(client: Client, path: str, identifier: str):
    client.get(path, identifier)
    assert client.site.last_refusal is None
    assert failure(client.get(path, "another")) == (401, "AC1002")


@pytest.mark.parametrize(("path", "_identifier"), GUESSED)
def test_strict_hmac_off_waives_a_guessed_identifier(client: Client, path: str, _identifier: str):
    client.site.switches.strict_hmac = False
    assert client.get(path, "another").status != 401
    assert client.site.last_refusal == token.HMAC_MISMATCH
    assert client.raw("GET", path, authorization="Bearer " + jwt_of(claims(b"", exp=1))).status == 401


@pytest.mark.parametrize(("path", "_identifier"), [*SIGNED, ("/users/u1", "u1")])
def test_strict_hmac_off_keeps_a_documented_identifier(client: Client, path: str, _identifier: str):
    client.site.switches.strict_hmac = False
    assert client.get(path, "another").status == 401


def test_every_get_names_a_value_of_its_path():
    for endpoint in ENDPOINTS:
        assert endpoint.signs is None or "{" + endpoint.signs + "}" in endpoint.template
