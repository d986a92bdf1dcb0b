"""What comes from rows and settings stays data, wherever it is put: addresses, filters, headers, batches and bodies."""

from __future__ import annotations

import email.parser
import email.policy
import re
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from annex_d365 import http
from annex_d365.annexcloud.client import AnnexCloud, path_segment
from annex_d365.annexcloud.token import Credentials
from annex_d365.dataverse.batch import Part, batch
from annex_d365.dataverse.query import Query, all_of, text
from annex_d365.dataverse.writes.addresses import address, addressable, condition
from annex_d365.dataverse.writes.operations import AlternateKey, Guid
from annex_d365.errors import ConnectorError, RowError, SettingError
from target_annex.target import TargetD365

ROOT = "https://annex.crm.dynamics.com/api/data/v9.2/"
CALLER = "aaaaaaaa-0000-4000-8000-000000000001"
ORGANISATION = {
    "organization_url": "https://annex.crm.dynamics.com",
    "client_id": "app",
    "client_secret": "s",
    "tenant_id": "t",
}
NASTY = (
    "' or '1' eq '1",
    "x') or contains(emailaddress1,'",
    "a&$top=1&$select=*",
    "a#b",
    "a?b=c",
    "../../users",
    "%27%20or%20true",
    "%2e%2e%2f",
    "a\r\nAuthorization: Bearer x",
    "a\nb",
    "\u2019 or 1 eq 1",
    "\uff07",
    "a;b",
    "a+b",
    "\\",
    "😀'",
)


def nasty(*more):
    """Texts as people and attackers have them."""

    def decorate(test):
        for each in (*NASTY, *more):
            test = example(each)(test)
        return given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))(test)

    return decorate


def parsed(condition):
    """By another parser of OData; the sandbox's library, which the connector does not know."""
    return ODataParser().parse(ODataLexer().tokenize(condition))


def sent(url):
    """Path and options as a server gets them."""
    prepared = requests.Request("GET", ROOT + url).prepare().url
    parts = urlsplit(prepared)
    assert parts.netloc == "annex.crm.dynamics.com"
    assert not parts.fragment
    return parts.path.removeprefix("/api/data/v9.2/"), dict(parse_qsl(parts.query, strict_parsing=True))


@nasty()
def test_a_text_in_a_filter_is_one_literal(value):
    query = Query("contacts", ("contactid",), all_of(f"emailaddress1 eq {text(value)}", "statecode eq 0"), top=3)
    path, options = sent(query.url)
    assert path == "contacts"
    assert set(options) == {"$select", "$filter", "$top"}
    tree = parsed(options["$filter"])
    assert isinstance(tree, ast.BoolOp)
    assert tree.left == ast.Compare(ast.Eq(), ast.Identifier("emailaddress1"), ast.String(value))
    assert tree.right == ast.Compare(ast.Eq(), ast.Identifier("statecode"), ast.Integer("0"))


@nasty()
def test_a_key_in_a_filter_is_one_literal(value):
    tree = parsed(condition(AlternateKey({"cr0dd_loyaltyid": value, "cr0dd_number": 7})))
    assert tree.left == ast.Compare(ast.Eq(), ast.Identifier("cr0dd_loyaltyid"), ast.String(value))


@nasty()
def test_a_key_in_an_address_is_one_segment(value):
    key = AlternateKey({"cr0dd_loyaltyid": value})
    if not addressable(key):
        assert re.search(r"[\x00-\x1f\x7f/<>*%&:\\?+#]", value)
        return
    path, options = sent(address("contacts", key))
    assert options == {}
    assert path.count("/") == 0
    assert unquote(path) == f"contacts(cr0dd_loyaltyid={text(value)})"


@given(st.text(st.sampled_from("'(),=a "), max_size=12), st.text(st.sampled_from("'(),=b "), max_size=12))
def test_two_texts_in_a_key_stay_two(one, other):
    """Quotes and commas are all that tells them apart."""
    path, _ = sent(address("contacts", AlternateKey({"a": one, "b": other})))
    literals = re.fullmatch(r"contacts\(a='((?:[^']|'')*)',b='((?:[^']|'')*)'\)", unquote(path))
    assert [each.replace("''", "'") for each in literals.groups()] == [one, other]


def test_a_guid_is_a_guid():
    assert sent(address("contacts", Guid("AAAAAAAA-0000-0000-0000-000000000001")))[0] == (
        "contacts(aaaaaaaa-0000-0000-0000-000000000001)"
    )


@nasty(".", "..", "", "a/b", "/", "ann@example.com")
def test_an_id_of_a_member_is_one_segment(value):
    try:
        segment = path_segment(value)
    except RowError:
        assert value in {"", ".", ".."} or any(not sign.isprintable() for sign in value)
        return
    url = requests.Request("GET", f"https://s15.example.com/api/3.0/users/{segment}").prepare().url
    parts = urlsplit(url)
    assert parts.path.removeprefix("/api/3.0/users/").count("/") == 0
    assert unquote(parts.path.removeprefix("/api/3.0/users/")) == value
    assert not parts.query
    assert not parts.fragment


class Recorder(requests.adapters.BaseAdapter):
    """Keeps what is sent."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def send(self, request, **kwargs):
        self.seen.append(request)
        response = requests.Response()
        response.status_code, response._content, response.request = 200, b"{}", request
        return response

    def close(self):
        pass


def recorded(monkeypatch):
    recorder = Recorder()

    def session(ca_bundle):
        made = http.Session(ca_bundle)
        made.mount("https://", recorder)
        return made

    monkeypatch.setattr(http, "new_session", session)
    return recorder.seen


@nasty()
def test_a_value_of_a_member_is_one_value(value):
    with pytest.MonkeyPatch.context() as patch:
        seen = recorded(patch)
        annex = AnnexCloud("https://s15.example.com/api/3.0", Credentials("1", "s", "k" * 32))
        body = {"id": "1", "lastName": value, value: "x"}
        annex.patch("users", "1", body)
        annex.get("users", "1", query={"email": value})
        assert msgspec.json.decode(seen[0].body) == body
        assert parse_qsl(urlsplit(seen[1].url).query, keep_blank_values=True) == [("email", value)]
        assert urlsplit(seen[1].url).path == "/api/3.0/users/1"


# Batches: headers and addresses are written by us, and nobody else looks ---------------------------------------------


def unpacked(body, content_type):
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body
    )
    return [part.get_payload(decode=True) for part in message.iter_parts()]


@nasty("--batch_1", "\r\n--batch_1--\r\n", "\r\n\r\nDELETE /x HTTP/1.1")
def test_a_body_in_a_batch_stays_one_part(value):
    bodies = [msgspec.json.encode({"lastname": value}), msgspec.json.encode({"n": 2})]
    parts = [Part("PATCH", f"{ROOT}contacts(1)", {"If-Match": "*"}, body) for body in bodies]
    inside = unpacked(*batch(parts))
    assert [each.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for each in inside] == bodies


@pytest.mark.parametrize("sign", ["\r\n", "\n", "\r", "\0", "\x0b", "\x85", "\u2028", "ä"])
@pytest.mark.parametrize("place", ["url", "header"])
def test_no_line_is_smuggled_into_a_batch(sign, place):
    smuggled = f"W/1{sign}Authorization:Bearer"
    part = {
        "url": Part("GET", f"{ROOT}contacts{smuggled}"),
        "header": Part("PATCH", f"{ROOT}contacts(1)", {"If-Match": smuggled}),
    }[place]
    with pytest.raises(ConnectorError, match="control characters"):
        batch([part])


def test_no_request_line_is_smuggled_into_a_batch():
    with pytest.raises(ConnectorError):
        batch([Part("GET", f"{ROOT}contacts HTTP/1.1")])


@pytest.mark.parametrize("header", ["If-Match", "CallerObjectId", "MSCRM.BypassBusinessLogicExecution"])
def test_no_header_is_smuggled_into_a_request(header, monkeypatch):
    seen = recorded(monkeypatch)
    client = http.Client("Dataverse", host_setting="organization_url")
    with pytest.raises(ConnectorError):
        client.send(
            "PATCH",
            f"{ROOT}contacts(1)",
            auth=lambda request: request,
            explain=lambda response: RowError("refused"),
            headers={header: "x\r\nAuthorization: Bearer y"},
        )
    assert seen == []


@pytest.mark.parametrize(
    "caller", ["00000000-0000-0000-0000-00000000000", "a" * 36, f"{CALLER}\n", f"{CALLER}\r\nX: y"]
)
def test_the_caller_is_an_object_id(caller):
    with pytest.raises(SettingError, match="`caller_object_id`"):
        TargetD365(config={**ORGANISATION, "caller_object_id": caller})


@pytest.mark.parametrize("caller", [CALLER, CALLER.upper(), ""])
def test_an_object_id_or_none_is_taken(caller):
    assert TargetD365(config={**ORGANISATION, "caller_object_id": caller}).config["caller_object_id"] == caller
