"""The body of ``$batch``: parts in, parts out (Dataverse page 5.2). Line ends are CRLF; others are not understood."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from annex_d365_sandbox.dataverse import errors
from annex_d365_sandbox.wire import Reply

_BOUNDARY = re.compile(r'^multipart/mixed\s*;.*\bboundary=(?:"([^"]+)"|([^\s";,]+))', re.IGNORECASE)
#: The address may hold blanks that nobody escaped: it is all between the first and the last.
_REQUEST_LINE = re.compile(r"([A-Z]+) (\S.*) HTTP/1\.[01]")
_BLANK = b"\r\n\r\n"


@dataclass(frozen=True)
class Part:
    """One part: its headers, names in lower case, and what follows them."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Operation:
    """The request within a part of ``application/http``; ``target`` is an address, a path, or relative to the root."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def unreadable() -> errors.DataverseError:
    """A body that is no batch."""
    return errors.bad_query("An error occurred while reading the batch: Stream was not readable.")


def boundary(content_type: str) -> str | None:
    """The boundary of a multipart body; ``None`` if the body is something else."""
    match = _BOUNDARY.match(content_type.strip())
    return (match[1] or match[2]) if match else None


def parts(body: bytes, content_type: str) -> list[Part]:
    """The parts of a multipart body. Raises ``DataverseError`` if it is none, or does not end as it should."""
    mark = boundary(content_type)
    if mark is None:
        raise unreadable()
    pieces = re.split(rb"(?:^|\r\n)--" + re.escape(mark.encode()) + rb"(--)?[ \t]*(?=\r\n|$)", body)
    # The text before the first boundary, then (end mark, text behind the boundary) of each.
    ends, texts = pieces[1::2], pieces[2::2]
    if not ends or ends[-1] is None or any(end is not None for end in ends[:-1]):
        raise unreadable()
    return [_part(text) for text in texts[:-1]]


def _part(text: bytes) -> Part:
    head, blank, body = text.partition(_BLANK)
    if not blank:
        raise unreadable()
    return Part(_headers(head), body)


def _headers(text: bytes) -> dict[str, str]:
    result: dict[str, str] = {}
    for line in text.decode("latin-1").split("\r\n"):
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon or "\n" in line:
            raise unreadable()
        result[name.strip().lower()] = value.strip()
    return result


def operation(part: Part) -> Operation:
    """The request in a part. Raises ``DataverseError`` if there is none."""
    head, _, body = part.body.partition(_BLANK)
    line, _, headers = head.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line.decode("latin-1"))
    if part.headers.get("content-type", "").lower().partition(";")[0] != "application/http" or not match:
        raise unreadable()
    return Operation(match[1], match[2], _headers(headers), body)


def written(reply: Reply, content_id: str | None = None) -> bytes:
    """A reply as a part of ``application/http``."""
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        lines.append(f"Content-ID: {content_id}")
    lines += ["", f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + reply.body


def joined(prefix: str, of: Iterable[bytes]) -> tuple[str, bytes]:
    """(content type, body) of parts behind a new boundary that begins with ``prefix``."""
    mark = f"{prefix}_{uuid4()}"
    body = b"".join(b"--" + mark.encode() + b"\r\n" + part + b"\r\n" for part in of)
    return f"multipart/mixed; boundary={mark}", body + f"--{mark}--\r\n".encode()


def nested(content_type: str, body: bytes) -> bytes:
    """A multipart body as a part of another."""
    return f"Content-Type: {content_type}\r\n\r\n".encode() + body
