"""Whatever is sent, each room answers in its own form and never breaks."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest
from hostile import Hostile
from hostile_words import ID, ORIGIN

from annex_d365_sandbox.annexcloud import urls as annexcloud_urls
from annex_d365_sandbox.annexcloud.models import Site
from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.control import urls as control_urls
from annex_d365_sandbox.control.models import Control
from annex_d365_sandbox.dataverse import urls as dataverse_urls
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.entra import urls as entra_urls
from annex_d365_sandbox.entra.models import CLIENT_ID, Directory
from annex_d365_sandbox.gateway import Gateway
from annex_d365_sandbox.sandbox import SECRET_KEY, SITE_ID, SITE_NAME
from annex_d365_sandbox.seed import Seed
from annex_d365_sandbox.store import Store

COUNT = 10_000
CHUNKS = 10


class Rooms:
    """All rooms of a sandbox without a server."""

    def __init__(self) -> None:
        self.store, self.clock = Store(), Clock()
        self.directory = Directory(self.store, self.clock)
        organisation = Organisation(self.store, self.clock)
        site = Site(self.store, self.clock, site_id=SITE_ID, site_name=SITE_NAME, secret_key=SECRET_KEY)
        self.control = Control(self.store, self.clock, organisation, site, self.directory)
        self.control.seed(Seed(10, 7, 0, "both"))
        self.control.put_rows("contact", [{"contactid": ID, "lastname": "Lee"}])
        self._gateway = Gateway(
            dataverse=dataverse_urls.application(organisation, self.directory),
            annexcloud=annexcloud_urls.application(site),
            control=control_urls.application(self.control),
            sign_in=entra_urls.application(self.directory, self.clock),
        )

    def answer(self, request):
        """The reply under faults and limits, as the server has it."""
        limited = request.path.startswith("/api/data/")
        reply = self.control.limits.enter() if limited else None
        if reply is None:
            reply = self._gateway(request)
            reply.headers.update(self.control.limits.leave(0.001) if limited else {})
        for fault in self.control.faults.strike(request):
            check(request, fault.reply(request))
            fault.disguised(request)
        return reply


@pytest.fixture(scope="module")
def rooms():
    made = Rooms()
    yield made
    made.store.close()


def explained(path: str, body: dict) -> bool:
    """Whether an error has the form of its room."""
    if path.startswith("/api/data/"):
        return body.keys() == {"error"} and all(isinstance(body["error"][name], str) for name in ("code", "message"))
    if path.startswith("/api/3.0/"):
        return all(isinstance(body[name], str) for name in ("errorCode", "errorMessage"))
    return isinstance(body["error"], str)


def check(request, reply):
    assert 100 <= reply.status < 600
    for name, value in reply.headers.items():
        assert f"{name}{value}".encode()
        assert not set("\r\n\0") & set(f"{name}{value}")
    assert b"Traceback" not in reply.body
    assert b"sqlite" not in reply.body.lower()
    if reply.headers.get("Content-Type", "").startswith("application/json") and reply.status != 304:
        body = json.loads(reply.body)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            assert explained(request.path, body)
    else:
        assert reply.status < HTTPStatus.BAD_REQUEST or reply.status == 401 or request.path.endswith("/$batch")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_request_breaks_a_room(rooms, chunk):
    rooms.control.reset()
    token = rooms.directory.access_token(ORIGIN, rooms.directory.applications[CLIENT_ID], None)
    for number, request in enumerate(Hostile(chunk, token).requests(COUNT // CHUNKS)):
        try:
            reply = rooms.answer(request)
            check(request, reply)
            assert reply.status != HTTPStatus.INTERNAL_SERVER_ERROR
            assert not rooms.store.connection.in_transaction
        except Exception as error:  # noqa: BLE001 - any may come, and which request it was must be told
            pytest.fail(f"seed {chunk}, request {number}, {str(request)[:3000]}: {error!r}")
        if request.path.startswith("/_sandbox/"):
            # What else would be sent would meet the fault, or a clock by which the token has expired.
            rooms.clock.reset()
            rooms.control.faults.clear()
            rooms.control.limits.reset()
