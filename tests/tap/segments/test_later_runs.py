"""What the next run of the streams of segments brings: changes, deletions, what a killed one left. On the sandbox."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from contextlib import suppress

import pytest
from segment_streams import GENERATIONS, act, live, members, named, selecting
from support import discover, run_tap, tap_config

from annex_d365.dataverse.segments.segment import Segments
from annex_d365.errors import PrivilegeError, ServiceError, SettingError
from tap_d365.tap import TapD365


def test_the_second_run_finds_nothing_new(config):
    first = run_tap(config)
    assert not run_tap(config, state=first.states[-1]).of("RECORD")


def test_what_was_evaluated_since_is_read_whole(sandbox, config, api, marketing):
    first = run_tap(config)
    marketing.switches.refresh_minutes = 5
    sandbox.clock.advance(3600)
    marketing.tick()
    second = run_tap(config, state=first.states[-1])
    assert {name: sorted(ids) for name, ids in members(second).items()} == {
        name: sorted(ids) for name, ids in live(sandbox, api).items() if ids and name in named(second)
    }
    assert "Families" in named(second)
    assert named(second)["Families"]["evaluated_on"] > "2026-01-01T00:00:00Z"
    assert second.records("segment_members")[0]["version"] > "2026-01-01T00:00:00Z"


def test_static_members_that_are_taken_out(sandbox, config, api):
    first = run_tap(config)
    (segment,) = (each for each in first.records("segments") if each["name"] == "Guests of honour")
    gone = members(first)["Guests of honour"][0]
    if api == "outbound":
        body = {"msdyncrm_operation": "removeByIds", "msdyncrm_memberids": json.dumps([gone])}
        act(config, "msdyncrm_SegmentMembersUpdate", msdyncrm_segmentid=segment["segment_id"], **body)
    else:
        definitions = sandbox.organisation.rows("msdynmkt_segmentdefinition")
        memos = filter(None, (row["msdynmkt_staticlistmembers"] for row in definitions))
        for group in (group for memo in memos for group in json.loads(memo)):
            body = {"GroupId": group["groupId"], "EntityIds": [gone]}
            with suppress(ServiceError):  # a group of another segment
                act(config, "msdynmkt_RemoveStaticMembers", SegmentId=segment["segment_id"], **body)
    sandbox.clock.advance(60)
    second = run_tap(config, state=first.states[-1])
    ids = [each["contact_id"] for each in second.records("segment_members")]
    assert sorted([*ids, gone]) == sorted(members(first)["Guests of honour"])
    (snapshot,) = second.records("segment_snapshots")
    assert (snapshot["segment_id"], snapshot["complete"]) == (segment["segment_id"], True)


def test_another_filter_or_column_reads_all_again(config, api):
    first = run_tap(config)
    more = {**config, "segments": {"member_columns": ["lastname"]}}
    again = run_tap(more, state=first.states[-1])
    assert again.records("segment_members")
    assert not again.records("segments")


def test_generations_do_not_share_a_bookmark(sandbox):
    config = tap_config(sandbox, tables=[])
    first = run_tap({**config, "segments_api": "outbound"})
    second = run_tap({**config, "segments_api": "journeys"}, state=first.states[-1])
    assert len(second.records("segments")) == len(first.records("segments"))
    assert not any(record["_sdc_deleted_at"] for record in second.records("segments"))
    third = run_tap({**config, "segments_api": "outbound"}, state=second.states[-1])
    assert not third.of("RECORD")


@pytest.mark.parametrize("kept", ["state", "file"])
@pytest.mark.parametrize("filtered", [False, True])
def test_removed_segments(sandbox, config, kept, filtered, tmp_path):
    table, name = GENERATIONS[config["segments_api"]]
    if kept == "file":
        config["snapshot_path"] = str(tmp_path)
    if filtered:
        config["segments"] = {"filter": f"{name} ne 'Nobody'"}
    keys = {row[name]: row[f"{table}id"] for row in sandbox.organisation.rows(table)}
    first = run_tap(config)
    for gone in ("Families", "Nobody"):
        sandbox.organisation.delete(table, keys[gone])
    second = run_tap(config, state=first.states[-1])
    deleted = [each for each in second.records("segments") if each.get("_sdc_deleted_at")]
    expected = {keys["Families"]} if filtered else {keys["Families"], keys["Nobody"]}
    assert {each["segment_id"] for each in deleted} == expected
    assert all(set(each) == {"segment_id", "modified_on", "_sdc_deleted_at"} for each in deleted)
    assert not run_tap(config, state=second.states[-1]).records("segments")


def test_a_segment_outside_the_filter_is_not_gone(config, api):
    name = GENERATIONS[api][1]
    first = run_tap({**config, "segments": {"filter": f"{name} ne 'Nobody'"}})
    second = run_tap({**config, "segments": {"filter": f"{name} eq 'Nobody'"}}, state=first.states[-1])
    assert [(each["name"], each["_sdc_deleted_at"]) for each in second.records("segments")] == [("Nobody", None)]


@pytest.mark.parametrize("later", ["segment_members", "segment_snapshots"])
def test_a_stream_that_is_selected_later_gets_all(config, later):
    both = ("segment_members", "segment_snapshots")
    (other,) = {*both} - {later}
    first = run_tap(config, catalog=selecting(config, other))
    second = run_tap(config, catalog=selecting(config, *both), state=first.states[-1])
    assert len(second.records(later)) == len(run_tap(config).records(later)) > 0


def test_a_segment_that_is_made_meanwhile_is_not_gone(sandbox, config, api, monkeypatch):
    table, name = GENERATIONS[api]
    state = run_tap(config).states[-1]
    listed, made = Segments.read, str(uuid.uuid4())

    def read(*args, **options):
        row = next(iter(sandbox.organisation.rows(table)))
        if made not in {each[f"{table}id"] for each in sandbox.organisation.rows(table)}:
            sandbox.organisation.put(table, [{**row, f"{table}id": made}])
            sandbox.organisation.update(table, made, {name: "Brand new"})
        return listed(*args, **options)

    monkeypatch.setattr(Segments, "read", read)
    (record,) = run_tap(config, state=state, catalog=selecting(config, "segments")).records("segments")
    assert (record["name"], record["_sdc_deleted_at"]) == ("Brand new", None)


def test_a_run_that_is_killed_loses_no_deletion(sandbox, config, api):
    table, _ = GENERATIONS[api]
    catalog = selecting(config, "segments")
    messages = run_tap(config, catalog=catalog)
    kinds = [message["type"] for message in messages]
    # What a target has that was killed behind the first record.
    state = next(each for each in messages if each["type"] == "STATE")
    assert kinds.index("STATE") < kinds.index("RECORD")
    gone = messages.records("segments")[0]["segment_id"]
    sandbox.organisation.delete(table, gone)
    found = run_tap(config, catalog=catalog, state=state["value"]).records("segments")
    assert [each["segment_id"] for each in found if each["_sdc_deleted_at"]] == [gone]


def test_finished_segments_of_a_killed_run_are_not_read_again(config, monkeypatch):
    monkeypatch.setattr("tap_d365.segment_members.CHECKED_AT_ONCE", 1)
    monkeypatch.setattr("tap_d365.segment_members.SegmentMembers.STATE_MSG_FREQUENCY", 50)
    config["max_parallel_requests"] = 1
    whole = run_tap(config, catalog=selecting(config, "segment_members"))
    state = whole.states[-2]
    rest = run_tap(config, catalog=selecting(config, "segment_members"), state=state)
    assert 0 < len(rest.records("segment_members")) < len(whole.records("segment_members"))


@pytest.mark.parametrize("method", ["INCREMENTAL", "LOG_BASED", "FULL_TABLE"])
def test_the_replication_of_a_catalog_is_for_tables(config, method):
    catalog = discover(config)
    for entry in catalog["streams"]:
        entry["replication_method"] = method
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["replication-method"] = method
    first = run_tap(config, catalog=catalog)
    assert first.records("segment_members")
    assert not run_tap(config, catalog=catalog, state=first.states[-1]).of("RECORD")


@pytest.mark.parametrize("bookmarks", [[], {"segments": []}, {"segment_members": None}])
def test_a_damaged_state_is_told(config, bookmarks):
    with pytest.raises(SettingError, match="state"):
        run_tap(config, state={"bookmarks": bookmarks})


def test_a_connection_test(sandbox, capsys):
    """One record of each stream; streams that nobody asked for do not fail it."""
    TapD365(config=tap_config(sandbox)).run_connection_test()
    counts = Counter(re.findall(r'"type":"RECORD","stream":"(\w+)"', capsys.readouterr().out))
    assert counts["segment_snapshots"] <= 1
    assert counts["contacts"] == counts["segments"] == 1
    sandbox.organisation.switches.unreadable_tables = ["msdynmkt_segment"]
    assert TapD365(config=tap_config(sandbox)).run_connection_test()
    with pytest.raises(PrivilegeError):
        TapD365(config=tap_config(sandbox, segments_api="journeys")).run_connection_test()


def test_too_many_ids_for_the_state(config, monkeypatch, caplog):
    monkeypatch.setattr("tap_d365.known_segments.MAX_IDS_IN_STATE", 3)
    (state,) = {json.dumps(each) for each in run_tap(config).states[-1:]}
    assert "snapshot_path" in caplog.text
    assert "known" not in json.loads(state)["bookmarks"]["segments"]


def test_a_file_of_another_state_is_told(config, tmp_path, caplog):
    config["snapshot_path"] = str(tmp_path)
    state = run_tap(config).states[-1]
    for path in tmp_path.iterdir():
        path.unlink()
    run_tap(config, state=state)
    assert "does not belong to the state" in caplog.text
