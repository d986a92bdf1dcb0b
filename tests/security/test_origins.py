"""Tokens and secrets go to their own origin only, over TLS that is verified, whatever anybody else says."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import urlsplit

import msgspec
import pytest
import requests
import trustme

from annex_d365 import http
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.token import Credentials as SiteCredentials
from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.signin import Credentials, SignIn
from annex_d365.errors import ConnectorError, SettingError

SECRET, PASSWORD = "pl4nted-secret", "pl4nted-password"


class Server:
    """Answers by path, (status, headers, body) each; keeps what it was asked, headers and body included."""

    def __init__(self, certificate=None):
        self.seen, self.answers = [], {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                outer.seen.append(SimpleNamespace(path=self.path, headers=dict(self.headers), body=body))
                status, headers, content = outer.answers.get(self.path.partition("?")[0], (404, {}, b"{}"))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_CONNECT = answer  # noqa: N815 - names of http.server

            def log_message(self, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args):
                """A handshake that the client breaks off."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_port
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    @property
    def text(self):
        return repr(self.seen)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def start():
    servers = []

    def one(certificate=None):
        servers.append(Server(certificate))
        return servers[-1]

    yield one
    for each in servers:
        each.stop()


@pytest.fixture
def home(start, authority):
    """Where tokens belong."""
    return start(authority.issue_cert("127.0.0.1"))


@pytest.fixture
def evil(start, authority):
    """Trusted by TLS, and not ours."""
    return start(authority.issue_cert("127.0.0.1", "localhost"))


@pytest.fixture
def in_the_clear(start):
    return start()


@pytest.fixture
def elsewhere(evil, in_the_clear):
    return evil, in_the_clear


def json(body, status=200, **headers):
    return (status, {"Content-Type": "application/json", **headers}, msgspec.json.encode(body))


def dynamics(home, bundle, **settings):
    """The organisation and its sign-in, both at ``home``."""
    given = {
        "client_id": "app",
        "client_secret": SECRET,
        "auth_endpoint_url": f"{home.url}/adfs/oauth2/token",
        **settings,
    }
    endpoints = {name: f"{home.url}/adfs/oauth2/{name}" for name in ("token", "authorize")}
    discovery = {
        f"{name}_endpoint": url for name, url in zip(("token", "authorization"), endpoints.values(), strict=True)
    }
    home.answers["/adfs/.well-known/openid-configuration"] = json(discovery)
    home.answers["/adfs/oauth2/token"] = json({"access_token": "t0ken-of-home", "expires_in": 3600})
    return Dataverse(
        home.url, SignIn(Credentials.from_settings(given, home.url), bundle), api_version="9.2", ca_bundle=bundle
    )


def site(home, bundle):
    return AnnexCloud(f"{home.url}/api/3.0", SiteCredentials("1", "s", SECRET), ca_bundle=bundle)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_TRIES", 2)
    monkeypatch.setattr("annex_d365.retry.pause", lambda tries, asked: 0.0)
    monkeypatch.setattr("annex_d365.http.pause", lambda tries, asked: 0.0)


# Links of the service ------------------------------------------------------------------------------------------------

LINKS = {
    "another port": "https://127.0.0.1:{evil}/api/data/v9.2/contacts",
    "another host": "https://localhost:{evil}/api/data/v9.2/contacts",
    "another scheme": "http://127.0.0.1:{clear}/api/data/v9.2/contacts",
    "our port in the clear": "http://127.0.0.1:{home}/api/data/v9.2/contacts",
    "user information": "https://127.0.0.1:{home}@localhost:{evil}/api/data/v9.2/contacts",
    "a backslash": "https://localhost:{evil}\\@127.0.0.1:{home}/api/data/v9.2/contacts",
    "no scheme": "//localhost:{evil}/api/data/v9.2/contacts",
    "a tab": "ht\ttps://localhost:{evil}/api/data/v9.2/contacts",
}


@pytest.mark.parametrize("name", ["@odata.nextLink", "@odata.deltaLink"])
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_links_are_followed_home_only(home, elsewhere, bundle, link, name):
    evil, in_the_clear = elsewhere
    link = link.format(home=home.port, evil=evil.port, clear=in_the_clear.port)
    home.answers["/api/data/v9.2/contacts"] = json({"value": [], name: link})
    dataverse = dynamics(home, bundle)
    page = dataverse.page("contacts")
    with pytest.raises(SettingError, match=r"pointed to another host|its token stays here"):
        dataverse.page(page.next_link or page.delta_link)
    assert evil.seen == in_the_clear.seen == []


def test_user_information_in_a_link_home_does_no_harm(home, bundle):
    home.answers["/api/data/v9.2/contacts"] = json({"value": []})
    dynamics(home, bundle).page(f"https://ann:pw@127.0.0.1:{home.port}/api/data/v9.2/contacts")
    assert home.seen[-1].headers["Authorization"] == "Bearer t0ken-of-home"


# Redirects -----------------------------------------------------------------------------------------------------------

REDIRECTS = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", REDIRECTS)
def test_no_redirect_takes_a_token_along(home, evil, bundle, status):
    answer = (status, {"Location": f"{evil.url}/x"}, b"")
    home.answers["/api/data/v9.2/WhoAmI"] = answer
    home.answers["/api/3.0/users/1"] = answer
    with pytest.raises(ConnectorError):
        dynamics(home, bundle).get("WhoAmI")
    with pytest.raises(SettingError, match="`base_url`"):
        site(home, bundle).get("users", "1")
    assert evil.seen == []


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("path", ["/adfs/oauth2/token", "/adfs/.well-known/openid-configuration"])
def test_no_redirect_takes_a_secret_along(home, evil, bundle, status, path):
    """307 and 308 would send the form again, with the secret in it."""
    dataverse = dynamics(home, bundle, username="u@example.com", password=PASSWORD)
    home.answers[path] = (status, {"Location": f"{evil.url}/x"}, b"")
    with pytest.raises(SettingError, match="Setting `auth_endpoint_url`: there is no sign-in at"):
        dataverse.get("WhoAmI")
    assert evil.seen == []


# Plain http ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1.evil",
        "http://evil.example/localhost",
        "http://localhost@evil.example",
        "http://evil.example#localhost",
        "http://evil.example\\@localhost",
        "http://localhost\\@evil.example",
        "http://2130706433",
        "http://127.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://10.0.0.1",
        "http://[fe80::1]",
        "http://\u24db\u24de\u24d2alhost",
        "HTTP://evil.example",
        "ftp://localhost",
        "file:///etc/passwd",
    ],
)
def test_plain_http_leaves_this_machine_nowhere(url):
    with pytest.raises(SettingError):
        http.secure_origin("organization_url", url)
    with pytest.raises(requests.RequestException), http.Session() as session:
        session.get(url, timeout=0.01)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://127.8.8.8:1"])
def test_plain_http_on_this_machine(url):
    assert http.secure_origin("organization_url", f"{url}/api/data/v9.2/") == url


@pytest.fixture
def looked_up(monkeypatch):
    """Hosts that somebody wanted to connect to."""
    hosts, real = set(), socket.getaddrinfo

    def look_up(host, *args, **options):
        hosts.add(host)
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return hosts


def test_a_secret_is_not_sent_in_the_clear_wherever_the_sign_in_says(home, bundle, looked_up):
    dataverse = dynamics(home, bundle)
    documents = {"token_endpoint": "http://evil.example/token", "authorization_endpoint": f"{home.url}/a"}
    home.answers["/adfs/.well-known/openid-configuration"] = json(documents)
    with pytest.raises(SettingError, match="`auth_endpoint_url`"):
        dataverse.get("WhoAmI")
    assert looked_up == {"127.0.0.1"}


class Replies(requests.adapters.BaseAdapter):
    """Answers by path, on any https host and port."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def send(self, request, **kwargs):
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response._content = msgspec.json.encode(self.answers[urlsplit(request.url).path])
        return response

    def close(self):
        pass


def test_nor_a_password_of_a_federated_user(monkeypatch, looked_up):
    """Whose tenant names where its own users sign in; MSAL goes there."""
    login = "https://login.example.org/t1"
    replies = Replies(
        {
            "/t1/v2.0/.well-known/openid-configuration": {
                "token_endpoint": f"{login}/token",
                "authorization_endpoint": f"{login}/authorize",
            },
            "/common/userrealm/u@example.com": {
                "account_type": "Federated",
                "federation_protocol": "WSTrust",
                "federation_metadata_url": "http://evil.example/mex",
            },
        }
    )

    def session(ca_bundle):
        made = http.Session(ca_bundle)
        made.mount("https://", replies)
        return made

    monkeypatch.setattr(http, "new_session", session)
    settings = {"client_id": "app", "auth_endpoint_url": login, "username": "u@example.com", "password": PASSWORD}
    with pytest.raises(SettingError, match="leads to an address without TLS"):
        SignIn(Credentials.from_settings(settings, "https://annex.crm.dynamics.com")).token()
    assert looked_up == set()


def test_a_proxy_does_not_see_what_is_meant_for_this_machine(in_the_clear, start, monkeypatch):
    proxy = start()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    in_the_clear.answers["/api/3.0/users/1"] = json({"id": "1"})
    assert site(in_the_clear, None).get("users", "1") == {"id": "1"}
    assert proxy.seen == []


def test_a_proxy_sees_no_more_than_the_host(home, start, bundle, monkeypatch):
    proxy = start()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingError):
        site(home, bundle).get("users", "1")
    assert {each.path for each in proxy.seen} == {f"127.0.0.1:{home.port}"}
    assert not any("Authorization" in each.headers for each in proxy.seen)


# Certificates --------------------------------------------------------------------------------------------------------


def refuses(server, bundle=None):
    with pytest.raises(SettingError, match="is not trusted") as error:
        site(server, bundle).get("users", "1")
    assert error.value.setting == "ca_bundle"
    assert server.seen == []


ENVIRONMENTS = [
    {},
    {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
    {"PYTHONHTTPSVERIFY": "0"},
    {"SSL_CERT_FILE": "{bundle}"},
    {"SSL_CERT_DIR": "/", "REQUESTS_CA_BUNDLE": ""},
    {"NODE_TLS_REJECT_UNAUTHORIZED": "0", "GIT_SSL_NO_VERIFY": "1"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda each: ",".join(each) or "nothing")
def test_an_unknown_authority(home, bundle, monkeypatch, environment):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(bundle=bundle))
    refuses(home)
    refuses(home, "")


@pytest.mark.parametrize("value", ["0", "false", "False", "none"])
def test_a_word_instead_of_certificates(home, bundle, monkeypatch, value):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", value)
    with pytest.raises(SettingError, match="cannot be read"):
        site(home, None).get("users", "1")
    with pytest.raises(SettingError, match="cannot be read"):
        site(home, value).get("users", "1")
    assert home.seen == []


def test_a_name_that_the_certificate_does_not_have(start, authority, bundle):
    refuses(start(authority.issue_cert("annex.example")), bundle)


def test_a_certificate_that_has_expired(start, authority, bundle):
    yesterday = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1)
    refuses(start(authority.issue_cert("127.0.0.1", not_after=yesterday)), bundle)


def test_a_sign_in_that_is_not_trusted(home, bundle):
    dataverse = dynamics(home, bundle)
    dataverse.sign_in._ca_bundle = None
    with pytest.raises(SettingError, match="is not trusted"):
        dataverse.get("WhoAmI")
    assert home.seen == []


def test_certificates_of_the_environment_are_used_where_none_are_named(home, bundle, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    home.answers["/api/3.0/users/1"] = json({"id": "1"})
    assert site(home, None).get("users", "1") == {"id": "1"}


# Cookies and other people's passwords ---------------------------------------------------------------------------------


def test_cookies_are_not_kept(home, bundle):
    home.answers["/api/3.0/users/1"] = json({"id": "1"}, **{"Set-Cookie": "ARRAffinity=x; Path=/"})
    annex = site(home, bundle)
    for _ in range(2):
        annex.get("users", "1")
    assert len(home.seen) == 2
    assert not any("Cookie" in each.headers for each in home.seen)


def test_a_netrc_has_no_say(home, bundle, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password pl4nted\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    home.answers["/api/data/v9.2/WhoAmI"] = json({})
    dynamics(home, bundle).get("WhoAmI")
    assert "Basic" not in home.text


def test_the_secret_is_where_it_belongs_and_nowhere_else(home, bundle):
    home.answers["/api/data/v9.2/WhoAmI"] = json({})
    home.answers["/api/3.0/users/1"] = json({})
    dynamics(home, bundle).get("WhoAmI")
    site(home, bundle).get("users", "1")
    for each in home.seen:
        assert (SECRET in repr(each)) == (each.path == "/adfs/oauth2/token")
        assert SECRET not in each.path
