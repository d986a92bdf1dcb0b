"""Whose contact a row is: by ledger, loyalty id, link or e-mail address, and whether another row has that contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, portions
from annex_d365.dataverse.writes import Guid, TableDefinition, guid_for
from annex_d365.dataverse.writes.addresses import identity, literal
from annex_d365.errors import RowError
from annex_d365.ledger import Book, Claim, State, fold
from target_annex.dynamics.current import read_rows
from target_annex.dynamics.mapping import GUID, RowMapping
from target_annex.dynamics.tasks import Task
from target_annex.report import Outcome
from target_annex.work import in_parallel

TABLE, TABLES = "contact", "contacts"
EMAIL = "emailaddress1"
#: The contact was merged into another one, and is what is left of it.
MERGED = "merged"


class Contacts:
    """Finds contacts and keeps rows apart.

    Args:
        dataverse: the organisation.
        definition: of the table of contacts.
        stream: that the rows come by.
        book: of the stream.
        executor: sends requests in parallel.
        id_column: column with the loyalty id.
        links: of the stream of contacts that become members, in the ledger; None if there is no such book.
    """

    def __init__(
        self,
        dataverse: Dataverse,
        definition: TableDefinition,
        stream: str,
        book: Book,
        executor: Executor,
        *,
        id_column: str,
        links: Book | None = None,
    ) -> None:
        self._dataverse, self._definition, self._stream = dataverse, definition, stream
        self._book, self._executor, self._links = book, executor, links
        self._id_column = id_column
        #: Those that a contact is found by.
        self.columns = [name for name in (id_column, EMAIL) if name in definition.columns]

    def find(self, tasks: Sequence[Task]) -> None:
        """Set the contact of each row, if there is one, or its result. The ledger knows the contact of a row best.

        One that was erased may have been made anew, with another GUID.
        """
        for task in tasks:
            if not task.erased:
                _take_known(task)
        gone: dict[int, Guid] = {}
        for column in self.columns:
            if column == EMAIL and self._links:
                gone = self._match_linked(self._links, [task for task in tasks if not task.target and not task.result])
            asking = [task for task in tasks if not task.target and not task.result and self._value(task, column)]
            found = self._by_value(column, asking)
            for task in asking:
                self._match(task, column, found.get(self._value(task, column), []))
        for task in tasks:
            if not task.target and not task.result:
                _take_known(task)
            if not task.target and not task.result and id(task) in gone:
                task.target = gone[id(task)]
                task.end(Outcome.ERASED, State.ERASED)

    def name_new(self, tasks: Sequence[Task]) -> None:
        """Set the GUID of each contact to come; rows that are the same person get the same one."""
        taken: dict[tuple[str, str], Guid] = {}
        for task in tasks:
            names = [(column, value) for column in self.columns if (value := self._value(task, column))]
            target = next((taken[name] for name in names if name in taken), Guid(guid_for(self._stream, task.key)))
            taken.update(dict.fromkeys(names, target))
            task.target, task.new = target, True
            task.by_id = bool(self._value(task, self._id_column))

    def claim(self, tasks: Sequence[Task]) -> dict[int, str]:
        """Claim contacts for rows. One that is found by its loyalty id goes first; else the first row wins.

        Returns:
            Of the rows that another row keeps from their contact, by ``id()``: that row's key.
        """
        ordered = sorted(tasks, key=lambda task: not task.by_id)
        holders = self._book.claim([Claim(task.key, task.address, task.by_id) for task in ordered])
        return {id(task): holder for task in tasks if (holder := holders[task.address]) != task.key}

    def release(self, keys: Sequence[str]) -> None:
        """Let rows give up the contacts that they hold."""
        self._book.release(keys)

    def _value(self, task: Task, column: str) -> str:
        members = task.values.get(column, {})
        return _folded(column, members.get(column))

    def _by_value(self, column: str, tasks: Sequence[Task]) -> dict[str, list[Row]]:
        columns = (self._definition.primary_id, *self.columns, MERGED)
        select = [name for name in columns if name in self._definition.columns]
        values = dict.fromkeys(_stripped(task.values[column][column]) for task in tasks)

        def asked(value: Any) -> str:
            return f"{column} eq {literal(value)}"

        def read(part: Sequence[Any]) -> list[Row]:
            query = Query(self._definition.entity_set, select, " or ".join(map(asked, part)))
            return list(self._dataverse.rows(query))

        found: dict[str, list[Row]] = {}
        for answer in in_parallel(self._executor, read, portions(list(values), asked)):
            if isinstance(answer, RowError):
                raise answer
            for row in answer:
                if not row.get(MERGED):
                    found.setdefault(_folded(column, row[column]), []).append(row)
        return found

    def _match_linked(self, links: Book, tasks: Sequence[Task]) -> dict[int, Guid]:
        """Take the contact that the other direction has made a member of: several may have its e-mail address.

        Returns:
            Of rows whose contacts are all gone that it knows, by ``id()``: one of these.
        """
        ids = {id(task): self._value(task, self._id_column) for task in tasks}
        entries = links.by_target(ids.values())
        known = {
            id(task): {
                Guid(each.key): each.state
                for each in entries.get(fold(ids[id(task)]), ())
                if each.target == ids[id(task)] and GUID.fullmatch(each.key)
                # What is known to be gone need not be found to be gone again; another contact has who was merged.
                if each.state is State.SETTLED or not (task.erased or each.state is State.MERGED)
            }
            for task in tasks
        }
        columns = [name for name in (*self.columns, MERGED) if name in self._definition.columns]
        keys = list({identity(key): key for keys in known.values() for key in keys}.values())
        rows = read_rows(self._dataverse, self._definition, keys, columns, self._executor)
        gone = {}
        for task in tasks:
            states = known[id(task)]
            settled = [key for key, state in states.items() if state is State.SETTLED]
            row = rows.get(identity(settled[0])) if len(settled) == 1 else None
            if row and not row.get(MERGED) and not self._belongs_to_another(task, row):
                self._take(task, settled[0], by_id=True)
            if states and not any(identity(key) in rows for key in states):
                gone[id(task)] = next(iter(states))
        return gone

    def _match(self, task: Task, column: str, candidates: Sequence[Row]) -> None:
        ids = sorted({str(row[self._definition.primary_id]) for row in candidates})
        if len(ids) > 1:
            task.reject(RowError(f"several contacts have this {self._called(column)}: {', '.join(ids)}"))
        elif ids and self._belongs_to_another(task, candidates[0]):
            task.reject(RowError(f"contact {ids[0]} has this e-mail address, but another loyalty id"))
        elif ids:
            self._take(task, Guid(ids[0]), by_id=column == self._id_column)

    @staticmethod
    def _take(task: Task, target: Guid, *, by_id: bool) -> None:
        task.target, task.by_id = target, by_id
        if task.erased:
            task.entry = None  # it is about another contact

    def _belongs_to_another(self, task: Task, row: Mapping[str, Any]) -> bool:
        own, other = self._value(task, self._id_column), _folded(self._id_column, row.get(self._id_column))
        return bool(own and other and own != other)

    def _called(self, column: str) -> str:
        return "loyalty id" if column == self._id_column else "e-mail address"


def needs_finding(mapping: RowMapping, id_column: str) -> bool:
    """Whether rows become contacts that their key does not tell for sure.

    An alternate key on the loyalty id or the address does not tell: a contact that lacks it is to be found, too.
    """
    address = mapping.address
    return mapping.definition.logical_name == TABLE and (not address or bool({id_column, EMAIL} & set(address)))


def _take_known(task: Task) -> None:
    if task.linked and task.entry and GUID.fullmatch(task.entry.target):
        task.target = Guid(task.entry.target)


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _folded(column: str, value: Any) -> str:
    """A value as it is compared: member ids to the letter (Annex page 5.2), addresses without case."""
    folded = "" if value is None else str(value).strip()
    return folded.casefold() if column == EMAIL else folded
