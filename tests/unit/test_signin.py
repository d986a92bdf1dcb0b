"""Sign-in: what the settings mean, and what a refusal says. The flows run in tests/tap/test_signin_flows.py."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from annex_d365 import http, retry
from annex_d365.dataverse.signin import Credentials, SignIn, refusal
from annex_d365.errors import OutageError, SettingError

ORG = "https://annex.crm.dynamics.com"
APP = {"client_id": "app", "client_secret": "s3cret"}
USER = {**APP, "username": "u@example.com", "password": "pa55word"}


def credentials(**settings):
    return Credentials.from_settings(settings, ORG)


@pytest.mark.parametrize(
    ("settings", "authority"),
    [
        ({**APP, "tenant_id": "contoso.example"}, "https://login.microsoftonline.com/contoso.example"),
        (
            {**APP, "auth_endpoint_url": "https://login.microsoftonline.com/contoso.example/oauth2/token"},
            "https://login.microsoftonline.com/contoso.example",
        ),
        (
            {**APP, "auth_endpoint_url": "https://login.microsoftonline.us/contoso.example/oauth2/v2.0/token"},
            "https://login.microsoftonline.us/contoso.example",
        ),
        (
            {**APP, "auth_endpoint_url": "https://login.microsoftonline.com/common/oauth2/token", "tenant_id": "t1"},
            "https://login.microsoftonline.com/t1",
        ),
        (
            {**USER, "auth_endpoint_url": "https://login.microsoftonline.com/common/oauth2/token"},
            "https://login.microsoftonline.com/organizations",
        ),
        (
            {**USER, "auth_endpoint_url": "https://login.microsoftonline.com/organizations/oauth2/token"},
            "https://login.microsoftonline.com/organizations",
        ),
        ({**APP, "auth_endpoint_url": "https://sts.example.org:8443/adfs"}, "https://sts.example.org:8443/adfs"),
    ],
)
def test_authority(settings, authority):
    assert credentials(**settings).authority == authority


def test_all_six_fields_of_the_document(caplog):
    """As the document's example has them, with the organisation's own host as the place to sign in."""
    given = credentials(
        **USER, auth_endpoint_url="https://annex.crm.dynamics.com/common/oauth2/token", resource=ORG + "/"
    )
    assert given.authority == "https://login.microsoftonline.com/organizations"
    assert given.scope == f"{ORG}/user_impersonation"
    assert "`auth_endpoint_url` names an organisation" in caplog.text
    assert "/organizations" in caplog.text


def test_scope_of_an_application():
    assert credentials(**APP, tenant_id="t").scope == f"{ORG}/.default"
    assert (
        credentials(**APP, tenant_id="t", resource="https://api.example.org/").scope
        == "https://api.example.org/.default"
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "client_id"),
        ({"client_id": "app"}, "client_secret"),
        ({"client_id": "app", "username": "u@example.com"}, "password"),
        (APP, "tenant_id"),
        ({**APP, "client_secret": ""}, "client_secret"),
        ({**APP, "tenant_id": "common"}, "tenant_id"),
        ({**APP, "auth_endpoint_url": "https://login.microsoftonline.com/common/oauth2/token"}, "tenant_id"),
        ({**APP, "auth_endpoint_url": "https://login.microsoftonline.com"}, "tenant_id"),
        (
            {**APP, "auth_endpoint_url": "https://login.microsoftonline.com/t1/oauth2/token", "tenant_id": "t2"},
            "tenant_id",
        ),
        ({**APP, "auth_endpoint_url": "http://127.0.0.1:80/t1"}, "auth_endpoint_url"),
        ({**APP, "auth_endpoint_url": "login.microsoftonline.com/t1"}, "auth_endpoint_url"),
        ({**APP, "tenant_id": "t", "resource": "org"}, "resource"),
    ],
)
def test_what_is_missing_is_named(settings, named):
    with pytest.raises(SettingError, match=f"Setting `{named}`") as error:
        SignIn(credentials(**settings))
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("reply", "named", "words"),
    [
        ({"error": "invalid_client", "error_codes": [7000215]}, "client_secret", "AADSTS7000215"),
        ({"error": "unauthorized_client", "error_codes": [700016]}, "client_id", "no application"),
        ({"error": "invalid_grant", "error_codes": [50126]}, "password", "wrong"),
        ({"error": "invalid_grant", "error_codes": [50034]}, "username", "no such user"),
        ({"error": "interaction_required", "error_codes": [50076]}, "username", "second factor"),
        ({"error": "interaction_required"}, "username", "second factor"),
        ({"error": "invalid_resource", "error_codes": [500011]}, "organization_url", "no such organisation"),
        ({"error": "invalid_grant"}, "password", "refused"),
        ({"error": "invalid_request", "error_codes": [90002]}, "tenant_id", "no such tenant"),
        ({"error": "something_new", "error_codes": [999]}, "client_id", "something_new, AADSTS999"),
        ({}, "client_id", "refused"),
    ],
)
def test_a_refusal_names_the_setting(reply, named, words):
    reply = {**reply, "error_description": "AADSTS: u@example.com has no access"}
    error = str(refusal(reply, credentials(**APP, tenant_id="t")))
    assert f"Setting `{named}`" in error
    assert words in error
    assert "u@example.com" not in error


DISCOVERY = (
    b'{"token_endpoint":"https://login.microsoftonline.com/t/token",'
    b'"authorization_endpoint":"https://login.microsoftonline.com/t/authorize"}'
)


class FakeLogin(requests.adapters.BaseAdapter):
    """Answers like a sign-in service, and keeps what it was asked."""

    def __init__(self, *replies):
        super().__init__()
        self.replies = list(replies)
        self.forms = []
        self.timeouts = []

    def send(self, request, timeout=None, **kwargs):
        self.timeouts.append(timeout)
        if request.method == "GET":
            reply = (200, DISCOVERY)
        else:
            self.forms.append({name: values[0] for name, values in parse_qs(request.body).items()})
            reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        response = requests.Response()
        response.status_code, response._content = reply[:2]
        response.headers.update(reply[2] if len(reply) > 2 else {})
        response.request, response.url = request, request.url
        return response

    def close(self):
        pass


TOKEN = (200, b'{"access_token":"tok","expires_in":"3599"}')


@pytest.fixture
def login(monkeypatch):
    def use(*replies):
        service = FakeLogin(*replies)

        def session(ca_bundle):
            made = http.Session(ca_bundle)
            made.mount("https://", service)
            return made

        monkeypatch.setattr(http, "new_session", session)
        return service

    return use


def signed(sign_in, url=ORG + "/api/data/v9.2/contacts"):
    return sign_in(requests.Request("GET", url).prepare())


def test_a_token_is_used_until_it_ends(login, monkeypatch):
    session = login(TOKEN, (200, b'{"access_token":"tok2","expires_in":3599}'))
    sign_in = SignIn(credentials(**APP, tenant_id="t"))
    assert signed(sign_in).headers["Authorization"] == "Bearer tok"
    signed(sign_in)
    assert len(session.forms) == 1
    later = time.time() + 3400
    monkeypatch.setattr("time.time", lambda: later)
    assert signed(sign_in).headers["Authorization"] == "Bearer tok2"


def test_renewed_once_for_all_threads(login):
    session = login(TOKEN, (200, b'{"access_token":"tok2","expires_in":3599}'))
    sign_in = SignIn(credentials(**APP, tenant_id="t"))
    refused = [signed(sign_in), signed(sign_in)]
    assert all(sign_in.renew(each) for each in refused)
    assert len(session.forms) == 2
    assert signed(sign_in).headers["Authorization"] == "Bearer tok2"


def test_the_token_goes_nowhere_else(login):
    session = login(TOKEN)
    for url in ("https://evil.example/api", "http://annex.crm.dynamics.com/api", ORG + ".evil.example/api"):
        with pytest.raises(SettingError, match="its token stays here"):
            signed(SignIn(credentials(**APP, tenant_id="t")), url)
    assert session.forms == []


@pytest.fixture
def pauses(monkeypatch):
    waited = []
    monkeypatch.setattr("time.sleep", lambda seconds: waited.append(seconds) if seconds else None)
    return waited


def test_an_outage_is_waited_out(login, pauses):
    service = login((503, b"busy"), requests.ConnectionError(), (200, b"<html>welcome</html>"), TOKEN)
    assert SignIn(credentials(**APP, tenant_id="t")).token() == "tok"
    assert len(service.forms) == 4


def test_throttling_is_obeyed_to_the_letter(login, pauses):
    login((429, b"{}", {"Retry-After": "17"}), TOKEN)
    assert SignIn(credentials(**APP, tenant_id="t")).token() == "tok"
    assert pauses == [17.0]


@pytest.mark.parametrize(
    ("reply", "words", "tries"),
    [((503, b"busy"), "is not available", retry.MAX_TRIES), (requests.ConnectionError(), "is not available", 10)],
)
def test_an_outage_ends(login, pauses, reply, words, tries):
    service = login(*[reply] * 99)
    with pytest.raises(OutageError, match=words):
        SignIn(credentials(**APP, tenant_id="t")).token()
    assert len(service.forms) == tries


def test_every_request_has_a_time_limit(login):
    service = login(TOKEN)
    SignIn(credentials(**APP, tenant_id="t")).token()
    assert service.timeouts
    assert all(service.timeouts)


def test_pages_of_a_gateway_are_in_no_log(login, pauses, caplog):
    caplog.set_level("DEBUG")
    login((200, b"<html>pl4nted</html>"), TOKEN)
    SignIn(credentials(**APP, tenant_id="t")).token()
    assert "pl4nted" not in caplog.text


@pytest.fixture
def certificate(tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pipeline")])
    now = datetime.now(timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + signed.public_bytes(serialization.Encoding.PEM)
    path = tmp_path / "app.pem"
    path.write_bytes(pem)
    return path, key.public_key()


def test_a_certificate_instead_of_a_secret(login, certificate):
    path, public_key = certificate
    session = login(TOKEN)
    settings = {"client_id": "app", "client_certificate": str(path), "tenant_id": "t"}
    assert SignIn(credentials(**settings)).token() == "tok"
    form = session.forms[0]
    claims = jwt.decode(
        form["client_assertion"], public_key, ["PS256", "RS256"], audience="https://login.microsoftonline.com/t/token"
    )
    assert claims["iss"] == "app"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\xff\xfe"])
def test_a_certificate_that_is_none(login, tmp_path, content):
    login(TOKEN)
    path = tmp_path / "app.pem"
    path.write_bytes(content)
    for given in (path, tmp_path / "absent.pem", tmp_path / "absent.pfx"):
        settings = {"client_id": "app", "client_certificate": str(given), "tenant_id": "t"}
        with pytest.raises(SettingError, match="`client_certificate`"):
            SignIn(credentials(**settings)).token()
