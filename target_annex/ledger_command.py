"""``annex-d365 ledger``: mend by hand what the target remembers."""

from __future__ import annotations

from pathlib import Path

import click
from singer_sdk.exceptions import ConfigValidationError

from annex_d365.errors import ConnectorError, SettingError
from annex_d365.plugin_settings import TARGET_ANNEX, config_option, load
from target_annex.mapping import object_of
from target_annex.target import TargetAnnex


@click.group()
def ledger() -> None:
    """Look after what target-annex remembers of what it wrote."""


@ledger.command()
@config_option
@click.option("--stream", required=True, help="Stream that the rows came by.")
@click.argument("keys", nargs=-1, required=True)
def forget(path: Path | None, stream: str, keys: tuple[str, ...]) -> None:
    """Forget rows by their KEYS, so that other rows may have the members that these are linked to.

    Members stay as they are; nothing of the row stays in the file, and if it comes again, it is a new one.
    """
    try:
        target = TargetAnnex(config=load(path, [TARGET_ANNEX])[TARGET_ANNEX])
        if target.config["dry_run"]:
            raise SettingError("dry_run", "is on: nothing is forgotten.")
        kind = object_of(stream, target.config["destination"], target.streams)
        known = target.ledger.forget(kind, stream, keys)
        target.ledger.close()
    except ConfigValidationError as error:
        raise click.ClickException(" ".join(error.errors)) from None
    except ConnectorError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Forgotten: {known} of {len(keys)} rows.")
