"""``annex-d365 reconcile``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from singer_sdk.exceptions import ConfigValidationError

from annex_d365.errors import ConnectorError
from annex_d365.plugin_settings import Settings, config_option, load
from target_annex.reconcile.comparing import compare_people
from target_annex.reconcile.display import Display, print_report
from target_annex.reconcile.findings import Findings, write_json
from target_annex.reconcile.repair import Repair
from target_annex.reconcile.segments import compare_segments
from target_annex.reconcile.spill import Spill
from target_annex.reconcile.systems import PLUGINS, Systems, systems

CONTACTS, SEGMENTS = PARTS = ("contacts", "segments")
EQUAL, DIFFERENT, UNREADABLE = 0, 1, 2


@click.command()
@config_option
@click.option(
    "--what", default=",".join(PARTS), show_default=True, help="What is compared: contacts (with members), segments."
)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="File for all differences (0600)."
)
@click.option("--show-values", is_flag=True, help="Tell values of differing fields in the JSON file, too.")
@click.option("--rewards", is_flag=True, help="Compare available rewards, too: a call to Annex Cloud for each member.")
@click.option("--repair", is_flag=True, help="Write what the owner of each field and segment has to the other side.")
@click.option("--yes", is_flag=True, help="Do not ask before a repair.")
def reconcile(
    path: Path | None,
    what: str,
    json_path: Path | None,
    *,
    show_values: bool,
    rewards: bool,
    repair: bool,
    yes: bool,
) -> None:
    """Compare contacts with members, and segments with their copies.

    Exit code: 0 both sides are equal (or were made so), 1 they differ, 2 something could not be read.
    """
    parts = [each.strip() for each in what.split(",")]
    if unknown := set(parts).difference(PARTS):
        raise click.BadParameter(f"`{', '.join(sorted(unknown))}` is none of {', '.join(PARTS)}.", param_hint="--what")
    if show_values and not json_path:
        raise click.UsageError("--show-values needs --json: values are told in that file only.")
    # Their reports are about writing; what they warn of is told.
    logging.getLogger("target-annex").setLevel(logging.WARNING)
    logging.getLogger("target-d365").setLevel(logging.WARNING)
    try:
        settings = load(path, PLUGINS)
        with ExitStack() as stack:
            found = [stack.enter_context(closing(Findings(each))) for each in PARTS if each in parts]
            _compare(settings, found, rewards=rewards)
            output = Console()
            print_report(output, found)
            if json_path:
                write_json(json_path, found, show_values=show_values)
            differences = sum(part.total for part in found)
            if repair and differences:
                differences = _repair(settings, found, output, yes=yes)
            unread = [each for part in found for each in part.unread]
    except ConfigValidationError as error:
        _unreadable(" ".join(error.errors))
    except ConnectorError as error:
        _unreadable(str(error))
    if unread:
        _unreadable(f"Not all could be read: {'; '.join(unread)}.")
    sys.exit(DIFFERENT if differences else EQUAL)


def _compare(settings: dict[str, Settings], found: Sequence[Findings], *, rewards: bool) -> None:
    sides = systems(settings)
    with closing(sides), closing(Spill()) as spill, Display(Console(stderr=True)) as display:
        for part in found:
            if part.what == CONTACTS:
                compare_people(sides, display, spill, part, rewards=rewards)
            else:
                compare_segments(sides, display, spill, part)


def _repair(settings: dict[str, Settings], found: Sequence[Findings], output: Console, *, yes: bool) -> int:
    """Mend what was found; how many differences are left."""
    sides: Systems = systems(settings, writes=True)
    with closing(sides):
        if sides.annex.config["dry_run"] or sides.d365.config["dry_run"]:
            raise click.UsageError("Setting `dry_run` is on: nothing can be repaired.")
        repair = Repair(sides, found)
        if not repair.sentence:
            output.print("There is nothing that a repair could write.")
        elif yes or click.confirm(f"{repair.sentence} Do this?", abort=True):
            with Display(Console(stderr=True)) as display:
                repair.carry_out(display)
            for line in repair.report:
                output.print(line, soft_wrap=True, markup=False, highlight=False)
        return repair.left


def _unreadable(problem: str) -> NoReturn:
    click.echo(f"Error: {problem}", err=True)
    sys.exit(UNREADABLE)
