"""Settings of the plugins, for the commands around them: from a file, or from the Meltano project here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

Settings = dict[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])

TAP_D365, TAP_ANNEX, TARGET_ANNEX, TARGET_D365 = PLUGINS = ("tap-d365", "tap-annex", "target-annex", "target-d365")


def config_option(command: Command) -> Command:
    """``--config FILE``, passed on as ``path``: what :func:`load` reads; None where Meltano is to be asked."""
    return click.option(
        "--config",
        "path",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Settings as JSON: of one plugin, or {plugin: settings}. "
        "Without it, `meltano` is asked for those of the project in this directory.",
    )(command)


def load(path: Path | None, plugins: Sequence[str]) -> dict[str, Settings]:
    """Settings by plugin.

    Args:
        path: of a JSON object: settings by plugin, or settings that hold for all of them; None: Meltano is asked.
        plugins: names, as in meltano.yml.

    Raises:
        click.ClickException: the file is no JSON object, lacks a plugin, or Meltano cannot tell.
    """
    if path is None:
        with ThreadPoolExecutor() as pool:
            return dict(zip(plugins, pool.map(_ask_meltano, plugins), strict=True))
    settings = _decode(path.read_bytes(), f"{path} is not a JSON object.")
    if not any(name in settings for name in PLUGINS):
        return dict.fromkeys(plugins, settings)
    for name in plugins:
        if not isinstance(settings.get(name), dict):
            raise click.BadParameter(f"{path} has no settings of {name}.", param_hint="--config")
    return {name: settings[name] for name in plugins}


def _ask_meltano(plugin: str) -> Settings:
    # Beside the interpreter first: whoever installed us there runs that Meltano, too.
    meltano = shutil.which("meltano", path=str(Path(sys.executable).parent)) or shutil.which("meltano")
    if not meltano:
        raise click.UsageError("Meltano is not installed here: give the settings with --config FILE.")
    done = subprocess.run(  # noqa: S603 - a command of ours, and a name of ours
        [meltano, "invoke", "--dump=config", plugin], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.UsageError(
            f"`meltano invoke --dump=config {plugin}` failed here: run this in the project's directory, "
            "or give the settings with --config FILE."
        )
    return _decode(done.stdout.encode(), f"What Meltano says of {plugin} is not a JSON object.")


def _decode(raw: bytes, problem: str) -> Settings:
    try:
        return msgspec.json.decode(raw, type=Settings)
    except msgspec.DecodeError:
        raise click.BadParameter(problem, param_hint="--config") from None
