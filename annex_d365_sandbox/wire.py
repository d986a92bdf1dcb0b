"""Requests and replies as every room of the sandbox sees them, whatever carries them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec


@dataclass(frozen=True)
class Request:
    """One request. Header names are lower case; ``path`` is percent-decoded, ``query`` is as sent."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: scheme and authority as the client used them, for links in replies: ``https://127.0.0.1:8365``
    origin: str = "https://127.0.0.1"

    @property
    def params(self) -> dict[str, str]:
        """The query string, decoded; of repeated names the last wins."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The body as ``application/x-www-form-urlencoded``."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON. Raises ``msgspec.DecodeError``."""
        try:
            return msgspec.json.decode(self.body)
        except RecursionError as error:
            raise msgspec.DecodeError("JSON is nested too deeply") from error


@dataclass
class Reply:
    """One reply. ``faults`` may still delay, cut or drop it on its way out."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
        """A reply of ``application/json``."""
        head = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        return cls(status, msgspec.json.encode(value), head)


Handler = Callable[[Request, Mapping[str, str]], Reply]


@dataclass(frozen=True)
class Route:
    """``pattern`` is a regular expression over the decoded path; its named groups go to the handler."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler

    @classmethod
    def of(cls, method: str, pattern: str, handler: Handler) -> Route:
        """A route; the pattern must match the whole path."""
        return cls(method, re.compile(pattern), handler)


def find(routes: Sequence[Route], request: Request) -> tuple[Handler, dict[str, str]] | None:
    """The first route that fits the request, with the groups of its pattern."""
    for route in routes:
        if route.method == request.method and (match := route.pattern.fullmatch(request.path)):
            return route.handler, match.groupdict()
    return None
