"""What is sent for rows, in bulk; or, in a dry run, only told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor

from annex_d365.annexcloud.members import Member, Members
from annex_d365.errors import RowError
from target_annex.dry_run import DryRun
from target_annex.tasks import Task
from target_annex.work import answered, chunks

#: So few go one by one: at once they are as quick, and the single calls are documented better (Annex page 5.7).
FEW = 8

Change = tuple[Task, Mapping[str, str]]


class Writes:
    """Creates, updates and deletes the members of rows.

    Args:
        members: of the site.
        stream: that the rows came by.
        executor: sends requests in parallel.
        requested_by: e-mail address that stands for deletions.
        dry_run: takes note instead.
    """

    def __init__(
        self, members: Members, stream: str, executor: Executor, *, requested_by: str, dry_run: DryRun | None
    ) -> None:
        self._members, self._stream, self._executor = members, stream, executor
        self._requested_by, self._dry_run = requested_by, dry_run

    def update(self, changes: Sequence[Change]) -> Iterator[tuple[Task, RowError | None]]:
        """Change fields of members, one change for a member at most; yields each row with its error, or None.

        Raises:
            ConnectorError: other than for a row; at the end, after the rows that are done.
        """
        if self._dry_run:
            for task, fields in changes:
                assert task.member
                old = {name: task.member.value(name) for name in fields}
                self._dry_run.add(
                    self._stream, task.contact.key, action="update", target=task.member.id, new=fields, old=old
                )
            return ((task, None) for task, _ in changes)

        def send(chunk: Sequence[Change]) -> list[RowError | None]:
            return self._members.update_many([(task.member or Member(""), fields) for task, fields in chunk])

        return self._in_bulk(send, changes, self._members.updates_per_call)

    def create(self, changes: Sequence[tuple[Task, str, Mapping[str, str]]]) -> Iterator[tuple[Task, RowError | None]]:
        """Enrol members with these ids and fields; yields each row with its error, or None.

        Raises:
            ConnectorError: other than for a row; at the end, after the rows that are done.
        """
        if self._dry_run:
            for task, member_id, fields in changes:
                self._dry_run.add(self._stream, task.contact.key, action="create", target=member_id, new=fields)
            return ((task, None) for task, _, _ in changes)
        ids = {id(task): member_id for task, member_id, _ in changes}

        def send(chunk: Sequence[Change]) -> list[RowError | None]:
            return self._members.create_many([(ids[id(task)], fields) for task, fields in chunk])

        return self._in_bulk(send, [(task, fields) for task, _, fields in changes], self._members.creations_per_call)

    def delete(self, task: Task) -> bool:
        """Ask for the deletion of the member of a row; False if it is gone already.

        Raises:
            ConnectorError: it is refused.
        """
        member_id = task.member.id if task.member else ""
        if self._dry_run:
            self._dry_run.add(self._stream, task.contact.key, action="delete", target=member_id)
            return True
        return self._members.delete(member_id, self._requested_by)

    def _in_bulk(
        self, send: Callable[[Sequence[Change]], list[RowError | None]], changes: Sequence[Change], most: int
    ) -> Iterator[tuple[Task, RowError | None]]:
        parts = chunks(changes, most if len(changes) > FEW else 1)
        for part, answer in answered(self._executor, send, parts):
            errors: Sequence[RowError | None] = [answer] * len(part) if isinstance(answer, RowError) else answer
            for (task, _), error in zip(part, errors, strict=True):
                yield task, error
