"""Pages of changes, and the refusals that mean a full load."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import requests

from annex_d365.dataverse.changes import Change, tracked_pages
from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.errors import StaleTokenError, explain
from annex_d365.dataverse.query import Query
from annex_d365.errors import ServiceError, SettingError
from annex_d365.gate import Gate

ROOT = "https://contoso.crm4.dynamics.com/api/data/v9.2"
QUERY = Query("accounts", select=("name",))
TOKEN = "919042%2108%2f22%2f2017%2008%3a10%3a44"
DELTA_LINK = f"{ROOT}/accounts?$select=name&$deltatoken={TOKEN}"
ROW = {"@odata.etag": 'W/"1"', "name": "Monte Orton", "accountid": "60c4e274-0d87-e711-80e5-00155db19e6d"}
GONE = {
    "@odata.context": f"{ROOT}/$metadata#accounts/$deletedEntity",
    "id": "2e451703-c2e5-4e5c-9f7a-3d8f9c6d3d10",
    "reason": "deleted",
}


class Service(Dataverse):
    """Answers with these bodies, in turn."""

    def __init__(self, *bodies):
        self.bodies, self.asked = list(bodies), []
        self.http, self.pages_read = SimpleNamespace(gate=Gate(9)), 0

    def _read(self, url, prefer, decoder):
        self.asked.append((url, list(prefer)))
        return decoder.decode(json.dumps(self.bodies.pop(0)))


def pages(service, **options):
    return list(tracked_pages(service, QUERY, "accountid", **options))


def test_the_first_load():
    service = Service({"value": [ROW], "@odata.deltaLink": DELTA_LINK})
    (page,) = pages(service, page_size=7)
    assert page.changes == [Change(ROW["accountid"], ROW)]
    assert page.token == TOKEN
    assert service.asked == [("accounts?$select=name", ["odata.track-changes", "odata.maxpagesize=7"])]


def test_the_token_goes_back_as_it_came():
    service = Service({"value": [ROW, GONE], "@odata.deltaLink": DELTA_LINK.replace("919042", "919043")})
    (page,) = pages(service, token=TOKEN, annotations="A,B")
    ((url, prefer),) = service.asked
    assert url == f"accounts?$select=name&$deltatoken={TOKEN}"
    assert prefer[-1] == 'odata.include-annotations="A,B"'
    assert page.changes == [Change(ROW["accountid"], ROW), Change(GONE["id"], None)]
    assert page.token == TOKEN.replace("919042", "919043")


def test_a_query_of_all_columns():
    service = Service({"value": [], "@odata.deltaLink": DELTA_LINK})
    list(tracked_pages(service, Query("accounts"), "accountid", token="1"))
    assert service.asked[0][0] == "accounts?$deltatoken=1"


def test_only_the_last_page_has_a_token():
    first = {"value": [ROW], "@odata.nextLink": f"{ROOT}/accounts?$skiptoken=1"}
    empty = {"value": [], "@odata.nextLink": f"{ROOT}/accounts?$skiptoken=2"}
    service = Service(first, empty, {"value": [GONE], "@odata.deltaLink": DELTA_LINK})
    assert [(len(page.changes), page.token) for page in pages(service)] == [(1, None), (0, None), (1, TOKEN)]
    assert [url for url, _ in service.asked][1:] == [first["@odata.nextLink"], empty["@odata.nextLink"]]


def test_columns_named_id_and_reason_are_no_deletion():
    row = {"accountid": "a", "id": "7", "reason": "deleted"}
    (page,) = pages(Service({"value": [row], "@odata.deltaLink": DELTA_LINK}))
    assert page.changes == [Change("a", row)]


def test_the_key_of_a_deletion_has_the_form_of_the_rows():
    (page,) = pages(Service({"value": [{**GONE, "id": GONE["id"].upper()}], "@odata.deltaLink": DELTA_LINK}))
    assert page.changes == [Change(GONE["id"], None)]


@pytest.mark.parametrize(
    "link",
    ["{0}&$deltatoken=5%21x", "{0}&%24deltatoken=5%21x", "{0}&$deltatoken=5%21x&more=1", "{0}?$deltatoken=5%21x#part"],
)
def test_forms_of_delta_links(link):
    service = Service({"value": [], "@odata.deltaLink": link.format("https://contoso.crm4.dynamics.com/accounts")})
    assert pages(service)[0].token == "5%21x"


@pytest.mark.parametrize("link", [None, "", "https://contoso.crm4.dynamics.com/accounts?$deltatoken="])
def test_no_delta_link(link):
    with pytest.raises(ServiceError, match="no delta link for accounts"):
        pages(Service({"value": [], "@odata.deltaLink": link}))


@pytest.mark.parametrize("again", [0, 1])
def test_links_in_a_circle(again):
    links = [f"{ROOT}/accounts?$skiptoken={number}" for number in (1, 2)]
    service = Service(*({"value": [], "@odata.nextLink": link} for link in [*links, links[again]]))
    with pytest.raises(ServiceError, match="circle"):
        pages(service)


def refusal(status, code, message):
    response = requests.Response()
    response.status_code = status
    response.request = requests.Request("GET", f"{ROOT}/accounts").prepare()
    response._content = json.dumps({"error": {"code": code, "message": message}}).encode()
    return response


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("0x80044352", ""),
        ("-2147204270", ""),
        ("0X80044352", ""),
        ("", "Version stamp associated with the client has expired. Please perform a full sync."),
        ("0x80044183", "Invalid version stamp"),
    ],
)
def test_a_stale_token_whatever_the_status(status, code, message):
    """Raised, not returned: otherwise some statuses would be tried again."""
    with pytest.raises(StaleTokenError):
        explain(refusal(status, code, message))


@pytest.mark.parametrize(
    ("code", "message", "setting"),
    [
        ("0x80072491", "Entity account isn't enabled for change tracking.", "tables.account.replication"),
        ("0x80072492", "Change tracking is not supported.", "tables"),
    ],
)
def test_a_table_that_is_not_tracked(code, message, setting):
    error = explain(refusal(400, code, message))
    assert isinstance(error, SettingError)
    assert error.setting == setting
