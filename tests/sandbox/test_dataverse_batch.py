from __future__ import annotations

import contextlib
import json
import re

import pytest
from dataverse_client import ORIGIN
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.dataverse import multipart
from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.wire import Reply

A, B = "a0000000-0000-4000-8000-00000000000a", "b0000000-0000-4000-8000-00000000000b"
ROOT = "/api/data/v9.2"


def part(line, body=None, content_id=None, **headers):
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    head += [f"Content-ID: {content_id}"] if content_id else []
    head += ["", f"{line} HTTP/1.1"] + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        head.append("Content-Type: application/json; type=entry")
    return "\r\n".join([*head, "", json.dumps(body) if body is not None else ""])


def packed(parts, mark="batch_1"):
    return "".join(f"--{mark}\r\n{each}\r\n" for each in parts) + f"--{mark}--\r\n"


def changeset(*parts, mark="changeset_1"):
    return f'Content-Type: multipart/mixed; boundary="{mark}"\r\n\r\n' + packed(parts, mark)


def opened(body, content_type):
    """Replies in a multipart body as (status, headers, JSON); a changeset is a list of them."""
    result = []
    for each in multipart.parts(body, content_type):
        if each.headers["content-type"].startswith("multipart/mixed"):
            result.append(opened(each.body, each.headers["content-type"]))
            continue
        head, _, text = each.body.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        result.append((int(line.split()[1]), headers | each.headers, json.loads(text) if text else None))
    return result


@pytest.fixture
def send(dataverse):
    def call(*parts, status=200, **headers):
        content_type = 'multipart/mixed; boundary="batch_1"'
        reply = dataverse.call("POST", "$batch", body=packed(parts).encode(), content_type=content_type, **headers)
        assert reply.status == status, reply.body
        assert reply.headers["Content-Type"].startswith("multipart/mixed; boundary=batchresponse_"), reply.body
        return opened(reply.body, reply.headers["Content-Type"])

    return call


def test_requests_are_answered_in_order(dataverse, send):
    dataverse.organisation.create("contact", {"contactid": A, "lastname": "Lee"})
    replies = send(
        part(f"GET {ROOT}/contacts({A})?$select=lastname", Accept="application/json"),
        part(f"PATCH {ORIGIN}{ROOT}/contacts({A})", {"lastname": "Li"}),
        part("GET contacts?$select=lastname&$filter=lastname%20eq%20'Li'"),
        part("GET contacts?$select=lastname&$filter=lastname eq 'Li'"),
    )
    assert [status for status, _, _ in replies] == [200, 204, 200, 200]
    assert replies[2][2] == replies[3][2]
    assert replies[0][2]["lastname"] == "Lee"
    assert replies[0][1]["OData-Version"] == "4.0"
    assert replies[1][1]["OData-EntityId"] == f"{ORIGIN}{ROOT}/contacts({A})"
    assert [row["contactid"] for row in replies[2][2]["value"]] == [A]


def test_preferences_of_a_part(dataverse, send):
    for name in "abc":
        dataverse.organisation.create("contact", {"lastname": name})
    ((_, headers, body),) = send(part(f"GET {ROOT}/contacts?$select=lastname", Prefer="odata.maxpagesize=2"))
    assert headers["Preference-Applied"] == "odata.maxpagesize=2"
    assert len(body["value"]) == 2
    assert body["@odata.nextLink"].startswith(f"{ORIGIN}{ROOT}/contacts?$select=lastname&$skiptoken=")


def test_an_error_ends_the_work_and_is_the_status(dataverse, send):
    parts = [
        part(f"POST {ROOT}/contacts", {"contactid": A}),
        part(f"GET {ROOT}/contacts({B})"),
        part(f"POST {ROOT}/contacts", {"contactid": B}),
    ]
    replies = send(*parts, status=404)
    assert [status for status, _, _ in replies] == [204, 404]
    assert replies[1][2]["error"]["code"] == "0x80040217"
    assert replies[1][1]["REQ_ID"]
    assert dataverse.organisation.get("contact", A), "what was done stays done"
    assert not dataverse.organisation.get("contact", B)


def test_continue_on_error(dataverse, send):
    parts = [part(f"GET {ROOT}/nopes"), part(f"POST {ROOT}/contacts", {"contactid": B}), part("GET contacts?$skip=1")]
    assert [status for status, _, _ in send(*parts, prefer="odata.continue-on-error")] == [404, 204, 400]
    assert dataverse.organisation.get("contact", B)


def test_a_changeset_with_references(dataverse, send):
    ((first, second, third),) = send(
        changeset(
            part("POST /api/data/v9.2/accounts", {"accountid": A, "name": "Shop"}, content_id="1"),
            part(f"POST {ROOT}/contacts", {"contactid": B, "parentcustomerid_account@odata.bind": "$1"}, "2"),
            part("PATCH $2", {"lastname": "Lee"}, content_id="3"),
        )
    )
    assert [status for status, _, _ in (first, second, third)] == [204, 204, 204]
    assert [headers["content-id"] for _, headers, _ in (first, second, third)] == ["1", "2", "3"]
    row = dataverse.organisation.get("contact", B)
    assert (row["parentcustomerid"], row["parentcustomerid__table"], row["lastname"]) == (A, "account", "Lee")


def test_a_failing_changeset_leaves_nothing(dataverse, send):
    failing = changeset(
        part(f"POST {ROOT}/contacts", {"contactid": A}, content_id="1"),
        part(f"PATCH {ROOT}/contacts({B})", {"nope": 1}, content_id="2"),
    )
    fine = part(f"POST {ROOT}/accounts", {"name": "Shop"})
    ((error,),) = send(failing, fine, status=400)
    assert (error[0], error[1]["content-id"]) == (400, "2")
    assert dataverse.organisation.count("contact") == dataverse.organisation.count("account") == 0
    (again,), created = send(failing, fine, prefer="odata.continue-on-error")
    assert (again[0], created[0]) == (400, 204)
    assert dataverse.organisation.count("contact") == 0


def test_references_that_are_not_there(send):
    ((_, _, body),) = send(part("PATCH $1", {"lastname": "x"}), status=400)
    assert body["error"]["message"] == "Content-ID Reference: '$1' does not exist in the batch context."
    (((_, _, bound),),) = send(
        changeset(part(f"POST {ROOT}/contacts", {"parentcustomerid_account@odata.bind": "$7"}, "1")), status=400
    )
    assert "'$7'" in bound["error"]["message"]


def test_what_a_changeset_does_not_take(dataverse, send):
    (((status, _, _),),) = send(changeset(part(f"GET {ROOT}/contacts", content_id="1")), status=400)
    assert status == 400
    body = packed([changeset(part(f"POST {ROOT}/contacts", {}))]).encode()
    error = dataverse.error("POST", "$batch", body=body, content_type="multipart/mixed; boundary=batch_1")
    assert "Content-ID" in error[2]


def test_batches_are_not_nested(send):
    ((status, _, _),) = send(part(f"POST {ROOT}/$batch"), status=400)
    assert status == 400


def test_longer_urls_than_outside(dataverse, send):
    def query(length):
        return "$select=" + "firstname," * ((length - 80) // 10) + "lastname"

    assert dataverse.call("GET", "contacts", query(40_000)).status == 414
    assert send(part(f"GET {ROOT}/contacts?{query(65_536)}"))[0][0] == 200
    assert send(part(f"GET {ROOT}/contacts?{query(65_700)}"), status=414)[0][0] == 414


def test_a_thousand_requests_at_most(dataverse, send):
    who = part(f"GET {ROOT}/WhoAmI")
    assert len(send(*[who] * 1000)) == 1000
    both = [changeset(part(f"POST {ROOT}/contacts", {}, "1"), part(f"POST {ROOT}/contacts", {}, "2")), *[who] * 999]
    error = dataverse.error(
        "POST", "$batch", body=packed(both).encode(), content_type="multipart/mixed; boundary=batch_1"
    )
    assert error[:2] == (400, "0x80060888")
    assert dataverse.organisation.count("contact") == 0


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (packed([part(f"GET {ROOT}/WhoAmI")]), "application/json"),
        (packed([part(f"GET {ROOT}/WhoAmI")]), "multipart/mixed"),
        (packed([part(f"GET {ROOT}/WhoAmI")]), "multipart/mixed; boundary=other"),
        (packed([part(f"GET {ROOT}/WhoAmI")]).replace("\r\n", "\n"), "multipart/mixed; boundary=batch_1"),
        (packed([part(f"GET {ROOT}/WhoAmI")]).replace("--batch_1--", ""), "multipart/mixed; boundary=batch_1"),
        (packed(["no headers"]), "multipart/mixed; boundary=batch_1"),
        (packed([part("GET")]), "multipart/mixed; boundary=batch_1"),
        ("", "multipart/mixed; boundary=batch_1"),
    ],
)
def test_what_is_no_batch(dataverse, body, content_type):
    assert dataverse.error("POST", "$batch", body=body.encode(), content_type=content_type)[:2] == (400, "0x80060888")


def test_a_batch_needs_a_token(dataverse):
    dataverse.token = "none"
    body = packed([part(f"GET {ROOT}/WhoAmI")]).encode()
    assert dataverse.call("POST", "$batch", body=body, content_type="multipart/mixed; boundary=batch_1").status == 401


@given(bodies=st.lists(st.binary(max_size=60), max_size=4), status=st.sampled_from([200, 204, 412, 500]))
def test_parts_come_out_as_they_went_in(bodies, status):
    content_type, text = multipart.joined(
        "batchresponse", [multipart.written(Reply(status, body, {"X": "y"}), "7") for body in bodies]
    )
    if not bodies:
        with pytest.raises(DataverseError):
            multipart.parts(text[2:], content_type)
        return
    found = multipart.parts(text, content_type)
    assert [each.body.partition(b"\r\n\r\n")[2] for each in found] == bodies
    assert all(each.headers["content-id"] == "7" for each in found)
    assert all(re.match(rf"HTTP/1.1 {status} ".encode(), each.body) for each in found)


@given(text=st.binary(max_size=200))
def test_no_bytes_break_the_parser(text):
    for body in (text, b"--b\r\n" + text + b"\r\n--b--"):
        with contextlib.suppress(DataverseError):
            for each in multipart.parts(body, "multipart/mixed; boundary=b"):
                multipart.operation(each)


def test_references_to_results_in_paths_and_ids(dataverse, send):
    ((account, contact, link),) = send(
        changeset(
            part(f"POST {ROOT}/accounts", {"accountid": A, "name": "Shop"}, content_id="1"),
            part(f"POST {ROOT}/contacts", {"contactid": B}, content_id="2"),
            part("PUT $2/parentcustomerid_account/$ref", {"@odata.id": "$1"}, content_id="3"),
        )
    )
    assert [status for status, _, _ in (account, contact, link)] == [204, 204, 204]
    assert dataverse.organisation.get("contact", B)["parentcustomerid"] == A


def test_bulk_messages_in_a_changeset_go_back_with_it(dataverse, send):
    rows = {"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.contact", "lastname": name} for name in ("a", "b")]}
    create = part(f"POST {ROOT}/contacts/Microsoft.Dynamics.CRM.CreateMultiple", rows, content_id="1")
    bad = part(f"POST {ROOT}/contacts", {"lastname": "x" * 51}, content_id="2")
    send(changeset(create, bad), status=400)
    assert dataverse.organisation.count("contact") == 0
    send(create, changeset(create))
    assert dataverse.organisation.count("contact") == 4


def test_definitions_change_in_a_batch_but_not_in_a_changeset(dataverse, send):
    key = {"SchemaName": "cr0dd_ByMember", "KeyAttributes": ["cr0dd_loyaltyid"]}
    create = part(f"POST {ROOT}/EntityDefinitions(LogicalName='contact')/Keys", key, content_id="1")
    send(changeset(create), status=400)
    assert not dataverse.organisation.tables["contact"].keys
    replies = send(create, part(f"PATCH {ROOT}/contacts(cr0dd_loyaltyid='M1')", {"lastname": "Lee"}))
    assert [status for status, _, _ in replies] == [204, 204]
    assert replies[1][1]["OData-EntityId"].endswith("/contacts(cr0dd_loyaltyid='M1')")
