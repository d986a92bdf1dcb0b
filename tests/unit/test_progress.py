"""What the state of an incremental stream says, and what the next run makes of it.

That nothing is lost, whatever is killed, is shown in test_ranges.py.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.ranges import Part, Range
from tap_d365.progress import Progress, _packed, _sent

TABLE = Table("contact", "contacts", "contactid", {})


def moment(second):
    return f"2026-01-01T00:00:{second:02}Z"


def row(key, second, version=1):
    """Versions are those of a database: no two rows share one."""
    return SimpleNamespace(key=key, at=moment(second), etag=f'W/"{zlib.crc32(key.encode())}{version}"')


def read(progress, part, most=3):
    """The rows of a part that are sent."""
    sent = []
    for chunk in progress.chunks(part, most):
        sent += chunk.new
        progress.note(chunk)
    return sent


def run(state, rows, *, now=50, bookmark=None, start=None):
    """A run that reads these rows in one range; the keys that it sends."""
    bookmark = bookmark or state.get("replication_key_value")
    progress = Progress(state, TABLE, bookmark, start or bookmark, moment(now))
    (only,) = progress.ranges
    sent = [each.key for each in read(progress, Part(only, rows, last=True))]
    progress.finish("modifiedon")
    markers = state.pop("progress_markers")
    if markers:
        state["replication_key_value"] = markers["replication_key_value"]
    return sent


def test_nothing_is_sent_twice_when_nothing_changed():
    state = {}
    rows = [row("a", 1), row("b", 5), row("c", 5)]
    assert run(state, rows) == ["a", "b", "c"]
    assert state["replication_key_value"] == moment(5)
    kept = copy.deepcopy(state)
    assert run(state, rows[1:]) == []
    assert state == kept


def test_a_new_version_in_the_bookmarks_second_is_sent():
    state = {}
    run(state, [row("a", 5), row("b", 5)])
    assert run(state, [row("a", 5), row("b", 5, 2), row("c", 5)]) == ["b", "c"]


def test_rows_without_etag_are_sent_again():
    state = {}
    rows = [SimpleNamespace(key="a", at=moment(5), etag=None)]
    assert run(state, rows) == run(state, rows) == ["a"]


def imported(count, gap=1):
    """Rows of one import, all with one time; ``gap`` other rows of the database are written in between, or fewer."""
    chance, version = random.Random(1), 10**9
    for number in range(count):
        version += chance.randint(1, gap)
        yield SimpleNamespace(key=f"c{number:06}", at=moment(5), etag=f'W/"{version}"')


@pytest.mark.parametrize(("count", "gap"), [(50_000, 1), (30_000, 200)])
def test_a_large_import_in_one_second_is_not_sent_twice(count, gap):
    state = {}
    rows = list(imported(count, gap))
    assert len(run(state, rows)) == count
    assert len(json.dumps(state)) < 100_000
    kept = copy.deepcopy(state)
    assert run(state, [*rows, row("new", 5)]) == ["new"]
    assert run(state, [*rows, row("new", 5)]) == []
    state = kept
    assert run(state, rows) == []
    assert state == kept


def test_the_memory_has_an_end_and_what_is_beyond_it_is_sent_again(monkeypatch):
    monkeypatch.setattr("tap_d365.progress.MAX_REMEMBERED", 600)
    state = {}
    rows = list(imported(2000, 10**6))
    run(state, rows)
    assert 300 < len(state["at_bookmark"]["rows"]) <= 600
    again = run(state, [*rows, row("new", 5)])
    assert 1000 < len(again) < 2000
    assert "new" in again


def test_a_date_in_the_future_is_not_sent_again_unless_it_changed():
    state = {}
    rows = [row("past", 5), row("one", 55), row("two", 58)]
    assert run(state, rows) == ["past", "one", "two"]
    assert state["replication_key_value"] == moment(5)
    rows[1] = row("one", 56, 2)
    assert run(state, rows) == ["one"]
    assert run(state, rows) == []
    # In time it is like all the others.
    assert run(state, rows, now=57) == []
    assert state["replication_key_value"] == moment(56)
    assert run(state, rows[1:], now=59) == []


def test_only_dates_in_the_future():
    state = {}
    rows = [row("one", 55)]
    assert run(state, rows) == ["one"]
    assert "replication_key_value" not in state
    assert run(state, rows) == []


def test_rows_without_a_date():
    state = {}
    rows = [SimpleNamespace(key="a", at=None, etag='W/"1"')]
    assert run(state, rows) == ["a"]
    assert run(state, rows) == []
    assert run(state, [*rows, row("b", 5)]) == ["b"]
    assert run(state, [row("b", 5)]) == []


def test_a_version_that_comes_again_with_another_time_is_another_row():
    """After a restore the database counts on from an earlier number."""
    state = {}
    run(state, [row("a", 5)])
    assert run(state, [row("a", 7)]) == ["a"]


def test_a_run_that_is_killed_keeps_what_it_knows():
    state = {}
    run(state, [row("a", 5)])
    killed = copy.deepcopy(state)
    Progress(killed, TABLE, moment(5), moment(5), moment(50))
    assert run(killed, [row("a", 5), row("b", 5)]) == ["b"]


versions = st.dictionaries(
    st.integers(0, 2**63).map(lambda number: f'W/"{number}"'), st.sampled_from(["", moment(5), moment(55)]), max_size=50
)


@given(versions)
def test_what_is_packed(sent):
    assert _sent({"modifiedon": moment(5), "rows": _packed(sent)}, moment(5)) == sent


@given(st.text(max_size=20) | st.binary(max_size=20).map(lambda raw: base64.b64encode(zlib.compress(raw)).decode()))
def test_nonsense_is_not_unpacked(text):
    assert _sent({"modifiedon": None, "rows": text}, None) == {}


def test_the_bookmark_never_goes_back():
    """Not even when the look-back finds nothing newer."""
    state = {"replication_key_value": moment(9)}
    assert run(state, [row("a", 3)], start=moment(2)) == ["a"]
    assert state["replication_key_value"] == moment(9)


def test_a_start_date_after_the_bookmark_forgets():
    state = {}
    run(state, [row("a", 5)])
    assert run(state, [row("a", 5)], bookmark=moment(6), start=moment(1)) == ["a"]


def test_a_cut_is_in_the_state_before_the_old_range_ends_there():
    state = {}
    progress = Progress(state, TABLE, None, None, moment(50))
    (old,) = progress.ranges
    new = Range(moment(20))
    assert read(progress, Part(old, cut=new)) == []
    assert state["ranges"] == [
        {"lo": None, "hi": moment(20), "pos": None},
        {"lo": moment(20), "hi": None, "pos": None},
    ]
    read(progress, Part(new, [row("z", 30)], last=True))
    assert state["ranges"][1] == {"lo": moment(20), "hi": None, "pos": moment(30)}, "the open range stays"
    read(progress, Part(old, [row("a", 10)], last=True))
    assert [each["hi"] for each in state["ranges"]] == [None]
    assert state["latest"] == moment(30)


def test_a_date_in_the_future_moves_nothing():
    state = {}
    progress = Progress(state, TABLE, None, None, moment(10))
    (only,) = progress.ranges
    read(progress, Part(only, [row("a", 40)], last=True))
    assert (state["ranges"][0]["pos"], state["latest"]) == (None, None)
    progress.finish("modifiedon")
    assert state["progress_markers"] == {}


def test_ranges_of_another_query_are_of_no_use():
    state = {}
    Progress(state, TABLE, None, None, moment(50), query="contacts?$select=a")
    state["ranges"][0]["pos"] = moment(30)
    kept = copy.deepcopy(state)
    (same,) = Progress(kept, TABLE, None, None, moment(50), query="contacts?$select=a").ranges
    (other,) = Progress(state, TABLE, None, None, moment(50), query="contacts?$select=a,b").ranges
    assert (same.pos, other.pos) == (moment(30), None)


def test_another_start_begins_anew():
    state = {}
    Progress(state, TABLE, None, moment(20), moment(50))
    assert Progress(state, TABLE, None, moment(20), moment(50)).ranges[0].lo == moment(20)
    (only,) = Progress(state, TABLE, None, moment(10), moment(50)).ranges
    assert (only.lo, only.pos) == (moment(10), None)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"ranges": []},
        {"ranges": {}},
        {"ranges": None},
        {"ranges": 5},
        {"ranges": [{}]},
        {"ranges": [{"lo": None, "hi": None, "pos": None, "more": 1}]},
        {"ranges": [{"lo": None, "hi": None, "pos": "zz or 1 eq 1"}]},
        {"ranges": [{"lo": None, "hi": 7, "pos": None}]},
        {"ranges": [{"lo": None, "hi": None, "pos": None}], "latest": "zz"},
        {"at_bookmark": 5},
        {"at_bookmark": {"modifiedon": None, "rows": None}},
        {"at_bookmark": {"modifiedon": None, "rows": [1]}},
        {"at_bookmark": {"modifiedon": None, "rows": "AAAA"}},
    ],
)
def test_nonsense_in_the_state_is_no_end(nonsense, caplog):
    state = {"since": None, "query": "", "latest": None, **nonsense}
    assert run(state, [row("a", 5)]) == ["a"]
    assert ("begins anew" in caplog.text) == ("ranges" in nonsense)
