"""Fixtures for tests of streams with change tracking."""

from __future__ import annotations

import itertools
from unittest.mock import patch

import pytest
from mirror import (
    KEYS,
    people,
)

from annex_d365_sandbox.sandbox import Sandbox
from tap_d365.streams import TableStream


@pytest.fixture(scope="module", autouse=True)
def _versions():
    """Versions are seconds; runs of a test begin in the same one."""
    versions = itertools.count(1)
    with patch.object(TableStream, "new_version", lambda _self: next(versions)):
        yield


@pytest.fixture(scope="session")
def small():
    """A sandbox of these modules, without contacts at first."""
    with Sandbox(contacts=0) as sandbox:
        yield sandbox


@pytest.fixture
def crm(small):
    """The small sandbox with six contacts."""
    small.control.reset()
    people(small, KEYS[:6])
    return small
