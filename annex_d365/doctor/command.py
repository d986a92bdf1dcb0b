"""``annex-d365 doctor``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from annex_d365.doctor.areas import AREAS, Area
from annex_d365.doctor.canary import canary
from annex_d365.doctor.model import Check, Result, failed
from annex_d365.doctor.report import Examination, Report, line, show
from annex_d365.doctor.run import run
from annex_d365.doctor.sides import Side, groups, load_all, secrets
from annex_d365.errors import SettingError
from annex_d365.plugin_settings import Settings, config_option
from annex_d365.private_file import open_private

MUST_CHANGE, NOT_RUN = 1, 2
_ADDRESSES = ("organization_url", "organization", "base_url")


@click.command()
@config_option
@click.option(
    "--canary", "write", is_flag=True, help="Also write one test member, contact and segment, and remove them."
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write JSON that can be sent in: no secrets, no hosts, no member data.",
)
def doctor(path: Path | None, report_path: Path | None, *, write: bool) -> None:
    """Check settings, privileges and assumptions on your own tenants; without --canary nothing is written there.

    Exit code: 0 all is well, 1 something must be changed, 2 it could not run.
    """
    console = Console()
    try:
        with console.status("Asking Meltano for the settings" if path is None else ""):
            settings = load_all(path)
    except click.ClickException as error:
        raise _NotRunError(error.format_message()) from None
    sides = groups(settings)
    if not sides:
        raise _NotRunError("No plugin has settings of a service: `site_id`, or `organization_url`.")
    report = Report(settings, frozenset(secrets(settings)), canary=write)
    try:
        with _terminated_like_interrupted():
            for kind, plugins in sides:
                _examine(report, AREAS[kind], plugins, console, write=write)
    finally:
        for text in report.ending():
            click.echo(text)
        if report_path:
            _write(report_path, report.json())
    if not report.answered:
        sys.exit(NOT_RUN)
    sys.exit(MUST_CHANGE if report.urgent else 0)


class _NotRunError(click.ClickException):
    exit_code = NOT_RUN


def _examine(report: Report, area: Area, plugins: Mapping[str, Settings], console: Console, *, write: bool) -> None:
    address = next((str(each) for each in (next(iter(plugins.values())).get(name) for name in _ADDRESSES) if each), "")
    examination = Examination(area.title, list(plugins), address)
    report.examinations.append(examination)
    if not console.is_terminal:
        click.echo(f"{area.title} ({', '.join(plugins)})")
    try:
        side = area.connect(plugins)
    except SettingError as error:
        examination.results.append(_unconnected(area, error))
    else:
        _ask(examination, area, side, console, write=write)
    if console.is_terminal:
        show(console, examination)
    elif not examination.results or examination.results[0].error == _UNCONNECTED:
        click.echo(line(examination.results[0]))


_UNCONNECTED = "connect"


def _unconnected(area: Area, error: SettingError) -> Result:
    def never(_: Any) -> NoReturn:
        raise error

    check: Check[Any] = Check("settings", f"The settings of {area.title} are complete", "", "", never)
    return Result(check, failed(str(error), todo=f"Mend the setting `{error.setting}`."), _UNCONNECTED)


def _ask(examination: Examination, area: Area, side: Side, console: Console, *, write: bool) -> None:
    checks = [check for check in area.checks if write or not check.writes]
    with canary() as bird, console.status("") as status:
        side.canary = bird if write else None
        try:
            for result in run(checks, side, lambda check: status.update(f"{area.title}: {check.title}")):
                examination.results.append(result)
                if not console.is_terminal:
                    click.echo(line(result))
        finally:
            status.update(f"{area.title}: removing what was written for tests")
            bird.clear()
            examination.left = bird.left


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """What was written for tests is removed on SIGTERM, too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write(path: Path, text: str) -> None:
    try:
        with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _NotRunError(f"{path} cannot be written: {error.strerror}.") from None
    click.echo(f"{path} can be sent in: look through it first.")
