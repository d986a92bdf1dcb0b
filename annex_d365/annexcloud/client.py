"""The Loyalty API: signed calls, and what is inside their answers (Annex pages 2, 3)."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
import requests

from annex_d365 import http
from annex_d365.annexcloud.errors import error_code, explain
from annex_d365.annexcloud.token import Clock, Credentials, RequestToken, identifier_payload
from annex_d365.errors import RowError

DEFAULT_BASE_URL = "https://s15.socialannex.net/api/3.0"

# Sent with GET, too, as the vendor's own clients do (Annex page 2.1).
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}

_decoder = msgspec.json.Decoder(float_hook=decimal.Decimal)


class AnnexCloud:
    """One site. Safe for threads.

    Args:
        base_url: up to and with the version, ``https://s15.socialannex.net/api/3.0``.
        credentials: sign the requests.
        ca_bundle: certificates to trust instead of the usual ones.
    """

    def __init__(self, base_url: str, credentials: Credentials, *, ca_bundle: str | None = None) -> None:
        self._root = base_url.rstrip("/")
        self._credentials = credentials
        self._clock = Clock()
        self.http = http.Client("Annex Cloud", host_setting="base_url", ca_bundle=ca_bundle)

    def get(self, resource: str, identifier: str) -> Any:
        """The answer to ``GET /{resource}/{identifier}``.

        Raises:
            ConnectorError: as :func:`annex_d365.annexcloud.errors.explain` tells.
        """
        url = f"{self._root}/{resource}/{path_segment(identifier)}"
        return self._send("GET", url, f"GET /{resource}/{{id}}", identifier_payload(identifier), None)

    def post(self, resource: str, body: Mapping[str, Any], *, repeatable: bool) -> Any:
        """The answer to ``POST /{resource}``; ``repeatable`` says that a second time does no harm."""
        content = msgspec.json.encode(body)
        url = f"{self._root}/{resource}"
        return self._send("POST", url, f"POST /{resource}", content, content, repeatable=repeatable)

    def patch(self, resource: str, identifier: str, body: Mapping[str, Any]) -> Any:
        """The answer to ``PATCH /{resource}/{identifier}``."""
        content = msgspec.json.encode(body)
        url = f"{self._root}/{resource}/{path_segment(identifier)}"
        return self._send("PATCH", url, f"PATCH /{resource}/{{id}}", content, content)

    def _send(
        self, method: str, url: str, route: str, signed: bytes, body: bytes | None, *, repeatable: bool | None = None
    ) -> Any:
        return self.http.send(
            method,
            url,
            auth=RequestToken(self._credentials, signed, self._clock),
            explain=partial(explain, route=route),
            check=partial(_read, route=route),
            headers=_HEADERS,
            body=body,
            repeatable=repeatable,
        )


def path_segment(identifier: str) -> str:
    """An identifier as one segment of a path. Ids may be e-mail addresses, and hold any sign.

    Raises:
        RowError: for what no client can put into a path: clients and servers take ``.`` and ``..`` for directions.
    """
    if identifier in {"", ".", ".."}:
        raise RowError("This id cannot be part of an address.")
    return quote(identifier, safe="")


def _read(response: requests.Response, route: str) -> Any:
    """What the answer holds: the object in ``Data``, where there is one, else the body itself (Annex page 3).

    Raises:
        ValueError: it is no JSON.
        ConnectorError: it holds an error although its status is that of a success.
    """
    if not response.content:
        return {}
    body = _decoder.decode(response.content)
    if error_code(response.content):
        raise explain(response, route)
    inner = body.get("Data") if isinstance(body, dict) else None
    return inner if isinstance(inner, (dict, list)) else body
