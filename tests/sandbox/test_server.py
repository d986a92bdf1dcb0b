from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from click.testing import CliRunner

from annex_d365_sandbox import __main__ as main
from annex_d365_sandbox.sandbox import Sandbox

WHO = "/api/data/v9.2/WhoAmI"
LIST = "/api/data/v9.2/contacts?$select=fullname,emailaddress1"


def test_https_http_and_localhost(sandbox, signed_in):
    info = sandbox.info
    assert signed_in.get(info["url"] + WHO).status_code == 200
    assert signed_in.get(info["http_url"] + WHO).status_code == 200
    local = info["url"].replace("127.0.0.1", "localhost")
    page = signed_in.get(local + LIST, headers={"Prefer": "odata.maxpagesize=1"}).json()
    assert page["@odata.nextLink"].startswith(local + "/api/"), "links use the address that the client used"


def test_connections_are_kept_and_replies_packed(sandbox, signed_in):
    first = signed_in.get(sandbox.url + LIST, stream=True)
    first.content  # noqa: B018 - frees the connection
    assert first.headers["Content-Encoding"] == "gzip"
    plain = signed_in.get(sandbox.url + LIST, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == first.json()
    pools = signed_in.get_adapter(sandbox.url).poolmanager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - the container cannot iterate


def test_long_urls_and_big_bodies_arrive(sandbox, signed_in):
    long = "&$filter=" + "firstname eq 'x' or " * 1000 + "firstname eq 'y'"
    assert signed_in.get(sandbox.url + LIST + long[:30_000].rpartition(" or ")[0]).status_code == 200
    assert signed_in.get(sandbox.url + LIST + "&x=" + "y" * 40_000).status_code == 414
    reply = signed_in.post(sandbox.url + "/api/data/v9.2/contacts", json={"description": "x" * 3_000_000})
    assert reply.json()["error"]["code"] == "0x80044331"


def test_unknown_addresses_and_methods(sandbox, signed_in):
    assert signed_in.get(sandbox.url + "/").status_code == 404
    assert signed_in.head(sandbox.url + WHO).status_code == 404
    assert signed_in.options(sandbox.url + "/_sandbox/log").status_code == 404


def test_a_restart_keeps_everything(tmp_path):
    with Sandbox(tmp_path, contacts=10) as first:
        kept = first.info
        row_id = first.organisation.create("contact", {"lastname": "Kept"})
        app = next(iter(first.directory_service.applications.values()))
        token = first.directory_service.access_token(first.url, app, None)
        first.site.put_members([{"id": "kept"}])
        authority = (tmp_path / "ca.pem").read_bytes()
    with Sandbox(tmp_path, contacts=99) as again:
        assert again.organisation.count("contact") == 11
        assert again.organisation.get("contact", row_id)["lastname"] == "Kept"
        assert again.site.member("kept")
        assert again.directory_service.audience(token) == kept["url"]
        assert (tmp_path / "ca.pem").read_bytes() == authority
        again.control.reset()
        assert again.organisation.count("contact") == 10
    assert stat.S_IMODE((tmp_path / "sandbox.json").stat().st_mode) == 0o600


def command(*options):
    return subprocess.Popen(
        [sys.executable, "-m", "annex_d365_sandbox", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command(tmp_path, number):
    started = command("--port", "0", "--contacts", "5", "--dir", str(tmp_path))
    info = json.loads(started.stdout.readline())
    assert info == json.loads((tmp_path / "sandbox.json").read_text())
    assert info["http_url"] is None
    assert info["annex"]["base_url"] == info["url"] + "/api/3.0"
    with requests.Session() as session:
        session.trust_env = False
        stats = session.get(info["url"] + "/_sandbox/stats", verify=info["ca_bundle"]).json()
    assert stats["rows"]["contact"] == 5
    started.send_signal(number)
    assert started.communicate(timeout=20) == ("", "")
    assert started.returncode == 0


def test_a_taken_port_is_one_sentence(sandbox, tmp_path):
    port = sandbox.url.rpartition(":")[2]
    result = CliRunner().invoke(main.sandbox, ["--port", port, "--contacts", "0", "--dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == f"Error: Port {port} is taken: choose another, or 0.\n"


# Faults, as a client sees them


def test_status_fault(sandbox, signed_in):
    sandbox.faults.add(kind="status", route="WhoAmI$", status=429, code="0x80072322", retry_after=7, count=1)
    reply = signed_in.get(sandbox.url + WHO)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "7")
    assert reply.json()["error"]["code"] == "0x80072322"
    assert signed_in.get(sandbox.url + WHO).status_code == 200


def test_html_fault(sandbox, signed_in):
    sandbox.faults.add(kind="html", status=502)
    reply = signed_in.get(sandbox.url + WHO)
    assert (reply.status_code, reply.headers["Content-Type"]) == (502, "text/html")
    assert reply.text.startswith("<html>")


def test_latency_delays_only_its_own_requests(sandbox, signed_in):
    sandbox.faults.add(kind="latency", route="WhoAmI", seconds=0.6)
    headers = dict(signed_in.headers)
    slow = threading.Thread(target=requests.get, args=[sandbox.info["http_url"] + WHO], kwargs={"headers": headers})
    began = time.monotonic()
    slow.start()
    time.sleep(0.1)
    assert signed_in.get(sandbox.url + LIST).status_code == 200
    assert time.monotonic() - began < 0.5
    slow.join()
    assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize(("kind", "rows"), [("drop", 100), ("lost_reply", 101)])
def test_connection_faults(sandbox, signed_in, kind, rows):
    sandbox.faults.add(kind=kind, method="POST", route="contacts", count=1)
    with pytest.raises(requests.ConnectionError):
        signed_in.post(sandbox.url + "/api/data/v9.2/contacts", json={"lastname": "x"})
    assert sandbox.organisation.count("contact") == rows
    assert sandbox.log.entries()[-1]["status"] is None
    assert signed_in.get(sandbox.url + WHO).status_code == 200


def test_truncated_bodies(sandbox, signed_in):
    sandbox.faults.add(kind="truncate", count=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        signed_in.get(sandbox.url + LIST, headers={"Accept-Encoding": "identity"})
    assert signed_in.get(sandbox.url + WHO).status_code == 200


def test_a_stop_ends_latency_and_answers(tmp_path, session):
    box = Sandbox(tmp_path, contacts=2)
    box.start()
    box.faults.add(kind="latency", seconds=60)
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(session.get, box.url + WHO, verify=box.info["ca_bundle"]) for _ in range(3)]
        while sum(fault["hits"] for fault in box.faults.entries()) < len(answers):
            time.sleep(0.01)
        box.stop()
        assert [each.result().status_code for each in answers] == [401, 401, 401]


def test_a_stop_leaves_no_task_behind(tmp_path):
    box = Sandbox(tmp_path, contacts=2)
    box.start()
    waiting = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), box._server._loop)
    box.stop()
    assert waiting.cancelled()


def test_expired_token_fault(sandbox, signed_in):
    sandbox.faults.add(kind="expired_token", count=1)
    assert signed_in.get(sandbox.url + WHO).status_code == 401
    assert signed_in.get(sandbox.url + WHO).status_code == 200


def test_faults_never_hit_the_control_plane(sandbox, session):
    sandbox.faults.add(kind="drop")
    assert session.get(sandbox.url + "/_sandbox/stats").status_code == 200


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /api/data/v9.2/contacts HTTP/1.1\r\nHost: \xff\xfe[::\r\nAuthorization: Bearer \xff\r\n",
        b"GET /api/data/v9.2/\xff\xfe%ff HTTP/1.1\r\nHost: x\r\n",
        b"GET /api/3.0/users/%ff%00\xff HTTP/1.1\r\nHost: x\r\nX-AnnexCloud-Site: \xff\r\nAuthorization: \xff\r\n",
        b"GET //[ HTTP/1.1\r\nHost: [\r\n",
        b"GET http://[::/api/data/ HTTP/1.1\r\nHost: x\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n",
        b"POST /_sandbox/clock HTTP/1.1\r\nHost: x:y:z\r\nContent-Length: 3\r\nX: \xff\r\n\r\n{a}",
        b"POST /common/oauth2/token HTTP/1.1\r\nHost: [x\r\nContent-Length: 12\r\n\r\ngrant_type=x",
        b"POST /api/data/v9.2/contacts HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /api/data/v9.2/contacts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n",
        b"\x16\x03\x01 nonsense\r\n",
    ],
)
def test_bytes_that_are_no_request(sandbox, session, lines):
    port = int(sandbox.info["http_url"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(lines + b"Connection: close\r\n\r\n")
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.match(rb"HTTP/1\.[01] [234]\d\d ", reply), reply[:500]
    assert b"Traceback" not in reply
    assert session.get(sandbox.url + "/_sandbox/stats").status_code == 200
