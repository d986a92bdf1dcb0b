"""The command ``sandbox``: ``python -m annex_d365_sandbox`` or ``annex-d365 sandbox``."""

from __future__ import annotations

import errno
import signal
import threading
from pathlib import Path

import click
import msgspec

from annex_d365_sandbox.sandbox import Sandbox


@click.command(name="sandbox")
@click.option("--port", default=8365, show_default=True, help="Port of https; 0 picks one.")
@click.option("--http-port", type=int, help="Port of plain http, loopback only; 0 picks one. None if not given.")
@click.option(
    "--contacts",
    default=2000,
    show_default=True,
    help="How many contacts a fresh database is seeded with; a database that is there keeps its own.",
)
@click.option(
    "--segments-api",
    type=click.Choice(["outbound", "journeys", "both"]),
    default="outbound",
    show_default=True,
    help="Which generation of segments a fresh database has.",
)
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same data.")
@click.option(
    "--extra-tables",
    type=click.IntRange(0, 9999),
    default=0,
    show_default=True,
    help="How many synthetic tables a fresh database has besides.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sandbox"),
    show_default=True,
    help="Where the database, the certificate and sandbox.json live.",
)
def sandbox(
    *,
    port: int,
    http_port: int | None,
    contacts: int,
    segments_api: str,
    seed: int,
    extra_tables: int,
    directory: Path,
) -> None:
    """Serve a local Dynamics 365 and Annex Cloud, until SIGINT or SIGTERM.

    Prints one line of JSON when ready: addresses, the certificate to trust, credentials.
    """
    box = Sandbox(
        directory,
        port,
        http_port=http_port,
        contacts=contacts,
        segments_api=segments_api,
        seed=seed,
        extra_tables=extra_tables,
    )
    try:
        box.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        message = f"Port {port if http_port is None else f'{port} or {http_port}'} is taken: choose another, or 0."
        raise click.ClickException(message) from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo(msgspec.json.encode(box.info))
    stop.wait()
    box.stop()


if __name__ == "__main__":
    sandbox()
