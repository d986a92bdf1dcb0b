"""Lookups that are emptied in an organisation that does not take null for them (Dataverse page 5.1)."""

from __future__ import annotations

import pytest
from support import tap_config

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.writes import (
    Effect,
    Guid,
    Kind,
    Operation,
    TableWriter,
    WriteOptions,
    Written,
    encode,
    guid_for,
    read_definition,
)
from annex_d365.errors import RowError

WAYS = ["auto", "batch", "single"]


@pytest.fixture
def organisation(sandbox):
    sandbox.control.turn({"dataverse": {"null_bind": "refused"}})
    return sandbox.organisation


@pytest.fixture
def contacts(organisation):
    """Contacts of a shop."""
    shop = organisation.create("account", {"name": "Shop"})
    return [
        organisation.create("contact", {"lastname": f"Name {number}", "parentcustomerid": shop}) for number in range(6)
    ]


class Writing:
    """A writer, and operations that it takes."""

    def __init__(self, sandbox, way="auto"):
        self.dataverse = connect(tap_config(sandbox))
        self.definition = read_definition(self.dataverse, "contacts")
        self.writer = TableWriter(self.dataverse, self.definition, WriteOptions(way=way))

    def emptied(self, contact, kind=Kind.UPDATE, **values):
        values = {"lastname": "New", **values, "parentcustomerid": None}
        members = [encode(self.definition, name, value) for name, value in values.items()]
        return Operation(kind, Guid(contact), {name: value for each in members for name, value in each.items()})

    def write(self, *operations):
        with self.dataverse.http.gate.workers(4, "writer") as pool:
            return self.writer.write(operations, pool)


def held(organisation, contact):
    row = organisation.get("contact", contact)
    return row["lastname"], row["parentcustomerid"]


def writes(sandbox):
    """Requests that write rows."""
    return [each for each in sandbox.control.log.entries() if each["method"] in {"POST", "PATCH"}]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [Kind.UPDATE, Kind.UPSERT])
def test_the_reference_is_deleted(sandbox, organisation, contacts, way, kind):
    writing = Writing(sandbox, way)
    results = writing.write(*(writing.emptied(each, kind) for each in contacts[:4]))
    assert all(isinstance(each, Written) for each in results)
    assert {held(organisation, each) for each in contacts[:4]} == {("New", None)}
    assert held(organisation, contacts[5])[1] is not None
    sandbox.control.log.clear()
    writing.write(writing.emptied(contacts[4]))
    assert held(organisation, contacts[4]) == ("New", None)
    assert len(writes(sandbox)) == 1, "what was learnt is kept"


def test_a_new_row_has_nothing_to_empty(sandbox, organisation):
    writing, new = Writing(sandbox), guid_for("test", "new")
    (result,) = writing.write(writing.emptied(new, Kind.CREATE))
    assert result.effect is Effect.CREATED
    assert held(organisation, new) == ("New", None)


def test_a_row_that_is_refused_for_another_reason(sandbox, organisation, contacts):
    writing = Writing(sandbox)
    # As it comes to the service: encoding would refuse it.
    bad = writing.emptied(contacts[0])
    bad = Operation(bad.kind, bad.key, {**bad.values, "lastname": "x" * 5000})
    first, second = writing.write(bad, writing.emptied(contacts[1]))
    assert isinstance(first, RowError)
    assert held(organisation, contacts[0])[1] is not None
    assert isinstance(second, Written)
    assert held(organisation, contacts[1]) == ("New", None)


def test_a_reference_that_may_not_be_deleted(sandbox, organisation, contacts):
    sandbox.control.faults.add(kind="status", route=r"/\$ref", method="DELETE", status=400)
    writing = Writing(sandbox)
    (result,) = writing.write(writing.emptied(contacts[0]))
    assert isinstance(result, RowError)
    assert held(organisation, contacts[0])[1] is not None


def test_null_that_is_taken_costs_no_request_more(sandbox, contacts):
    sandbox.control.turn({"dataverse": {"null_bind": "clears"}})
    writing = Writing(sandbox)
    writing.write(*(writing.emptied(each) for each in contacts))
    assert not any("$ref" in each["path"] for each in sandbox.control.log.entries())
