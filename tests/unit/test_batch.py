"""GET inside $batch."""

from __future__ import annotations

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.batch import batch_of, explain_batch, only_reply
from annex_d365.errors import ServiceError, SettingError


def reply(status, body, *, boundary="batchresponse_1", inner="HTTP/1.1 200 OK", outer_type=None):
    response = requests.Response()
    response.status_code = status
    response.headers["Content-Type"] = outer_type or f"multipart/mixed; boundary={boundary}"
    response.request = requests.Request("POST", "https://org.crm.dynamics.com/api/data/v9.2/$batch").prepare()
    response._content = (
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"{inner}\r\nContent-Type: application/json\r\nREQ_ID: r-7\r\n\r\n"
    ).encode() + body + f"\r\n--{boundary}--\r\n".encode()  # fmt: skip
    return response


@given(
    st.recursive(
        st.none() | st.text() | st.integers(-(2**53), 2**53), lambda inner: st.lists(inner, max_size=4), max_leaves=20
    )
)
def test_what_is_inside_comes_out(value):
    body = msgspec.json.encode({"value": value})
    inner = only_reply(reply(200, body))
    assert inner.status_code == 200
    assert inner.headers["REQ_ID"] == "r-7"
    assert msgspec.json.decode(inner.content) == {"value": value}


def test_the_request():
    body, content_type = batch_of("https://org/api/data/v9.2/contacts?$select=a", {"Accept": "application/json"})
    boundary = content_type.partition('boundary="')[2].rstrip('"')
    assert body.decode().split("\r\n") == [
        f"--{boundary}",
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        "GET https://org/api/data/v9.2/contacts?$select=a HTTP/1.1",
        "Accept: application/json",
        "",
        "",
        f"--{boundary}--",
        "",
    ]


def test_a_refusal_inside_is_told():
    body = (
        b'{"error":{"code":"0x80060888","message":"Could not find a property named \'nosuch\' on type \'M.contact\'."}}'
    )
    error = explain_batch(reply(400, body, inner="HTTP/1.1 400 Bad Request"))
    assert isinstance(error, SettingError)
    assert "no column `nosuch`" in str(error)


@pytest.mark.parametrize(
    "broken",
    [
        reply(502, b"<html>", outer_type="text/html"),
        reply(400, b"", inner="nonsense"),
        reply(400, b"", outer_type="application/json"),
    ],
)
def test_a_refusal_that_cannot_be_read_is_told_all_the_same(broken):
    assert isinstance(explain_batch(broken), ServiceError)


def test_a_cut_off_reply_is_no_reply():
    response = reply(200, b'{"value": []}')
    response._content = response._content[:40]
    with pytest.raises(ValueError):
        only_reply(response)
