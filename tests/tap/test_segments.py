"""The streams of segments, against the sandbox."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from contextlib import suppress

import pytest
from support import CONTACTS, discover, run_tap, select, tap_config

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.errors import explain
from annex_d365.dataverse.segments.segment import Segments
from annex_d365.errors import OutageError, PrivilegeError, ServiceError, SettingError
from annex_d365_sandbox.sandbox import Sandbox
from tap_d365.tap import TapD365

STREAMS = ("segments", "segment_members", "segment_snapshots")
GENERATIONS = {
    "outbound": ("msdyncrm_segment", "msdyncrm_segmentname"),
    "journeys": ("msdynmkt_segment", "msdynmkt_displayname"),
}


@pytest.fixture(scope="module")
def both():
    """An organisation with both generations."""
    with Sandbox(contacts=CONTACTS, segments_api="both", seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(both):
    both.control.reset()
    return both


@pytest.fixture
def marketing(sandbox):
    return sandbox.organisation.marketing


@pytest.fixture(params=GENERATIONS)
def api(request):
    return request.param


@pytest.fixture
def config(sandbox, api):
    return tap_config(sandbox, segments_api=api, tables=[])


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.01)


def snapshots(messages):
    return {record["segment_id"]: record for record in messages.records("segment_snapshots")}


def named(messages):
    return {record["name"]: record for record in messages.records("segments")}


def members(messages):
    """Ids of contacts by name of segment."""
    names = {record["segment_id"]: record["name"] for record in messages.records("segments")}
    found = {}
    for record in messages.records("segment_members"):
        found.setdefault(names[record["segment_id"]], []).append(record["contact_id"])
    return found


def act(config, action, **body):
    """Have the service do something."""
    dataverse = connect(config)
    headers = {"Content-Type": "application/json"}
    url, text = f"{dataverse.root}{action}", json.dumps(body).encode()
    dataverse.http.send("POST", url, auth=dataverse._sign_in, explain=explain, headers=headers, body=text)


def calls(sandbox, path):
    return [entry for entry in sandbox.control.log.entries() if entry["path"].endswith(path)]


def selecting(config, *streams):
    catalog = discover(config)
    for entry in catalog["streams"]:
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return catalog


def live(sandbox, api):
    """Live segments of contacts and their members, as the organisation has them."""
    table, name = GENERATIONS[api]
    found = {}
    for row in sandbox.organisation.rows(table):
        is_live = row["msdyncrm_islive"] if api == "outbound" else row["statuscode"] == 1
        if is_live and row.get("msdynmkt_baseentitylogicalname") != "lead":
            found[row[name]] = sandbox.organisation.marketing.members(row[f"{table}id"])
    return found


# What comes


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


# From run to run


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


# What cannot be read


def half_failing(marketing, status):
    names = ["Families", "Guests of honour"]
    marketing.switches.refused_segments = dict.fromkeys(names, status)
    return names


@pytest.mark.parametrize("status", [403, 500, 504])
def test_segments_that_fail_stop_nobody_else(sandbox, config, status, impatient, caplog):
    caplog.set_level("INFO", "tap-d365")
    api, marketing = config["segments_api"], sandbox.organisation.marketing
    names = half_failing(marketing, status)
    messages = run_tap(config)
    expected = {name: sorted(ids) for name, ids in live(sandbox, api).items() if ids and name not in names}
    assert {name: sorted(ids) for name, ids in members(messages).items()} == expected
    for name in names:
        snapshot = snapshots(messages)[named(messages)[name]["segment_id"]]
        assert (snapshot["complete"], snapshot["reason"], snapshot["member_count"]) == (False, "failed", 0)
        assert f"({name}) is not complete" in caplog.text
    assert re.search(r"can be read: .*\d draft", caplog.text)
    # The next run reads these, and these only, again.
    marketing.switches.refused_segments = {}
    second = run_tap(config, state=messages.states[-1])
    found = {record["segment_id"]: record["complete"] for record in second.records("segment_snapshots")}
    assert found == {named(messages)[name]["segment_id"]: True for name in names}
    assert not run_tap(config, state=second.states[-1]).of("RECORD")


def test_a_segment_that_breaks_off(sandbox, marketing, monkeypatch):
    """The first pages come, the next one is refused."""
    config = tap_config(sandbox, segments_api="outbound", tables=[], page_size=30)
    marketing.switches.most_paged_rows = 60  # and the tap does not know
    messages = run_tap(config)
    counts = {each["member_count"]: each["complete"] for each in snapshots(messages).values() if each["member_count"]}
    assert counts[60] is False
    assert all(complete for count, complete in counts.items() if count < 60)
    monkeypatch.setattr("annex_d365.dataverse.segments.outbound.MAX_PAGED_ROWS", 60)
    second = run_tap(config, state=messages.states[-1])
    names = {record["segment_id"]: record["name"] for record in messages.records("segments")}
    found = {names[each["segment_id"]]: each for each in second.records("segment_snapshots")}
    sizes = {name: len(ids) for name, ids in live(sandbox, "outbound").items() if len(ids) >= 60}
    assert {name: (each["complete"], each["member_count"]) for name, each in found.items()} == {
        name: (True, size) for name, size in sizes.items()
    }


def test_an_empty_read_of_a_segment_with_members_is_not_complete(sandbox, config, api):
    table, name = GENERATIONS[api]
    column = {"outbound": "msdyncrm_segmentsize", "journeys": "msdynmkt_membercount"}[api]
    key = next(row[f"{table}id"] for row in sandbox.organisation.rows(table) if row[name] == "Nobody")
    assert snapshots(run_tap(config))[key]["complete"]
    sandbox.organisation.update(table, key, {column: 7})
    assert not snapshots(run_tap(config))[key]["complete"]


@pytest.mark.parametrize("shape", ["value", "entities", "text"])
def test_shapes_of_replies(sandbox, marketing, shape):
    marketing.switches.fetch_reply = shape
    messages = run_tap(tap_config(sandbox, segments_api="outbound", tables=[]))
    assert {name: len(ids) for name, ids in members(messages).items()} == {
        name: len(ids) for name, ids in live(sandbox, "outbound").items() if ids
    }


def test_outbound_as_it_is_since_2026(sandbox, marketing, caplog):
    marketing.switches.outbound_withdrawn = True
    messages = run_tap(tap_config(sandbox, segments_api="outbound", tables=[]))
    assert len(messages.records("segments")) == 14
    assert not messages.records("segment_members")
    assert not any(each["complete"] for each in snapshots(messages).values())
    assert "gone from this organisation" in caplog.text


def test_drafts_and_leads_are_reported(config, api, caplog):
    caplog.set_level("INFO", "tap-d365")
    messages = run_tap(config)
    reasons = Counter(each["reason"] for each in snapshots(messages).values() if not each["complete"])
    assert reasons["draft"] >= 2
    assert reasons["error"] == reasons["stopped"] == 1
    assert (reasons["of table lead"] == 1) == (api == "journeys")
    assert "1 error" in caplog.text


def test_no_right_to_read_contacts_ends_the_run(sandbox, config, api):
    sandbox.organisation.switches.unreadable_tables = ["contact"]
    with pytest.raises(PrivilegeError):
        run_tap(config)
    sandbox.organisation.switches.unreadable_tables = []
    first = run_tap(config)
    table, _ = GENERATIONS[api]
    for row in sandbox.organisation.rows(table):
        sandbox.organisation.update(table, row[f"{table}id"], {f"{table.partition('_')[0]}_description": "x"})
    sandbox.organisation.switches.unreadable_tables = ["contact"]
    with pytest.raises(PrivilegeError):
        run_tap(config, state=first.states[-1])


def test_a_segment_that_stays_refused_does_not_end_later_runs(config, marketing):
    half_failing(marketing, 403)
    first = run_tap(config)
    second = run_tap(config, state=first.states[-1])
    assert [each["complete"] for each in second.records("segment_snapshots")] == [False, False]


def test_far_fewer_members_than_the_evaluation_found_are_not_complete(sandbox, config, api):
    table, _ = GENERATIONS[api]
    key = next(row[f"{table}id"] for row in sandbox.organisation.rows(table) if row[GENERATIONS[api][1]] == "Families")
    column = {"outbound": "msdyncrm_segmentsize", "journeys": "msdynmkt_membercount"}[api]
    size = len(live(sandbox, api)["Families"])
    for stale, complete in ((size + 1, True), (size * 2, False)):
        sandbox.organisation.update(table, key, {column: stale})
        assert snapshots(run_tap(config))[key]["complete"] is complete


@pytest.fixture
def answers(monkeypatch):
    """Changes what actions answer, and what happens meanwhile."""

    def change(by):
        original = Dataverse.ask
        monkeypatch.setattr(Dataverse, "ask", lambda self, action, body: by(action, body, original(self, action, body)))

    return change


def shrinking(sandbox, answers, times):
    """A segment of outbound marketing that is evaluated anew, with one member less, behind its first page."""
    organisation, table = sandbox.organisation, "msdyncrm_segment"
    key = next(row[f"{table}id"] for row in organisation.rows(table) if row["msdyncrm_segmentname"] == "Families")
    done = []

    def by(_action, body, reply):
        if "SKIP(0)" in body["Query"] and len(done) < times:
            done.append(reply["value"][0]["contactid"])
            with organisation.store.transaction() as db:
                db.execute("DELETE FROM d365_segment_member WHERE segment_id=? AND member_id=?", [key, done[-1]])
            organisation.update(table, key, {"msdyncrm_lastevaluationtime": f"2026-11-23T00:00:0{len(done)}Z"})
        return reply

    answers(by)
    name = {"filter": "msdyncrm_segmentname eq 'Families'"}
    return key, tap_config(sandbox, segments_api="outbound", tables=[], page_size=30, segments=name)


def test_a_segment_that_is_evaluated_while_it_is_read_is_read_again(sandbox, marketing, answers):
    key, config = shrinking(sandbox, answers, times=1)
    messages = run_tap(config)
    (snapshot,) = messages.records("segment_snapshots")
    ids = [each["contact_id"] for each in messages.records("segment_members") if each["version"] == snapshot["version"]]
    assert snapshot["complete"]
    assert snapshot["member_count"] == len(ids)
    assert sorted(ids) == sorted(marketing.members(key))


def test_a_segment_that_never_rests_is_not_complete(sandbox, answers):
    key, config = shrinking(sandbox, answers, times=2)
    messages = run_tap(config)
    assert not snapshots(messages)[key]["complete"]
    (snapshot,) = run_tap(config, state=messages.states[-1]).records("segment_snapshots")
    assert snapshot["complete"]


def test_another_membership_has_another_version(sandbox, config, api):
    table, name = GENERATIONS[api]
    key = next(row[f"{table}id"] for row in sandbox.organisation.rows(table) if row[name] == "Guests of honour")
    first = run_tap(config)
    sandbox.organisation.update(table, key, {f"{table.partition('_')[0]}_description": "changed"})
    second = run_tap(config, state=first.states[-1])
    assert snapshots(second)[key]["version"] > snapshots(first)[key]["version"]


def test_an_action_that_is_gone_is_asked_for_once(sandbox, marketing):
    marketing.switches.outbound_withdrawn = True
    config = tap_config(sandbox, segments_api="outbound", tables=[], max_parallel_requests=1)
    sandbox.control.log.clear()
    run_tap(config)
    assert len(calls(sandbox, "FetchContactsByQuery")) == 1


def test_a_missing_action_concerns_the_segments_that_need_it(sandbox, caplog):
    missing = "Resource not found for the segment 'msdynmkt_MembersList'."
    sandbox.faults.add(kind="status", route="MembersList", status=404, code="0x80060888", message=missing)
    messages = run_tap(tap_config(sandbox, segments_api="journeys", tables=[]))
    assert snapshots(messages)[named(messages)["Guests of honour"]["segment_id"]]["complete"]
    assert "no action `msdynmkt_MembersList`" in caplog.text


def test_a_column_that_is_missing_concerns_the_segments_that_need_it(sandbox):
    sandbox.organisation.update(
        "msdyncrm_segment",
        next(
            row["msdyncrm_segmentid"]
            for row in sandbox.organisation.rows("msdyncrm_segment")
            if row["msdyncrm_segmentname"] == "Guests of honour"
        ),
        {"msdyncrm_segmentqueryname": None},
    )
    missing = "Could not find a property named 'msdyncrm_segmentmemberids' on type 'Microsoft.Dynamics.CRM.x'."
    route = r"msdyncrm_segments\("
    sandbox.faults.add(kind="status", route=route, status=400, code="0x80060888", message=missing)
    messages = run_tap(tap_config(sandbox, segments_api="outbound", tables=[]))
    assert not snapshots(messages)[named(messages)["Guests of honour"]["segment_id"]]["complete"]
    assert snapshots(messages)[named(messages)["Families"]["segment_id"]]["complete"]


def test_a_service_that_is_down_ends_the_run(sandbox, config, impatient):
    sandbox.faults.add(kind="status", route="MembersList|FetchContactsByQuery|WhoAmI", status=503)
    with pytest.raises(OutageError):
        run_tap(config)


def test_the_state_is_small_and_flat(config):
    state = json.dumps(run_tap(config).states[-1])
    assert "partitions" not in state
    assert len(state) < 2000


def test_no_member_data_is_logged(config, marketing, caplog):
    caplog.set_level("DEBUG")
    half_failing(marketing, 403)
    messages = run_tap(config)
    for record in messages.records("segment_members"):
        assert not (record["email"] and record["email"] in caplog.text)
        assert record["contact_id"] not in caplog.text
