"""The sandbox's own certificate authority and certificate, kept so that clients need to trust them once."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

CA_FILE, SERVER_FILE = "ca.pem", "server.pem"
NAMES = ("127.0.0.1", "localhost", "::1")


def ensure(directory: Path) -> Path:
    """Make the two files unless they are there; returns the path of the authority's certificate."""
    authority, server = directory / CA_FILE, directory / SERVER_FILE
    if not (authority.exists() and server.exists()):
        ca = trustme.CA(organization_name="annex-d365 sandbox")
        server.touch(mode=0o600)
        ca.issue_cert(*NAMES).private_key_and_cert_chain_pem.write_to_path(server)
        ca.cert_pem.write_to_path(authority)
    return authority


def server_context(directory: Path) -> ssl.SSLContext:
    """How the server speaks TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / SERVER_FILE)
    return context
