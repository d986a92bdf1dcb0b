"""``annex-d365``: the commands around the pipelines."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import click

#: Commands that the library must not import announce themselves in this group.
GROUP = "annex_d365.commands"


class Commands(click.Group):
    """The group's own commands and those of installed packages; one that cannot be loaded says what it lacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, for ``--help``."""
        return sorted({*super().list_commands(ctx), *entry_points(group=GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        for entry in entry_points(group=GROUP, name=cmd_name):
            try:
                command: Any = entry.load()
            except ModuleNotFoundError as error:
                raise click.UsageError(
                    f"`annex-d365 {cmd_name}` needs {error.name}: pip install 'annexcloud-d365[{cmd_name}]'"
                ) from None
            if isinstance(command, click.Command):
                return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands)
@click.version_option(package_name="annexcloud-d365")
def main() -> None:
    """Annex Cloud and Dynamics 365: what is around the pipelines."""
