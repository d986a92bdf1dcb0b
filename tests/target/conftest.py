"""Fixtures for tests of the target."""

from __future__ import annotations

import pytest
from loyalty import Site
from support import shared_sandbox


@pytest.fixture
def site(tmp_path):
    """The sandbox's loyalty programme, with a few members."""
    return Site(shared_sandbox(), tmp_path)
