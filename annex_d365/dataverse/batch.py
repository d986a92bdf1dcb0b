"""GET inside ``$batch``: what is too long for a URL of its own (Dataverse pages 2.1, 5.2)."""

from __future__ import annotations

import email.parser
import email.policy
import uuid
from collections.abc import Mapping

import requests

from annex_d365.dataverse.errors import explain
from annex_d365.errors import ConnectorError

#: Characters of a URL; the same GET inside a batch may have twice as many.
MAX_URL, MAX_URL_IN_BATCH = 32_768, 65_536


def batch_of(url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
    """The body of a batch with one GET, and its content type. Line ends must be CRLF."""
    boundary = f"batch_{uuid.uuid4()}"
    lines = [
        f"--{boundary}",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"GET {url} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode(), f'multipart/mixed; boundary="{boundary}"'


def only_reply(response: requests.Response) -> requests.Response:
    """The reply inside the reply, as if it had come by itself.

    Raises:
        ValueError: there is none.
    """
    head = f"Content-Type: {response.headers.get('Content-Type', '')}\r\n\r\n".encode("latin-1")
    parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + response.content)
    inner = next((part for part in parts.walk() if part.get_content_type() == "application/http"), None)
    content = inner.get_payload(decode=True) if inner else None
    if not content:
        raise ValueError("no reply in the batch")
    assert isinstance(content, bytes)
    status_line, _, rest = content.lstrip().partition(b"\r\n")
    fields, _, body = rest.partition(b"\r\n\r\n")
    reply = requests.Response()
    reply.request = response.request
    reply.status_code = int(status_line.partition(b" ")[2].partition(b" ")[0])
    parsed = email.parser.BytesHeaderParser(policy=email.policy.HTTP).parsebytes(fields)
    reply.headers.update({name: str(value) for name, value in parsed.items()})
    reply._content = body  # noqa: SLF001 - a Response has no other way in
    return reply


def explain_batch(response: requests.Response) -> ConnectorError:
    """The error for a batch whose GET was refused: what is inside says why."""
    try:
        return explain(only_reply(response))
    except ValueError:
        return explain(response)
