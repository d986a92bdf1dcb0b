"""The gate: how many requests are in flight, and when."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.gate import CALM_ANSWERS, Closing, Gate


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


@pytest.mark.parametrize("waiting", ["pause", "place", "sleep"])
def test_closing_ends_all_waiting(waiting):
    gate = Gate(1)
    if waiting == "pause":
        gate.pause(300)

    def wait():
        if waiting == "sleep":
            gate.sleep(300)
        with gate.pass_one():
            raise AssertionError

    held = gate.pass_one() if waiting == "place" else nullcontext()
    with held, ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(wait) for _ in range(3)]
        time.sleep(0.05)
        assert not any(each.done() for each in waits)
        started = time.monotonic()
        gate.close()
        assert {type(each.exception(2)) for each in waits} == {Closing}
        assert time.monotonic() - started < 1
    with pytest.raises(Closing):
        gate.sleep(1)


def test_workers_end_with_their_block_and_nobody_else():
    gate = Gate(1)
    started = time.monotonic()
    gate.pause(0.3)

    def wait():
        with gate.pass_one():
            return time.monotonic() - started

    with ThreadPoolExecutor(1) as other:
        waits = other.submit(wait)
        with gate.workers(1, "x") as pool:
            own, never = pool.submit(gate.sleep, 300), pool.submit(wait)
            time.sleep(0.05)
        assert time.monotonic() - started < 0.3
        assert isinstance(own.exception(), Closing)
        assert never.cancelled()
        assert waits.result() >= 0.3


def test_a_sleep_that_nobody_ends():
    started = time.monotonic()
    Gate(1).sleep(0.05)
    assert time.monotonic() - started >= 0.05


def answer(gate, kind, seconds, times):
    for _ in range(times):
        gate.answered(kind=kind, seconds=seconds)


def test_slow_answers_lower_the_number_in_flight_and_quick_ones_raise_it_again():
    gate = Gate(16)
    answer(gate, "GET", 0.05, 30)
    assert gate.allowed == 16
    answer(gate, "GET", 0.4, 3 * CALM_ANSWERS)
    slow = gate.allowed
    assert slow <= 9
    answer(gate, "GET", 0.05, 20 * CALM_ANSWERS)
    assert gate.allowed == 16


def test_kinds_are_not_compared_with_each_other():
    gate = Gate(16)
    for _ in range(200):
        gate.answered(kind="GET", seconds=0.03)
        gate.answered(kind="POST of a hundred", seconds=0.9)
    assert gate.allowed == 16


@pytest.mark.parametrize("kind", ["", "GET"])
def test_noise_and_answers_of_no_kind_change_nothing(kind):
    gate = Gate(16)
    answer(gate, kind, 0.001, 50)
    answer(gate, kind, 0.05 if kind else 5.0, 100)
    assert gate.allowed == 16


def test_a_service_that_is_slower_today_is_not_throttled_for_ever():
    gate = Gate(8)
    answer(gate, "GET", 0.05, 100)
    answer(gate, "GET", 0.3, 20_000)
    assert gate.allowed == 8


@given(st.lists(st.floats(0, 10), max_size=300))
def test_one_request_may_always_be_in_flight(seconds):
    gate = Gate(5)
    for each in seconds:
        gate.answered(kind="GET", seconds=each)
        assert 1 <= gate.allowed <= 5
