"""Many requests in one batch, and their replies."""

from __future__ import annotations

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.batch import Part, batch, replies

BODIES = st.lists(st.dictionaries(st.text(), st.text() | st.integers(0, 2**53)).map(msgspec.json.encode), max_size=8)


def reply(content, content_type):
    response = requests.Response()
    response.status_code = 200
    response.headers["Content-Type"] = content_type
    response.request = requests.Request("POST", "https://org.crm.dynamics.com/api/data/v9.2/$batch").prepare()
    response._content = content
    return response


def test_the_requests():
    body, content_type = batch(
        [Part("PATCH", "https://org/a(1)", {"If-Match": "*"}, b'{"a":1}'), Part("DELETE", "https://org/a(2)")]
    )
    boundary = content_type.partition('boundary="')[2].rstrip('"')
    head = [f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
    assert body.decode().split("\r\n") == [
        *head,
        "PATCH https://org/a(1) HTTP/1.1",
        "If-Match: *",
        "",
        '{"a":1}',
        *head,
        "DELETE https://org/a(2) HTTP/1.1",
        "",
        "",
        f"--{boundary}--",
        "",
    ]


@given(BODIES, st.integers(100, 599))
def test_replies_come_out_in_order(bodies, status):
    lines = b"".join(
        b"--x\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b"HTTP/1.1 %d Told\r\nX-Number: %d\r\n\r\n%s\r\n" % (status, number, body)
        for number, body in enumerate(bodies)
    )
    found = replies(reply(lines + b"--x--\r\n", "multipart/mixed; boundary=x"))
    assert [each.content for each in found] == bodies
    assert [each.headers["x-number"] for each in found] == [str(number) for number in range(len(bodies))]
    assert all(each.status_code == status for each in found)


def test_replies_without_headers_or_body():
    part = b"--x\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 %s\r\n\r\n%s\r\n"
    found = replies(
        reply(part % (b"204 No Content", b"") + part % (b"400 No", b"{}") + b"--x--", "multipart/mixed; boundary=x")
    )
    assert [(each.status_code, each.content) for each in found] == [(204, b""), (400, b"{}")]


def test_an_empty_part_is_no_reply():
    with pytest.raises(ValueError, match="an empty reply"):
        replies(reply(b"--x\r\nContent-Type: application/http\r\n\r\n\r\n--x--", "multipart/mixed; boundary=x"))
