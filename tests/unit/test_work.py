"""Work in parallel: answers in order, and none is lost when the run ends."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from annex_d365.errors import OutageError, RowError
from target_annex.work import answered, in_parallel, prepared


def halve(number):
    if number % 2:
        raise RowError(f"{number} is odd")
    return number // 2


def test_answers_come_in_order_and_errors_stay_with_their_rows():
    with ThreadPoolExecutor(4) as executor:
        answers = in_parallel(executor, halve, range(20))
        assert answers[::2] == list(range(10))
        assert [str(error) for error in answers[1::2]] == [f"{number} is odd" for number in range(1, 20, 2)]
        pairs = answered(executor, halve, iter([4, 2]))
        assert list(pairs) == [(4, 2), (2, 1)]


def test_what_was_answered_before_the_end_is_not_lost():
    others = threading.Barrier(3, timeout=10)

    def work(number):
        if number < 3:
            others.wait()  # all three have begun
        else:
            time.sleep(0.01)  # else they might all be done before anybody looks
        if number == 1:
            raise OutageError("over")
        return number

    with ThreadPoolExecutor(3) as executor:
        seen = []
        with pytest.raises(OutageError, match="over"):  # noqa: PT012 - the loop is what is tested
            for question, answer in answered(executor, work, range(1000)):
                assert question == answer
                seen.append(question)
    assert {0, 2} <= set(seen)
    assert 1 not in seen
    assert len(seen) < 999, "what had not begun was given up"


def test_the_first_of_several_failures_is_raised():
    both = threading.Barrier(2, timeout=10)

    def work(number):
        both.wait()
        raise OutageError(str(number))

    with ThreadPoolExecutor(2) as executor, pytest.raises(OutageError, match="0"):
        in_parallel(executor, work, range(2))


def test_a_row_of_which_no_task_can_be_made_is_rejected_and_the_others_are_not():
    tasks, rejected = prepared(halve, [2, 3, 4])
    assert tasks == [1, 2]
    assert [(row, str(result.error)) for row, result in rejected] == [(3, "3 is odd")]
