"""What the streams of segments remember."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.segments.segment import Segment
from tap_d365.known_segments import InState, packed, unpacked
from tap_d365.segment_state import Seen, fingerprint, moment_of

NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z"
versions = st.integers(1, 10**12)


def etag(version):
    return f'W/"{version}"'


@given(st.sets(versions), st.sets(st.uuids().map(str)))
def test_the_state_comes_back(numbers, again):
    seen = Seen("q", NOON, frozenset(numbers), frozenset(again))
    assert Seen.from_state(json.loads(json.dumps(seen.to_state())), "q") == seen


@pytest.mark.parametrize("state", [None, {}, [], {"query": "q", "versions": "x"}, {"query": "q", "until": "yesterday"}])
def test_a_state_that_says_nothing(state):
    assert Seen.from_state(state, "q") == Seen("q")


def test_another_question_begins_anew():
    assert Seen.from_state(Seen("q", NOON).to_state(), "other") == Seen("other")
    assert fingerprint("a", ["b"]) != fingerprint("a", "b")


def test_rows_of_the_bookmark_are_known_by_their_version():
    seen = Seen("q").after([(NOON, etag(1)), ("2026-01-01T11:00:00Z", etag(2)), (NOON, "")], LATER, ["x"])
    assert (seen.until, seen.again) == (NOON, {"x"})
    assert [seen.has(each) for each in (etag(1), etag(2), etag(3), "")] == [True, False, False, False]
    assert seen.start(3600) == "2026-01-01T11:00:00Z"


def test_a_row_in_the_future_hides_nothing_and_comes_once():
    seen = Seen("q").after([(LATER, etag(5)), (NOON, etag(4))], NOON)
    assert (seen.until, seen.has(etag(5)), seen.has(etag(4))) == (NOON, True, True)


def test_a_run_that_is_killed_is_gone_on_with():
    one, two = (Segment(key, "journeys", version=etag(number)) for number, key in enumerate("ab", 7))
    seen = Seen("q", None, frozenset(), frozenset("ac")).with_read([one])
    seen = Seen.from_state(json.loads(json.dumps(seen.to_state())), "q")
    assert [seen.has(each.version) for each in (one, two)] == [True, False]
    assert (seen.until, seen.again) == (None, {"c"})


def test_a_bookmark_before_the_calendar():
    assert Seen("q", "0001-01-01T00:00:00Z").start(60) is None


def test_nothing_new_leaves_the_bookmark():
    seen = Seen("q", NOON, frozenset({1}))
    assert seen.after([(NOON, etag(1))], LATER) == seen
    assert Seen("q").after([], NOON) == Seen("q")


def test_moments():
    assert moment_of("2026-01-01T13:00:00.5+01:00") == NOON


@given(st.sets(st.uuids().map(str)))
def test_ids_come_back(ids):
    assert unpacked(packed(ids)) == ids
    assert len(packed(ids)) <= 22 * len(ids) + 4


@pytest.mark.parametrize("text", [5, "é", "AAAA", "x"])
def test_no_ids(text, caplog):
    assert InState({"known": text}).add(["5f5b9b1e-0000-4000-8000-000000000001"])["known"]
    assert "cannot be read" in caplog.text


def test_once_too_many_ids_are_told_each_run(monkeypatch, caplog):
    monkeypatch.setattr("tap_d365.known_segments.MAX_IDS_IN_STATE", 1)
    before = InState({})
    assert before.add(str(UUID(int=number)) for number in range(2)) == {"overfull": True}
    state = before.finish()
    caplog.clear()
    again = InState(state)
    assert again.add([str(UUID(int=1))]) == again.finish() == {"overfull": True}
    assert "snapshot_path" in caplog.text


@given(st.sets(st.uuids().map(str)), st.sets(st.uuids().map(str)), st.sets(st.uuids().map(str)))
def test_what_is_gone(before, sent, others):
    known = InState({"known": packed(before)})
    assert unpacked(known.add(sent)["known"]) == before | sent
    present = {each for each in before | sent if int(each[:8], 16) % 2} | others
    assert list(known.gone(present)) == sorted((before | sent) - present)
    assert unpacked(known.finish()["known"]) == (before | sent) & present
