"""Work that several threads do at once, with results in the order of the tasks: then a run can be taken up again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Crew:
    """Threads, and how many results may wait in memory.

    Attributes:
        pool: the threads.
        size: how many there are.
    """

    pool: ThreadPoolExecutor = field(repr=False)
    size: int

    def in_order(self, tasks: Iterable[Task], work: Callable[[Task], Result]) -> Iterator[tuple[Task, Result]]:
        """Each task and its result.

        Raises:
            Exception: the first, in the order of tasks, that ``work`` has raised.
        """
        return self.expanded(tasks, work, lambda _task, _result: ())

    def expanded(
        self,
        tasks: Iterable[Task],
        work: Callable[[Task], Result],
        parts: Callable[[Task, Result], Sequence[Task]],
    ) -> Iterator[tuple[Task, Result]]:
        """Each task and its result; a task that has parts is replaced by these. Parts keep its place.

        Args:
            tasks: asked for one at a time, when there is room.
            work: runs in the threads.
            parts: called in this thread, in order; empty for a task whose result is final.
        """
        waiting = _Waiting(tasks)
        line: deque[tuple[Task, Future[Result]]] = deque()
        while True:
            while len(line) < self.size and (some := waiting.take()):
                line.extend((task, self.pool.submit(work, task)) for task in some)
            if not line:
                waiting.end()
                return
            task, future = line.popleft()
            result = future.result()
            smaller = parts(task, result)
            if not smaller:
                yield task, result
            for part in reversed(smaller):
                line.appendleft((part, self.pool.submit(work, part)))


class _Waiting(Generic[Task]):
    """Tasks that are asked for one at a time. Should that fail, those before are done first."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self._failure: Exception | None = None

    def take(self) -> Sequence[Task]:
        """The next task; empty if there is none."""
        if self._failure:
            return ()
        try:
            return list(islice(self._tasks, 1))
        except Exception as error:  # noqa: BLE001 - it is raised when the tasks before are done
            self._failure = error
            return ()

    def end(self) -> None:
        """All tasks are done."""
        if self._failure:
            raise self._failure


class PagesAhead(Generic[Result]):
    """Asks for the pages of one list before they are wanted, once the service has said how many there are.

    Args:
        crew: asks.
        ask: gets the page with this number.
        count: how many pages there are, by an answer; None where that is not told.
        first: number of the page that is asked for first.
    """

    def __init__(
        self, crew: Crew, ask: Callable[[int], Result], count: Callable[[Any], int | None], first: int = 1
    ) -> None:
        self._crew, self._ask, self._count = crew, ask, count
        self._coming: dict[int, Future[Result]] = {}
        self.begin(first)

    def begin(self, number: int) -> None:
        """Ask for a page."""
        self._coming[number] = self._crew.pool.submit(self._ask, number)

    def __call__(self, number: int) -> Result:
        """The page with this number, as ``ask`` gives it."""
        if number not in self._coming:
            self.begin(number)
        answer = self._coming.pop(number).result()
        last = self._count(answer) or number
        for each in range(number + 1, min(last, number + self._crew.size) + 1):
            if each not in self._coming:
                self.begin(each)
        return answer
