"""Rows to postings of points: each is posted once, whatever happens in between.

The service takes what has an `orderId` of before for another posting (Annex page 7). So each one is in the ledger as an
intent before it is sent, and the member's list of activities is read before it is sent, and again when its reply got
lost: what is in the list is not posted again. What cannot be decided is rejected with the code ``IN_DOUBT``. An intent
of which nothing was posted is withdrawn: the row may come again with other values.

Of all runs with one ledger, one at a time posts to a site, for the time of a batch (:mod:`annex_d365.ledger.turns`). So
an intent that a batch finds is of a run that has ended, or was killed, and not of one that is about to post it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from annex_d365.annexcloud.errors import InDoubtError, not_found
from annex_d365.annexcloud.points import Points, Posting
from annex_d365.errors import ConnectorError, OutageError, RowError, SettingError
from annex_d365.ledger import Book, Entry, State, Turn, digest, fold
from annex_d365.singer.rows import Row
from target_annex.dry_run import DryRun
from target_annex.posting_history import History, Verdict, facts
from target_annex.posting_mapping import PostingMapping
from target_annex.report import Outcome, Result
from target_annex.work import attempt, in_parallel, prepared, results, rounds

#: The code of rows that may or may not have been posted.
IN_DOUBT = "IN_DOUBT"
#: The code of rows that were posted, and have changed since.
POSTED = "POSTED"

#: A request whose connection broke may still be worked on. After this long, the list of activities tells.
SETTLE_SECONDS = 5.0
MAX_TRIES = 3
#: So many are kept, so that a member's list is read once in a run.
KEPT_ACTIVITIES = 50_000


@dataclass
class _Task:
    """One row, what is known of it, and what became of it."""

    row: Row
    key: str
    posting: Posting | None = field(repr=False)
    entry: Entry | None = None
    others: Sequence[Entry] = ()
    tried: bool = False
    sent: bool = False
    result: Result | None = None
    remember: Entry | None = None

    @property
    def post(self) -> Posting:
        assert self.posting
        return self.posting

    @cached_property
    def digests(self) -> bytes:
        """Of what makes a posting the same."""
        return digest(facts(self.post))

    def intent(self, state: State) -> Entry:
        """For the ledger."""
        return Entry(self.key, self.post.order_id, state, self.digests, version=self.row.version)

    def done(self, outcome: Outcome) -> None:
        self.result = Result(outcome)
        self.remember = self.intent(State.SETTLED)

    def reject(self, error: RowError) -> None:
        self.result = Result(Outcome.REJECTED, error)

    def withdraw(self) -> None:
        """Nothing was posted."""
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
        self._histories: dict[str, History] = {}

    def write(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Post rows; yields each with what became of it.

        Raises:
            ConnectorError: other than for a row: the run cannot go on. What is posted is in the ledger.
        """
        tasks, rejected = prepared(self._task, rows)
        yield from rejected
        if tasks:
            with self._book.turn() as turn:
                for each_once in rounds(tasks, lambda task: task.key):
                    # Of equal postings, the next one waits for what becomes of the one before.
                    for all_different in rounds(
                        each_once, lambda task: task.digests.hex() if task.posting else task.key
                    ):
                        self._round(all_different, turn)
        yield from results(tasks)

    def _task(self, row: Row) -> _Task:
        return _Task(row, self._mapping.row_key(row), None if row.deleted else self._mapping.posting(row))

    def _round(self, tasks: Sequence[_Task], turn: Turn) -> None:
        self._recall(tasks)
        self._reject_doubles([task for task in tasks if not task.result])
        by_member: dict[str, list[_Task]] = {}
        for task in tasks:
            if not task.result:
                by_member.setdefault(task.post.member_id, []).append(task)
        try:
            self._look_up(by_member)
            due = [[task for task in group if not task.result] for group in by_member.values()]
            self._post([group for group in due if group], turn)
        finally:
            # Another run may know better by now, if this one lost its turn; but what was posted was posted.
            held = turn.held()
            self._book.save([each for task in tasks if (each := task.remember) and (held or each.target)])

    def _recall(self, tasks: Sequence[_Task]) -> None:
        """What the ledger knows of rows, and the result of those with which it is done."""
        entries = self._book.entries([task.key for task in tasks])
        for task in tasks:
            entry = entries.get(task.key)
            task.entry = entry if entry and entry.target else None  # else it was withdrawn
            task.tried = task.entry is not None
            if task.posting is None:
                task.result = Result(Outcome.LEFT)  # points are not taken back because a row is gone
            elif task.entry and task.entry.state is State.SETTLED:
                if task.entry.digests == task.digests:
                    task.result = Result(Outcome.UNCHANGED)
                else:
                    task.reject(_was_posted())

    def _reject_doubles(self, tasks: Sequence[_Task]) -> None:
        """The list of activities could not tell two equal postings from one."""
        known = self._book.by_target({target for task in tasks for target in _orders(task)})
        for task in tasks:
            found = [entry for target in _orders(task) for entry in known.get(fold(target), [])]
            task.others = [each for each in found if (each.stream, each.key) != (self._mapping.stream, task.key)]
            if any(other.digests == task.digests for other in task.others):
                task.reject(RowError("another row is the same posting, with the same `orderId`", code=POSTED))

    def _look_up(self, by_member: Mapping[str, Sequence[_Task]]) -> None:
        """Read what members have, and leave open what is to be posted."""
        tried = {member_id for member_id, group in by_member.items() if any(task.tried for task in group)}
        if tried and not self._dry_run:
            time.sleep(SETTLE_SECONDS)
        # Of what was posted since a list was read, the ledger tells.
        wanted = [member_id for member_id in by_member if member_id in tried or member_id not in self._histories]
        answers = dict(zip(wanted, in_parallel(self._executor, self._history, wanted), strict=True))
        for member_id, group in by_member.items():
            history = answers.get(member_id) or self._histories[member_id]
            for task in group:
                if isinstance(history, RowError):
                    task.reject(history)
                else:
                    self._judge(task, history, task.others)
        self._keep({member_id: each for member_id, each in answers.items() if isinstance(each, History)})

    def _keep(self, histories: Mapping[str, History]) -> None:
        self._histories.update(histories)
        if sum(each.size + 1 for each in self._histories.values()) > KEPT_ACTIVITIES:
            self._histories.clear()

    def _history(self, member_id: str) -> History:
        try:
            return History(member_id, self._points.activities(member_id))
        except RowError as error:
            if not_found(error):  # no such member, or none of its activities: the posting will tell
                return History(member_id, ())
            raise

    @staticmethod
    def _judge(task: _Task, history: History, others: Sequence[Entry]) -> None:
        """The result of a row that need not, or may not, be posted."""
        if task.entry and task.entry.digests != task.digests:
            verdict = history.verdict_on_entry(task.entry, others)
            if verdict is Verdict.THERE:
                task.remember = replace(task.entry, state=State.SETTLED, at=0.0)
                task.reject(_was_posted())
                return
            if verdict is Verdict.UNCLEAR:
                task.reject(
                    RowError(
                        "it changed, and whether it was posted with its values of before is not known", code=IN_DOUBT
                    )
                )
                return
            task.entry, task.tried = None, False
        verdict = history.verdict(task.post, others, tried=task.tried)
        if verdict is Verdict.THERE:
            task.done(Outcome.CREATED if task.tried else Outcome.UNCHANGED)
        elif verdict is Verdict.UNCLEAR:
            task.reject(_in_doubt())

    def _post(self, groups: Sequence[Sequence[_Task]], turn: Turn) -> None:
        """Post what is due, of each member in the order of its rows."""
        due = [task for group in groups for task in group]
        if self._dry_run:
            for task in due:
                self._take_note(task, self._dry_run)
            return
        self._book.save([task.intent(State.PENDING) for task in due])  # on the disk before anything is sent
        try:
            in_parallel(self._executor, partial(self._post_all, turn=turn), groups)
        except ConnectorError:
            for task in due:
                if not task.sent:
                    task.withdraw()
            raise

    def _take_note(self, task: _Task, dry_run: DryRun) -> None:
        new = {"points": task.post.amount, "activity": task.post.activity, "orderId": task.post.order_id}
        dry_run.add(self._mapping.stream, task.key, action="post to", target=task.post.member_id, new=new)
        task.done(Outcome.CREATED)

    def _post_all(self, group: Sequence[_Task], turn: Turn) -> None:
        """The postings of one member."""
        for task in group:
            made = [each.remember for each in group if each.remember and each.remember.target]
            if error := attempt(partial(self._post_one, turn=turn, made=made), task):
                task.reject(error)

    def _post_one(self, task: _Task, turn: Turn, made: Collection[Entry]) -> None:
        for _ in range(MAX_TRIES):
            turn.check()
            task.sent = True
            try:
                self._points.post(task.post)
            except InDoubtError:
                task.tried = True
            except (RowError, OutageError, SettingError):
                task.withdraw()
                raise
            else:
                task.done(Outcome.CREATED)
                return
            time.sleep(SETTLE_SECONDS)
            self._judge(task, self._history(task.post.member_id), [*task.others, *made])
            if task.result:
                return
        raise _in_doubt()


def _orders(task: _Task) -> set[str]:
    """The order of a row, and the one that it had when it may have been posted."""
    return {task.post.order_id, *({task.entry.target} if task.entry else ())}


def _was_posted() -> RowError:
    return RowError("a posting cannot be changed: this one was made with other values", code=POSTED)


def _in_doubt() -> RowError:
    return RowError("whether it was posted is not known, and the list of activities does not tell", code=IN_DOUBT)
