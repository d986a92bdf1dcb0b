"""Work in a thread of its own: in order, in a bounded queue, and nothing after a failure."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from annex_d365.singer.behind import IN_WORK, WriteBehind


@pytest.fixture
def behind():
    made = WriteBehind()
    yield made
    made.close()


def test_work_is_done_in_its_order_and_in_another_thread(behind):
    done, threads = [], set()

    def work(number):
        done.append(number)
        threads.add(threading.current_thread())

    for number in range(20):
        behind.put(partial(work, number))
    behind.settle()
    assert done == list(range(20))
    assert threading.current_thread() not in threads
    behind.then(partial(work, 20))
    behind.then(partial(work, 20))
    assert threading.current_thread() in threads, "there was nothing to wait for"


def test_what_follows_waits_for_what_is_under_way(behind):
    gate, done = threading.Event(), []
    behind.put(gate.wait)
    behind.then(partial(done.append, "STATE"))
    assert done == []
    gate.set()
    behind.settle()
    assert done == ["STATE"]


def test_the_queue_is_bounded(behind):
    gate, put = threading.Event(), []

    def fill():
        for number in range(IN_WORK + 1):
            behind.put(gate.wait)
            put.append(number)

    filler = threading.Thread(target=fill)
    filler.start()
    filler.join(0.2)
    before = len(put)
    gate.set()
    filler.join()
    assert (before, len(put)) == (IN_WORK, IN_WORK + 1)


def test_nothing_is_done_after_a_failure_which_is_raised_again_and_again(behind):
    done = []

    def fail():
        raise RuntimeError("no")

    behind.put(fail)
    behind.finish()
    for put in (behind.put, behind.then):
        with pytest.raises(RuntimeError):
            put(partial(done.append, 1))
    with pytest.raises(RuntimeError):
        behind.settle()
    assert done == []
