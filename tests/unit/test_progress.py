"""How far an incremental read has come, and what a run after a crash or the next run makes of it."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.client import ETAG
from annex_d365.dataverse.metadata import Table
from tap_d365.progress import MAX_REMEMBERED, Progress

TABLE = Table("contact", "contacts", "contactid", {})


def moment(second: int) -> str:
    return f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"


def row(key, second, version=1):
    return {"contactid": key, "modifiedon": moment(second), ETAG: f'W/"{version}"'}


def run(state, rows, *, now, kill_after=None):
    """A run over what the service holds, as the stream does it; the keys that it sends, and whether it ended."""
    bookmark = state.get("replication_key_value")
    progress = Progress(state, TABLE, bookmark, moment(now))
    found = sorted(
        (each for each in rows if not progress.position or each["modifiedon"] >= progress.position),
        key=lambda each: (each["modifiedon"], each["contactid"]),
    )
    sent = []
    for number, each in enumerate(found):
        if kill_after is not None and number >= kill_after:
            return sent, False
        if progress.is_new(each):
            sent.append((each["contactid"], each[ETAG]))
    progress.finish()
    # What the SDK does at the end of an unsorted stream (helpers/_state.py, finalize_state_progress_markers).
    state.pop("progress_markers")
    if sent:
        latest = max(each["modifiedon"] for each in found if (each["contactid"], each[ETAG]) in sent)
        state["replication_key_value"] = min(latest, moment(now))
    return sent, True


@given(st.integers(0, 2**32))
def test_every_version_is_sent_whatever_happens(seed):
    """Random edits, also within the second of the bookmark; runs killed anywhere go on from any earlier state."""
    chance = random.Random(seed)
    held, sent, version, now = {}, set(), 0, 10
    state: dict = {}
    for _round in range(6):
        for _edit in range(chance.randrange(6)):
            version += 1
            now += chance.randrange(3)
            key = f"c{chance.randrange(8)}"
            held[key] = row(key, now + 200 * (chance.random() < 0.2), version)
        before = copy.deepcopy(state)
        keys, ended = run(state, held.values(), now=now, kill_after=chance.choice([None, None, 1, 3]))
        sent.update(keys)
        if not ended and chance.random() < 0.3:
            state = before  # the state of the killed run was never saved
        now += chance.randrange(3)
    keys, _ = run(state, held.values(), now=now)
    sent.update(keys)
    assert {(key, each[ETAG]) for key, each in held.items()} <= sent


def test_nothing_is_sent_twice_when_nothing_changed():
    state: dict = {}
    rows = [row("a", 1), row("b", 5), row("c", 5)]
    assert run(state, rows, now=9)[0] != []
    kept = copy.deepcopy(state)
    assert run(state, rows, now=19)[0] == []
    assert state == kept


def test_rows_without_etag_are_sent_again():
    state: dict = {}
    rows = [{"contactid": "a", "modifiedon": moment(1)}]
    for _ in range(2):
        progress = Progress(state, TABLE, state.get("replication_key_value"), moment(9))
        assert all(progress.is_new(each) for each in rows)
        progress.finish()
        state["replication_key_value"] = moment(1)


@pytest.mark.parametrize("count", [MAX_REMEMBERED, MAX_REMEMBERED + 1])
def test_the_memory_has_an_end(count):
    state: dict = {}
    rows = [row(f"c{number:03}", 5) for number in range(count)]
    run(state, rows, now=9)
    assert ("at_bookmark" in state) == (count == MAX_REMEMBERED)
    assert len(run(state, rows, now=9)[0]) == (0 if count == MAX_REMEMBERED else count)


def test_a_start_date_after_the_bookmark_forgets():
    state = {"at_bookmark": {"modifiedon": moment(1), "rows": {"a": 'W/"1"'}}}
    assert Progress(state, TABLE, moment(2), moment(9)).is_new(row("a", 2))
