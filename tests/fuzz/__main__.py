"""``python -m fuzz``: FUZZ_SECONDS (300) for all kinds, FUZZ_SEED."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import click

from fuzz.kinds import KINDS
from fuzz.rounds import BrokenError


def main():
    logging.disable(logging.WARNING)
    seconds = float(os.environ.get("FUZZ_SECONDS", "300"))
    seed = os.environ.get("FUZZ_SEED") or str(int(time.time() // 86400))
    chosen = [kind for kind in KINDS if kind.name in (sys.argv[1:] or [each.name for each in KINDS])]
    for kind in chosen:
        with tempfile.TemporaryDirectory() as directory:
            fuzzer = kind(Path(directory), seed)
            try:
                fuzzer.run(seconds / len(chosen))
            except BrokenError as broken:
                click.echo(f"FAILED after {fuzzer.counts['rounds']} rounds: {broken}")
                sys.exit(1)
            counts = ", ".join(f"{count} {name}" for name, count in fuzzer.counts.items())
            click.echo(f"{kind.name} (seed {seed}): {counts}")


if __name__ == "__main__":
    main()
