"""Fixtures for tests of the library."""

from __future__ import annotations

import os
import uuid

import pytest

from annex_d365.ledger import Ledger

#: A PostgreSQL database; the tables of the ledger are made there.
SERVER = os.environ.get("LEDGER_TEST_URL", "")


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def ledger_url(request, tmp_path):
    """Everything runs on SQLite, and on PostgreSQL where LEDGER_TEST_URL names a database of it."""
    return f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else SERVER


@pytest.fixture
def ledger(ledger_url):
    """Opens a ledger; a site of its own keeps a test apart from others in the same database."""
    site, opened = uuid.uuid4().hex, []

    def open_ledger(**options):
        opened.append(Ledger(ledger_url, **{"site": site, "run": "run-1", **options}))
        return opened[-1]

    yield open_ledger
    for each in opened:
        each.close()


@pytest.fixture
def book(ledger):
    return ledger().book("members", "contacts")
