"""The client and the sandbox, which were written from the same page and share no code."""

from __future__ import annotations

from decimal import Decimal

import pytest
import requests

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.members import Member, Members
from annex_d365.annexcloud.points import Points, Posting
from annex_d365.annexcloud.token import Credentials
from annex_d365.errors import RowError
from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox(port=0, http_port=0, contacts=1, seed=7)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def site(sandbox):
    control(sandbox, "reset")
    return sandbox


@pytest.fixture
def service(site):
    annex = site.info["annex"]
    credentials = Credentials(annex["site_id"], annex["site_name"], annex["secret_key"])
    return AnnexCloud(annex["base_url"], credentials, ca_bundle=site.info["ca_bundle"])


def control(sandbox, room, **body):
    requests.post(f"{sandbox.info['http_url']}/_sandbox/{room}", json=body, timeout=10).raise_for_status()


def calls(sandbox, part):
    return sum(part in entry["path"] for entry in sandbox.control.log.entries())


SWITCHES = [
    {},
    {"envelope": "Data", "numbers": "string"},
    {"bulk_form": "array"},
    {"bulk_form": "map"},
    {"page_size": 2, "page_count": False, "page_beyond": "empty"},
    {"page_size": 2, "paging_key": "current_page", "missing_values": "absent"},
]


@pytest.fixture(params=SWITCHES, ids=str)
def switched(request, site):
    control(site, "switches", annex=request.param)
    return site


def statuses(results):
    return [result and result.status for result in results]


def test_members_in_bulk(switched, service):
    members = Members(service)
    assert (
        members.create_many([(f"x{number}", {"email": f"x{number}@example.com"}) for number in range(3)]) == [None] * 3
    )
    created = members.create_many([("x1", {}), ("x3", {}), ("x4", {"email": "no address"})])
    assert statuses(created) == [409, None, 400]
    updated = members.update_many([(Member("x1"), {"firstName": "Ana"}), (Member("x9"), {"firstName": "Ana"})])
    assert statuses(updated) == [None, 404]
    assert members.get("x1").value("firstName") == "Ana"
    assert calls(switched, "/bulk") == 3
    assert members.get("x4") is None


def test_bulk_that_the_site_has_no_right_to(site, service):
    for status in (404, 403):
        control(site, "switches", annex={"refused_endpoints": ["POST /bulkpostusers"], "refusal_status": status})
        assert Members(service).create_many([(f"a{status}", {}), (f"b{status}", {})]) == [None, None]


def test_points(switched, service):
    Members(service).create("x1", {})
    points = Points(service)
    for number in range(1, 6):
        points.post(Posting("x1", "CREDIT", Decimal(number), reason="gift", order_id=f"o{number}"))
    points.post(Posting("x1", "DEBIT", Decimal(2), reason="mistake", order_id="o6"))
    with pytest.raises(RowError) as error:
        points.post(Posting("x9", "CREDIT", Decimal(1), reason="gift"))
    assert error.value.status == 404
    posted = {each.order_id: (each.activity, each.amount, each.action_id) for each in points.activities("x1")}
    assert posted == {f"o{number}": ("CREDIT", number, "100") for number in range(1, 6)} | {"o6": ("DEBIT", 2, "100")}
    assert int(points.balance("x1")["availablePoints"]) == 13


def test_merges_and_deletions(switched, service):
    members = Members(service)
    for member_id in "abcd":
        members.create(member_id, {})
    for secondary, primary in (("d", "a"), ("a", "b"), ("b", "c")):
        body = {"primaryUID": primary, "secondaryUID": secondary, "mergedBy": "admin@example.com"}
        service.post("mergeuser", body, repeatable=False)
    assert [members.merged_into(member_id) for member_id in "abcdx"] == ["c", "c", None, "c", None]
    assert members.delete("c", "admin@example.com") is True
    control(switched, "deletions")
    assert members.delete("c", "admin@example.com") is False
