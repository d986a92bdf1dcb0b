"""Rejected rows that come again, and what came after them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.ledger import Entry, State
from annex_d365.singer.replays import is_older, is_stale
from annex_d365.singer.rows import Row

numbers = st.one_of(
    st.integers(-(10**30), 10**30), st.decimals(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
)
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone.utc)
ZONES = [dt.timezone.utc, dt.timezone(dt.timedelta(hours=5, minutes=30))]
times = st.builds(
    lambda past, zone: (NOON - past).astimezone(zone),
    st.timedeltas(dt.timedelta(days=-30_000), dt.timedelta(days=30_000)),
    st.sampled_from(ZONES),
)


def spellings(moment):
    """As Dataverse and other sources write a time."""
    utc = moment.astimezone(dt.timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds")
    return [moment.isoformat(), f"{utc}Z", f"{utc}0Z", f"{utc.replace('T', ' ')}+00:00", utc]


def row(version="", at=None):
    reject = {} if at is None else {"reject": {"at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
    return Row({}, {"type": "RECORD", **reject}, version=version)


@given(numbers, numbers)
def test_numbers_are_compared_as_numbers(one, other):
    assert is_older(str(one), str(other)) == (Decimal(one) < Decimal(other))


@given(times, times, st.integers(0, 4), st.integers(0, 4))
def test_times_are_compared_as_times_however_they_are_written(one, other, first, second):
    assert is_older(spellings(one)[first], spellings(other)[second]) == (one < other)


@given(times, st.integers(0, 4), st.integers(0, 4))
def test_nothing_is_older_than_itself(moment, first, second):
    assert is_older(spellings(moment)[first], spellings(moment)[second]) is False


@given(st.text(), st.text())
def test_any_texts_are_compared_in_one_direction_at_most(one, other):
    there, back = is_older(one, other), is_older(other, one)
    assert (there is None) == (back is None)
    assert not (there and back)


@pytest.mark.parametrize(
    ("version", "than"),
    [("", "5"), ("5", ""), ("", ""), ("v1", "v2"), ("5", "2026-01-01T00:00:00Z"), ("NaN", "1"), ("Infinity", "1")],
)
def test_what_is_neither_two_times_nor_two_numbers_is_not_compared(version, than):
    assert is_older(version, than) is None


def test_numbers_have_no_alphabet():
    assert is_older("9", "10") is True


@given(st.sampled_from(["", "1", "2026-01-01T00:00:00Z"]), st.sampled_from(State), st.floats(0, 4e9))
def test_a_row_that_was_never_rejected_is_never_stale(version, state, at):
    assert not is_stale(row(version), Entry("k", "M1", state, version="9", at=at), "run")


@given(numbers, numbers, st.sampled_from(State), st.integers(-1000, 1000))
def test_versions_decide_before_times(one, other, state, seconds):
    entry = Entry("k", "M1", state, version=str(other), at=NOON.timestamp() + seconds)
    assert is_stale(row(str(one), NOON), entry, "run") == (Decimal(one) < Decimal(other))


@pytest.mark.parametrize(
    ("state", "run", "seconds", "stale"),
    [
        (State.SETTLED, "earlier", 1, True),
        (State.SETTLED, "earlier", 0, True),
        (State.SETTLED, "earlier", -1, False),
        (State.SETTLED, "this", 1, False),
        (State.RIVAL, "earlier", 1, False),
        (State.DELETED, "earlier", 1, True),
        (State.ERASED, "earlier", 1, True),
    ],
)
def test_without_versions_the_time_of_the_reject_decides(state, run, seconds, stale):
    entry = Entry("k", "M1", state, at=NOON.timestamp() + seconds, run=run)
    assert is_stale(row(at=NOON), entry, "this") is stale
