"""Who a row is: its member, by ledger, member id or e-mail address, and whether another row has that member."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor

from annex_d365.annexcloud.fields import same
from annex_d365.annexcloud.members import EXTENDED, Member, Members
from annex_d365.errors import RowError
from annex_d365.ledger import Book, Claim, State, fold
from annex_d365.relay import beside
from annex_d365.singer.rejects import rejected_at
from target_annex.report import Outcome
from target_annex.tasks import Task, name_of, place_of
from target_annex.work import in_parallel

#: A deleted member is there until the next daily batch (Annex page 5.6): only who is there after that has come back.
MOURNING_SECONDS = 2 * 24 * 3600


class Identity:
    """Finds members and keeps rows apart.

    Args:
        members: of the site.
        book: of the stream.
        executor: sends requests in parallel.
        reads: whether members are always read.
        dry_run: whether nothing is written.
        compares: whether a row has values that must be compared with its member's.
        wanted: names of the fields that would be written for a row.
    """

    def __init__(
        self,
        members: Members,
        book: Book,
        executor: Executor,
        *,
        reads: bool,
        dry_run: bool,
        compares: Callable[[Task], bool],
        wanted: Callable[[Task], Collection[str]],
    ) -> None:
        self._members, self._book, self._executor = members, book, executor
        self._reads, self._dry_run, self._compares, self._wanted = reads, dry_run, compares, wanted

    def find(self, tasks: Sequence[Task]) -> None:
        """Set the member of each row, or its result."""
        asking = []
        for task in tasks:
            known = task.link or task.contact.member_id
            if known and not self._must_read(task):
                task.member = Member(known)
            else:
                asking.append(task)
        self._for_each(self._ask, asking)
        self._keep_buried([task for task in tasks if not task.result])

    def missing(self, tasks: Sequence[Task]) -> None:
        """There is no member with the id of these: set who it has become, None, or the result."""
        self._for_each(self._successor, tasks)

    def claim(self, tasks: Sequence[Task], new_id: Callable[[Task], str]) -> dict[int, tuple[str, str]]:
        """Claim members, or the ids of members to come, for rows.

        A row that names its member by id goes before one that is found by its address; else the first one wins.

        Returns:
            Of the rows that another row keeps from their member, by ``id()``: the member's id, and that row's key.
        """
        targets = {id(task): task.member.id if task.member else new_id(task) for task in tasks}
        while beside({name_of(target) for target in targets.values() if target}):
            pass  # nothing of what was read before counts for claims
        claims = [
            Claim(task.contact.key, targets[id(task)], bool(task.contact.member_id))
            for task in sorted(tasks, key=lambda each: not each.contact.member_id)
            if targets[id(task)]
        ]
        holders = self._book.claim(claims) if claims else {}
        return {
            id(task): (target, holder)
            for task in tasks
            if (target := targets[id(task)]) and (holder := holders[target]) != task.contact.key
        }

    def _for_each(self, work: Callable[[Task], None], tasks: Sequence[Task]) -> None:
        for task, error in zip(tasks, in_parallel(self._executor, work, tasks), strict=True):
            if error:
                task.reject(error)
            elif task.gone:
                task.end(Outcome.ERASED, State.ERASED)

    def _must_read(self, task: Task) -> bool:
        # What a dry run would have created is not there to be read.
        missing = self._dry_run and task.entry is not None and task.entry.run == self._book.run
        if (self._reads or self._compares(task)) and not missing:
            return True
        # A row that was rejected earlier must not overwrite what came after it: only the member tells of that.
        if task.entry is None and rejected_at(task.row.message) is not None:
            return True
        # ASSUMPTION (Annex page 5.3): a PATCH merges extended attributes. Should it replace them, we need the others.
        return any(name.startswith(f"{EXTENDED}.") for name in self._wanted(task))

    def _ask(self, task: Task) -> None:
        contact = task.contact
        member_id = task.link or contact.member_id
        if not member_id:
            if not contact.email:
                raise RowError("neither a member id nor an e-mail address says who this is")
            found = self._members.find_by_email(contact.email)
            if len(found) > 1:
                raise RowError("several members have this e-mail address")
            if not found:
                task.member = self._namesake(contact.email)
                self._check_newer(task)
                return
            member_id = found[0].id
        task.member = Member(member_id)
        if not self._must_read(task):
            return
        task.member = self._members.get(member_id)
        if task.member is None:
            self._successor(task, member_id)
        self._check_newer(task)

    def _namesake(self, address: str) -> Member | None:
        """The member whose id is this address, as sites have it (Annex page 5.1).

        Raises:
            RowError: it has another e-mail address, and may be another person's by now.
        """
        member = self._members.get(address)
        if member and not same("email", address, member.value("email") or address):
            raise RowError("a member has this e-mail address for its id, and another one for its address")
        return member

    def existing(self, task: Task) -> Member | None:
        """The member that is there already with the id of one that was to be created.

        Raises:
            RowError: that cannot be said, or it is another person.
        """
        contact = task.contact
        return self._members.get(contact.member_id) if contact.member_id else self._namesake(contact.email)

    def _successor(self, task: Task, member_id: str = "") -> None:
        """A member that is not there may have been merged into another one (Annex page 5.6)."""
        if not member_id:
            member_id = task.member.id if task.member else ""
            # That somebody is gone for good, a bulk call alone does not tell.
            task.member = self._members.get(member_id) if task.link else None
            if task.member:
                return
        task.member = None
        primary = self._members.merged_into(member_id)
        task.member = self._members.get(primary) if primary else None
        task.gone = task.member is None and bool(task.link)

    def _check_newer(self, task: Task) -> None:
        at = rejected_at(task.row.message)
        updated = task.member.updated if task.member else None
        # Both in seconds, as the service has them.
        if task.entry is None and at and task.member and (updated is None or updated >= at.replace(microsecond=0)):
            raise RowError("the member has changed since this row was rejected; take the row from its source again")

    def _keep_buried(self, tasks: Sequence[Task]) -> None:
        """Who was erased does not come back by a row, neither by its own nor by another."""
        new = [task for task in tasks if not task.held]
        if not new:
            return
        ids = {id(task): task.member.id if task.member else task.contact.member_id for task in new}
        places = {id(task): (fold(ids[id(task)]), place_of(task.address)) for task in new}
        graves = {
            fold(entry.target): entry.at
            for entries in self._book.by_target({each for part in places.values() for each in part}).values()
            for entry in entries
            if entry.state is State.ERASED
        }
        buried = [task for task in new if not graves.keys().isdisjoint(places[id(task)])] if graves else []

        def look(task: Task) -> None:
            erased = max(at for place, at in graves.items() if place in places[id(task)])
            task.member = self._members.get(ids[id(task)]) if ids[id(task)] else None
            task.gone = task.member is None or erased > time.time() - MOURNING_SECONDS

        self._for_each(look, buried)
