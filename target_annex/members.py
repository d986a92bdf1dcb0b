"""Rows to members: who a row is, whether it may become a member, and what is written (the rules of `enrol`).

A batch goes through three steps: find the member of each row, link rows and members (those that know the id first, then
in the order of the rows), write.
The first and the last run in parallel; no row takes part twice at the same time, so that the order of each member's
writes is kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from dataclasses import dataclass
from typing import TypeVar

from annex_d365.annexcloud.errors import RepeatedError
from annex_d365.annexcloud.fields import NO, OPT_IN, OPT_IN_DATE, YES, same
from annex_d365.annexcloud.members import CONFLICT, NOT_FOUND, Member, Members
from annex_d365.errors import RowError
from annex_d365.singer.rejects import LINKED, rejected_at, rejected_for
from annex_d365.singer.rows import Row, shown
from target_annex.mapping import Contact, MemberMapping
from target_annex.report import Outcome
from target_annex.settings import MemberRules

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Result:
    """What became of a row: an outcome, and the error for which it is rejected."""

    outcome: Outcome
    error: RowError | None = None
    opt_in_withheld: bool = False


@dataclass
class _Task:
    """A row on its way."""

    row: Row
    contact: Contact
    member: Member | None = None

    @property
    def rejected_at(self) -> dt.datetime | None:
        return rejected_at(self.row.message)


class Links:
    """What a run knows of the members that rows of one stream were linked to."""

    def __init__(self) -> None:
        self._row_of: dict[str, tuple[str, bool]] = {}
        self._updated: dict[str, dt.datetime | None] = {}

    def link(self, member_id: str, row_key: str, *, by_id: bool) -> None:
        """Link, or confirm the link.

        The first row of a member wins, but one that knows its id wins over those that know its e-mail address. What the
        row that loses has written stays.

        Raises:
            RowError: another row has the member. Both are named.
        """
        # The same address in other letters is the same member; other ids are opaque.
        known = member_id.casefold() if "@" in member_id else member_id
        holder, held_by_id = self._row_of.get(known, (row_key, by_id))
        if holder != row_key and (held_by_id or not by_id):
            raise RowError(
                f"rows {shown(holder)} and {shown(row_key)} are the same member; only the former is written",
                code=LINKED,
            )
        self._row_of[known] = (row_key, by_id or held_by_id)

    def check_newer(self, member: Member, rejected_at: dt.datetime) -> None:
        """Check that a row that was rejected earlier does not overwrite what came after it.

        Raises:
            RowError: the member has changed since, and not by this run's earlier rows. Both times are in seconds; in
                the same one, it may have changed after the row was rejected.
        """
        updated = self._updated.setdefault(member.id, member.updated)
        if updated is None or updated >= rejected_at:
            raise RowError("the member has changed since this row was rejected; take the row from its source again")


class MemberWriter:
    """Writes rows of one stream.

    Args:
        members: of the site.
        mapping: of the stream.
        rules: the settings.
        links: of the stream, for the whole run.
        executor: sends requests in parallel.
    """

    def __init__(
        self, members: Members, mapping: MemberMapping, rules: MemberRules, links: Links, executor: Executor
    ) -> None:
        self._members, self._mapping, self._rules = members, mapping, rules
        self._links, self._executor = links, executor

    def write(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Result]]:
        """Write rows; yields each with what became of it.

        Raises:
            ConnectorError: other than for a row: the run cannot go on.
        """
        tasks = []
        for row in rows:
            contact = _attempt(self._contact, row)
            if isinstance(contact, RowError):
                yield row, _rejected(contact)
            else:
                tasks.append(_Task(row, contact))
        for each_once in _rounds(tasks):
            yield from self._round(each_once)

    def _round(self, tasks: Sequence[_Task]) -> Iterator[tuple[Row, Result]]:
        ready = []
        found_of = zip(tasks, self._in_parallel(self._find, tasks), strict=True)
        # Rows that know their member's id come first, for they would take the member from others.
        for task, found in sorted(found_of, key=lambda each: not each[0].contact.member_id):
            if not isinstance(found, RowError):
                task.member = found
            problem = found if isinstance(found, RowError) else _attempt(self._link, task)
            if problem:
                yield task.row, _rejected(problem)
            else:
                ready.append(task)
        for task, result in zip(ready, self._in_parallel(self._write, ready), strict=True):
            yield task.row, _rejected(result) if isinstance(result, RowError) else result

    def _in_parallel(
        self, work: Callable[[Question], Answer], questions: Sequence[Question]
    ) -> list[Answer | RowError]:
        """Answers in the order of ``questions``. Any other error than a row's stops what has not begun."""
        futures = [self._executor.submit(_attempt, work, question) for question in questions]
        for future in wait(futures, return_when=FIRST_EXCEPTION).not_done:
            future.cancel()
        wait(futures)
        for future in futures:
            if not future.cancelled() and (failure := future.exception()):
                raise failure
        return [future.result() for future in futures]

    def _contact(self, row: Row) -> Contact:
        if rejected_for(row.message) == LINKED:
            raise RowError(
                "another row has this member; mend the duplicate at its source, which then sends this row again",
                code=LINKED,
            )
        return self._mapping.contact(row.record)

    def _link(self, task: _Task) -> None:
        by_id = bool(task.contact.member_id)
        if task.member:
            self._links.link(task.member.id, task.contact.key, by_id=by_id)
            if task.rejected_at:
                self._links.check_newer(task.member, task.rejected_at)
        elif self._may_enrol(task.contact):
            self._links.link(_new_id(task.contact), task.contact.key, by_id=by_id)

    def _find(self, task: _Task) -> Member | None:
        """The member of a contact: by its id, else by its e-mail address (Annex page 14, "Identity")."""
        contact = task.contact
        member_id = contact.member_id
        if not member_id:
            if not contact.email:
                raise RowError("neither a member id nor an e-mail address says who this is")
            found = self._members.find_by_email(contact.email)
            if len(found) > 1:
                raise RowError("several members have this e-mail address")
            # The site may use the address itself for the id (Annex page 5.1).
            member_id = found[0].id if found else contact.email
        if self._rules.read_first or task.rejected_at:
            return self._members.get(member_id)
        return Member(member_id)

    def _may_enrol(self, contact: Contact) -> bool:
        wanted = self._rules.enrol == "all" or (self._rules.enrol == "flagged" and contact.wants_enrolment)
        return wanted and self._mapping.creates and not contact.inactive

    def _write(self, task: _Task) -> Result:
        if task.member is None:
            return self._enrol(task.contact)
        try:
            return self._update(task.contact, task.member)
        except RowError as error:
            if error.status != NOT_FOUND:
                raise
            return self._enrol(task.contact)

    def _enrol(self, contact: Contact) -> Result:
        if not self._may_enrol(contact):
            return Result(Outcome.NOT_ENROLLED)
        fields = {name: value for name, value in contact.fields.items() if value}
        # Always said: the service's own default is YES (Annex page 5.1).
        if fields.setdefault(OPT_IN, NO) != YES:
            fields.pop(OPT_IN_DATE, None)
        try:
            self._members.create(_new_id(contact), fields)
        except RowError as error:
            # Somebody else, or we ourselves with a reply that got lost.
            ours = isinstance(error, RepeatedError)
            member = self._members.get(_new_id(contact)) if error.status == CONFLICT else None
            if member is None:
                raise
            result = self._update(contact, member)
            return Result(Outcome.CREATED) if ours and result.outcome is Outcome.UNCHANGED else result
        return Result(Outcome.CREATED)

    def _update(self, contact: Contact, member: Member) -> Result:
        changes = {name: value for name, value in contact.fields.items() if self._differs(name, value, member)}
        withheld = False
        if changes.get(OPT_IN) == YES and not self._rules.reopt_in:
            withheld = bool(member.fields)  # of an unread member it is not known
            del changes[OPT_IN]
            changes.pop(OPT_IN_DATE, None)
        if not changes:
            return Result(Outcome.UNCHANGED, opt_in_withheld=withheld)
        self._members.update(member, changes)
        return Result(Outcome.UPDATED, opt_in_withheld=withheld)

    def _differs(self, name: str, value: str, member: Member) -> bool:
        if not value and (name == OPT_IN or not self._mapping.clear_nulls):
            return False
        # A member that was not read has no fields.
        return not member.fields or not same(name, value, member.value(name))


def _new_id(contact: Contact) -> str:
    return contact.member_id or contact.email


def _attempt(work: Callable[[Question], Answer], question: Question) -> Answer | RowError:
    try:
        return work(question)
    except RowError as error:
        return error


def _rejected(error: RowError) -> Result:
    return Result(Outcome.REJECTED, error)


def _rounds(tasks: Sequence[_Task]) -> Iterator[list[_Task]]:
    """The rows in their order, in rounds in which no source row appears twice."""
    rounds: list[list[_Task]] = []
    seen: dict[str, int] = {}
    for task in tasks:
        turn = seen.get(task.contact.key, 0)
        seen[task.contact.key] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(task)
    yield from rounds
