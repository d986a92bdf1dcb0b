"""The gate: how many requests are in flight, and when."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.gate import CALM_ANSWERS, Gate


def test_never_more_than_allowed():
    gate, lock, in_flight, most = Gate(3), threading.Lock(), 0, 0

    def request(_):
        nonlocal in_flight, most
        with gate.pass_one():
            with lock:
                in_flight += 1
                most = max(most, in_flight)
            time.sleep(0.002)
            with lock:
                in_flight -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(request, range(60)))
    assert most == 3


def test_a_pause_holds_back_all_to_the_letter():
    gate = Gate(4)
    gate.pause(0.2)
    started = time.monotonic()

    def request(_):
        with gate.pass_one():
            return time.monotonic() - started

    with ThreadPoolExecutor(4) as pool:
        waited = list(pool.map(request, range(4)))
    assert min(waited) >= 0.2
    assert gate.paused_seconds == pytest.approx(0.2, abs=0.01)


def test_a_longer_pause_wins_and_is_counted_once():
    gate = Gate(4)
    gate.pause(0.05)
    gate.pause(0.2)
    gate.pause(0.1)
    assert gate.paused_seconds == pytest.approx(0.2, abs=0.02)
    assert gate.allowed == 2  # one storm, however many requests it hits
    started = time.monotonic()
    with gate.pass_one():
        assert time.monotonic() - started >= 0.18


def test_half_after_a_pause_then_one_more_at_a_time():
    gate = Gate(8)
    gate.pause(0)
    assert gate.allowed == 4
    for expected in (5, 6, 7, 8, 8):
        for _ in range(CALM_ANSWERS):
            gate.answered()
        assert gate.allowed == expected


def test_advice_is_followed_until_there_is_other():
    gate = Gate(16)
    gate.answered(hint=4)
    assert gate.allowed == 4
    for _ in range(CALM_ANSWERS * 3):
        gate.answered()
    assert gate.allowed == 4
    gate.answered(hint=6)
    for _ in range(CALM_ANSWERS * 3):
        gate.answered(hint=0)
    assert gate.allowed == 6


@given(st.lists(st.one_of(st.none(), st.integers(0, 64)), max_size=200), st.integers(-1, 64))
def test_there_is_always_room_for_one(events, limit):
    gate = Gate(limit)
    for event in events:
        if event is None:
            gate.pause(0)
        else:
            gate.answered(event)
        assert 1 <= gate.allowed <= max(1, limit)


def test_a_place_is_given_back_after_an_error():
    gate = Gate(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), gate.pass_one():
            raise ZeroDivisionError
