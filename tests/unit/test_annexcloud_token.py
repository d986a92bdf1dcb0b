"""Request tokens: the vectors of the reference (Annex page 2.4), and the clock."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import json
import time

import jwt
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud import token
from annex_d365.annexcloud.token import (
    LIFETIME_SECONDS,
    Clock,
    Credentials,
    IdForm,
    RequestToken,
    Signed,
    Signing,
    fresh_token,
    hmac_claim,
    identifier_payload,
    request_token,
)

CREDENTIALS = Credentials(site_id="12345678", site_name="acmesite", secret_key="test-secret")
BODY = b'{"id":"u1","email":"u1@example.com"}'
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhY21lc2l0ZSIsImV4cCI6MTg5MzQ1NjAwMCwic2l0ZV9pZCI6IjEyMzQ1Njc4Iiwi"
    "aG1hYyI6InFyUk9pT1RpWlRTU1ZrWFdJd0xaanlxV1BsR2dzVDV1SXFDUHZYdHR4VnM9In0.yoNh2tBZe2-Fb2ldRZApOcDfpw0FcpOaf-_U490u"
    "ShI"
)


@pytest.mark.parametrize(
    ("payload", "claim"),
    [
        (identifier_payload("user@domain.com"), "Gel2yplwV8dHSrLNGuLwvKXpTvlqABWcKbyDQy+nSKQ="),
        (identifier_payload("ALL"), "ROGRGANxhsXsGNeg73zb4FXNJxUdgJd3DYGP+K2UPLI="),
        (BODY, "qrROiOTiZTSSVkXWIwLZjyqWPlGgsT5uIqCPvXttxVs="),
    ],
)
def test_hmac_vectors(payload, claim):
    assert hmac_claim("test-secret", payload) == claim


def test_token_vector():
    assert request_token(CREDENTIALS, BODY, 1893456000) == TOKEN


@given(secret=st.text(min_size=1, max_size=40), site=st.text(min_size=1, max_size=20), payload=st.binary(max_size=200))
def test_any_token_verifies_and_holds_its_claims(secret, site, payload):
    expires = int(time.time()) + 60
    token = request_token(Credentials(site, "shop", secret), payload, expires)
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    signed = token.rpartition(".")[0].encode()
    assert hmac.compare_digest(signature, hmac.new(secret.encode(), signed, hashlib.sha256).digest())
    assert json.loads(head) == {"alg": "HS256", "typ": "JWT"}
    expected = hmac.new(secret.encode(), base64.b64encode(payload), hashlib.sha256).digest()
    assert list(json.loads(claims).items()) == [
        ("sub", "shop"),
        ("exp", expires),
        ("site_id", site),
        ("hmac", base64.b64encode(expected).decode()),
    ]


@pytest.mark.parametrize(
    ("identifier", "payload"),
    [("a/b", b'"a/b"'), ('q"uote', b'"q\\"uote"'), ("ünï", '"ünï"'.encode()), ("", b'""')],
)
def test_what_a_get_signs(identifier, payload):
    assert identifier_payload(identifier) == payload


def test_the_secret_is_not_shown():
    assert "test-secret" not in repr(CREDENTIALS)


def signed(clock: Clock) -> tuple[RequestToken, requests.PreparedRequest]:
    auth = RequestToken(CREDENTIALS, BODY, clock)
    return auth, requests.Request("POST", "https://annex.example/users", auth=auth).prepare()


def refusal(request: requests.PreparedRequest, date: str | None) -> requests.Response:
    response = requests.Response()
    response.status_code = 401
    response.request = request
    if date is not None:
        response.headers["Date"] = date
    for hook in request.hooks["response"]:
        hook(response)
    return response


def expiry(request: requests.PreparedRequest) -> int:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    return int(jwt.decode(token, options={"verify_signature": False})["exp"])


def test_headers_of_a_call():
    _, request = signed(Clock())
    assert request.headers["X-AnnexCloud-Site"] == "12345678"
    assert expiry(request) == pytest.approx(time.time() + LIFETIME_SECONDS, abs=2)


@pytest.mark.parametrize("hours", [-5, 3])
def test_a_refusal_teaches_the_time_of_the_service(hours):
    clock = Clock()
    auth, request = signed(clock)
    service_time = time.time() + hours * 3600
    refusal(request, email.utils.formatdate(service_time, usegmt=True))
    assert auth.renew(request)
    auth, request = signed(clock)
    assert expiry(request) == pytest.approx(service_time + LIFETIME_SECONDS, abs=3)
    refusal(request, email.utils.formatdate(service_time, usegmt=True))
    assert not auth.renew(request), "the clock is right: this refusal is a real one"


@pytest.mark.parametrize(
    "date", [lambda: None, lambda: "soon", lambda: email.utils.formatdate(time.time(), usegmt=True)]
)
def test_a_refusal_that_the_clock_does_not_explain(date):
    auth, request = signed(Clock())
    refusal(request, date())
    assert not auth.renew(request)


def test_another_thread_has_learnt_the_time():
    clock = Clock()
    auth, request = signed(clock)
    clock.offset = 7200
    refusal(request, email.utils.formatdate(time.time() + 7200, usegmt=True))
    assert auth.renew(request)


def test_no_token_is_made_twice():
    made = [fresh_token(CREDENTIALS, BODY, 1_893_456_000 + second) for second in range(3) for _ in range(200)]
    assert len(set(made)) == len(made)
    claims = [jwt.decode(each, options={"verify_signature": False}) for each in (made[0], made[199])]
    assert claims[0] == claims[1], "only the text differs"


def test_the_first_token_of_a_second_is_as_documented():
    assert fresh_token(CREDENTIALS, BODY, 1_999_999_999) == request_token(CREDENTIALS, BODY, 1_999_999_999)


def test_what_is_over_is_forgotten():
    repeats = token._Repeats()
    for second in range(1000):
        assert repeats.number(BODY, second) == 0
    assert len(repeats._seconds) <= 16


@pytest.mark.parametrize(
    ("form", "signed"),
    [
        (IdForm.PLAIN, '"a/é@x.example"'),
        (IdForm.ENCODED, '"a%2F%C3%A9%40x.example"'),
        (IdForm.ASCII, '"a/\\u00e9@x.example"'),
        (IdForm.PHP, '"a\\/\\u00e9@x.example"'),
    ],
)
def test_forms_of_ids(form, signed):
    assert identifier_payload("a/é@x.example", form).decode() == signed


@pytest.mark.parametrize(("resource", "signed"), [("segmentlist", b'""'), ("users", b'"7"')])
def test_what_undocumented_gets_sign(resource, signed):
    assert Signing(assumed=Signed.EMPTY).payload(resource, "7") == signed
    assert Signing().payload(resource, "7") == b'"7"'
