"""The HTTP core: when to try again, how long to wait, and what the user is told."""

from __future__ import annotations

import email.utils
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import AuthBase

from annex_d365 import http, retry
from annex_d365.errors import OutageError, ServiceError, SettingError
from annex_d365.gate import Closing, Gate


class NoAuth(AuthBase):
    def __call__(self, r):
        return r


class Server:
    """Answers with the replies it is given, the last one for ever: (status, headers, body) or "drop"."""

    def __init__(self):
        self.replies = [(200, {}, b"{}")]
        self.seen = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                reply = outer.replies.pop(0) if len(outer.replies) > 1 else outer.replies[0]
                if reply == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                status, headers, body = reply
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = "Content-Length" in headers

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - names of http.server

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    waited: list[float] = []
    for wait in ("sleep", "pause"):
        monkeypatch.setattr(Gate, wait, lambda self, seconds: waited.append(seconds))
    return waited


@pytest.fixture
def client() -> Iterator[http.Client]:
    client = http.Client("Service", host_setting="base_url")
    yield client
    client.session.close()


def refuse(response: requests.Response) -> ServiceError:
    return ServiceError(f"refused {response.status_code}", status=response.status_code)


def send(client, server, method="GET", **kwargs):
    return client.send(method, server.url + "/x", auth=NoAuth(), explain=refuse, **kwargs)


@pytest.mark.parametrize(
    ("status", "repeatable", "action"),
    [
        (200, False, retry.Action.ACCEPT),
        (204, True, retry.Action.ACCEPT),
        (302, True, retry.Action.FAIL),
        (400, True, retry.Action.FAIL),
        (401, True, retry.Action.SIGN_IN),
        (403, True, retry.Action.FAIL),
        (404, True, retry.Action.FAIL),
        (408, True, retry.Action.RETRY),
        (408, False, retry.Action.FAIL),
        (412, True, retry.Action.FAIL),
        (429, False, retry.Action.RETRY),
        (429, True, retry.Action.RETRY),
        (500, True, retry.Action.RETRY),
        (501, True, retry.Action.FAIL),
        (502, False, retry.Action.FAIL),
        (503, True, retry.Action.RETRY),
        (504, True, retry.Action.RETRY),
    ],
)
def test_retry_table(status, repeatable, action):
    assert retry.decide(status, repeatable=repeatable) is action


def test_a_second_401_fails():
    assert retry.decide(401, repeatable=True, signed_in_again=True) is retry.Action.FAIL


@given(st.integers(min_value=0, max_value=100_000))
def test_retry_after_in_seconds(seconds):
    assert retry.retry_after({"Retry-After": f" {seconds} "}, now=0) == seconds


@given(st.integers(min_value=-1000, max_value=1000))
def test_retry_after_as_date(ahead):
    now = 1_700_000_000.0
    headers = {"Retry-After": email.utils.formatdate(now + ahead, usegmt=True)}
    assert retry.retry_after(headers, now) == max(0, ahead)


@given(st.text(max_size=30))
def test_retry_after_takes_anything(text):
    asked = retry.retry_after({"Retry-After": text}, now=0)
    assert asked is None or asked >= 0


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "1_0", "1e3", "0"])
def test_retry_after_that_says_nothing_does_not_hammer(value):
    assert retry.pause(1, retry.retry_after({"Retry-After": value}, now=0)) >= 0.5


@given(st.integers(min_value=1, max_value=200))
def test_pauses_grow_and_end(tries):
    assert 0.5 <= retry.pause(tries, None) <= retry.MAX_PAUSE_SECONDS
    assert retry.pause(tries, 7.0) == 7.0


def test_retry_after_is_honoured_to_the_letter(server, client, pauses):
    server.replies = [(429, {"Retry-After": "17"}, b""), (503, {"Retry-After": "3"}, b""), (200, {}, b"{}")]
    assert send(client, server).status_code == 200
    assert pauses == [17.0, 3.0]
    assert client.requests_sent == 3


def test_throttling_is_waited_out_longer_than_faults(server, client, pauses):
    server.replies = [*[(429, {"Retry-After": "1"}, b"")] * 30, (200, {}, b"{}")]
    assert send(client, server).status_code == 200
    assert len(pauses) == 30


def test_patience_ends(server, client, pauses):
    server.replies = [(503, {}, b"")]
    with pytest.raises(OutageError, match=r"Gave up after 10 tries"):
        send(client, server)
    assert len(pauses) == retry.MAX_TRIES - 1


@pytest.mark.parametrize(("reply", "tries"), [((500, {}, b""), 2), ((503, {}, b""), 10), ("drop", 4)])
def test_tries_that_are_fewer_by_status(server, client, pauses, reply, tries):
    send(client, server)
    server.replies = [reply]
    with pytest.raises(OutageError, match=f"Gave up after {tries} tries"):
        send(client, server, most_tries={500: 2, 0: 4, 429: 1, 503: 99})
    server.replies = [(429, {"Retry-After": "1"}, b"")] * 3 + [(200, {}, b"")]
    assert send(client, server, most_tries={429: 1}).status_code == 200


def test_a_pause_beyond_patience_is_not_begun(server, client, pauses):
    server.replies = [(429, {"Retry-After": "86400"}, b"")]
    with pytest.raises(OutageError, match="after one try, as it asks for 86400 s of patience"):
        send(client, server)
    assert pauses == []


def test_posts_are_not_repeated_when_in_doubt(server, client, pauses):
    server.replies = ["drop", (200, {}, b"{}")]
    with pytest.raises(OutageError):
        send(client, server, "POST")
    assert len(server.seen) == 1
    assert pauses == []


def test_posts_that_can_be_repeated_are(server, client, pauses):
    server.replies = ["drop", (201, {}, b"{}")]
    assert send(client, server, "POST", body=b"{}", repeatable=True).status_code == 201
    assert [method for method, *_ in server.seen] == ["POST", "POST"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_client_that_is_closed_does_not_wait(server, client, status):
    server.replies = [(status, {"Retry-After": "300"}, b"")]
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(send, client, server) for _ in range(2)]
        while not server.seen:
            time.sleep(0.01)
        time.sleep(0.05)
        client.close()
        assert {type(each.exception(2)) for each in calls} == {Closing}


def test_a_4xx_is_never_repeated(server, client, pauses):
    server.replies = [(404, {}, b"")]
    with pytest.raises(ServiceError, match="refused 404"):
        send(client, server)
    assert (len(server.seen), pauses) == (1, [])


def test_a_body_that_is_cut_off_is_asked_for_again(server, client, pauses):
    server.replies = [(200, {"Content-Length": "100"}, b"{"), (200, {}, b"{}")]
    assert send(client, server, check=lambda response: response.json()) == {}


def test_html_of_a_gateway_is_asked_for_again(server, client, pauses):
    server.replies = [(200, {"Content-Type": "text/html"}, b"<html>"), (200, {}, b"{}")]
    assert send(client, server, check=lambda response: response.json()) == {}


def test_one_new_sign_in(server, client):
    class Auth(NoAuth):
        renewed = 0

        def renew(self, refused):
            self.renewed += 1
            return True

    server.replies = [(401, {}, b""), (200, {}, b"{}")]
    auth = Auth()
    assert client.send("GET", server.url, auth=auth, explain=refuse).status_code == 200
    assert auth.renewed == 1
    server.replies = [(401, {}, b"")]
    with pytest.raises(ServiceError, match="refused 401"):
        client.send("GET", server.url, auth=auth, explain=refuse)
    assert auth.renewed == 2


def test_no_cookie_is_sent_back(server, client):
    server.replies = [(200, {"Set-Cookie": "ARRAffinity=abc; Path=/"}, b"{}"), (200, {}, b"{}")]
    send(client, server)
    send(client, server)
    assert "Cookie" not in server.seen[1][2]


def test_no_redirect_is_followed(server, client):
    server.replies = [(302, {"Location": server.url + "/elsewhere"}, b"")]
    with pytest.raises(ServiceError, match="refused 302"):
        send(client, server)
    assert len(server.seen) == 1


def test_a_host_that_never_answered_is_a_setting(client, pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SettingError, match=rf"`base_url`: Service at http://127.0.0.1:{port} could not be reached"):
        client.send("GET", f"http://user:secret@127.0.0.1:{port}/x?mail=a", auth=NoAuth(), explain=refuse)
    assert len(pauses) == retry.MAX_TRIES_FIRST_CONTACT - 1


def test_a_host_that_answered_before_is_an_outage(server, client, pauses):
    send(client, server)
    server.replies = ["drop"]
    with pytest.raises(OutageError, match="Gave up after 10 tries"):
        send(client, server)


@pytest.mark.parametrize(
    "url", ["http://", "http://exa mple/", "ftp://x/", "http://[::1", "http://" + "a" * 70 + ".x/"]
)
def test_an_address_that_is_none_is_a_setting(client, pauses, url):
    with pytest.raises(SettingError, match="`base_url`"):
        client.send("GET", url, auth=NoAuth(), explain=refuse)


def test_a_bundle_that_is_not_there_is_a_setting(tmp_path):
    client = http.Client("Service", host_setting="base_url", ca_bundle=str(tmp_path / "none.pem"))
    with pytest.raises(SettingError, match="`ca_bundle`"):
        client.send("GET", "https://127.0.0.1:1/", auth=NoAuth(), explain=refuse)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Org.crm.dynamics.com:443/api?x=1", "https://org.crm.dynamics.com"),
        ("https://u:p@org.crm.dynamics.com/", "https://org.crm.dynamics.com"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
    ],
)
def test_origin(url, origin):
    assert http.origin(url) == origin


def test_the_environment_says_for_each_host_what_it_says_to_requests(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "near.example")
    session, plain = http.new_session(None), requests.Session()
    for url in ("https://far.example/a", "https://near.example/a", "https://far.example/b", "http://far.example"):
        for verify in (None, "bundle.pem"):
            given = (url, {}, None, verify, None)
            expected = plain.merge_environment_settings(*given)
            assert session.merge_environment_settings(*given) == expected
            session.merge_environment_settings(*given)["verify"] = "changed by a caller"
            assert session.merge_environment_settings(*given) == expected
