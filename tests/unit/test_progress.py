"""What the state of an incremental stream says, and what the next run makes of it.

That nothing is lost, whatever is killed, is shown in test_ranges.py.
"""

from __future__ import annotations

import copy

import pytest

from annex_d365.dataverse.client import ETAG
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.ranges import Part, Range
from tap_d365.progress import MAX_REMEMBERED, Progress

TABLE = Table("contact", "contacts", "contactid", {})


def moment(second):
    return f"2026-01-01T00:00:{second:02}Z"


def row(key, second, version=1):
    return {"contactid": key, "modifiedon": moment(second), ETAG: f'W/"{version}"'}


def run(state, rows, *, now=50, bookmark=None, start=None):
    """A run that reads these rows in one range; the keys that it sends."""
    bookmark = bookmark or state.get("replication_key_value")
    progress = Progress(state, TABLE, bookmark, start or bookmark, moment(now))
    (only,) = progress.ranges
    sent = [each["contactid"] for each in progress.new_rows(Part(only, rows, last=True))]
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
    rows = [{"contactid": "a", "modifiedon": moment(5)}]
    assert run(state, rows) == run(state, rows) == ["a"]


@pytest.mark.parametrize("count", [MAX_REMEMBERED, MAX_REMEMBERED + 1])
def test_the_memory_has_an_end(count):
    state = {}
    rows = [row(f"c{number:04}", 5) for number in range(count)]
    run(state, rows)
    assert ("at_bookmark" in state) == (count == MAX_REMEMBERED)
    assert len(run(state, rows)) == (0 if count == MAX_REMEMBERED else count)


def test_the_bookmark_never_goes_back():
    """Not even when the look-back finds nothing newer."""
    state = {"replication_key_value": moment(9)}
    assert run(state, [row("a", 3)], start=moment(2)) == ["a"]
    assert state["replication_key_value"] == moment(9)


def test_a_start_date_after_the_bookmark_forgets():
    state = {"at_bookmark": {"modifiedon": moment(1), "rows": {"a": 'W/"1"'}}}
    assert run(state, [row("a", 2)], bookmark=moment(2)) == ["a"]


def test_a_cut_is_in_the_state_before_the_old_range_ends_there():
    state = {}
    progress = Progress(state, TABLE, None, None, moment(50))
    (old,) = progress.ranges
    new = Range(moment(20))
    assert list(progress.new_rows(Part(old, cut=new))) == []
    assert state["ranges"] == [
        {"lo": None, "hi": moment(20), "pos": None},
        {"lo": moment(20), "hi": None, "pos": None},
    ]
    list(progress.new_rows(Part(new, [row("z", 30)], last=True)))
    assert state["ranges"][1] == {"lo": moment(20), "hi": None, "pos": moment(30)}, "the open range stays"
    list(progress.new_rows(Part(old, [row("a", 10)], last=True)))
    assert [each["hi"] for each in state["ranges"]] == [None]
    assert state["latest"] == moment(30)


def test_a_date_in_the_future_moves_nothing():
    state = {}
    progress = Progress(state, TABLE, None, None, moment(10))
    (only,) = progress.ranges
    rows = progress.new_rows(Part(only, [row("a", 40)], last=True))
    next(rows)
    assert (state["ranges"][0]["pos"], state["latest"]) == (None, None)
    list(rows)
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
    ],
)
def test_nonsense_in_the_state_is_no_end(nonsense, caplog):
    state = {"since": None, "query": "", "latest": None, **nonsense}
    assert run(state, [row("a", 5)]) == ["a"]
    assert ("begins anew" in caplog.text) == ("ranges" in nonsense)
