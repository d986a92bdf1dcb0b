"""The services of the benchmark, cheap enough to share two cores with what is measured.

Rows come from memory (see :mod:`benchmarks.rows`), writes get the documented answer unread. All else, definitions above
all, is answered as the sandbox answers it, which is asked once per request and remembered. Whoever signs in here gets
the same token.

Plain http, no compression, no limits: what is measured is the client. ``GET /_bench/set?rows=…&latency=…&views=…`` sets
how many rows tables have and how many seconds an answer takes; ``/_bench/stats`` tells requests, bytes and CPU seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from benchmarks.rows import Clock, View

ROOT = "/api/data/v9.2/"
SAMPLES = 300
MAX_PAGE = 5000
#: Of the request's headers, those that change an answer of the sandbox.
_TELLING = ("prefer", "content-type", "accept", "x-annexcloud-site")

_PAGE_SIZE = re.compile(r"odata\.maxpagesize=(\d+)")
_ANNOTATIONS = re.compile(r'odata\.include-annotations="[^"]*"')
_SKIP = re.compile(r"&?\$skiptoken=(\d+)-(\d+)-(\d+)")
_BULK = re.compile(r"(\w+)/Microsoft\.Dynamics\.CRM\.(Create|Update|Upsert)Multiple")
_COUNT = re.compile(r"&(?:\$|%24)count=true")
_ROW = re.compile(r"(\w+)\(([0-9a-f-]{36})\)")
_JSON = b"Content-Type: application/json; odata.metadata=minimal\r\nOData-Version: 4.0\r\n"
_REASONS = {200: b"OK", 201: b"Created", 204: b"No Content", 400: b"Bad Request", 404: b"Not Found"}


@dataclass(frozen=True)
class Request:
    """One request; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Without the query, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        """As sent."""
        return self.target.partition("?")[2]


Reply = tuple[int, bytes, bytes]


@dataclass
class Service:
    """What the server knows.

    Attributes:
        upstream: address of the sandbox, plain http.
        tables: primary key by set name, of the tables whose rows come from memory.
        rows: of each table.
        latency: seconds before an answer is sent.
        token: what the sandbox takes.
    """

    upstream: str
    token: str
    tables: Mapping[str, str]
    rows: int = 1000
    latency: float = 0.0
    origin: str = ""
    requests: int = 0
    sent: int = 0
    _clock: Clock | None = None
    _views: dict[str, View] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], Reply] = field(default_factory=dict)

    def set(self, options: Mapping[str, str]) -> None:
        """Change rows or latency."""
        rows = int(options.get("rows", self.rows))
        if rows != self.rows:
            self.rows, self._clock = rows, None
            self._views.clear()
        self.latency = float(options.get("latency", self.latency))

    def answer(self, request: Request) -> Reply:
        """The answer to one request."""
        path = request.path.removeprefix(ROOT)
        if path == request.path:
            return self._not_of_dataverse(request)
        if request.method == "GET" and path in self.tables:
            return self._page(path, request)
        if request.method == "POST" and (match := _BULK.fullmatch(path)):
            return self._bulk(match[2], request.body)
        if request.method == "POST" and path == "$batch" and b"\nGET " not in request.body:
            return self._batch(request)
        if request.method in {"POST", "PATCH"} and (path in self.tables or _ROW.fullmatch(path)):
            return 204, b"OData-EntityId: %b%b\r\n" % (self.origin.encode(), request.target.encode()), b""
        return self._asked_once(request)

    def _not_of_dataverse(self, request: Request) -> Reply:
        if request.path == "/_bench/set":
            self.set({name: values[0] for name, values in parse_qs(request.query).items()})
        if request.path.startswith("/_bench/"):
            used = resource.getrusage(resource.RUSAGE_SELF)
            stats = {"requests": self.requests, "bytes": self.sent, "cpu": used.ru_utime + used.ru_stime}
            return 200, _JSON, json.dumps(stats).encode()
        if request.method == "POST" and request.path.endswith("/token"):
            expires = 24 * 3600
            told = {"token_type": "Bearer", "access_token": self.token, "expires_in": expires, "refresh_token": "-"}
            return 200, _JSON, json.dumps(told).encode()
        if request.method == "POST" and request.path.startswith("/api/3.0/bulk"):
            items = msgspec.json.decode(request.body, type=list[dict[str, Any]])
            results = [{"id": each["id"], "status": "SUCCESS", "statusCode": 200} for each in items]
            return 200, _JSON, msgspec.json.encode(results)
        if request.method in {"POST", "PATCH"} and request.path.startswith("/api/3.0/users"):
            return 200, _JSON, b'{"Data":{"status":"success"}}'
        return self._asked_once(request)

    def _page(self, table: str, request: Request) -> Reply:
        query, place = request.query, None
        plain = unquote(query.replace("+", " "))
        if token := _SKIP.search(plain):
            place = tuple(map(int, token.groups()))
            plain = plain.replace(token[0], "").lstrip("&")
        options = {name: value for part in plain.split("&") for name, _, value in [part.partition("=")]}
        prefer = request.headers.get("prefer", "")
        wished = _PAGE_SIZE.search(prefer)
        clock = self._clock = self._clock or Clock(self.rows)
        if place is None:
            place = (*clock.bounds(options.get("$filter", "")), min(MAX_PAGE, int(wished[1]) if wished else MAX_PAGE))
        low, high, size = place
        view = self._view(table, options.get("$select", ""), _ANNOTATIONS.search(prefer))
        end = min(high, low + size)
        parts = [b'{"@odata.context":"%b$metadata#%b","value":[' % ((self.origin + ROOT).encode(), table.encode())]
        parts.append(view.page(low, end))
        parts.append(b"]")
        if end < high:
            kept = f"{quote(plain, safe=_URL)}&" if plain else ""
            link = f"{self.origin}{ROOT}{table}?{kept}$skiptoken={end}-{high}-{size}"
            parts.append(b',"@odata.nextLink":"%b"' % link.encode())
        parts.append(b"}")
        return 200, _JSON + b"Preference-Applied: odata.maxpagesize=%d\r\n" % size, b"".join(parts)

    def _view(self, table: str, select: str, annotations: re.Match[str] | None) -> View:
        wish = annotations[0] if annotations else ""
        form = f"{table} {select} {wish}"
        if form not in self._views:
            query = f"?$select={select}" if select else ""
            headers = {"Prefer": f"odata.maxpagesize={SAMPLES}{',' if wish else ''}{wish}"}
            status, _, body = self._fetch("GET", f"{ROOT}{table}{query}", headers, b"")
            assert status == 200, body  # noqa: PLR2004
            samples = msgspec.json.decode(body, type=dict[str, Any])
            raw = [msgspec.Raw(msgspec.json.encode(each)) for each in samples["value"]]
            assert self._clock
            self._views[form] = View(raw, self.tables[table], self._clock)
        return self._views[form]

    @staticmethod
    def _bulk(message: str, body: bytes) -> Reply:
        if message != "Create":
            return 204, b"OData-Version: 4.0\r\n", b""
        count = len(msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["Targets"])
        ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(count)]
        return 200, _JSON, msgspec.json.encode({"Ids": ids})

    @staticmethod
    def _batch(request: Request) -> Reply:
        part = b"--batchresponse\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        part += b"HTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\n\r\n\r\n"
        body = part * request.body.count(b"\nContent-Transfer-Encoding: binary") + b"--batchresponse--\r\n"
        return 200, b"Content-Type: multipart/mixed; boundary=batchresponse\r\n", body

    def _asked_once(self, request: Request) -> Reply:
        target = request.target
        if "EntityDefinitions?" in target:
            # The sandbox refuses it; a peer sends it, and would not have been published if the service did.
            target = _COUNT.sub("", target)
        form: tuple[Any, ...] = (request.method, target, request.headers.get("prefer"), request.body)
        if request.method != "GET" and not request.path.endswith("$batch"):
            form = (*form, self.requests)  # its answer may be another one the next time
        if form not in self._known:
            headers = {name: value for name, value in request.headers.items() if name in _TELLING}
            self._known[form] = self._fetch(request.method, target, headers, request.body)
        return self._known[form]

    def _fetch(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        given = {**headers, "authorization": f"Bearer {self.token}"}
        asked = urllib.request.Request(  # noqa: S310 - the sandbox's own address
            f"{self.upstream}{quote(target, safe=_URL + '+')}", body or None, given, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as reply:  # noqa: S310
                status, kind, content = reply.status, reply.headers.get("Content-Type", ""), reply.read()
        except urllib.error.HTTPError as refusal:
            status, kind, content = refusal.code, refusal.headers.get("Content-Type", ""), refusal.read()
        return status, f"Content-Type: {kind}\r\nOData-Version: 4.0\r\n".encode(), content


_URL = "/?&=$,()':*%@-._~"


class Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = bytearray()
        self._needed = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As in asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """As in asyncio."""
        self._buffer += data
        if len(self._buffer) < self._needed:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        line, *fields = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
        if headers.get("transfer-encoding", "") == "chunked":
            raise ValueError("chunked requests are not read")
        self._needed = end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < self._needed:
            return
        body = bytes(self._buffer[end + 4 : self._needed])
        del self._buffer[: self._needed]
        self._needed = 0
        self._answer(
            Request(method, urlsplit(target).path + ("?" + urlsplit(target).query) * ("?" in target), headers, body)
        )

    def _answer(self, request: Request) -> None:
        service = self._service
        service.requests += 1
        try:
            status, head, body = service.answer(request)
        except Exception as error:  # noqa: BLE001 - the client is told, and the driver sees it on stderr
            print(f"{request.method} {request.target[:300]}: {error!r}", file=sys.stderr, flush=True)
            status, head, body = 400, _JSON, json.dumps({"error": {"code": "0x0", "message": repr(error)}}).encode()
        first = b"HTTP/1.1 %d %b\r\nContent-Length: %d\r\n%b\r\n" % (
            status,
            _REASONS.get(status, b"?"),
            len(body),
            head,
        )
        service.sent += len(body)
        if service.latency and not request.path.startswith("/_bench/"):
            asyncio.get_running_loop().call_later(service.latency, self._send, first, body)
        else:
            self._send(first, body)

    def _send(self, head: bytes, body: bytes) -> None:
        assert self._transport
        if not self._transport.is_closing():
            self._transport.writelines([head, body])


async def serve(service: Service) -> None:
    """Listen on a free port, tell it, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0)
    service.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(service.origin, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream")
    parser.add_argument("tables", type=json.loads)
    parser.add_argument("token")
    given = parser.parse_args()
    asyncio.run(serve(Service(given.upstream, given.token, given.tables)))


if __name__ == "__main__":
    main()
