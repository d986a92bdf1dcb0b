"""Fixtures for tests of the target."""

from __future__ import annotations

import pytest
from loyalty import Site
from marketing import GENERATIONS, Marketing
from programme import Programme
from support import CONTACTS, shared_sandbox

from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture
def site(tmp_path):
    """The sandbox's loyalty programme, with a few members."""
    return Site(shared_sandbox(), tmp_path)


@pytest.fixture
def member(site, monkeypatch):
    """The site, with members M1 and M2 who have 100 points; nothing is waited for."""
    monkeypatch.setattr("target_annex.points.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)
    for member_id in ("M1", "M2"):
        site.put(id=member_id, email=f"{member_id}@example.org")
        start = {"memberId": member_id, "actionId": 101, "credit": 100, "createDate": "2026-01-01T00:00:00+0000"}
        site.sandbox.site.activities.put([start])
    return site


@pytest.fixture
def programme(site, monkeypatch):
    """The site, and runs that write segments into it."""
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)
    return Programme(site)


@pytest.fixture(scope="session")
def both():
    """An organisation with both generations of segments."""
    with Sandbox(contacts=CONTACTS, segments_api="both", seed=7) as sandbox:
        yield sandbox


@pytest.fixture(params=GENERATIONS)
def api(request):
    """The generation that is written."""
    return request.param


@pytest.fixture
def crm(both, api, tmp_path, monkeypatch):
    """The organisation; what is on its way arrives while it is waited for."""
    both.control.reset()
    organisation = Marketing(both, GENERATIONS[api], tmp_path)
    monkeypatch.setattr("annex_d365.gate.Gate.sleep", lambda _, seconds: both.clock.advance(seconds))
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.01)
    return organisation
