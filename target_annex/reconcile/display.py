"""What the user sees: progress, and tables of what was found. Never a value, nor a key that may be one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from annex_d365.singer.rows import shown
from target_annex.reconcile.findings import Findings, Kind

if TYPE_CHECKING:
    from typing_extensions import Self

#: Where there is no terminal, a line is printed so often at most.
SECONDS_BETWEEN_LINES = 5.0
#: Differences that are told one by one; the file tells all.
TOLD = 20
#: Fields of one difference that are told.
TOLD_FIELDS = 3


_GUID = 36


class Display:
    """Progress bars on a terminal, a line now and then elsewhere. For several threads.

    Args:
        console: that progress goes to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def expect(self, what: str, total: int | None) -> None:
        """So many will come; None if that is not known."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        else:
            self._progress.update(self._tasks[what], total=total)

    def advance(self, what: str, number: int) -> None:
        """So many more have come."""
        if what not in self._tasks:
            self.expect(what, None)
        self._progress.advance(self._tasks[what], number)
        self._done[what] = self._done.get(what, 0) + number
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            self._console.print(", ".join(f"{count:,} {name}" for name, count in self._done.items()), soft_wrap=True)


def print_report(console: Console, parts: Sequence[Findings]) -> None:
    """Tables of what was found, and how many there are."""
    summary = Table("", "Dynamics 365", "Annex Cloud", "both", "differences", title="Reconciled")
    for part in parts:
        names = {"contacts": ("contacts", "members", "pairs"), "segments": ("d365", "annex_cloud", "copies")}
        sizes = [f"{part.sizes.get(name, 0):,}" for name in names[part.what]]
        summary.add_row(part.what, *sizes, f"{part.total:,}")
    console.print(summary)
    kinds = [(part.what, kind.value, count) for part in parts for kind, count in part.kinds.items()]
    if kinds:
        table = Table("", "what", "count", title="Differences")
        for what, kind, count in kinds:
            table.add_row(what, kind, f"{count:,}")
        console.print(table)
    fields = sorted((key, count) for part in parts for key, count in part.fields.items())
    if fields:
        table = Table("member", "contact", "owner", "count", title="Fields that differ")
        for (name, column, owner), count in fields:
            table.add_row(name, column, owner, f"{count:,}")
        console.print(table)
    _print_some(console, parts)
    for note in (note for part in parts for note in part.notes):
        console.print(note, soft_wrap=True, markup=False)
    if not any(part.total for part in parts):
        console.print("Both sides are equal.")


def _print_some(console: Console, parts: Sequence[Findings]) -> None:
    told = 0
    table = Table("what", Column("row", no_wrap=True, min_width=_GUID), "fields", title=f"The first {TOLD}")
    for part in parts:
        for finding in part if told < TOLD else ():
            if told == TOLD:
                break
            told += 1
            keys = finding.keys
            names = ", ".join(each.name for each in finding.fields[:TOLD_FIELDS])
            if len(finding.fields) > TOLD_FIELDS:
                names += f" and {len(finding.fields) - TOLD_FIELDS} more"
            if finding.kind is Kind.MEMBERS:
                names = f"{len(finding.missing):,} missing, {len(finding.extra):,} extra"
            key = keys.get("contact") or keys.get("segment") or keys.get("copy") or ""
            table.add_row(finding.kind.value, key if "segment" in keys or "copy" in keys else shown(key), names)
    if told:
        console.print(table)
