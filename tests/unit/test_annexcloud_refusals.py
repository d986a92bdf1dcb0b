"""A signature that is not accepted: for a moment, for some rows, or for good (Annex page 2)."""

from __future__ import annotations

import pytest
from annexcloud_stub import Service

from annex_d365.annexcloud.errors import RefusedError
from annex_d365.annexcloud.judge import PAUSES
from annex_d365.annexcloud.members import Member, Members
from annex_d365.errors import RowError, SettingError
from annex_d365.gate import Gate

GOOD = (200, {"id": "x1"})
REFUSED = (401, {"errorCode": "AC1002"})


@pytest.fixture
def waited(monkeypatch):
    """Seconds that were waited for."""
    seconds = []
    monkeypatch.setattr(Gate, "sleep", lambda self, each: seconds.append(each))
    return seconds


@pytest.fixture
def service(waited):
    return Service()


@pytest.fixture
def annex(service):
    return service.client()


@pytest.fixture
def members(annex):
    return Members(annex)


CALLS = {
    "read": lambda members: members.get("M2"),
    "update": lambda members: members.update(Member("M2"), {"firstName": "Ana"}),
    "create": lambda members: members.create("M2", {}),
    "search": lambda members: members.find_by_email("ana@example.com"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("refusals", range(1, len(PAUSES) + 2))
def test_a_key_that_is_not_accepted_for_a_moment_costs_no_row_and_no_run(members, service, call, refusals):
    """What checks tokens is out of order: neither is the row to blame, nor the settings, which were right."""
    service.replies = [GOOD, *[REFUSED] * refusals, GOOD]
    members.get("M1")
    call(members)
    assert len(service.requests) == 1 + refusals + 2, "the call, another one, and the call once more"


def test_points_that_were_refused_are_posted_when_the_key_is_accepted_again(annex, service):
    service.replies = [GOOD, REFUSED, REFUSED, GOOD]
    annex.get("users", "M1")
    annex.post("points", {"id": "M1"}, repeatable=False)
    assert [each for each in service.calls if each.startswith("POST")] == ["POST /points"] * 2


def test_members_that_are_refused_again_and_again_end_no_run(members, service):
    """One in two of them, as where an id has a sign that a gateway takes amiss."""
    service.replies = [lambda request: REFUSED if "%2F" in request.url else GOOD]
    for number in range(100):
        members.update(Member(f"M{number}"), {"firstName": "Ana"})
        with pytest.raises(RowError):
            members.update(Member(f"M/{number}"), {"firstName": "Ana"})


@pytest.mark.parametrize(
    ("before", "words"), [([GOOD], "see what was changed"), ([], "those of one site at `base_url`")]
)
def test_a_key_that_stays_refused_ends_the_run_and_says_what_to_check(members, service, waited, before, words):
    service.replies = [*before, REFUSED]
    if before:
        members.get("M1")
    with pytest.raises(SettingError, match=words) as error:
        members.get("marker")
    assert not isinstance(error.value, RefusedError), "nobody takes it for a judgement of one row"
    assert "clock" in str(error.value)
    assert "marker" not in str(error.value)
    assert waited == ([*PAUSES] if before else [])
