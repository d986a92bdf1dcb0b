"""What a run of the streams of segments brings, and what it leaves out. Against the sandbox."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from segment_streams import GENERATIONS, STREAMS, calls, live, members, named, selecting, snapshots
from support import CONTACTS, discover, run_tap, select, tap_config

from annex_d365.errors import SettingError


def test_members_are_those_of_the_organisation(sandbox, api, config):
    messages = run_tap(config)
    expected = live(sandbox, api)
    assert {name: sorted(ids) for name, ids in members(messages).items()} == {
        name: sorted(ids) for name, ids in expected.items() if ids
    }
    sizes = {named(messages)[name]["segment_id"]: len(ids) for name, ids in expected.items()}
    complete = {key: each["member_count"] for key, each in snapshots(messages).items() if each["complete"]}
    assert complete == sizes


def test_both_generations_have_the_same_members(sandbox):
    found = [run_tap(tap_config(sandbox, segments_api=api, tables=[])) for api in GENERATIONS]
    rows = []
    for messages in found:
        names = {record["segment_id"]: record["name"] for record in messages.records("segments")}
        keys = ("contact_id", "member_id", "email", "version")
        rows.append({(names[each["segment_id"]], *map(each.get, keys)) for each in messages.records("segment_members")})
    assert rows[0] == rows[1]
    assert len(rows[0]) > CONTACTS


def test_one_shape(config, api):
    segment = named(run_tap(config))["Loyalty members"]
    assert {**segment, "segment_id": "", "query": "", "kind_value": 0, "status_value": 0, "state_value": 0} == {
        "segment_id": "",
        "name": "Loyalty members",
        "description": segment["description"],
        "kind": "dynamic",
        "query": "",
        "status": "live",
        "is_live": True,
        "member_count": CONTACTS // 2,
        "generation": api,
        "origin": "dynamics",
        "base_table": "contact",
        "evaluated_on": "2026-01-01T00:00:00Z",
        "created_on": segment["created_on"],
        "modified_on": "2026-01-01T00:00:00Z",
        "kind_value": 0,
        "status_value": 0,
        "state_value": 0,
        "_sdc_deleted_at": None,
    }
    assert segment["query"].startswith("PROFILE(contact")


def test_members_without_loyalty_id_have_none(sandbox, config):
    contacts = {row["contactid"]: row for row in sandbox.organisation.rows("contact")}
    records = run_tap(config).records("segment_members")
    for record in records:
        contact = contacts[record["contact_id"]]
        assert (record["member_id"], record["email"]) == (contact["cr0dd_loyaltyid"] or None, contact["emailaddress1"])
    assert {bool(record["member_id"]) for record in records} == {True, False}


def test_columns_of_contacts(sandbox, config):
    options = {"member_columns": ["lastname", "parentcustomerid", "creditlimit", "birthdate"]}
    records = run_tap({**config, "segments": options}).records("segment_members")
    contacts = {row["contactid"]: row for row in sandbox.organisation.rows("contact")}
    for record in records:
        contact = contacts[record["contact_id"]]
        assert (record["lastname"], record["birthdate"]) == (contact["lastname"], contact["birthdate"])
    assert any(record["_parentcustomerid_value"] for record in records)
    with pytest.raises(SettingError, match=r"segments\.member_columns.*`nosuch`"):
        discover({**config, "segments": {"member_columns": ["nosuch"]}})


def test_a_snapshot_follows_the_last_member(config):
    seen, done = Counter(), set()
    for message in run_tap(config).of("RECORD"):
        key = message["record"]["segment_id"]
        if message["stream"] == "segment_members":
            assert key not in done
            seen[key] += 1
        elif message["stream"] == "segment_snapshots":
            assert message["record"]["member_count"] == seen[key]
            done.add(key)
    assert set(seen) < done


def test_segments_come_before_their_members(config):
    schemas = [message["stream"] for message in run_tap(config).of("SCHEMA")]
    assert sorted(schemas, key=STREAMS.index) == schemas
    assert len(schemas) == len(set(schemas)) == 3


@pytest.mark.parametrize("stream", STREAMS)
def test_one_stream_alone(config, stream):
    messages = run_tap(config, catalog=selecting(config, stream))
    assert {message["stream"] for message in messages.of("RECORD")} == {stream}
    whole = run_tap(config)

    def sets(found):
        return {json.dumps({**each, "version": ""}, sort_keys=True) for each in found.records(stream)}

    assert sets(messages) == sets(whole)


def test_snapshots_alone_ask_for_no_contacts(sandbox, config):
    catalog = selecting(config, "segment_snapshots")
    sandbox.control.log.clear()
    run_tap(config, catalog=catalog)
    assert not calls(sandbox, "/contacts")


def test_selected_columns_only(sandbox, config, api):
    catalog = select(discover(config), "name", "status", stream="segments")
    sandbox.control.log.clear()
    record = run_tap(config, catalog=catalog).records("segments")[0]
    assert set(record) == {"segment_id", "name", "status", "modified_on", "_sdc_deleted_at"}
    assert not calls(sandbox, "/msdynmkt_segmentdefinitions")


def test_stream_maps_reach_snapshots(config):
    maps = {"segment_snapshots": {"__alias__": "sizes", "twice": "member_count * 2"}}
    records = run_tap({**config, "stream_maps": maps}).records("sizes")
    assert records
    assert all(record["twice"] == 2 * record["member_count"] for record in records)


# When nothing, or little, is wanted


def test_a_pipeline_of_contacts_reads_no_segments(sandbox):
    config = tap_config(sandbox)
    messages = run_tap(config)
    assert not any(messages.records(stream) for stream in STREAMS)
    catalog = discover(config)
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] in STREAMS:
            (root,) = (each["metadata"] for each in entry["metadata"] if not each["breadcrumb"])
            assert not root["selected"]
            assert not root["selected-by-default"]
    sandbox.control.log.clear()
    run_tap(config, catalog=select(catalog, "lastname"))
    asked = [entry for entry in sandbox.control.log.entries() if "segment" in entry["path"] + entry["query"]]
    assert not asked


def test_auto_takes_journeys_where_they_are(sandbox):
    config = tap_config(sandbox, tables=[])
    catalog = selecting(config, *STREAMS)
    assert {each["generation"] for each in run_tap(config, catalog=catalog).records("segments")} == {"journeys"}
    sandbox.organisation.have_segments("outbound")
    assert {each["generation"] for each in run_tap(config, catalog=catalog).records("segments")} == {"outbound"}
    with pytest.raises(SettingError, match=r"segments_api.*msdynmkt_segment"):
        run_tap({**config, "segments_api": "journeys"})


def test_a_filter(sandbox, config, api):
    name = GENERATIONS[api][1]
    messages = run_tap({**config, "segments": {"filter": f"{name} eq 'Families'"}})
    assert set(named(messages)) == set(members(messages)) == {"Families"}
    assert len(snapshots(messages)) == 1
    with pytest.raises(SettingError, match=r"segments\.filter.*nosuch"):
        run_tap({**config, "segments": {"filter": "nosuch eq 1"}})


def test_copies_from_annex_cloud_are_marked(sandbox, config, api):
    table, name = GENERATIONS[api]
    column = {"outbound": "msdyncrm_externalsegmenturl", "journeys": "msdynmkt_sourcesegmenturi"}[api]
    key = next(row[f"{table}id"] for row in sandbox.organisation.rows(table) if row[name] == "Families")
    sandbox.organisation.update(table, key, {column: "annexcloud:90365/551"})
    found = {name: each["origin"] for name, each in named(run_tap(config)).items()}
    assert found.pop("Families") == "annexcloud:90365/551"
    assert set(found.values()) == {"dynamics"}
    found = named(run_tap({**config, "segments": {"origin_column": name}}))
    assert {each["origin"] for each in found.values()} == {"dynamics"}
