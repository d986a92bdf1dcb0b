"""Two pieces of work in flight: one runs at a time, and what they share stays in order."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from annex_d365 import relay
from annex_d365.singer.behind import WriteBehind

#: For what should happen. What should not, is not waited for that long.
SOON, NOT_YET = 10, 0.1


@pytest.fixture
def behind():
    made = WriteBehind()
    yield made
    made.close()


class Two:
    """Two pieces; the first one waits for an answer when it has told what it touches."""

    def __init__(self, behind, *, first="a", second="b", lanes=("lane", "lane")):
        self.behind, self.first, self.second, self.lanes = behind, first, second, lanes
        self.begun, self.answer, self.done = threading.Event(), threading.Event(), threading.Event()
        self.events = []

    def start(self, *, failing=False, failing_second=False):
        self.behind.put(partial(self.one, failing=failing), self.lanes[0])
        assert self.begun.wait(SOON)
        self.behind.put(partial(self.two, failing=failing_second), self.lanes[1])

    def one(self, *, failing):
        relay.beside(self.first)
        self.begun.set()
        with relay.waiting():
            self.answer.wait(SOON)
        self.events.append("first")
        if failing:
            raise RuntimeError("first")

    def two(self, *, failing):
        try:
            if failing:
                raise RuntimeError("second")
            while relay.beside(self.second):
                self.events.append("again")
            self.events.append("second")
        finally:
            self.done.set()


def test_a_piece_goes_on_while_the_one_before_it_waits(behind):
    two = Two(behind)
    two.start()
    assert two.done.wait(SOON)
    two.answer.set()
    behind.settle()
    assert two.events == ["second", "first"]


@pytest.mark.parametrize(
    ("case", "again"),
    [
        ({"second": "ba"}, ["again"]),
        ({"first": None}, ["again"]),
        ({"second": None}, ["again"]),
        ({"lanes": ("lane", "other")}, []),
        ({"lanes": ("", "lane")}, []),
        ({"lanes": ("lane", "")}, []),
        ({"lanes": ("", "")}, []),
    ],
)
def test_what_is_not_known_to_be_apart_waits(behind, case, again):
    two = Two(behind, **case)
    two.start()
    assert not two.done.wait(NOT_YET)
    two.answer.set()
    behind.settle()
    assert two.events == ["first", *again, "second"]


def test_who_has_told_waits_for_what_an_earlier_piece_has_told_since(behind):
    events, told, more = [], threading.Event(), threading.Event()

    def first():
        relay.beside("a")
        with relay.waiting():
            told.wait(SOON)
        relay.beside("c")
        more.set()
        with relay.waiting():
            threading.Event().wait(NOT_YET)
        events.append("first")

    def second():
        relay.beside("b")
        told.set()
        with relay.waiting():
            more.wait(SOON)
        while relay.beside("c"):
            events.append("again")

    behind.put(first, "lane")
    behind.put(second, "lane")
    behind.settle()
    assert events == ["first", "again"]


def test_no_two_pieces_run_at_the_same_time(behind):
    running, most = 0, 0

    def work(number):
        nonlocal running, most
        relay.beside([number])
        for _ in range(5):
            running += 1
            most = max(most, running)
            threading.Event().wait(0.001)
            running -= 1
            with relay.waiting():
                threading.Event().wait(0.001)

    for number in range(6):
        behind.put(partial(work, number), "lane")
    behind.settle()
    assert most == 1


def test_what_follows_a_piece_follows_the_earlier_ones_and_does_not_wait_for_later_ones(behind):
    two, followed, late = Two(behind), [], threading.Event()
    behind.put(partial(two.one, failing=False), "lane")
    assert two.begun.wait(SOON)
    behind.then(partial(followed.append, 1))
    behind.put(partial(two.two, failing=False), "lane")
    behind.then(partial(followed.append, 2))
    assert two.done.wait(SOON)
    behind.then(late.set)
    assert not late.wait(NOT_YET)
    assert followed == []
    two.answer.set()
    behind.settle()
    assert followed == [1, 2]
    assert late.is_set()


def test_a_state_leaves_while_the_next_piece_is_at_work(behind):
    left, seen = threading.Event(), []

    def next_one():
        relay.beside("b")
        with relay.waiting():
            seen.append(left.wait(SOON))

    behind.put(partial(relay.beside, "a"), "lane")
    behind.then(left.set)
    behind.put(next_one, "lane")
    behind.settle()
    assert seen == [True]


@pytest.mark.parametrize("failing_second", [False, True])
def test_the_earlier_failure_counts_and_no_state_follows_it(behind, failing_second):
    two, followed = Two(behind), []
    two.start(failing=True, failing_second=failing_second)
    behind.then(partial(followed.append, 1))
    assert two.done.wait(SOON)
    two.answer.set()
    with pytest.raises(RuntimeError, match="first"):
        behind.put(partial(followed.append, 2), "lane")
    with pytest.raises(RuntimeError, match="first"):
        behind.settle()
    assert followed == []
    assert ("second" in two.events) is not failing_second, "what it had begun, it has ended"


def test_a_later_failure_leaves_the_earlier_piece_alone(behind):
    two, followed = Two(behind), []
    behind.put(partial(two.one, failing=False), "lane")
    assert two.begun.wait(SOON)
    behind.then(partial(followed.append, 1))
    behind.put(partial(two.two, failing=True), "lane")
    behind.then(partial(followed.append, 2))
    assert two.done.wait(SOON)
    two.answer.set()
    with pytest.raises(RuntimeError, match="second"):
        behind.settle()
    assert (two.events, followed) == (["first"], [1])


def test_who_waited_for_a_piece_that_failed_touches_nothing(behind):
    two = Two(behind, second="a")
    two.start(failing=True)
    two.answer.set()
    with pytest.raises(RuntimeError, match="first"):
        behind.settle()
    assert two.events == ["first"]


def test_where_no_piece_is_worked_on_nobody_waits():
    assert relay.beside(None) is False
    with relay.waiting():
        assert relay.beside(["a"]) is False
