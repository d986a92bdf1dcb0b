from __future__ import annotations

import pytest
import requests
from dataverse_client import Dataverse

from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture
def dataverse():
    made = Dataverse()
    yield made
    made.store.close()


@pytest.fixture(scope="session")
def shared_sandbox():
    with Sandbox(contacts=100, http_port=0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox):
    """A running sandbox with 100 contacts, as it was seeded."""
    shared_sandbox.control.reset()
    return shared_sandbox


@pytest.fixture
def session(sandbox):
    with requests.Session() as made:
        made.trust_env = False
        made.verify = sandbox.info["ca_bundle"]
        yield made


@pytest.fixture
def signed_in(sandbox, session):
    """A session with a token for the sandbox."""
    names = sandbox.info["credentials"]
    form = {
        "grant_type": "client_credentials",
        "client_id": names["client_id"],
        "client_secret": names["client_secret"],
        "resource": sandbox.url,
    }
    session.headers["Authorization"] = f"Bearer {session.post(_token(sandbox), data=form).json()['access_token']}"
    return session


def _token(sandbox):
    return sandbox.info["auth_endpoint_url"]
