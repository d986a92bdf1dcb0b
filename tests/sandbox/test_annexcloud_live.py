"""The Annex Cloud room behind the server: faults, control plane, seeded data."""

from __future__ import annotations

import pytest
import requests
from annexcloud_client import claims, compact, jwt_of, request_hmac

POSTING = {"id": "L1", "activity": "CREDIT", "credit": 10, "reason": "x", "orderId": "o1"}


@pytest.fixture
def annex(sandbox, session):
    """Signs with the sandbox's own credentials; ``annex(path, value)`` posts, ``annex(path, id)`` reads."""
    info = sandbox.info["annex"]
    sandbox.site.put_members([{"id": "L1"}])

    def call(path: str, value: object) -> requests.Response:
        body = compact(value)
        signed = claims(body, sub=info["site_name"], site_id=info["site_id"], hmac=None, exp="99999999999")
        token = jwt_of({**signed, "hmac": request_hmac(body, info["secret_key"])}, info["secret_key"])
        headers = {"Authorization": f"Bearer {token}", "X-AnnexCloud-Site": info["site_id"]}
        reads = isinstance(value, str)
        return session.request(
            "GET" if reads else "POST", info["base_url"] + path, data=None if reads else body, headers=headers
        )

    return call


@pytest.mark.parametrize(
    ("path", "body"),
    [("/points", POSTING), ("/bulkpoints", {"1": POSTING}), ("/bulkpostusers", [{"id": "L2"}])],
)
def test_a_lost_reply_leaves_the_effect(sandbox, annex, path: str, body: object):
    sandbox.site.activities.settle()
    before = sandbox.control.stats()
    sandbox.faults.add(kind="lost_reply", route=f"{path}$", count=1)
    with pytest.raises(requests.ConnectionError):
        annex(path, body)
    after = sandbox.control.stats()
    moved = {name: after[name] - before[name] for name in ("members", "activities")}
    assert moved == ({"members": 1, "activities": 0} if "users" in path else {"members": 0, "activities": 1})


def test_a_repeated_posting_after_a_lost_reply_counts_twice(sandbox, annex):
    sandbox.faults.add(kind="lost_reply", route="/points$", count=1)
    with pytest.raises(requests.ConnectionError):
        annex("/points", POSTING)
    assert annex("/points", POSTING).ok
    assert annex("/points/L1", "L1").json()["availablePoints"] == 20


def test_a_dropped_posting_has_no_effect(sandbox, annex):
    sandbox.faults.add(kind="drop", route="/points$", count=1)
    with pytest.raises(requests.ConnectionError):
        annex("/points", POSTING)
    assert annex("/points/L1", "L1").json()["availablePoints"] == 0


def test_control_runs_the_deletion_batch(sandbox, session, annex):
    url = f"{sandbox.url}/_sandbox/deletions"
    assert annex("/userdelete", {"id": "L1", "requestedBy": "a@example.com"}).ok
    assert session.get(url).json() == ["L1"]
    assert session.post(url).json() == {"deleted": 1}
    assert session.get(url).json() == []
    assert annex("/users/L1", "L1").status_code == 404


def test_control_seeds_segments_and_turns_switches(sandbox, session, annex):
    segment = {"name": "Live", "members": ["L1"]}
    stats = session.post(f"{sandbox.url}/_sandbox/seed", json={"segments": [segment]}).json()
    assert stats["segments"] == len(sandbox.site.segments.all())
    assert session.post(f"{sandbox.url}/_sandbox/seed", json={"segments": [segment]}).status_code == 400
    turned = {"annex": {"member_update_words": ["A", "R"], "refused_endpoints": ["POST /points"]}}
    session.post(f"{sandbox.url}/_sandbox/switches", json=turned)
    assert annex("/points", POSTING).status_code == 404
    assert sandbox.site.switches.member_update_words == ("A", "R")


def test_seeded_members_have_a_past(sandbox, annex):
    site = sandbox.site
    ids = [member["id"] for member in site.members()]
    balances = {member_id: site.activities.sums(member_id) for member_id in ids if member_id != "L1"}
    assert all(sums.earned >= 100 and sums.balance >= 0 for sums in balances.values())
    assert any(sums.rewarded for sums in balances.values())
    names = {segment["name"]: segment for segment in site.segments.all()}
    counts = {name: len(site.segments.members(segment)) for name, segment in names.items()}
    assert counts["Newsletter test group"] == 5
    assert 0 < counts["Big spenders"] < 50
    assert names["Spring 2024"]["status"] == "INACTIVE"


def test_the_same_seed_gives_the_same_past(sandbox):
    def past() -> list:
        return [sandbox.site.activities.entries(member["id"]) for member in sandbox.site.members()]

    first, listed = past(), sandbox.site.segments.all()
    sandbox.control.reset()
    assert past() == first
    assert [segment["name"] for segment in sandbox.site.segments.all()] == [segment["name"] for segment in listed]
