"""Fixtures for tests of the streams of segments."""

from __future__ import annotations

import pytest
from segment_streams import GENERATIONS
from support import CONTACTS, tap_config

from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture(scope="session")
def both():
    """An organisation with both generations."""
    with Sandbox(contacts=CONTACTS, segments_api="both", seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(both):
    both.control.reset()
    return both


@pytest.fixture
def marketing(sandbox):
    return sandbox.organisation.marketing


@pytest.fixture(params=GENERATIONS)
def api(request):
    return request.param


@pytest.fixture
def config(sandbox, api):
    return tap_config(sandbox, segments_api=api, tables=[])


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.01)
