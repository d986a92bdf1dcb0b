"""Rows into a table: which row of the table each one is, what has changed, and what is written.

A batch goes in rounds in which no row of the table appears twice, so that the order of its writes is kept. In a round,
what the ledger knows to be written already is done; the others are created, updated or deleted as the mode says. An
update never creates (Dataverse page 5.1), so that a row that was erased in the table stays erased.

Two batches go beside each other (:mod:`annex_d365.relay`) where keys tell the rows of the table, and these are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from annex_d365.dataverse.client import ETAG, Dataverse
from annex_d365.dataverse.query import utc
from annex_d365.dataverse.writes import Effect, Kind, Operation, Written
from annex_d365.dataverse.writes.outcomes import CHANGED_MEANWHILE
from annex_d365.errors import RepeatedError, RowError
from annex_d365.ledger import Book, State, changed
from annex_d365.relay import beside
from annex_d365.singer.rejects import rejected_at
from annex_d365.singer.replays import is_older, is_stale
from annex_d365.singer.rows import Row
from target_annex.dry_run import DryRun
from target_annex.dynamics.contacts import Contacts
from target_annex.dynamics.current import difference, read_rows
from target_annex.dynamics.mapping import RowMapping
from target_annex.dynamics.settings import RowRules
from target_annex.dynamics.tasks import Task
from target_annex.dynamics.writes import FEW, Writes
from target_annex.ownership import Conflicts, Ownership
from target_annex.report import Outcome, Result
from target_annex.work import prepared, results, rounds

#: A row that keeps changing while it is written is given up.
MAX_TURNS = 5
_MODIFIED_ON = "modifiedon"

_OUTCOMES = {
    Effect.CREATED: Outcome.CREATED,
    Effect.UPDATED: Outcome.UPDATED,
    Effect.UPSERTED: Outcome.UPSERTED,
}


class RowWriter:
    """Writes rows of one stream.

    Args:
        dataverse: the organisation.
        mapping: of the stream.
        rules: the settings.
        book: of the stream, in the ledger.
        executor: sends requests in parallel.
        ownership: what is done about columns that both sides have changed.
        contacts: finds the contacts of rows that do not name them; None where the key tells the row.
        dry_run: takes note of what would be written.
    """

    def __init__(
        self,
        dataverse: Dataverse,
        mapping: RowMapping,
        rules: RowRules,
        book: Book,
        executor: Executor,
        *,
        ownership: Ownership,
        contacts: Contacts | None = None,
        dry_run: DryRun | None = None,
    ) -> None:
        self._dataverse, self._mapping, self._rules = dataverse, mapping, rules
        self._book, self._executor, self._contacts = book, executor, contacts
        self._definition, self._ownership = mapping.definition, ownership
        self._conflicts = Conflicts(mapping.stream, ownership)
        # Of rows to delete no more than finds them.
        found_by = contacts.columns if contacts else ()
        self._needed = found_by if mapping.mode is Kind.DELETE else None
        self._dry_run = dry_run is not None
        self._reads = self._dry_run or (rules.skip_unchanged == "read" and mapping.mode is not Kind.DELETE)
        self._writes = Writes(dataverse, mapping.definition, rules.options, mapping.stream, executor, dry_run=dry_run)

    def write(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Result]]:
        """Write rows; yields each with what became of it.

        Raises:
            ConnectorError: other than for a row: the run cannot go on. What is written is in the ledger.
        """
        tasks, rejected = prepared(self._task, rows)
        yield from rejected
        in_rounds = rounds(tasks, lambda task: task.address or task.key)
        if len(in_rounds) > 1:
            beside(None)
        for each_once in in_rounds:
            try:
                self._round(each_once)
            finally:
                self._book.save([task.remember for task in each_once if task.result and task.remember])
            yield from results(each_once)

    def _task(self, row: Row) -> Task:
        mapping = self._mapping
        values = {} if row.deleted else mapping.values(row, self._needed)
        return Task(
            row,
            mapping.row_key(row),
            values,
            None if self._contacts else mapping.target(row),
            filled=mapping.sides.filled,
            both=mapping.both(values),
        )

    def _round(self, tasks: Sequence[Task]) -> None:
        self._recall(tasks)
        while beside(self._touched(tasks)):
            self._recall(tasks)
        for task in tasks:
            task.keep_guid()
            if task.entry and is_stale(task.row, task.entry, self._book.run):
                task.reject(RowError("a newer version of this row has come since it was rejected"))
        self._leave([task for task in _open(tasks) if task.row.deleted and self._mapping.mode is not Kind.DELETE])
        self._skip_unchanged(_open(tasks))
        if self._contacts:
            self._find(self._contacts, _open(tasks))
        else:
            self._write_all(_open(tasks))

    def _recall(self, tasks: Sequence[Task]) -> None:
        entries = self._book.entries([task.key for task in tasks])
        for task in tasks:
            task.entry = entries.get(task.key)

    def _touched(self, tasks: Sequence[Task]) -> set[str] | None:
        """Names of all that rows may touch; None if that is not known, or their order counts otherwise, too."""
        if self._contacts or self._dry_run or self._mapping.mode is Kind.DELETE:
            return None
        names = set[str]()
        for task in tasks:
            if task.row.deleted or rejected_at(task.row.message) or self._mapping.leads_back(task.values):
                return None
            names |= {task.key, task.address, task.entry.target if task.entry else task.key}
        return names

    def _leave(self, tasks: Sequence[Task]) -> None:
        """Rows that were deleted at the source: the table's stay. The contacts of such rows are free for others."""
        for task in tasks:
            task.end(Outcome.LEFT, State.DELETED if task.settled else None)
        if self._contacts:
            self._contacts.release([task.key for task in tasks])

    def _skip_unchanged(self, tasks: Sequence[Task]) -> None:
        mode = self._mapping.mode
        if mode is Kind.DELETE:
            for task in tasks:
                if task.erased and self._rules.skip_unchanged == "ledger":
                    task.end(Outcome.ERASED)
        elif mode is Kind.CREATE or self._rules.skip_unchanged == "ledger":
            for task in tasks:
                if task.settled and (mode is Kind.CREATE or not task.unwritten()):
                    task.done(Outcome.UNCHANGED, written=False)

    def _find(self, contacts: Contacts, tasks: Sequence[Task]) -> None:
        """Contacts: they are found, claimed, so that no two rows write to the same one, and written."""
        contacts.find(tasks)
        strangers = [task for task in _open(tasks) if not task.target]
        if self._mapping.mode in {Kind.UPDATE, Kind.DELETE}:
            for task in strangers:
                task.end(Outcome.ABSENT)
        else:
            contacts.name_new(strangers)
        while waiting := _open(tasks):
            lost = contacts.claim(waiting)
            ready = [task for task in waiting if id(task) not in lost]
            try:
                self._write_all(ready)
            finally:
                freed = [task.key for task in ready if not task.remember and not task.settled]
                contacts.release(freed)
            for task in waiting:
                # Nobody holds it if its holder has just gone to another one, or could not be written.
                if id(task) in lost and lost[id(task)] not in {"", *freed}:
                    task.lose(lost[id(task)])

    def _write_all(self, tasks: Sequence[Task]) -> None:
        waiting = list(tasks)
        while waiting:
            for task in waiting:
                task.turns += 1
                if task.turns > MAX_TURNS:
                    task.reject(RowError("its row keeps changing; try again"))
            waiting = _open(waiting)
            self._read([task for task in waiting if self._must_read(task)])
            changes = [(task, operation) for task in _open(waiting) if (operation := self._operation(task, waiting))]
            for task, answer in self._writes.carry_out(changes):
                self._settle(task, answer)
            waiting = _open(waiting)

    def _must_read(self, task: Task) -> bool:
        if self._reads or self._is_unknown_replay(task):
            return True
        if task.new and not task.there:
            return False
        # What is known to be gone is not written, only to be told so again.
        gone = task.erased and self._mapping.mode in {Kind.UPSERT, Kind.UPDATE}
        # Whether a row is there decides on what it gets.
        unsure = bool(task.filled) and not (self._contacts or task.linked or task.there)
        return gone or unsure or bool(changed(task.both, task.known))

    @staticmethod
    def _is_unknown_replay(task: Task) -> bool:
        # A row that was rejected earlier must not overwrite what came after it: only the table tells of that.
        return task.entry is None and rejected_at(task.row.message) is not None

    def _read(self, tasks: Sequence[Task]) -> None:
        keys = [task.target for task in tasks if task.target]
        columns = [each.column.property for each in self._mapping.fields]
        if _MODIFIED_ON in self._definition.columns:
            columns.append(_MODIFIED_ON)
        rows = read_rows(self._dataverse, self._definition, keys, columns, self._executor)
        for task in tasks:
            task.current, task.read = rows.get(task.address), True
            at = rejected_at(task.row.message) if self._is_unknown_replay(task) else None
            modified = str((task.current or {}).get(_MODIFIED_ON) or "")
            if at and modified and not is_older(utc(modified), at.isoformat()):
                task.reject(RowError("the row has changed since this one was rejected; take it from its source again"))

    def _operation(self, task: Task, together: Sequence[Task]) -> Operation | None:
        """What to do for a row; None if that is nothing, which is its result then."""
        assert task.target
        mode = self._mapping.mode
        if mode is Kind.DELETE:
            return Operation(Kind.DELETE, task.target)
        if task.current is not None:
            return self._difference(task, task.current)
        if mode is Kind.UPDATE or task.linked or (self._contacts and not task.new):
            return self._change(task)
        if task.there:
            return Operation(Kind.UPDATE, task.target, _body(task.own))
        body = _body(task.values)
        if mode is Kind.CREATE or task.new or task.read:
            return Operation(Kind.CREATE, task.target, body)
        # A POST tells what it did, a PATCH does not; but if many of them are there already, all would go twice.
        few = not self._mapping.address and len(together) <= FEW
        return Operation(Kind.CREATE if few else Kind.UPSERT, task.target, body)

    def _change(self, task: Task) -> Operation | None:
        """As :meth:`_operation`, for a row that should be in the table, and was not read there."""
        assert task.target
        creates = self._mapping.mode is Kind.CREATE
        if task.read or (creates and task.erased):
            self._miss(task)
        elif creates:
            task.done(Outcome.UNCHANGED, written=False)
        elif values := self._unwritten(task):
            return Operation(Kind.UPDATE, task.target, _body(values))
        else:
            task.done(Outcome.UNCHANGED)
        return None

    def _difference(self, task: Task, current: Mapping[str, Any]) -> Operation | None:
        differing, task.conflicts = difference(self._mapping, task, current, self._ownership)
        if self._mapping.mode is Kind.CREATE:
            task.done(Outcome.UNCHANGED, written=not differing)
            return None
        if error := self._conflicts.error(task.address, task.conflicts):
            task.reject(error)
            return None
        if not differing:
            task.done(Outcome.UNCHANGED)
            return None
        assert task.target
        etag = current.get(ETAG) if self._rules.etag_guard else None
        return Operation(Kind.UPDATE, task.target, _body(differing), etag)

    def _unwritten(self, task: Task) -> Mapping[str, Mapping[str, Any]]:
        if self._rules.skip_unchanged == "ledger" and task.settled:
            return task.unwritten()
        # Those that both sides may change are here only if the source has not.
        return {name: members for name, members in task.own.items() if name not in task.both}

    def _settle(self, task: Task, answer: Written | RowError) -> None:
        if isinstance(answer, RowError):
            if answer.code == CHANGED_MEANWHILE and self._rules.etag_guard:
                if isinstance(answer, RepeatedError):
                    task.perhaps = Outcome.UPDATED
                return  # is read again
            task.reject(answer)
        elif answer.effect in _OUTCOMES:
            task.done(_OUTCOMES[answer.effect])
        elif answer.effect is Effect.DELETED:
            task.end(Outcome.DELETED, State.ERASED)
        elif answer.effect is Effect.EXISTS:
            creates = self._mapping.mode is Kind.CREATE
            if answer.in_doubt:
                task.perhaps = Outcome.CREATED if creates else Outcome.UPSERTED
            if creates:
                task.done(Outcome.UNCHANGED, written=False)
            task.there = True  # by an earlier run, perhaps, whose ledger is lost: is updated now
        elif task.there:
            task.reject(RowError("another row of the table has the same values in an alternate key"))
        else:
            self._miss(task)

    def _miss(self, task: Task) -> None:
        """There is no such row in the table, or not any more."""
        if task.linked:
            task.end(Outcome.ERASED, State.ERASED)
        else:
            task.end(Outcome.ABSENT)


def _open(tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if not task.result]


def _body(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for members in values.values():
        body.update(members)
    return body
