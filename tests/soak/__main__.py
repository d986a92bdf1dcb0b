"""``python -m soak``: SOAK_SECONDS of chaos (1200), SOAK_SEED (of the day)."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import click

from soak.judge import LostError
from soak.run import Soak


def main():
    seconds = float(os.environ.get("SOAK_SECONDS", "1200"))
    seed = int(os.environ.get("SOAK_SEED") or time.time() // 86400)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    click.echo(f"soak: seed {seed}, {seconds:.0f} s, {directory}")
    try:
        click.echo(Soak(directory, seed, seconds, click.echo)())
    except LostError as lost:
        click.echo(f"FAILED (seed {seed}): {lost}\nwhat is left: {directory}")
        sys.exit(1)


if __name__ == "__main__":
    main()
