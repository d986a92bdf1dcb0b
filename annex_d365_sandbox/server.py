"""Carries requests and replies over http and https, and breaks them where a fault says so."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from aiohttp import web

from annex_d365_sandbox.control.faults import Fault
from annex_d365_sandbox.control.models import Control
from annex_d365_sandbox.control.urls import ROOT
from annex_d365_sandbox.wire import Reply, Request

HOST = "127.0.0.1"
MAX_BODY = 128 * 2**20
#: A GET may have 32 KB, within a $batch 64 KB (Dataverse page 2.1); the room refuses what is longer, not the server.
MAX_LINE = 2**17
_WORTH_PACKING = 1024
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def origin(scheme: str, host: str) -> str:
    """The address as the client used it. A request for another host was re-routed here; that host speaks https."""
    try:
        local = urlsplit(f"//{host}").hostname in _LOCAL_HOSTS
    except ValueError:  # an address that is none
        local = False
    return f"{scheme if local else 'https'}://{host}"


@dataclass(frozen=True)
class Listener:
    """A port to listen at; 0 picks one."""

    port: int
    tls: ssl.SSLContext | None = None


class Server:
    """One event loop in a thread of its own; handlers run one at a time in another thread."""

    def __init__(
        self, handler: Callable[[Request], Reply], control: Control, listeners: Mapping[str, Listener]
    ) -> None:
        self._handler, self._control, self._listeners = handler, control, listeners
        self._worker = ThreadPoolExecutor(1, "sandbox-worker")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox-server", daemon=True)
        self._runner: web.AppRunner | None = None
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._stopping = asyncio.Event()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        #: Ports by scheme, once it listens.
        self.ports: dict[str, int] = {}

    def start(self) -> None:
        """Listen. Raises ``OSError`` if a port is taken."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Answer what is under way, without its latency, and close every connection and the threads."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._worker.shutdown()

    async def _start(self) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(
            app, access_log=None, max_line_size=MAX_LINE, max_field_size=MAX_LINE, shutdown_timeout=0.5
        )
        await self._runner.setup()
        for scheme, listener in self._listeners.items():
            site = web.TCPSite(self._runner, HOST, listener.port, ssl_context=listener.tls)
            await site.start()
            self.ports[scheme] = self._runner.addresses[-1][1]

    async def _close(self) -> None:
        self._stopping.set()
        await self._idle.wait()  # aiohttp's own patience races with an answer that comes as it ends
        if self._runner:
            await self._runner.cleanup()
        for transport in set(self._transports):
            transport.abort()  # a client that keeps its connection would keep TLS waiting for its goodbye
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:  # a loop that ends with tasks says so for each of them
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _serve(self, incoming: web.Request) -> web.StreamResponse:
        if incoming.transport:
            self._transports.add(incoming.transport)
        request = await _received(incoming)
        if self._stopping.is_set():
            return _cut_off(incoming)
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._answered(incoming, request)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _answered(self, incoming: web.Request, request: Request) -> web.StreamResponse:
        if request.path.startswith(ROOT):
            return self._whole(await self._run(self._answer, request))
        began = time.perf_counter()
        faults = self._control.faults.strike(request)
        reply = await self._guarded(request, faults)
        gone = any(fault.kind in ("drop", "lost_reply") for fault in faults)
        self._control.log.add(
            request,
            status=None if gone else reply.status,
            ms=(time.perf_counter() - began) * 1000,
            reply_size=len(reply.body),
            faults=[fault.kind for fault in faults],
        )
        if gone:
            return _cut_off(incoming)
        if any(fault.kind == "truncate" for fault in faults):
            return await self._half(incoming, reply)
        return self._whole(reply)

    async def _guarded(self, request: Request, faults: list[Fault]) -> Reply:
        """The reply under the limits of Dataverse, which count waiting as work."""
        if not request.path.startswith("/api/data/"):
            return await self._under_faults(request, faults)
        if refusal := self._control.limits.enter():
            return refusal
        began, room = time.perf_counter(), {}
        try:
            reply = await self._under_faults(request, faults)
        finally:
            room = self._control.limits.leave(time.perf_counter() - began)
        reply.headers.update(room)
        return reply

    async def _under_faults(self, request: Request, faults: list[Fault]) -> Reply:
        for fault in faults:
            if fault.kind == "latency":
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), fault.seconds)
            elif fault.kind in ("status", "html"):
                return fault.reply(request)
            elif fault.kind == "drop":
                return Reply(0)
            else:
                request = fault.disguised(request)
        return await self._run(self._answer, request)

    async def _run(self, call: Callable[[Request], Reply], request: Request) -> Reply:
        return await self._loop.run_in_executor(self._worker, call, request)

    def _answer(self, request: Request) -> Reply:
        reply = self._handler(request)
        if len(reply.body) > _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
            reply.body = gzip.compress(reply.body, 1)
            reply.headers["Content-Encoding"] = "gzip"
            reply.headers["Vary"] = "Accept-Encoding"
        return reply

    def _head(self, reply: Reply) -> dict[str, str]:
        """The reply's headers, with the time that the services go by."""
        return {**reply.headers, "Date": format_datetime(self._control.clock.now(), usegmt=True)}

    def _whole(self, reply: Reply) -> web.Response:
        return web.Response(status=reply.status, body=reply.body, headers=self._head(reply))

    async def _half(self, incoming: web.Request, reply: Reply) -> web.StreamResponse:
        """Promise the whole body, send half of it, hang up."""
        response = web.StreamResponse(status=reply.status, headers=self._head(reply))
        response.content_length = len(reply.body)
        await response.prepare(incoming)
        await response.write(reply.body[: len(reply.body) // 2])
        if incoming.transport:
            incoming.transport.close()
        return response


def _text(received: str) -> str:
    """What is not UTF-8 comes as lone surrogates, which nothing can write again."""
    return received.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


async def _received(incoming: web.Request) -> Request:
    path, _, query = _text(incoming.raw_path).partition("?")
    try:
        body = await incoming.read()
    except web.RequestPayloadError as error:  # packed or cut in a way that cannot be undone
        raise web.HTTPBadRequest(text="The body cannot be read.") from error
    return Request(
        method=incoming.method,
        path=unquote(path),
        query=query,
        headers={name.lower(): _text(value) for name, value in incoming.headers.items()},
        body=body,
        origin=origin(incoming.scheme, incoming.host),
    )


def _cut_off(incoming: web.Request) -> web.Response:
    """Hang up without a word; the response goes nowhere."""
    if incoming.transport:
        with suppress(OSError):
            incoming.transport.abort()
    return web.Response()
