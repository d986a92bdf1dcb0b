"""Other people's clients, unmodified, against the sandbox: they judge what the connector's own tests could agree on."""

from __future__ import annotations

import pytest

from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture(scope="module")
def peer_sandbox():
    with Sandbox(contacts=120, extra_tables=30) as sandbox:
        yield sandbox


@pytest.fixture
def trusted(peer_sandbox, monkeypatch):
    """The sandbox, whose certificate every client of this process trusts."""
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, peer_sandbox.info["ca_bundle"])
    peer_sandbox.control.reset()
    return peer_sandbox
