"""A client of the sandbox's Annex Cloud room, written from the reference page alone."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64encode
from datetime import datetime, timezone
from typing import Any

from annex_d365_sandbox.annexcloud.models import Site
from annex_d365_sandbox.annexcloud.urls import application
from annex_d365_sandbox.clock import Clock
from annex_d365_sandbox.store import Store
from annex_d365_sandbox.wire import Reply, Request

SECRET, SITE_ID, SITE_NAME = "test-secret", "12345678", "acmesite"
EXPIRY = 1893456000
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
STAMP = "2026-03-01T12:00:00+0000"


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def request_hmac(payload: bytes, secret: str = SECRET) -> str:
    return b64encode(hmac.new(secret.encode(), b64encode(payload), hashlib.sha256).digest()).decode()


def claims(payload: bytes, **changes: Any) -> dict[str, Any]:
    """The four claims in the order of the test vectors; a change to None leaves one out."""
    full = {"sub": SITE_NAME, "exp": EXPIRY, "site_id": SITE_ID, "hmac": request_hmac(payload), **changes}
    return {name: value for name, value in full.items() if value is not None}


def jwt_of(payload: Any, secret: str = SECRET, alg: str = "HS256") -> str:
    def part(raw: bytes) -> str:
        return urlsafe_b64encode(raw).decode().rstrip("=")

    text = part(compact({"alg": alg, "typ": "JWT"})) + "." + part(compact(payload))
    return text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


class Client:
    """Signs and sends; ``signed`` overrides the payload bytes of the hmac."""

    def __init__(self, store: Store | None = None) -> None:
        self.clock = Clock()
        self.clock.freeze(NOW)
        self.store = store or Store()
        self.site = Site(self.store, self.clock, site_id=SITE_ID, site_name=SITE_NAME, secret_key=SECRET)
        self.serve = application(self.site)

    def raw(
        self, method: str, path: str, body: bytes = b"", signed: bytes = b"", query: str = "", **headers: str
    ) -> Reply:
        head = {
            "authorization": "Bearer " + jwt_of(claims(signed)),
            "x-annexcloud-site": SITE_ID,
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.serve(Request(method, "/api/3.0" + path, query, head, body))

    def get(self, path: str, identifier: str) -> Reply:
        return self.raw("GET", path, signed=json.dumps(identifier).encode())

    def member(self, member_id: str) -> Reply:
        return self.get("/users/" + member_id, member_id)

    def send(self, method: str, path: str, value: Any) -> Reply:
        body = value if isinstance(value, bytes) else compact(value)
        return self.raw(method, path, body, signed=body)


def content(reply: Reply, status: int = 200) -> Any:
    assert reply.status == status, reply.body
    return json.loads(reply.body)


def failure(reply: Reply) -> tuple[int, str]:
    """Status and code, from a body that has exactly the two documented fields."""
    body = json.loads(reply.body)
    assert set(body) == {"errorCode", "errorMessage"}
    assert body["errorMessage"]
    return reply.status, body["errorCode"]
