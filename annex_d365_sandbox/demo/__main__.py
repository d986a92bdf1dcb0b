"""``python -m annex_d365_sandbox.demo``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from annex_d365_sandbox.demo.pipelines import Pipelines
from annex_d365_sandbox.demo.sides import Sides
from annex_d365_sandbox.demo.story import CONTACTS, show
from annex_d365_sandbox.sandbox import Sandbox


def main() -> int:
    """Run the demo; exit code 1 if something is not as promised."""
    with tempfile.TemporaryDirectory(prefix="annex-d365-") as name:
        directory = Path(name)
        with Sandbox(directory=directory, contacts=CONTACTS, segments_api="both") as sandbox:
            try:
                show(Sides(sandbox), Pipelines(sandbox, directory))
            except click.ClickException as error:
                error.show()
                return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
