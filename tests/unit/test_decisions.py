"""Every status and code of the error table (Dataverse page 7): what the client does, and what the user is told."""

from __future__ import annotations

import msgspec
import pytest
import requests

from annex_d365.dataverse.errors import StaleTokenError, UnknownColumnError, explain
from annex_d365.errors import ConnectorError, PrivilegeError, ServiceError, SettingError
from annex_d365.retry import Action, decide

PRIVILEGE = "Principal user (Id=1) is missing prvReadContact privilege (Id=2) on OTC=2 for entity 'contact'."
UNKNOWN_COLUMN = "Could not find a property named 'x' on type 'Microsoft.Dynamics.CRM.contact'."

#: status, code, message; action of a read; kind of error.
ROWS = [
    (400, "0x80060888", UNKNOWN_COLUMN, Action.FAIL, UnknownColumnError),
    (400, "0x80060888", "The query parameter $skip is not supported", Action.FAIL, ServiceError),
    (404, "0x80060888", "Resource not found for the segment 'x'.", Action.FAIL, SettingError),
    (405, "0x80060888", "", Action.FAIL, ServiceError),
    (400, "0x80048d19", "", Action.FAIL, ServiceError),
    (400, "0x8006088A", "", Action.FAIL, ServiceError),
    (400, "0x80044331", "", Action.FAIL, ServiceError),
    (400, "0x8004432f", "", Action.FAIL, ServiceError),
    (400, "0x80044330", "", Action.FAIL, ServiceError),
    (400, "0x8004431A", "", Action.FAIL, ServiceError),
    (400, "0x80040265", "", Action.FAIL, ServiceError),
    (400, "0x80044352", "", Action.FAIL, StaleTokenError),
    (400, "0x80041103", "", Action.FAIL, ServiceError),
    (401, "", "", Action.SIGN_IN, SettingError),
    (403, "0x80072560", "The user is not a member of the organization.", Action.FAIL, SettingError),
    (403, "0x80040220", PRIVILEGE, Action.FAIL, PrivilegeError),
    (403, "0x80048306", "", Action.FAIL, SettingError),
    (403, "0x80040277", "", Action.FAIL, SettingError),
    (403, "0x80040231", "", Action.FAIL, SettingError),
    (403, "0x80050304", "", Action.FAIL, SettingError),
    (403, "0x80040225", "", Action.FAIL, SettingError),
    (403, "0x80072561", "", Action.FAIL, SettingError),
    (403, "0x8004A104", "", Action.FAIL, SettingError),
    (404, "0x80040217", "", Action.FAIL, ServiceError),
    (404, "0x80060891", "", Action.FAIL, ServiceError),
    (412, "0x80060882", "", Action.FAIL, ServiceError),
    (412, "0x80060883", "", Action.FAIL, ServiceError),
    (412, "0x80040237", "", Action.FAIL, ServiceError),
    (412, "0x80060892", "", Action.FAIL, ServiceError),
    (412, "0x80040333", "", Action.FAIL, ServiceError),
    (413, "", "", Action.FAIL, ServiceError),
    (429, "0x80072321", "", Action.RETRY, ServiceError),
    (429, "-2147015902", "", Action.RETRY, ServiceError),
    (429, "0x80072326", "", Action.RETRY, ServiceError),
    (500, "0x80040216", "", Action.RETRY, ServiceError),
    (500, "0x80044150", "", Action.RETRY, ServiceError),
    (500, "0x80044151", "", Action.RETRY, ServiceError),
    (501, "", "", Action.FAIL, ServiceError),
    (502, "", "", Action.RETRY, ServiceError),
    (503, "", "", Action.RETRY, ServiceError),
    (504, "", "", Action.RETRY, ServiceError),
]


@pytest.mark.parametrize(("status", "code", "message", "action", "kind"), ROWS)
def test_every_row_of_the_error_table(status, code, message, action, kind):
    assert decide(status, repeatable=True) is action
    response = requests.Response()
    response.status_code = status
    response._content = msgspec.json.encode({"error": {"code": code, "message": message}})
    response.request = requests.Request("GET", "https://org.crm.dynamics.com/api/data/v9.2/contacts").prepare()
    try:
        error = explain(response)
    except ConnectorError as raised:
        error = raised
    assert type(error) is kind
    if kind is ServiceError:
        assert error.status == status
