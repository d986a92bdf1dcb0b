"""Segments that cannot be read, or change while they are read, and what is said of it. Against the sandbox."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from segment_streams import GENERATIONS, calls, half_failing, live, members, named, snapshots
from support import run_tap, tap_config

from annex_d365.dataverse.client import Dataverse
from annex_d365.errors import OutageError, PrivilegeError


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
