"""Rows that are no more: what becomes of their members (the table in the README, "Deleted, merged, erased")."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor

from annex_d365.annexcloud.errors import not_found
from annex_d365.annexcloud.fields import NO, OPT_IN
from annex_d365.annexcloud.members import Member, Members
from annex_d365.errors import RowError
from annex_d365.ledger import Book, Entry, State, fold
from target_annex.mapping import Contact
from target_annex.member_settings import MemberRules
from target_annex.report import Outcome
from target_annex.tasks import Task, address_of, place_of
from target_annex.work import answered, in_parallel
from target_annex.writes import Writes

#: The stream whose rows become contacts; a row's key is the member's id.
MEMBERS = "members"
_STAKES = frozenset({State.SETTLED, State.RIVAL})


class Departures:
    """Settles rows that were deleted at their source, or merged into others.

    Args:
        members: of the site.
        writes: to the site.
        stream: that the rows came by.
        book: of the stream.
        rules: the settings.
        executor: sends requests in parallel.
        contacts: of the members that become contacts, in the ledger; None if there is no such book.
    """

    def __init__(  # noqa: PLR0917 - each is of another type
        self,
        members: Members,
        writes: Writes,
        stream: str,
        book: Book,
        rules: MemberRules,
        executor: Executor,
        *,
        contacts: Book | None = None,
    ) -> None:
        self._members, self._writes, self._stream = members, writes, stream
        self._book, self._rules, self._executor = book, rules, executor
        self._contacts = contacts

    def settle(self, tasks: Sequence[Task], staying: Sequence[Contact]) -> None:
        """Set the result of each row. Only the ledger knows the member of a row that is gone.

        Args:
            tasks: of rows that leave.
            staying: what the other rows say that come at the same time; they may be about the same members.
        """
        if not tasks:
            return
        if self._contacts:
            self._recall(self._contacts, [task for task in tasks if task.row.deleted and not task.entry])
        leaving = self._last_ones(tasks, _Staying(staying))
        for task in tasks:
            if task not in leaving:
                outcome, state = (Outcome.LEFT, State.DELETED) if task.row.deleted else (Outcome.MERGED, State.MERGED)
                buried = task.entry is not None and task.entry.state is State.ERASED
                task.end(outcome, None if buried else state)
        for task in leaving:
            task.member = Member(task.entry.target if task.entry else "")
        depart = self._delete if self._rules.on_contact_delete == "delete" else self._opt_out
        self._follow(depart(leaving), depart)
        self._book.release([task.contact.key for task in tasks if task.result and not task.result.error])

    def _recall(self, contacts: Book, tasks: Sequence[Task]) -> None:
        """Contacts that the other direction has made, or found, and that were deleted before they came by this one."""
        made = contacts.by_target([task.contact.key.lower() for task in tasks])
        for task in tasks:
            entries = [each for each in made.get(task.contact.key.lower(), ()) if each.stream == MEMBERS]
            # It may have seen already that the contact is gone.
            for state in (State.SETTLED, State.ERASED):
                known = [each.key for each in entries if each.state is state]
                if len(known) == 1 and not task.entry:
                    task.entry = Entry(task.contact.key, known[0])

    def _last_ones(self, tasks: Sequence[Task], staying: _Staying) -> list[Task]:
        """One row for each member with which nobody is left, and about which something is to be done."""
        if self._rules.on_contact_delete == "ignore":
            return []
        linked = [task for task in tasks if task.entry and task.entry.target and task.entry.state in _STAKES]
        members = {task.entry.target for task in linked if task.entry}
        held = self._held(members, {(self._stream, task.contact.key) for task in tasks})
        last: dict[str, Task] = {}
        # The one that has the member goes before its rivals.
        for task in sorted(linked, key=lambda each: not each.held):
            assert task.entry
            target = fold(task.entry.target)
            if task.row.deleted and target not in held and not staying.claims(task.entry):
                last.setdefault(target, task)
        return list(last.values())

    def _held(self, members: Collection[str], leaving: Collection[tuple[str, str]] = ()) -> set[str]:
        """Those members, folded, with which a contact stays: one of this direction, or one that the other has linked.

        Args:
            members: their ids.
            leaving: streams and keys of the rows that are about to leave.
        """
        held = set()
        rows = self._book.by_target(members)
        contacts = self._contacts.entries(members) if self._contacts else {}
        for member in members:
            known = [each for each in rows.get(fold(member), ()) if (each.stream, each.key) not in leaving]
            # What the other direction has linked may have left since: it hears of that later.
            left = {key.lower() for _, key in leaving} | {
                each.key.lower() for each in known if each.state not in _STAKES
            }
            linked = contacts.get(member)
            by_other = linked and linked.state is State.SETTLED and linked.target.lower() not in left
            if by_other or any(each.state in _STAKES for each in known):
                held.add(fold(member))
        return held

    def _opt_out(self, tasks: Sequence[Task]) -> list[Task]:
        missing = []
        for task, error in self._writes.update([(task, {OPT_IN: NO}) for task in tasks]):
            if error is None:
                # Should the row come back, the member may have opted in since.
                task.end(Outcome.OPTED_OUT, State.DELETED, forget={OPT_IN})
            elif not_found(error):
                missing.append(task)
            else:
                task.reject(error)
        return missing

    def _delete(self, tasks: Sequence[Task]) -> list[Task]:
        missing = []
        for task, result in answered(self._executor, self._writes.delete, tasks):
            if isinstance(result, RowError):
                task.reject(result)
            elif result:
                task.end(Outcome.DELETED, State.ERASED)
            else:
                missing.append(task)
        return missing

    def _follow(self, tasks: Sequence[Task], depart: Callable[[Sequence[Task]], list[Task]]) -> None:
        """These members are not there: they may have been merged into others (Annex page 5.6)."""
        primaries = in_parallel(
            self._executor, lambda task: self._members.merged_into(task.member.id if task.member else ""), tasks
        )
        merged = []
        for task, primary in zip(tasks, primaries, strict=True):
            if isinstance(primary, RowError):
                task.reject(primary)
            elif primary:
                task.member = Member(primary)
                merged.append(task)
            else:
                task.end(Outcome.ERASED, State.ERASED)
        held = self._held({task.member.id for task in merged if task.member})
        alone = []
        for task in merged:
            assert task.member
            if fold(task.member.id) in held:
                task.end(Outcome.LEFT, State.DELETED)
            else:
                alone.append(task)
        for task in depart(alone):
            task.end(Outcome.ERASED, State.ERASED)


class _Staying:
    """Rows that come at the same time, and stay."""

    def __init__(self, contacts: Sequence[Contact]) -> None:
        self._ids = {fold(contact.member_id) for contact in contacts if contact.member_id}
        self._places = {place_of(address_of(contact.email)) for contact in contacts} - {""}

    def claims(self, entry: Entry) -> bool:
        """Whether one of them names this member, by id or by the address that was written last."""
        return fold(entry.target) in self._ids or place_of(entry.digests) in self._places
