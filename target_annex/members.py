"""Rows to members: who a row is, whether it may become a member, and what is written (the rules of `enrol`).

A batch goes in rounds in which no row of the source appears twice, so that the order of each row's writes is kept. In a
round, what the ledger knows to be written already is done; of the others, the member is found, claimed, so that two
rows never write to the same one, and written, in parallel and in bulk. A row whose member turns out to be another, or
none, takes another turn.

Two batches go beside each other (:mod:`annex_d365.relay`) while all their members are known by ledger or id, and are
others. From a member on that is not there, a batch waits for the one before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor

from annex_d365.annexcloud.errors import EXISTS, not_found
from annex_d365.annexcloud.fields import NO, OPT_IN, OPT_IN_DATE, YES
from annex_d365.annexcloud.members import CONFLICT, EXTENDED, Member, Members
from annex_d365.errors import RepeatedError, RowError
from annex_d365.ledger import Book
from annex_d365.relay import beside
from annex_d365.singer.rejects import rejected_at
from annex_d365.singer.replays import is_stale
from annex_d365.singer.rows import Row
from target_annex.changes import Differences
from target_annex.departures import Departures
from target_annex.dry_run import DryRun
from target_annex.identity import Identity
from target_annex.mapping import MemberMapping, may_enrol
from target_annex.member_settings import MemberRules
from target_annex.ownership import Conflicts, Ownership
from target_annex.report import Outcome, Result
from target_annex.tasks import EMAIL, Task
from target_annex.work import in_parallel, prepared, results, rounds
from target_annex.writes import Writes

#: A row whose member keeps changing under it is given up.
MAX_TURNS = 5


class MemberWriter:
    """Writes rows of one stream.

    Args:
        members: of the site.
        mapping: of the stream.
        rules: the settings.
        book: of the stream, in the ledger.
        executor: sends requests in parallel.
        ownership: what is done about fields that both sides have changed.
        contacts: of the members that become contacts, in the ledger; None if there is no such book.
        dry_run: takes note of what would be written.
    """

    def __init__(
        self,
        members: Members,
        mapping: MemberMapping,
        rules: MemberRules,
        book: Book,
        executor: Executor,
        *,
        ownership: Ownership,
        contacts: Book | None = None,
        dry_run: DryRun | None = None,
    ) -> None:
        self._members, self._mapping, self._rules = members, mapping, rules
        self._book, self._executor = book, executor
        self._extended = any(name.startswith(EXTENDED) for name in mapping.fields)
        self._differences = Differences(mapping, rules, ownership)
        self._conflicts = Conflicts(mapping.stream, ownership)
        self._writes = Writes(
            members, mapping.stream, executor, requested_by=rules.delete_requested_by, dry_run=dry_run
        )
        self._departures = Departures(members, self._writes, mapping.stream, book, rules, executor, contacts=contacts)
        self._dry_run = dry_run is not None
        reads = rules.skip_unchanged == "read" or self._dry_run
        self._identity = Identity(
            members,
            book,
            executor,
            reads=reads,
            dry_run=self._dry_run,
            compares=self._differences.must_compare,
            wanted=self._wanted,
        )

    def write(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Write rows; yields each with what became of it.

        Raises:
            ConnectorError: other than for a row: the run cannot go on. What is written is in the ledger.
        """
        tasks, rejected = prepared(lambda row: Task(row, self._mapping.contact(row)), rows)
        yield from rejected
        in_rounds = rounds(tasks, lambda task: task.contact.key)
        if len(in_rounds) > 1:
            beside(None)
        for each_once in in_rounds:
            try:
                self._round(each_once)
            finally:
                self._book.save([entry for task in each_once if task.result for entry in task.entries])
            yield from results(each_once)

    def _round(self, tasks: Sequence[Task]) -> None:
        self._recall(tasks)
        while beside(self._touched(tasks)):
            self._recall(tasks)
        for task in tasks:
            if task.entry and is_stale(task.row, task.entry, self._book.run):
                task.reject(RowError("a newer version of this row has come since it was rejected"))
        # Before the others: they may take over the members of those that leave.
        staying = [task.contact for task in tasks if not task.contact.departed]
        self._departures.settle([task for task in tasks if not task.result and task.contact.departed], staying)
        self._skip_unchanged([task for task in tasks if not task.result])
        waiting = [task for task in tasks if not task.result]
        self._identity.find(waiting)
        while waiting := [task for task in waiting if not task.result]:
            self._turn(waiting)

    def _recall(self, tasks: Sequence[Task]) -> None:
        entries = self._book.entries([task.contact.key for task in tasks])
        for task in tasks:
            task.entry = entries.get(task.contact.key)

    def _touched(self, tasks: Sequence[Task]) -> set[str] | None:
        """Names of all that rows may touch; None if only looking for their members tells, or if some are created."""
        names = set[str]()
        for task in tasks:
            enters = not task.held and self._may_enrol(task)
            if self._dry_run or enters or task.contact.departed or not task.known_id or rejected_at(task.row.message):
                return None
            names |= task.names
        return names

    def _skip_unchanged(self, tasks: Sequence[Task]) -> None:
        if self._rules.skip_unchanged != "ledger":
            return
        for task in tasks:
            if task.link and task.held:
                task.member = Member(task.link)
                if not (self._differences.must_compare(task) or self._differences.of(task).fields):
                    task.done(Outcome.UNCHANGED, {}, forget=self._differences.doubtful(task))

    def _turn(self, tasks: Sequence[Task]) -> None:
        again = [task for task in tasks if task.look_again]
        for task in again:
            task.look_again = False
        self._identity.find(again)
        tasks = [task for task in tasks if not task.result]
        lost = self._identity.claim(tasks, lambda task: self._new_id(task) if self._may_enrol(task) else "")
        ready = [task for task in tasks if id(task) not in lost]
        for task in ready:
            task.turns += 1
            if task.turns > MAX_TURNS:
                task.reject(RowError("its member keeps changing; try again"))
        ready = [task for task in ready if not task.result]
        addresses = self._update([task for task in ready if task.member])
        self._create([task for task in ready if not task.member and not task.result], addresses)
        freed = [task.contact.key for task in ready if task.result and not task.remember and not task.held]
        self._book.release(freed)
        # Those that are on their way again may still give up the member that others wait for; nobody holds it once its
        # holder went to another one.
        open_keys = {"", *freed, *(task.contact.key for task in ready if not task.result)}
        for task in tasks:
            if id(task) in lost and lost[id(task)][1] not in open_keys:
                task.lose(*lost[id(task)])

    def _update(self, tasks: Sequence[Task]) -> set[str]:
        """Write changes; returns the e-mail addresses that members have got."""
        changes = []
        withheld = set()
        for task in tasks:
            change = self._differences.of(task)
            task.conflicts = change.conflicts
            if change.opt_in_withheld:
                withheld.add(id(task))
            if error := self._conflicts.error(task.contact.key, change.conflicts):
                task.reject(error)
            elif change.fields:
                changes.append((task, change.fields))
            else:
                self._done(task, Outcome.UNCHANGED, opt_in_withheld=change.opt_in_withheld)
        missing = []
        for task, error in self._writes.update(changes):
            if error is None:
                self._done(task, Outcome.UPDATED, opt_in_withheld=id(task) in withheld)
            elif not_found(error):
                missing.append(task)
            else:
                task.reject(error)
        if missing:
            beside(None)  # who they have become, an earlier batch may change
        self._identity.missing(missing)
        written = (task for task, fields in changes if EMAIL in fields and task.result and not task.result.error)
        return {task.contact.email.casefold() for task in written}

    def _create(self, tasks: Sequence[Task], addresses: Collection[str]) -> None:
        for task in tasks:
            if not self._may_enrol(task):
                task.skip()
        new = self._one_per_address([task for task in tasks if not task.result], addresses)
        strangers = [task for task in new if task.contact.member_id and task.contact.email]
        for task, error in zip(strangers, in_parallel(self._executor, self._check_address, strangers), strict=True):
            if error:
                task.reject(error)
        changes = [(task, self._new_id(task), self._first_fields(task)) for task in new if not task.result]
        existing = []
        for task, error in self._writes.create(changes):
            if error is None:
                task.member = Member(self._new_id(task))
                task.done(Outcome.CREATED, self._differences.texts(self._differences.said(task)))
            elif error.status == CONFLICT or error.code == EXISTS:
                # Somebody else, or we ourselves with a reply that got lost.
                task.created = isinstance(error, RepeatedError)
                existing.append((task, error))
            else:
                task.reject(error)
        found = in_parallel(self._executor, lambda each: self._identity.existing(each[0]), existing)
        for (task, error), member in zip(existing, found, strict=True):
            if member is None or isinstance(member, RowError):
                task.reject(member or error)
            else:
                task.member = member

    @staticmethod
    def _one_per_address(tasks: Sequence[Task], taken: Collection[str]) -> list[Task]:
        """Those that come first with their address; the others look for its member again, once that is there."""
        first: dict[str, Task] = {}
        for task in tasks:
            address = task.contact.email.casefold() or task.contact.member_id
            task.look_again = address in taken or first.setdefault(address, task) is not task
        return [task for task in tasks if not task.look_again]

    def _check_address(self, task: Task) -> None:
        """The same person must not become a second member."""
        contact = task.contact
        others = [each.id for each in self._members.find_by_email(contact.email) if each.id != contact.member_id]
        if others:
            raise RowError("there is no member with this id, and another member has this e-mail address")

    def _wanted(self, task: Task) -> Collection[str]:
        """Extended attributes among them, if the mapping has any; else it need not be known which are written."""
        return self._differences.of(task).fields if self._extended else ()

    def _may_enrol(self, task: Task) -> bool:
        return may_enrol(task.contact, self._mapping, self._rules)

    @staticmethod
    def _new_id(task: Task) -> str:
        return task.contact.member_id or task.contact.email

    @staticmethod
    def _first_fields(task: Task) -> dict[str, str]:
        fields = {name: value for name, value in task.contact.fields.items() if value}
        # Always said: the service's own default is YES (Annex page 5.1).
        if fields.setdefault(OPT_IN, NO) != YES:
            fields.pop(OPT_IN_DATE, None)
        return fields

    def _done(self, task: Task, outcome: Outcome, *, opt_in_withheld: bool) -> None:
        doubtful = self._differences.doubtful(task)
        fields = self._differences.said(task)
        if doubtful:
            fields = {name: value for name, value in fields.items() if name not in doubtful}
        task.done(outcome, self._differences.texts(fields), forget=doubtful, opt_in_withheld=opt_in_withheld)
