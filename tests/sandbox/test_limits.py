"""Service protection limits, on writes as on reads (Dataverse page 6)."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone

import pytest

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.control.limits import Limits

CONTACTS = "/api/data/v9.2/contacts"


@pytest.fixture
def limits():
    clock = Clock()
    clock.freeze(datetime(2026, 1, 1, tzinfo=timezone.utc))
    return Limits(clock), clock


def test_time_is_free_again_when_enough_has_left_the_window(limits):
    limits, clock = limits
    limits.set({"seconds": 10})
    for spent in (4, 3, 5):
        assert limits.enter() is None
        room = limits.leave(spent)
        clock.advance(60)
    assert room["x-ms-ratelimit-time-remaining-xrm-requests"] == "0.00"
    refused = limits.enter()
    assert refused.status == 429
    assert b"0x80072321" in refused.body
    assert refused.headers["Retry-After"] == "120", "the first of the three leaves in two minutes: 8 of 10 are left"
    clock.advance(121)
    assert limits.enter() is None
    assert limits.leave(0)["x-ms-ratelimit-time-remaining-xrm-requests"] == "2.00"


@pytest.mark.parametrize("figure", ["requests", "seconds"])
def test_a_limit_of_nothing(limits, figure):
    limits, _ = limits
    limits.set({figure: 0})
    assert limits.enter().headers["Retry-After"] == "1"


def test_thousands_of_requests_do_not_slow_each_other(limits):
    limits, _ = limits
    for _ in range(20_000):
        limits.enter()
        room = limits.leave(0.001)
    assert room["x-ms-ratelimit-time-remaining-xrm-requests"] == "1180.00"


def test_writes_are_limited(sandbox, signed_in):
    sandbox.control.limits.set({"requests": 1})
    assert signed_in.post(sandbox.url + CONTACTS, json={}).status_code == 204
    refused = signed_in.post(sandbox.url + CONTACTS, json={})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "0x80072322")
    assert int(refused.headers["Retry-After"]) > 290


def test_a_bulk_message_is_one_request(sandbox, signed_in):
    sandbox.control.limits.set({"requests": 2})
    rows = {"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.contact"}] * 100}
    reply = signed_in.post(f"{sandbox.url}{CONTACTS}/Microsoft.Dynamics.CRM.CreateMultiple", json=rows)
    assert len(reply.json()["Ids"]) == 100
    assert reply.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "1"


def test_writes_at_once_are_limited(sandbox, signed_in):
    sandbox.control.limits.set({"concurrent": 1})
    sandbox.faults.add(kind="latency", seconds=1.0, route="contacts$", method="POST", count=1)
    slow = threading.Thread(target=signed_in.post, args=(sandbox.url + CONTACTS,), kwargs={"json": {}})
    slow.start()
    time.sleep(0.3)  # else the slow one may be the one too many
    reply = signed_in.patch(f"{sandbox.url}{CONTACTS}(a0000000-0000-4000-8000-00000000000a)", json={})
    slow.join()
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "0x80072326")
