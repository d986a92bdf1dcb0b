"""Rows that are no more: what becomes of their members (the table in the README, "Deleted, merged, erased")."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from annex_d365.annexcloud.fields import NO, OPT_IN
from annex_d365.annexcloud.members import NOT_FOUND, Member
from annex_d365.errors import RowError
from annex_d365.ledger import Book, State, fold
from target_annex.report import Outcome
from target_annex.settings import MemberRules
from target_annex.tasks import Task
from target_annex.work import in_parallel
from target_annex.writes import Writes

_STAKES = frozenset({State.SETTLED, State.RIVAL})


class Departures:
    """Settles rows that were deleted at their source, or merged into others.

    Args:
        writes: to the site.
        book: of the stream.
        rules: the settings.
        executor: sends requests in parallel.
    """

    def __init__(self, writes: Writes, book: Book, rules: MemberRules, executor: Executor) -> None:
        self._writes, self._book, self._rules, self._executor = writes, book, rules, executor

    def settle(self, tasks: Sequence[Task]) -> None:
        """Set the result of each row. Only the ledger knows the member of a row that is gone."""
        linked = [task for task in tasks if task.entry and task.held]
        stakes = self._book.by_target({task.entry.target for task in linked if task.entry})
        leaving = []
        for task in tasks:
            outcome, state = (Outcome.LEFT, State.DELETED) if task.row.deleted else (Outcome.MERGED, State.MERGED)
            if task.entry and task.entry.state is State.ERASED:
                task.end(outcome)
                continue
            shared = task.entry is not None and any(
                other.key != task.contact.key and other.state in _STAKES
                for other in stakes.get(fold(task.entry.target), ())
            )
            if task.row.deleted and task.held and not shared and self._rules.on_contact_delete != "ignore":
                leaving.append(task)
            else:
                task.end(outcome, state)
        if self._rules.on_contact_delete == "delete":
            self._delete(leaving)
        else:
            self._opt_out(leaving)
        self._book.release([task.contact.key for task in tasks if task.result and not task.result.error])

    def _opt_out(self, tasks: Sequence[Task]) -> None:
        fields = {OPT_IN: NO}
        for task in tasks:
            task.member = Member(task.entry.target if task.entry else "")
        for task, error in self._writes.update([(task, fields) for task in tasks]):
            if error is None:
                task.end(Outcome.OPTED_OUT, State.DELETED, fields)
            elif error.status == NOT_FOUND:
                task.end(Outcome.ERASED, State.ERASED)
            else:
                task.reject(error)

    def _delete(self, tasks: Sequence[Task]) -> None:
        for task, result in zip(tasks, in_parallel(self._executor, self._writes.delete, tasks), strict=True):
            if isinstance(result, RowError):
                task.reject(result)
            else:
                task.end(Outcome.DELETED, State.ERASED)
