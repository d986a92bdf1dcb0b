"""Members that are gone: deleted, or merged into others."""

from __future__ import annotations

import json
import logging
from urllib.parse import unquote

import pytest
from annexcloud_stub import Service
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud.judge import PAUSES
from annex_d365.annexcloud.members import Members
from annex_d365.annexcloud.merges import MAX_MERGES
from annex_d365.errors import OutageError, RowError, ServiceError, SettingError
from annex_d365.gate import Gate
from annex_d365.retry import MAX_TRIES

NO_DATA = (404, {"errorCode": "AC1005"})
LOST = (404, b"<html>not here</html>")


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(Gate, "sleep", lambda self, seconds: None)
    return Service()


@pytest.fixture
def members(service):
    return Members(service.client())


def merged(secondary, primary, **more):
    return {"secondaryUID": secondary, "primaryUID": primary, **more}


def knows(service, merges):
    """The service tells of these merges, secondary -> answer."""

    def answer(request):
        last, _, page = request.url.rpartition("/")[2].partition("?page=")
        known = merges.get(unquote(last), NO_DATA)
        if isinstance(known, str):
            return 200, {"userDetail": {**merged(unquote(last), known), "pages": 1}}
        return known[int(page) - 1] if isinstance(known, list) else known

    service.replies = [answer]


@pytest.mark.parametrize(
    "body",
    [
        {"Data": {"siteID": "1", "id": "a", "userDetail": merged("a", "b", mergedBy="x@example.com", pages=1)}},
        {"siteID": "1", "userDetail": [merged("a", "b")]},
        {"userDetail": {"primaryUid": "b", "secondary_uid": "a"}},
        {"Data": [merged("a", "b")]},
        [merged("a", "b")],
        merged("A", "b"),
        {"primaryUID": "b"},
        {"userDetail": [merged("c", "a"), merged("a", "b"), merged("z", "y")]},
        {
            "userDetail": [
                merged("a", "b", mergeDate="2024-08-09T07:00:12+0000"),
                merged("a", "c", mergeDate="2024-08-08T07:00:12+0000"),
            ]
        },
        {"userDetail": [merged("a", "c"), merged("a", "b", updateDate="2024-08-08T07:00:12+0000")]},
    ],
)
def test_a_merge_in_any_shape(members, service, body):
    knows(service, {"a": (200, body)})
    assert members.merged_into("a") == "b"
    assert service.calls[0] == "GET /mergeuser/a?page=1"


def test_each_merge_may_be_a_page_of_its_own(members, service):
    known = [merged("c", "a"), merged("a", "b"), merged("d", "a")]
    knows(service, {"a": [(200, {"userDetail": {**merge, "pages": "3"}}) for merge in known]})
    assert members.merged_into("a") == "b"
    assert service.calls[:3] == [f"GET /mergeuser/a?page={page}" for page in (1, 2, 3)]


def test_ids_that_are_numbers(members, service):
    knows(service, {"1": (200, {"userDetail": merged(1, 2)})})
    assert members.merged_into("1") == "2"


@pytest.mark.parametrize(
    "reply",
    [
        NO_DATA,
        (400, {"errorCode": "AC1005"}),
        (200, {"errorCode": "AC1005"}),
        (200, {}),
        (200, "fine"),
        (200, {"userDetail": []}),
        (200, {"userDetail": {"primaryUID": None, "secondaryUID": "a"}}),
        (200, {"userDetail": merged("c", "a")}),
        (200, {"userDetail": merged("c", "b")}),
        (200, {"userDetail": merged("a", "a")}),
    ],
)
def test_no_merge(members, service, reply, caplog):
    knows(service, {"a": reply})
    assert members.merged_into("a") is None
    assert {call.partition("?")[0] for call in service.calls} == {"GET /mergeuser/a"}
    assert caplog.records == []


@given(chain=st.integers(1, MAX_MERGES))
def test_merges_after_one_another(chain):
    service = Service()
    knows(service, {f"m{number}": f"m{number + 1}" for number in range(chain)})
    assert Members(service.client()).merged_into("m0") == f"m{chain}"


def test_a_chain_without_an_end_is_followed_so_far(members, service):
    knows(service, {f"m{number}": f"m{number + 1}" for number in range(99)})
    assert members.merged_into("m0") == f"m{MAX_MERGES}"
    assert len(service.calls) == MAX_MERGES


def test_pages_without_a_number_end_with_an_empty_one(members, service):
    pages = [{**merged("a", "b"), "currentPage": 1}, {**merged(None, None), "currentPage": 2}]
    knows(service, {"a": [(200, {"userDetail": page}) for page in pages]})
    assert members.merged_into("a") == "b"
    assert len(service.calls) == 3


@pytest.mark.parametrize("merges", [{"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}])
def test_members_merged_into_each_other(members, service, merges):
    knows(service, merges)
    assert members.merged_into("a") is None


@pytest.mark.parametrize("reply", [LOST, (404, {"errorCode": "AC1001"}), (405, {}), (403, {}), (501, {})])
def test_where_nobody_tells_of_merges_nobody_is_asked_again(members, service, reply, caplog):
    service.replies = [lambda request: reply if "/mergeuser/" in request.url else (200, {"id": "0"})]
    caplog.set_level(logging.WARNING)
    assert members.merged_into("a") is None
    asked = len(service.calls)
    assert members.merged_into("b") is None
    assert len(service.calls) == asked
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "Merged members are not followed" in warning


def test_an_id_that_a_gateway_refuses_is_not_the_routes_fault(members, service):
    knows(service, {"a/b": LOST, "a": "c"})
    with pytest.raises(RowError, match="refuses this id"):
        members.merged_into("a/b")
    assert members.merged_into("a") == "c"


@pytest.mark.parametrize(
    ("reply", "kind", "calls"),
    [((401, {}), SettingError, 2 + len(PAUSES)), ((503, {}), OutageError, MAX_TRIES), ((422, {}), RowError, 1)],
)
def test_other_errors_are_told(members, service, reply, kind, calls):
    service.replies = [(200, {}), reply]
    members.merged_into("a")
    with pytest.raises(kind):
        members.merged_into("a")
    assert len(service.calls) == 1 + calls


def test_a_deletion(members, service):
    service.replies = [(200, {"Data": {"id": "a"}})]
    assert members.delete("a", "ana@example.com") is True
    assert service.calls == ["POST /userdelete"]
    assert service.bodies == [{"id": "a", "requestedBy": "ana@example.com"}]


@pytest.mark.parametrize("reply", [NO_DATA, (400, {"errorCode": "AC1005"}), (409, {"errorCode": "AC1006"})])
def test_a_deletion_that_is_needless(members, service, reply):
    service.replies = [reply]
    assert members.delete("a", "ana@example.com") is False
    service.replies = [(503, {}), reply]
    assert members.delete("a", "ana@example.com") is True, "it may be we who asked"


@pytest.mark.parametrize(("reply", "kind"), [((400, {"errorCode": "AC1004"}), RowError), ((403, {}), ServiceError)])
def test_a_deletion_that_is_refused(members, service, reply, kind):
    service.replies = [reply]
    with pytest.raises(kind) as error:
        members.delete("a", "marker@example.com")
    assert "marker" not in str(error.value)
    assert json.loads(service.requests[0].body)["id"] == "a"
