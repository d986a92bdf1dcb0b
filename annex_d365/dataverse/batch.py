"""Requests inside ``$batch``: many by one call, or a GET that is too long for a URL of its own (pages 2.1, 5.2)."""

from __future__ import annotations

import email.parser
import email.policy
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from annex_d365.dataverse.errors import explain
from annex_d365.errors import ConnectorError

#: Characters of a URL; the same GET inside a batch may have twice as many.
MAX_URL, MAX_URL_IN_BATCH = 32_768, 65_536

#: What may stand in an address, and in the value of a header (RFC 9112, 5.5), of a part: here nobody else looks.
_URL = re.compile(r"[!-~]+")
_HEADER = re.compile(r"[\t -~]*")

# The policy of today parses each header's grammar, which takes most of the time of a batch.
_parser = email.parser.BytesParser(policy=email.policy.compat32)


@dataclass(frozen=True)
class Part:
    """One of the requests in a batch: an absolute URL, its own headers, and a body if there is one."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def batch(parts: Iterable[Part]) -> tuple[bytes, str]:
    """The body of a batch, and its content type. Line ends must be CRLF.

    Raises:
        ConnectorError: an address or a header of a part holds a sign that would make another request of it.
    """
    boundary = f"batch_{uuid.uuid4()}"
    pieces: list[bytes] = []
    for part in parts:
        if not _URL.fullmatch(part.url) or not all(map(_HEADER.fullmatch, part.headers.values())):
            raise ConnectorError("A request for $batch holds control characters, or blanks in its address.")
        head = [
            f"--{boundary}",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            "",
            f"{part.method} {part.url} HTTP/1.1",
            *(f"{name}: {value}" for name, value in part.headers.items()),
            "",
            "",
        ]
        pieces += "\r\n".join(head).encode(), part.body, b"\r\n"
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f'multipart/mixed; boundary="{boundary}"'


def batch_of(url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
    """A :func:`batch` of one GET. A link of the service may hold what has to be escaped."""
    return batch([Part("GET", requests.utils.requote_uri(url), headers)])


def replies(response: requests.Response) -> list[requests.Response]:
    """The replies inside the reply, in order, each as if it had come by itself.

    Raises:
        ValueError: one of them is none.
    """
    head = f"Content-Type: {response.headers.get('Content-Type', '')}\r\n\r\n".encode("latin-1")
    parts = _parser.parsebytes(head + response.content)
    inner = [part for part in parts.walk() if part.get_content_type() == "application/http"]
    return [_reply(response, part.get_payload(decode=True)) for part in inner]


def _reply(response: requests.Response, content: Any) -> requests.Response:
    if not content:
        raise ValueError("an empty reply in the batch")
    assert isinstance(content, bytes)
    head, _, body = content.lstrip().partition(b"\r\n\r\n")
    status_line, *fields = head.split(b"\r\n")
    reply = requests.Response()
    reply.request = response.request
    reply.status_code = int(status_line.partition(b" ")[2].partition(b" ")[0])
    for line in fields:
        name, _, value = line.decode("latin-1").partition(":")
        reply.headers[name] = value.strip()
    reply._content = body  # noqa: SLF001 - a Response has no other way in
    return reply


def only_reply(response: requests.Response) -> requests.Response:
    """The reply inside the reply, as if it had come by itself.

    Raises:
        ValueError: there is none.
    """
    every = replies(response)
    if not every:
        raise ValueError("no reply in the batch")
    return every[0]


def explain_batch(response: requests.Response) -> ConnectorError:
    """The error for a batch whose GET was refused: what is inside says why."""
    try:
        return explain(only_reply(response))
    except ValueError:
        return explain(response)
