"""Fixtures for all tests."""

from __future__ import annotations

import gc
import logging
import sys
import threading

import hypothesis
import pytest
from support import LOGIN, ORGANISATION, Reroute, shared_sandbox

from annex_d365 import http
from annex_d365.discretion import Discretion

# Machines that run tests are shared: a slow example is no fault.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


#: They take minutes: first, so that no worker is left with them at the end.
LONG = ("test_soak.py", "test_pipeline.py", "test_leaks.py", "test_limits.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_collection_finish():
    """What all tests share is not looked through in each of the collections of garbage, some of which tests ask for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _hooks(monkeypatch):
    """Commands that run in this process change what becomes of uncaught errors and of logs, for their process."""
    for module in (sys, threading):
        monkeypatch.setattr(module, "excepthook", module.excepthook)
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    levels = {each: each.level for each in loggers if isinstance(each, logging.Logger)}
    yield
    logging.disable(logging.NOTSET)
    for each in [logging.root, *logging.root.manager.loggerDict.values()]:
        if isinstance(each, logging.Logger):
            each.disabled = False
            each.setLevel(levels.get(each, logging.NOTSET))
    for handler in logging.root.handlers:  # those of pytest stay
        for each in [each for each in handler.filters if isinstance(each, Discretion)]:
            handler.removeFilter(each)


@pytest.fixture
def sandbox():
    """The shared sandbox, as seeded."""
    sandbox = shared_sandbox()
    sandbox.control.reset()
    return sandbox


@pytest.fixture
def rerouted(sandbox, monkeypatch):
    """The sandbox, which answers as the real hosts."""
    real = http.new_session

    def session(ca_bundle):
        made = real(ca_bundle)
        made.trust_env = False
        for origin in (ORGANISATION, "https://annex.crm4.dynamics.com", "https://annex.crm5.dynamics.com", LOGIN):
            made.mount(origin, Reroute(sandbox.info["http_url"]))
        return made

    monkeypatch.setattr(http, "new_session", session)
    return sandbox
