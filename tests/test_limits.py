"""Limits turned down until they bite, seen from the services: how many at once, when, how long it takes."""

from __future__ import annotations

import asyncio
import io
import math
import time
from contextlib import redirect_stdout
from dataclasses import dataclass

import pytest
from crm import Crm
from crm import members as member_messages
from loyalty import contact, lines, record, schema, state
from support import run_tap, tap_config, target_config

from annex_d365_sandbox.sandbox import Sandbox
from annex_d365_sandbox.wire import Reply
from target_annex.target import TargetAnnex

#: So many requests of work each plugin gets, at least.
WORK = 24
PARALLEL = 3
LATENCY = 0.04
#: A whole run takes at most so many times what the limits alone ask for, and the time to begin and to end.
FACTOR, OVERHEAD_SECONDS = 3.0, 2.0
#: A request that left before the client had read that it should wait.
ON_ITS_WAY_SECONDS = 0.05


@dataclass
class Seen:
    """A request, by the services' clock."""

    began: float
    ended: float
    status: int
    retry_after: float


class Meter:
    """Stands in front of both services; measures, and refuses if it is told to.

    Attributes:
        most: requests in ``window`` seconds; what is beyond is 429 with the seconds until there is room.
        concurrent: most at a time; what is beyond is 429 with one second.
    """

    def __init__(self, sandbox):
        self.seen: list[Seen] = []
        self.at_once = self.most_at_once = 0
        self.most, self.window, self.concurrent = math.inf, 1.0, math.inf
        self._granted: list[float] = []
        self._real = sandbox._server._guarded
        sandbox._server._guarded = self._guarded

    async def _guarded(self, request, faults):
        if not request.path.startswith("/api/"):
            return await self._real(request, faults)
        began = time.monotonic()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self._refusal(began)
            if reply is None:
                await asyncio.sleep(LATENCY)
                reply = await self._real(request, faults)
        finally:
            self.at_once -= 1
        asked = float(reply.headers.get("Retry-After", 0))
        self.seen.append(Seen(began, time.monotonic(), reply.status, asked))
        return reply

    def _refusal(self, now):
        self._granted = [each for each in self._granted if now - each < self.window]
        wait = 0.0
        if self.at_once > self.concurrent:
            wait = 1.0
        elif len(self._granted) >= self.most:
            wait = math.ceil(self._granted[0] + self.window - now)
        if wait:
            return Reply.json({"error": {"code": "0x80072322", "message": "Slower."}}, 429, {"Retry-After": str(wait)})
        self._granted.append(now)
        return None

    def impatient(self):
        """Requests that began although the service had asked for patience."""
        asked = [each for each in self.seen if each.retry_after]
        return [
            (other.began - each.ended, each.retry_after)
            for each in asked
            for other in self.seen
            if each.ended + ON_ITS_WAY_SECONDS < other.began < each.ended + each.retry_after - 0.01
        ]


@pytest.fixture
def sandbox():
    """One of its own: it is slow on purpose."""
    with Sandbox(contacts=WORK * 5, seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def meter(sandbox):
    return Meter(sandbox)


def tap_d365(sandbox, directory, parallel):
    rows = run_tap(tap_config(sandbox, page_size=5, max_parallel_requests=parallel)).records()
    assert len(rows) == WORK * 5


def target_annex(sandbox, directory, parallel):
    rows = [contact(number) for number in range(WORK)]
    # A STATE after each few rows, so that they are too few for a bulk call.
    parts = [[*map(record, rows[at : at + 8]), state(at)] for at in range(0, WORK, 8)]
    config = target_config(sandbox, directory, enrol="all", max_parallel_requests=parallel, batch_size_rows=8)
    target = TargetAnnex(config=config)
    with redirect_stdout(io.StringIO()):
        target.listen(io.StringIO(lines([schema(), *(each for part in parts for each in part)])))
    assert sum(each["email"].startswith("person.") for each in sandbox.site.members()) == WORK


def target_d365(sandbox, directory, parallel):
    sandbox.organisation.switches.tables_without_bulk_messages.append("contact")
    rows = [{"id": f"M{n}", "email": f"m.{n}@example.org", "lastName": "Díaz"} for n in range(WORK)]
    head, *records = member_messages(*rows)
    # Eight rows at most go one by one.
    parts = [[*records[at : at + 8], state(at)] for at in range(0, WORK, 8)]
    messages = [head, *(each for part in parts for each in part)]
    Crm(sandbox, directory).load(messages, max_parallel_requests=parallel, batch_size_rows=8)
    assert sum(row["lastname"] == "Díaz" for row in sandbox.organisation.rows("contact")) >= WORK


PLUGINS = pytest.mark.parametrize("plugin", [tap_d365, target_annex, target_d365])


def timed(plugin, *arguments):
    began = time.monotonic()
    plugin(*arguments)
    return time.monotonic() - began


@PLUGINS
@pytest.mark.parametrize("parallel", [1, PARALLEL])
def test_never_more_in_flight_than_allowed(sandbox, meter, tmp_path, plugin, parallel):
    seconds = timed(plugin, sandbox, tmp_path, parallel)
    assert meter.most_at_once == parallel
    assert len(meter.seen) >= WORK
    work = sum(each.ended - each.began for each in meter.seen)
    assert seconds < FACTOR * work / parallel + OVERHEAD_SECONDS


@PLUGINS
def test_no_request_before_retry_after_is_over(sandbox, meter, tmp_path, plugin):
    for after in (4, 14):
        sandbox.faults.add(kind="status", route="^/api/", status=429, retry_after=1, count=1, after=after)
    seconds = timed(plugin, sandbox, tmp_path, PARALLEL)
    assert [each.status for each in meter.seen].count(429) == 2
    assert meter.impatient() == []
    work = sum(each.ended - each.began for each in meter.seen)
    assert seconds < FACTOR * (2 + work) + OVERHEAD_SECONDS


@PLUGINS
def test_a_limit_of_requests_per_second_is_kept_and_used(sandbox, meter, tmp_path, plugin):
    meter.most = 10
    seconds = timed(plugin, sandbox, tmp_path, PARALLEL)
    assert meter.impatient() == []
    granted = [each for each in meter.seen if each.status != 429]
    refused = len(meter.seen) - len(granted)
    assert 0 < refused < len(meter.seen) / 3
    bound = (math.ceil(len(granted) / meter.most) - 1) * meter.window
    # Retry-After is in whole seconds: a client that keeps it loses up to one second each time.
    assert bound <= seconds < FACTOR * (bound + len(granted) / meter.most) + OVERHEAD_SECONDS


@PLUGINS
def test_a_service_that_takes_fewer_at_once(sandbox, meter, tmp_path, plugin):
    meter.concurrent = 2
    timed(plugin, sandbox, tmp_path, 6)
    assert meter.impatient() == []
    refused = [each for each in meter.seen if each.status == 429]
    assert 0 < len(refused) < len(meter.seen) / 3


def test_the_advice_of_the_service_is_taken(sandbox, meter, tmp_path):
    sandbox.organisation.switches.dop_hint = 2
    tap_d365(sandbox, tmp_path, 8)
    late = meter.seen[len(meter.seen) // 2 :]
    at_once = [sum(other.began <= each.began < other.ended for other in late) for each in late]
    assert max(at_once) == 2
