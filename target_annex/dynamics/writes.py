"""What is sent for rows; or, in a dry run, only told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from enum import Enum, auto

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.writes import (
    Effect,
    Guid,
    Kind,
    Operation,
    TableDefinition,
    TableWriter,
    WriteOptions,
    Written,
    return_representation,
)
from annex_d365.dataverse.writes.outcomes import DUPLICATE_ID, DUPLICATES
from annex_d365.errors import OutageError, RowError, ServiceError
from annex_d365.retry import IN_DOUBT
from target_annex.dry_run import DryRun
from target_annex.dynamics.tasks import Task
from target_annex.work import answered

#: So few new rows go one by one, by the integration document's calls.
FEW = 8
#: Columns of new rows that the document's calls ask for, by table.
DOCUMENT_SELECT: Mapping[str, Sequence[str]] = {"contact": ("contactid", "emailaddress1", "createdon")}

_EFFECTS = {Kind.CREATE: Effect.CREATED, Kind.UPDATE: Effect.UPDATED, Kind.DELETE: Effect.DELETED}

Change = tuple[Task, Operation]


class _Unsettled(Enum):
    """Why a new row is sent once more, in another way."""

    #: The reply is lost: its key shows whether it is there.
    IN_DOUBT = auto()
    #: In the way of an alternate key may be the row itself.
    KEY_TAKEN = auto()


class Writes:
    """Carries out operations on the rows of a table.

    Args:
        dataverse: the organisation.
        definition: of the table.
        options: how it is written.
        stream: that the rows came by.
        executor: sends requests in parallel.
        dry_run: takes note instead.
    """

    def __init__(
        self,
        dataverse: Dataverse,
        definition: TableDefinition,
        options: WriteOptions,
        stream: str,
        executor: Executor,
        *,
        dry_run: DryRun | None,
    ) -> None:
        self._dataverse, self._definition, self._stream = dataverse, definition, stream
        self._executor, self._dry_run = executor, dry_run
        self._writer = TableWriter(dataverse, definition, options)
        # The document's calls have no headers for these.
        self._plain = not (options.bypass_business_logic or options.suppress_flows or options.caller_object_id)

    def carry_out(self, changes: Sequence[Change]) -> Iterator[tuple[Task, Written | RowError]]:
        """Carry out operations, one for a row of the table at most.

        Yields:
            Each task with what became of it. If an error stops the others, those that have an answer come first.

        Raises:
            ConnectorError: other than for a row.
        """
        if self._dry_run:
            yield from ((task, self._tell(self._dry_run, task, operation)) for task, operation in changes)
            return
        new = [each for each in changes if each[1].kind is Kind.CREATE]
        by_document = new if self._plain and len(new) <= FEW else []
        others = [each for each in changes if each[1].kind is not Kind.CREATE or not by_document]
        doubted: set[int] = set()
        for change, told in answered(self._executor, lambda each: self._create(each[1]), by_document):
            if isinstance(told, _Unsettled):
                others.append(change)
                if told is _Unsettled.IN_DOUBT:
                    doubted.add(id(change[0]))
            else:
                yield change[0], told
        if not others:
            return
        for number, answer in self._writer.written([operation for _, operation in others], self._executor):
            task, _ = others[number]
            if id(task) in doubted and isinstance(answer, Written) and answer.effect is Effect.EXISTS:
                yield task, replace(answer, in_doubt=True)
            else:
                yield task, answer

    def _create(self, operation: Operation) -> Written | _Unsettled:
        """By the document's call, which tells the row (``Prefer: return=representation``)."""
        definition = self._definition
        values = dict(operation.values)
        if isinstance(operation.key, Guid):
            values[definition.primary_id] = operation.key.value
        select = DOCUMENT_SELECT.get(definition.logical_name, ())
        try:
            row = return_representation(self._dataverse, definition.entity_set, values, select)
        except RowError as error:
            code = error.code.lower()
            if code not in DUPLICATES:
                raise
            mine = code == DUPLICATE_ID and isinstance(operation.key, Guid)
            return Written(Effect.EXISTS) if mine else _Unsettled.KEY_TAKEN
        except ServiceError as error:
            if error.status in IN_DOUBT or isinstance(error, OutageError):
                return _Unsettled.IN_DOUBT
            raise
        return Written(Effect.CREATED, str(row[definition.primary_id]))

    def _tell(self, dry_run: DryRun, task: Task, operation: Operation) -> Written:
        """What the operation would come to, as the row of the table was read before."""
        there = task.current is not None
        if operation.kind in {Kind.UPDATE, Kind.DELETE} and not there:
            return Written(Effect.MISSING)
        if operation.kind is Kind.CREATE and there:
            return Written(Effect.EXISTS)
        current = task.current or {}
        changed = {name for name, members in task.values.items() if members.items() <= operation.values.items()}
        new = {name: value for name in changed for value in task.values[name].values()}
        old = {name: current.get(column.property) for name in changed if (column := self._definition.column(name))}
        action = operation.kind.value
        dry_run.add(self._stream, task.key, action=action, target=task.address, new=new, old=old)
        return Written(_EFFECTS[operation.kind])
