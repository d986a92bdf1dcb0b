"""``tap-spreadsheets``: a CSV file of customers (docs/platforms/taps.md)."""

from __future__ import annotations

import csv

from platforms.customers import COLUMNS, STREAM, STREAM_MAP, Source, show
from platforms.environments import environment
from platforms.result import Result
from platforms.world import Row, World


class TapSpreadsheets(Source):
    """A file that is written anew; rows that are gone stay, marked."""

    def __init__(self, world: World) -> None:
        self._world, self._tap = world, environment("tap-spreadsheets")
        self._path = world.directory / f"{STREAM}.csv"
        self.versions = self._tap.versions("tap-spreadsheets")

    def write(self, customers: list[Row]) -> None:
        """The whole file."""
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(customers)

    def command(self) -> list[str]:
        """Every column is text, so that a postcode keeps its zeros."""
        entry = {
            "path": str(self._path),
            "format": "csv",
            "delimiter": ",",
            "table_name": STREAM,
            "primary_keys": ["loyalty_no"],
            "schema_overrides": {name: {"type": ["string", "null"]} for name in COLUMNS},
        }
        # An empty cell is empty text.
        marked = {**STREAM_MAP, "_sdc_deleted_at": "deleted_at or None"}
        settings = {"files": [entry], "stream_maps": {STREAM: marked}}
        return [self._tap.program("tap-spreadsheets"), "--config", str(self._world.file("tap.json", settings))]


def run(world: World) -> Result:
    """The row of the table."""
    return show(world, TapSpreadsheets(world))
