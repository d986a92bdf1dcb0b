from __future__ import annotations

import datetime as dt
import json
import warnings
from urllib.parse import urlsplit, urlunsplit

import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from annex_d365_sandbox.entra.models import MFA_USERNAME, PASSWORD, SAMPLE_CLIENTS, TENANT_ID

MICROSOFT = "https://login.microsoftonline.com"
ORG = "https://org.crm4.dynamics.com"


class ReRoute(requests.adapters.HTTPAdapter):
    """Sends what is meant for any https host to the plain-http sandbox."""

    def __init__(self, http_url):
        self._target = urlsplit(http_url)
        super().__init__()

    def send(self, request, **settings):
        parts = urlsplit(request.url)
        request.url = urlunsplit((self._target.scheme, self._target.netloc, parts.path, parts.query, ""))
        request.headers["Host"] = parts.netloc
        return super().send(request, **settings)


@pytest.fixture
def rerouted(sandbox):
    with requests.Session() as made:
        made.trust_env = False
        made.mount("https://", ReRoute(sandbox.info["http_url"]))
        yield made


@pytest.fixture
def names(sandbox):
    return sandbox.info["credentials"]


def works(session, token, origin):
    reply = session.get(f"{origin}/api/data/v9.2/WhoAmI", headers={"Authorization": f"Bearer {token}"})
    return reply.status_code == 200


def post(session, sandbox, path, names, **form):
    form = {"client_id": names["client_id"], "client_secret": names["client_secret"], **form}
    return session.post(f"{sandbox.url}/{path}", data={k: v for k, v in form.items() if v is not None})


def test_msal_with_real_host_names_and_secret(rerouted, names):
    app = msal.ConfidentialClientApplication(
        names["client_id"],
        authority=f"{MICROSOFT}/{names['tenant_id']}",
        client_credential=names["client_secret"],
        http_client=rerouted,
    )
    token = app.acquire_token_for_client([f"{ORG}/.default"])
    assert token["expires_in"] == 3599
    assert works(rerouted, token["access_token"], ORG)
    assert works(rerouted, token["access_token"], "https://org.api.crm4.dynamics.com")
    assert not works(rerouted, token["access_token"], "https://other.crm4.dynamics.com")


def test_msal_with_real_host_names_and_password(rerouted, names):
    app = msal.ConfidentialClientApplication(
        names["client_id"],
        authority=f"{MICROSOFT}/{names['tenant_id']}",
        client_credential=names["client_secret"],
        http_client=rerouted,
    )
    scopes = [f"{ORG}/user_impersonation"]
    token = app.acquire_token_by_username_password(names["username"], names["password"], scopes)
    assert works(rerouted, token["access_token"], ORG)
    (account,) = app.get_accounts(names["username"])
    assert app.acquire_token_silent(scopes, account)["access_token"] == token["access_token"]
    refreshed = app.acquire_token_silent(scopes, account, force_refresh=True)
    assert refreshed["token_source"] == "identity_provider"


@pytest.mark.parametrize("flow", ["secret", "password"])
def test_msal_with_adfs_on_any_port(sandbox, session, names, flow):
    authority = sandbox.info["auth_endpoint_url"].removesuffix("/oauth2/token")
    if flow == "secret":
        app = msal.ConfidentialClientApplication(
            names["client_id"], authority=authority, client_credential=names["client_secret"], http_client=session
        )
        token = app.acquire_token_for_client([f"{sandbox.url}/.default"])
    else:
        app = msal.PublicClientApplication(SAMPLE_CLIENTS[0], authority=authority, http_client=session)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            token = app.acquire_token_by_username_password(
                names["username"], names["password"], [f"{sandbox.url}/user_impersonation"]
            )
        assert app.get_accounts()
    assert works(session, token["access_token"], sandbox.url)


def certificate():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    now = dt.datetime.now(dt.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), made.public_bytes(serialization.Encoding.PEM), made.fingerprint(hashes.SHA1()).hex()


def test_msal_with_a_certificate(sandbox, rerouted, names):
    private, public, thumbprint = certificate()
    settings = {
        "authority": f"{MICROSOFT}/{names['tenant_id']}",
        "client_credential": {"private_key": private, "thumbprint": thumbprint},
        "http_client": rerouted,
    }
    refused = msal.ConfidentialClientApplication(names["client_id"], **settings)
    assert refused.acquire_token_for_client([f"{ORG}/.default"])["error"] == "invalid_client"
    sandbox.directory_service.register_certificate(names["client_id"], public)
    app = msal.ConfidentialClientApplication(names["client_id"], **settings)
    assert works(rerouted, app.acquire_token_for_client([f"{ORG}/.default"])["access_token"], ORG)


@pytest.mark.parametrize("tenant", [TENANT_ID, "common"])
def test_v1_replies_hold_strings_only(sandbox, session, names, tenant):
    form = {"username": names["username"], "password": names["password"], "resource": sandbox.url + "/"}
    reply = post(session, sandbox, f"{tenant}/oauth2/token", names, grant_type="password", **form)
    body = reply.json()
    assert all(isinstance(value, str) for value in body.values())
    assert (body["expires_in"], body["scope"]) == ("3599", "user_impersonation")
    assert works(session, body["access_token"], sandbox.url)
    again = post(
        session, sandbox, f"{tenant}/oauth2/token", names,
        grant_type="refresh_token", refresh_token=body["refresh_token"], resource=sandbox.url,
    )  # fmt: skip
    assert works(session, again.json()["access_token"], sandbox.url)


def test_the_published_refresh_token_works(sandbox, session, names):
    form = {"grant_type": "refresh_token", "refresh_token": names["refresh_token"], "resource": sandbox.url}
    reply = post(session, sandbox, "common/oauth2/token", names, **form)
    assert works(session, reply.json()["access_token"], sandbox.url)


SECRET = {"grant_type": "client_credentials"}
USER = {"grant_type": "password", "username": "loyalty.sync@sandbox.example", "password": PASSWORD}


@pytest.mark.parametrize(
    ("tenant", "form", "expected"),
    [
        (TENANT_ID, {**SECRET, "client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        (TENANT_ID, {**SECRET, "client_secret": None}, (401, "invalid_client", 7000218)),
        (TENANT_ID, {**SECRET, "client_id": "nobody"}, (400, "unauthorized_client", 700016)),
        ("elsewhere.example", SECRET, (400, "invalid_request", 90002)),
        ("common", SECRET, (400, "invalid_request", 50059)),
        ("organizations", SECRET, (400, "invalid_request", 50059)),
        ("common", USER, (400, "invalid_request", 9001023)),
        (TENANT_ID, {**USER, "password": "wrong"}, (400, "invalid_grant", 50126)),
        (TENANT_ID, {**USER, "username": "nobody@sandbox.example"}, (400, "invalid_grant", 50034)),
        (TENANT_ID, {**USER, "username": MFA_USERNAME}, (400, "invalid_grant", 50076)),
        (TENANT_ID, {**SECRET, "scope": "https://nowhere.example/.default"}, (400, "invalid_resource", 500011)),
        (TENANT_ID, {**SECRET, "scope": "contacts"}, (400, "invalid_scope", 70011)),
        (TENANT_ID, {**SECRET, "scope": f"{ORG}/user_impersonation"}, (400, "invalid_scope", 70011)),
        (TENANT_ID, {"grant_type": "refresh_token", "refresh_token": "x"}, (400, "invalid_grant", 9002313)),
        (TENANT_ID, {"grant_type": "magic"}, (400, "unsupported_grant_type", 70003)),
        (TENANT_ID, {}, (400, "invalid_request", 900144)),
    ],
)
def test_refused_sign_ins(sandbox, session, tenant, form, expected):
    names = sandbox.info["credentials"]
    reply = post(session, sandbox, f"{tenant}/oauth2/v2.0/token", names, **{"scope": f"{ORG}/.default", **form})
    body = reply.json()
    assert (reply.status_code, body["error"], body["error_codes"][0]) == expected
    assert body["error_description"].startswith(f"AADSTS{expected[2]}: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= body.keys()


def test_v1_refuses_an_unknown_resource(sandbox, session, names):
    reply = post(session, sandbox, f"{TENANT_ID}/oauth2/token", names, **SECRET, resource="https://nowhere.example")
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_resource")


def test_documents(sandbox, session):
    unknown = session.get(f"{sandbox.url}/nobody/v2.0/.well-known/openid-configuration")
    assert (unknown.status_code, unknown.json()["error_codes"]) == (400, [90002])
    known = session.get(f"{sandbox.url}/{TENANT_ID}/v2.0/.well-known/openid-configuration").json()
    assert known["token_endpoint"] == f"{sandbox.url}/{TENANT_ID}/oauth2/v2.0/token"
    routed = session.get(
        f"{sandbox.info['http_url']}/{TENANT_ID}/v2.0/.well-known/openid-configuration",
        headers={"Host": "login.microsoftonline.com"},
    ).json()
    assert routed["token_endpoint"] == f"{MICROSOFT}/{TENANT_ID}/oauth2/v2.0/token"
    instance = session.get(f"{sandbox.url}/common/discovery/instance", params={"api-version": "1.1"}).json()
    assert instance["metadata"] == []
    assert instance["tenant_discovery_endpoint"].endswith("/v2.0/.well-known/openid-configuration")
    realm = session.get(f"{sandbox.url}/common/userrealm/a@sandbox.example", params={"api-version": "1.0"}).json()
    assert realm["account_type"] == "Managed"


def test_tokens_end_by_the_clock_and_on_demand(sandbox, signed_in):
    url = f"{sandbox.url}/api/data/v9.2/WhoAmI"
    assert signed_in.get(url).status_code == 200
    sandbox.clock.advance(3590)
    assert signed_in.get(url).status_code == 200
    sandbox.clock.advance(10)
    refused = signed_in.get(url)
    assert (refused.status_code, refused.content) == (401, b"")
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge == (
        f"Bearer authorization_uri={sandbox.url}/{TENANT_ID}/oauth2/authorize, resource_id={sandbox.url}/"
    )
    sandbox.clock.reset()
    assert signed_in.get(url).status_code == 200
    sandbox.directory_service.expire_tokens()
    assert signed_in.get(url).status_code == 401


def test_only_an_access_token_opens_the_door(dataverse):
    directory = dataverse.directory
    app = next(iter(directory.applications.values()))
    user = next(iter(directory.users.values()))
    for wrong in ("", "x", directory.refresh_token(app, user), directory.id_token(app, user, "i")):
        assert dataverse.call("GET", "WhoAmI", authorization=f"Bearer {wrong}").status == 401
    assert dataverse.call("GET", "WhoAmI", authorization=f"Basic {dataverse.token}").status == 401
    assert dataverse.call("GET", "WhoAmI").status == 200


def test_membership_and_privileges(dataverse):
    switches = dataverse.organisation.switches
    switches.unreadable_tables = ["contact"]
    status, code, message = dataverse.error("GET", "contacts")
    assert (status, code) == (403, "0x80040220")
    assert "is missing prvReadContact privilege" in message
    assert dataverse.call("GET", "accounts").status == 200
    switches.member = False
    assert dataverse.error("GET", "accounts") == (
        403, "0x80072560", "The user is not a member of the organization.",
    )  # fmt: skip
    assert json.loads(dataverse.call("GET", "WhoAmI").body)["error"]
