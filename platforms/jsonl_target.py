"""``target-jsonl`` into files (docs/platforms/targets.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal

from platforms.environments import environment
from platforms.loading import Loader, show
from platforms.result import Result
from platforms.world import Row, World


class TargetJsonl(Loader):
    """A directory for each tap, a file for each stream; each row is added at its end."""

    merges = False
    types: Mapping[str, frozenset[str]] = {}

    def __init__(self, world: World) -> None:
        self._world, self._target = world, environment("target-jsonl")
        self.versions = self._target.versions("target-jsonl")

    def command(self, schema: str) -> list[str]:
        """One file for each stream, whatever the hour."""
        directory = self._world.directory / schema
        directory.mkdir(exist_ok=True)
        settings = {"destination_path": str(directory), "do_timestamp_file": False}
        config = self._world.file(f"target-jsonl-{schema}.json", settings)
        return [self._target.program("target-jsonl"), "--config", str(config)]

    def rows(self, schema: str, stream: str) -> Iterable[Row]:
        """All lines of a file."""
        with (self._world.directory / schema / f"{stream}.jsonl").open() as lines:
            return [json.loads(line, parse_float=Decimal) for line in lines]

    def columns(self, schema: str, stream: str) -> Mapping[str, str]:
        """None: the values have the types of JSON, which are compared with those of the source."""
        del schema, stream
        return {}


def run(world: World) -> Result:
    """The row of the table."""
    return show(world, TargetJsonl(world))
