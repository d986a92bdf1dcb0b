"""What refusals of Dataverse mean to the user."""

from __future__ import annotations

import msgspec
import pytest
import requests

from annex_d365.dataverse.errors import explain, hexadecimal
from annex_d365.errors import ServiceError, SettingError


def refused(status, body=b"", code="", message=""):
    response = requests.Response()
    response.status_code = status
    response.headers["REQ_ID"] = "r-1"
    response._content = body or msgspec.json.encode({"error": {"code": code, "message": message}})
    response.request = requests.Request(
        "GET",
        "https://org.crm.dynamics.com/api/data/v9.2/contacts",
        params={"$filter": "emailaddress1 eq 'a@example.com'"},
    ).prepare()
    return explain(response)


@pytest.mark.parametrize(
    ("status", "code", "message", "named", "words"),
    [
        (
            400,
            "0x80060888",
            "Could not find a property named 'nosuch' on type 'Microsoft.Dynamics.CRM.contact'.",
            "select",
            "table contact has no column `nosuch`",
        ),
        (404, "0x80060888", "Resource not found for the segment 'nosuch'.", "tables", "no table `nosuch`"),
        (
            403,
            "0x80072560",
            "The user is not a member of the organization.",
            "client_id",
            "no user of this organisation",
        ),
        (
            403,
            "0x80040220",
            "Principal user (Id=1, type=8) is missing prvReadContact privilege (Id=2) on OTC=2 for entity 'contact'",
            "client_id",
            "prvReadContact",
        ),
        (403, "0x80040225", "The specified user is disabled.", "client_id", "no access"),
        (401, "", "", "resource", "does not accept the token"),
    ],
)
def test_what_a_setting_can_mend(status, code, message, named, words):
    error = refused(status, code=code, message=message)
    assert isinstance(error, SettingError)
    assert (error.setting, words in str(error)) == (named, True)


def test_everything_else_is_told_without_its_text():
    error = refused(412, code="0x80040237", message="A record with emailaddress1 a@example.com exists")
    assert isinstance(error, ServiceError)
    assert (error.status, error.code, error.request_id) == (412, "0x80040237", "r-1")
    assert str(error) == "Dataverse refused GET /api/data/v9.2/contacts (412, 0x80040237, request r-1)."


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"[]", b"null", b'{"Message":"x"}', b'{"error":"x"}', b"\xff"]
)
def test_gateways_have_pages_of_their_own(body):
    assert "502" in str(refused(502, body))


@pytest.mark.parametrize(
    ("sent", "code"),
    [("0x80072322", "0x80072322"), (-2147015902, "0x80072322"), ("-2147015902", "0x80072322"), ("", ""), ("x", "x")],
)
def test_codes_in_either_form(sent, code):
    assert hexadecimal(sent) == code
