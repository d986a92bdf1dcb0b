"""``annex-d365``: the commands around the pipelines."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import msgspec

from annex_d365 import discretion
from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.plan import plan as plan_shards
from annex_d365.dataverse.writes import provision as definitions
from annex_d365.doctor.command import doctor
from annex_d365.errors import ConnectorError
from annex_d365.fields import DEFAULT_PREFIX
from annex_d365.plugin_settings import TAP_D365, TARGET_D365, config_option, load
from annex_d365.provision import loyalty_tables

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
    discretion.install()


@main.command()
@config_option
@click.option("--table", default="contacts", show_default=True, help="Entity set name of the table.")
@click.option("--shards", type=click.IntRange(1, 1000), required=True, help="How many parts.")
def plan(path: Path | None, table: str, shards: int) -> None:
    """Find balanced bounds for a backfill on several machines: values of the setting `shard`, one per line."""
    settings = load(path, [TAP_D365])[TAP_D365]
    try:
        parts = plan_shards(connect(settings), table, shards)
    except ConnectorError as error:
        raise click.ClickException(str(error)) from None
    for part in parts:
        bounds = {name: bound for name, bound in (("from", part.lower), ("to", part.upper)) if bound}
        click.echo(msgspec.json.encode(bounds).decode())
        click.echo(f"  {part.rows:,} rows", err=True)


@main.command()
@config_option
@click.option("--solution", default="", help="Unique name of the solution that new things go to; else the default one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def provision(path: Path | None, solution: str, *, yes: bool) -> None:
    """Create the table, columns and alternate keys in Dynamics 365 that loyalty data needs, where they are missing."""
    settings = load(path, [TARGET_D365])[TARGET_D365]
    try:
        dataverse = connect(settings)
        steps = definitions.plan(dataverse, loyalty_tables(settings.get("column_prefix") or DEFAULT_PREFIX, solution))
        for step in steps:
            click.echo(step.sentence)
        if not steps:
            click.echo("All is there.")
        elif yes or click.confirm("Do this?", abort=True):
            definitions.apply(dataverse, steps)
            click.echo(f"Done: {len(steps)} changes.")
    except ConnectorError as error:
        raise click.ClickException(str(error)) from None


main.add_command(doctor)
