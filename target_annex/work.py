"""How batches are worked on: in rounds, in chunks, in parallel; a row's error stays with its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, wait
from typing import Any, Protocol, TypeVar

from annex_d365 import relay
from annex_d365.errors import RowError
from annex_d365.singer.rows import Row
from target_annex.report import Outcome, Result

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Item = TypeVar("Item")


def attempt(work: Callable[[Question], Answer], question: Question) -> Answer | RowError:
    """The answer, or the error that stops only this row."""
    try:
        return work(question)
    except RowError as error:
        return error


def in_parallel(
    executor: Executor, work: Callable[[Question], Answer], questions: Iterable[Question]
) -> list[Answer | RowError]:
    """Answers in the order of ``questions``. Any other error than a row's stops what has not begun, and is raised."""
    return [answer for _, answer in answered(executor, work, questions)]


def answered(
    executor: Executor, work: Callable[[Question], Answer], questions: Iterable[Question]
) -> Iterator[tuple[Question, Answer | RowError]]:
    """As :func:`in_parallel`, for work whose answers must not be lost: what was written has to get into the ledger.

    Yields:
        Each question with its answer, in the order of ``questions``, while later ones are still worked on. If an error
        stops the others, those that have an answer come first; then it is raised.
    """
    futures = [(question, executor.submit(attempt, work, question)) for question in questions]
    every = [future for _, future in futures]

    def stop(done: Future[Any]) -> None:
        if not done.cancelled() and done.exception():
            for each in every:
                each.cancel()

    for future in every:
        future.add_done_callback(stop)
    failure = None
    try:
        for question, future in futures:
            try:
                answer = relay.result(future)
            except CancelledError:
                continue
            except BaseException as error:  # noqa: BLE001 - raised below
                failure = failure or error
                continue
            yield question, answer
    finally:
        for each in every:
            each.cancel()
        with relay.waiting():
            wait(every)
    if failure:
        raise failure


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in their order, at most ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def rounds(items: Iterable[Item], key: Callable[[Item], str]) -> list[list[Item]]:
    """The items in their order, in rounds in which no key appears twice."""
    result: list[list[Item]] = []
    seen: dict[str, int] = {}
    for item in items:
        turn = seen.get(key(item), 0)
        seen[key(item)] = turn + 1
        if turn == len(result):
            result.append([])
        result[turn].append(item)
    return result


class RowTask(Protocol):
    """One row, and what became of it."""

    @property
    def row(self) -> Row:
        """As it came."""

    @property
    def result(self) -> Result | None:
        """None until it is done."""


def prepared(make: Callable[[Row], Item], rows: Iterable[Row]) -> tuple[list[Item], list[tuple[Row, Result]]]:
    """Tasks of rows, and the rows of which none can be made, rejected."""
    tasks, rejected = [], []
    for row in rows:
        task = attempt(make, row)
        if isinstance(task, RowError):
            rejected.append((row, Result(Outcome.REJECTED, task)))
        else:
            tasks.append(task)
    return tasks, rejected


def results(tasks: Iterable[RowTask]) -> Iterator[tuple[Row, Result]]:
    """The rows of tasks that are done, each with what became of it."""
    for task in tasks:
        assert task.result
        yield task.row, task.result
