"""``target-duckdb`` into a file (docs/platforms/targets.md)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from decimal import Decimal

from platforms.environments import environment
from platforms.loading import Loader, show
from platforms.result import Failure, Result
from platforms.world import Row, World

_WHOLE, _TEXT = frozenset({"BIGINT", "HUGEINT"}), frozenset({"VARCHAR"})
#: Prints a query's rows, a line of JSON each, by the DuckDB of the loader's own environment.
_QUERY = """
import duckdb, json, sys
found = duckdb.connect(sys.argv[1]).execute(sys.argv[2])
columns = [(name, str(kind)) for name, kind, *_ in found.description]
for row in found.fetchall():
    own = {name: json.loads(v) if kind == "JSON" and v else v for (name, kind), v in zip(columns, row)}
    print(json.dumps(own, default=str))
"""


class TargetDuckDB(Loader):
    """A schema for each tap, in one file."""

    merges = True
    types: Mapping[str, frozenset[str]] = {
        "String": _TEXT,
        "Memo": _TEXT,
        "Uniqueidentifier": _TEXT,
        "Boolean": frozenset({"BOOLEAN"}),
        "Integer": _WHOLE,
        "BigInt": _WHOLE,
        "Picklist": _WHOLE,
        "State": _WHOLE,
        "Status": _WHOLE,
        "Decimal": frozenset({"DOUBLE"}),
        "Double": frozenset({"DOUBLE"}),
        "Money": frozenset({"DOUBLE"}),
        "DateTime": frozenset({"TIMESTAMP", "VARCHAR", "DATE"}),
    }

    def __init__(self, world: World) -> None:
        self._world, self._target = world, environment("target-duckdb")
        self._path = world.directory / "warehouse.duckdb"
        self.versions = self._target.versions("target-duckdb", "duckdb")

    def column(self, name: str) -> str:
        """All letters small."""
        return name.lower()

    def command(self, schema: str) -> list[str]:
        """Upserts, by the streams' keys."""
        settings = {"path": str(self._path), "default_target_schema": schema, "add_metadata_columns": True}
        config = self._world.file(f"target-duckdb-{schema}.json", settings)
        return [self._target.program("target-duckdb"), "--config", str(config)]

    def rows(self, schema: str, stream: str) -> Iterable[Row]:
        """All rows of a table."""
        return self._query(f'select * from {schema}."{stream.lower()}"')  # noqa: S608 - our names

    def columns(self, schema: str, stream: str) -> Mapping[str, str]:
        """What DuckDB says."""
        where = f"table_schema = '{schema}' and table_name = '{stream.lower()}'"
        sql = f"select column_name, data_type from information_schema.columns where {where}"  # noqa: S608 - our names
        return {row["column_name"]: row["data_type"] for row in self._query(sql)}

    def _query(self, sql: str) -> list[Row]:
        words = [self._target.program("python"), "-c", _QUERY, str(self._path), sql]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if done.returncode:
            raise Failure(f"DuckDB: {done.stderr.strip()[-300:]}")
        return [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]


def run(world: World) -> Result:
    """The row of the table."""
    return show(world, TargetDuckDB(world))
