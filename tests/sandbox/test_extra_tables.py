from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture
def extended(dataverse):
    dataverse.organisation.have_extra_tables(60)
    return dataverse


def names(dataverse, text):
    body = dataverse.get("EntityDefinitions", f"$select=LogicalName&$filter={quote(text)}")
    return {each["LogicalName"] for each in body["value"]}


def test_extra_tables_are_in_every_metadata_route(extended):
    assert "cr0dd_extra0060s" in {entry["name"] for entry in extended.get("")["value"]}
    assert b'"cr0dd_extra0060"' in extended.call("GET", "$metadata").body
    body = extended.get("EntityDefinitions(LogicalName='cr0dd_extra0007')", "$expand=Attributes")
    assert (body["EntitySetName"], body["IsCustomEntity"]) == ("cr0dd_extra0007s", True)
    assert len(body["Attributes"]) > 30


def test_some_lack_what_connectors_rely_on(extended):
    def columns(number):
        query = "$expand=Attributes($select=LogicalName)"
        body = extended.get(f"EntityDefinitions(LogicalName='cr0dd_extra{number:04d}')", query)
        return {each["LogicalName"] for each in body["Attributes"]}, body["ChangeTrackingEnabled"]

    assert columns(1)[0] - columns(10)[0] - {"cr0dd_extra0001id"} == {"modifiedon"}
    assert [columns(number)[1] for number in (1, 2, 3, 30)] == [True, True, False, False]


def test_a_table_without_modifiedon_is_written_and_read(extended):
    made = extended.call("POST", "cr0dd_extra0010s", body={"cr0dd_name": "A", "cr0dd_whole": 2})
    assert made.status == 204
    path = made.headers["OData-EntityId"].rpartition("/")[2]
    assert extended.call("PATCH", path, body={"cr0dd_whole": 3}).status == 204
    row = extended.get(path)
    assert (row["cr0dd_whole"], row["cr0dd_total"]) == (3, 3)
    assert "modifiedon" not in row


def test_filters_by_a_hundred_names_and_by_flags(extended):
    wanted = {f"cr0dd_extra{n:04d}" for n in range(1, 61)}
    chain = " or ".join(f"LogicalName eq 'cr0dd_extra{n:04d}'" for n in range(1, 101))
    assert names(extended, chain) == wanted
    assert names(extended, "IsPrivate eq true") == {"cr0dd_extra0017", "sdkmessage", "sdkmessagefilter"}
    assert names(extended, "IsIntersect eq true or IsLogicalEntity eq true") == {"cr0dd_extra0027", "cr0dd_extra0037"}
    plain = names(extended, "IsPrivate eq false and IsIntersect ne true and not (IsLogicalEntity eq true)")
    assert plain >= {"contact", "cr0dd_extra0001"}
    assert not plain & {"cr0dd_extra0017", "cr0dd_extra0027", "cr0dd_extra0037"}


def test_a_table_that_may_not_be_read_stays_in_metadata(extended):
    extended.organisation.switches.unreadable_tables = ["cr0dd_extra0002"]
    assert names(extended, "LogicalName eq 'cr0dd_extra0002'")
    for path in ("cr0dd_extra0002s", "cr0dd_extra0002s/$count"):
        status, code, message = extended.error("GET", path)
        assert (status, code) == (403, "0x80040220")
        assert "prvReadcr0dd_Extra0002" in message


def test_fewer_tables_than_before(extended):
    extended.organisation.create("cr0dd_extra0005", {"cr0dd_name": "A"})
    extended.organisation.have_extra_tables(4)
    assert extended.error("GET", "cr0dd_extra0005s")[0] == 404
    extended.organisation.have_extra_tables(5)
    assert extended.get("cr0dd_extra0005s")["value"] == []


def test_a_thousand_tables_are_declared_in_seconds(dataverse):
    dataverse.organisation.have_extra_tables(1000)
    began = time.perf_counter()
    select = "LogicalName,AttributeType,AttributeOf,IsValidForRead"
    body = json.loads(
        dataverse.call(
            "GET", "EntityDefinitions", f"$select=LogicalName,EntitySetName&$expand=Attributes($select={select})"
        ).body
    )
    assert time.perf_counter() - began < 15, "a slow machine; 2 s is usual"
    assert sum(len(table["Attributes"]) for table in body["value"]) > 60_000


def test_a_restart_keeps_the_tables_and_their_rows(tmp_path):
    for asked in (12, 0):
        with Sandbox(tmp_path, contacts=10, extra_tables=asked) as sandbox:
            stats = sandbox.control.stats()["rows"]
            assert (stats["cr0dd_extra0012"], stats["cr0dd_specimen"]) == (3, 21)
            assert "cr0dd_extra0013" not in stats


def test_the_control_plane_seeds_them(sandbox, session):
    def post(name, **body):
        return session.post(f"{sandbox.url}/_sandbox/{name}", json=body).json()["rows"]

    assert post("seed", extra_tables=2)["cr0dd_extra0002"] == 3
    assert post("reset")["cr0dd_extra0002"] == 3
    assert "cr0dd_extra0001" not in post("seed", extra_tables=0)
