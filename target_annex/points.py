"""Rows to postings of points: each is posted once, whatever happens in between.

The service takes what has an `orderId` of before for another posting (Annex page 7). So each one is in the ledger as an
intent before it is sent, and the member's list of activities is read before it is sent, and again when its reply got
lost: what is in the list is not posted again. What cannot be decided is rejected with the code ``IN_DOUBT``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from annex_d365.annexcloud.errors import InDoubtError, not_found
from annex_d365.annexcloud.points import Activity, Points, Posting
from annex_d365.errors import RowError
from annex_d365.ledger import Book, Entry, State, digest, fold
from annex_d365.singer.rows import Row
from target_annex.dry_run import DryRun
from target_annex.posting_mapping import PostingMapping
from target_annex.report import Outcome, Result
from target_annex.work import attempt, in_parallel, rounds

#: The code of rows that may or may not have been posted.
IN_DOUBT = "IN_DOUBT"
#: The code of rows that were posted, and have changed since.
POSTED = "POSTED"

#: A request whose connection broke may still be worked on. After this long, the list of activities tells.
SETTLE_SECONDS = 5.0
MAX_TRIES = 3


@dataclass
class _Task:
    """One row, what is known of it, and what became of it."""

    row: Row
    key: str
    posting: Posting | None = field(repr=False)
    entry: Entry | None = None
    result: Result | None = None
    remember: Entry | None = None

    @property
    def digests(self) -> bytes:
        """Of what makes a posting the same."""
        assert self.posting
        posting = self.posting
        return digest(
            {
                "id": posting.member_id,
                "orderId": posting.order_id,
                "actionId": posting.action_id,
                "activity": posting.activity,
                "amount": "" if posting.amount is None else format(posting.amount.normalize(), "f"),
            }
        )

    def intent(self, state: State) -> Entry:
        """For the ledger."""
        assert self.posting
        return Entry(self.key, self.posting.order_id, state, self.digests, version=self.row.version)

    def done(self, outcome: Outcome) -> None:
        self.result = Result(outcome)
        self.remember = self.intent(State.SETTLED)

    def reject(self, error: RowError) -> None:
        self.result = Result(Outcome.REJECTED, error)

    def withdraw(self) -> None:
        """Nothing was posted: the row may come again with other values."""
        self.remember = Entry(self.key, "", State.PENDING, version=self.row.version)


class PostingWriter:
    """Posts rows of one stream.

    Args:
        points: of the site.
        mapping: of the stream.
        book: of the stream, in the ledger.
        executor: sends requests in parallel.
        dry_run: takes note of what would be posted.
    """

    def __init__(
        self, points: Points, mapping: PostingMapping, book: Book, executor: Executor, dry_run: DryRun | None = None
    ) -> None:
        self._points, self._mapping, self._book = points, mapping, book
        self._executor, self._dry_run = executor, dry_run

    def write(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Post rows; yields each with what became of it.

        Raises:
            ConnectorError: other than for a row: the run cannot go on. What is posted is in the ledger.
        """
        tasks = []
        for row in rows:
            task = attempt(self._task, row)
            if isinstance(task, RowError):
                yield row, Result(Outcome.REJECTED, task)
            else:
                tasks.append(task)
        for each_once in rounds(tasks, lambda task: task.key):
            try:
                self._round(each_once)
            finally:
                self._book.save([task.remember for task in each_once if task.remember])
            for task in each_once:
                assert task.result
                yield task.row, task.result

    def _task(self, row: Row) -> _Task:
        return _Task(row, self._mapping.row_key(row), None if row.deleted else self._mapping.posting(row))

    def _recall(self, tasks: Sequence[_Task]) -> None:
        """What the ledger knows of rows, and the result of those with which it is done."""
        entries = self._book.entries([task.key for task in tasks])
        for task in tasks:
            entry = entries.get(task.key)
            task.entry = entry if entry and entry.target else None  # else it was withdrawn
            if task.posting is None:
                task.result = Result(Outcome.LEFT)  # points are not taken back because a row is gone
            elif task.entry and task.entry.digests != task.digests:
                task.reject(RowError("a posting cannot be changed: this one was sent with other values", code=POSTED))
            elif task.entry and task.entry.state is State.SETTLED:
                task.result = Result(Outcome.UNCHANGED)

    def _round(self, tasks: Sequence[_Task]) -> None:
        self._recall(tasks)
        self._reject_doubles([task for task in tasks if not task.result])
        by_member: dict[str, list[_Task]] = {}
        for task in tasks:
            if not task.result and task.posting:
                by_member.setdefault(task.posting.member_id, []).append(task)
        intents = [task.intent(State.PENDING) for each in by_member.values() for task in each if not task.entry]
        self._book.save(intents)  # on the disk before anything is sent
        groups = list(by_member.values())
        for group, error in zip(groups, in_parallel(self._executor, self._post_all, groups), strict=True):
            for task in group:
                if error and not task.result:
                    task.reject(error)
                    if not task.entry:
                        task.withdraw()

    def _reject_doubles(self, tasks: Sequence[_Task]) -> None:
        """The list of activities could not tell two equal postings from one."""
        known = self._book.by_target({task.posting.order_id for task in tasks if task.posting})
        for task in tasks:
            assert task.posting
            others = known.setdefault(fold(task.posting.order_id), [])
            if any(other.key != task.key and other.digests == task.digests for other in others):
                task.reject(RowError("another row is the same posting, with the same `orderId`", code=POSTED))
            else:
                others.append(task.intent(State.PENDING))

    def _post_all(self, tasks: Sequence[_Task]) -> None:
        """The postings of one member, in their order."""
        assert tasks[0].posting
        started = max((task.entry.at for task in tasks if task.entry), default=0.0)
        time.sleep(max(0.0, min(SETTLE_SECONDS, started + SETTLE_SECONDS - time.time())))
        activities = self._activities(tasks[0].posting.member_id)
        for task in tasks:
            if error := attempt(lambda each: self._post(each, activities), task):
                task.reject(error)

    def _activities(self, member_id: str) -> list[Activity]:
        try:
            return list(self._points.activities(member_id))
        except RowError as error:
            if not_found(error):  # no such member, or none of its activities: the posting will tell
                return []
            raise

    def _post(self, task: _Task, activities: Sequence[Activity]) -> None:
        posting = task.posting
        assert posting
        tried = task.entry is not None
        for _ in range(MAX_TRIES):
            if any(_is(activity, posting) for activity in activities):
                task.done(Outcome.CREATED if tried else Outcome.UNCHANGED)
                return
            if tried and not _decides(activities):
                break
            if self._dry_run:
                amount = {"points": posting.amount, "activity": posting.activity, "orderId": posting.order_id}
                self._dry_run.add(
                    self._mapping.stream, task.key, action="post to", target=posting.member_id, new=amount
                )
                task.done(Outcome.CREATED)
                return
            try:
                self._points.post(posting)
            except InDoubtError:
                tried = True
                time.sleep(SETTLE_SECONDS)
                activities = self._activities(posting.member_id)
            except RowError:
                if not tried:
                    task.withdraw()
                raise
            else:
                task.done(Outcome.CREATED)
                return
        raise RowError(
            "whether it was posted is not known: the reply got lost, and the list does not tell", code=IN_DOUBT
        )


def _is(activity: Activity, posting: Posting) -> bool:
    return (
        activity.order_id == posting.order_id
        and activity.action_id == posting.action_id
        and activity.activity == posting.activity
        and posting.amount in {None, activity.amount}
    )


def _decides(activities: Sequence[Activity]) -> bool:
    """Whether a posting that is not in the list was not carried out: the site's list has to tell orders at all."""
    return not activities or any("orderId" in activity.raw for activity in activities)
