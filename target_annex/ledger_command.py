"""``annex-d365 ledger``: mend by hand what the target remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from singer_sdk.exceptions import ConfigValidationError

from annex_d365.errors import ConnectorError
from target_annex.mapping import object_of
from target_annex.target import TargetAnnex


@click.group()
def ledger() -> None:
    """Look after what target-annex remembers of what it wrote."""


@ledger.command()
@click.option("--config", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="Settings of target-annex, as JSON (`meltano invoke --dump=config target-annex`).")  # fmt: skip
@click.option("--stream", required=True, help="Stream that the rows came by.")
@click.argument("keys", nargs=-1, required=True)
def forget(path: Path, stream: str, keys: tuple[str, ...]) -> None:
    """Forget rows by their KEYS, so that other rows may have the members that these are linked to.

    Members stay as they are; a forgotten row that comes again is a new one.
    """
    try:
        target = TargetAnnex(config=msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))
        kind = object_of(stream, target.config["destination"], target.streams)
        known = target.ledger.forget(kind, stream, keys)
        target.ledger.close()
    except msgspec.DecodeError:
        raise click.BadParameter(f"{path} is not a JSON object.", param_hint="--config") from None
    except ConfigValidationError as error:
        raise click.ClickException(" ".join(error.errors)) from None
    except ConnectorError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Forgotten: {known} of {len(keys)} rows.")
