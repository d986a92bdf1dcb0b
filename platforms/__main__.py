"""``python -m platforms [row ...]``: run each row, and print the table. Exit code 1 if one fails."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from rich.console import Console
from rich.table import Table

from platforms.environments import lock
from platforms.result import Failure, Result
from platforms.world import World

#: Row -> module with ``run(world) -> Result``; its first line names the page that it proves.
ROWS = {
    "shell": "platforms.shell",
    "postgres-target": "platforms.postgres_target",
    "duckdb-target": "platforms.duckdb_target",
    "jsonl-target": "platforms.jsonl_target",
    "parquet-target": "platforms.parquet_target",
    "postgres-tap": "platforms.postgres_tap",
    "csv-tap": "platforms.csv_tap",
    "airflow": "platforms.airflow",
    "airbyte": "platforms.airbyte",
    "sdk": "platforms.sdk",
    "hub": "platforms.hub",
}


@dataclass(frozen=True)
class Line:
    """A row of the table; ``reason`` is empty if it passed."""

    name: str
    seconds: float
    result: Result | None = None
    reason: str = ""

    @property
    def outcome(self) -> str:
        """``pass`` and what else was shown, or why it failed."""
        return f"FAIL: {self.reason}" if self.result is None else " + ".join(("pass", *self.result.shown))


def attempt(name: str, run: Callable[[World], Result]) -> Line:
    """Run a row in a world of its own. A ``Failure`` becomes its line; other exceptions do, with their traceback."""
    started = time.monotonic()
    try:
        with World() as world:
            result = run(world)
    except Failure as failure:
        return Line(name, time.monotonic() - started, reason=str(failure))
    except Exception as error:  # noqa: BLE001 - the other rows are to run all the same
        traceback.print_exc()
        return Line(name, time.monotonic() - started, reason=f"{type(error).__name__}: {error}")
    return Line(name, time.monotonic() - started, result)


def table(lines: list[Line]) -> Table:
    """What is printed."""
    made = Table(box=None, pad_edge=False)
    for heading, justify in (
        ("platform", "left"),
        ("versions", "left"),
        ("rows", "right"),
        ("s", "right"),
        ("", "left"),
    ):
        made.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for line in lines:
        versions, rows = "", ""
        if line.result is not None:
            versions = ", ".join(f"{name} {version}" for name, version in line.result.versions.items())
            rows = str(line.result.rows)
        made.add_row(line.name, versions, rows, f"{line.seconds:.0f}", line.outcome)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run what is named, or everything."""
    parser = argparse.ArgumentParser(prog="python -m platforms", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all unless some are named")
    parser.add_argument(
        "--lock", nargs="+", metavar="NAME", help="resolve platforms/requirements/NAME.in anew, and stop"
    )
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    for name in chosen.lock or ():
        lock(name)
    if chosen.lock:
        return 0
    lines = []
    for name in chosen.rows or ROWS:
        print(f"{name} …", file=sys.stderr, flush=True)  # noqa: T201 - it takes minutes; say where it is
        line = attempt(name, import_module(ROWS[name]).run)
        lines.append(line)
        print(f"{name}: {line.outcome}, {line.seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201 - how far it is
    Console(width=None if sys.stdout.isatty() else 160).print(table(lines), markup=False)
    return int(any(line.reason for line in lines))


if __name__ == "__main__":
    sys.exit(main())
