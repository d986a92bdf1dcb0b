"""A member whom the service refuses: the others are read, and the run is not taken for a whole one."""

from __future__ import annotations

import pytest

from annex_d365.annexcloud.enumeration import EnumerationIncompleteError

SEARCH = {"by": "search"}


def read(messages):
    return {record["id"]: record for record in messages.records("members")}


@pytest.fixture
def faults(programme):
    yield programme.sandbox.faults
    programme.sandbox.faults.clear()


def test_a_member_that_is_refused_takes_no_other_with_it(programme, faults, caplog):
    catalog = programme.catalog(members=("availablePoints",))
    expected = read(programme.run(catalog, members=SEARCH))
    bad = sorted(expected)[len(expected) // 2]
    faults.add(kind="status", status=403, route="/getbulkpoints", probability=1.0)
    faults.add(kind="status", status=400, route=f"/points/{bad}", probability=1.0)
    caplog.clear()
    messages = programme.run(catalog, members=SEARCH, error=EnumerationIncompleteError)
    assert read(messages) == {each: record for each, record in expected.items() if each != bad}
    assert caplog.text.count("A member is left out.") == 1
    assert f"'{bad}'" not in caplog.text
    faults.clear()
    again = read(programme.run(catalog, state=messages.states[-1] if messages.states else None, members=SEARCH))
    assert bad in again, "no bookmark has passed it"
