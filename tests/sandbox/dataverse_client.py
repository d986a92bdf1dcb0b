"""The Dataverse room in this process, and what a test says to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import quote

from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.urls import application
from annex_d365_sandbox.entra.models import CLIENT_ID, Directory
from annex_d365_sandbox.store import Store
from annex_d365_sandbox.wire import Reply, Request

ORIGIN = "https://org.crm4.dynamics.com"


@dataclass
class Dataverse:
    """An organisation of its own with a signed-in client."""

    store: Store = field(default_factory=Store)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        self.directory = Directory(self.store, self.clock)
        self.organisation = Organisation(self.store, self.clock)
        self.token = self.directory.access_token(ORIGIN, self.directory.applications[CLIENT_ID], None)
        self._application = application(self.organisation, self.directory)

    def call(self, method, path, query="", *, body=None, origin=ORIGIN, version="v9.2", **headers) -> Reply:
        """One request; ``if_match`` as a keyword is the header ``if-match``."""
        head = {"authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        path = f"/api/data/{version}/{path}"
        return self._application(Request(method, path, query, head, data if body is not None else b"", origin))

    def get(self, path, query="", **headers):
        """The JSON of a GET that must work."""
        reply = self.call("GET", path, query, **headers)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def filtered(self, text, table="contacts", column="firstname"):
        """Values of a column where a filter holds, sorted."""
        body = self.get(table, f"$select={column}&$filter={quote(text)}")
        return sorted(row[column] for row in body["value"])

    def error(self, *args, **more):
        """(status, code, message) of a request that must fail."""
        reply = self.call(*args, **more)
        error = json.loads(reply.body)["error"]
        return reply.status, error["code"], error["message"]

    def pages(self, path, query="", **headers):
        """All pages, following the next links as they are."""
        for _ in range(1000):
            body = self.get(path, query, **headers)
            yield body
            if "@odata.nextLink" not in body:
                return
            root, _, query = body["@odata.nextLink"].partition("?")
            assert root == f"{ORIGIN}/api/data/v9.2/{path}"
        raise AssertionError("paging does not end")
