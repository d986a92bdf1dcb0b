"""``meltanolabs-target-postgres`` into a PostgreSQL of its own (docs/platforms/targets.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import cast

from platforms.environments import environment
from platforms.loading import Loader, show
from platforms.postgresql import PostgreSQL
from platforms.result import Result
from platforms.world import Row, World

_TEXT, _WHOLE, _NUMBER = frozenset({"text"}), frozenset({"bigint", "integer"}), frozenset({"numeric"})


class TargetPostgres(Loader):
    """A schema for each tap."""

    merges = True
    types: Mapping[str, frozenset[str]] = {
        "String": _TEXT,
        "Memo": _TEXT,
        "Uniqueidentifier": frozenset({"uuid"}),
        "Boolean": frozenset({"boolean"}),
        "Integer": _WHOLE,
        "BigInt": frozenset({"bigint"}),
        "Picklist": _WHOLE,
        "State": _WHOLE,
        "Status": _WHOLE,
        "Decimal": _NUMBER,
        "Double": _NUMBER,
        "Money": _NUMBER,
        "DateTime": frozenset({"timestamp without time zone", "date"}),
        "MultiSelectPicklist": frozenset({"ARRAY"}),
    }

    def __init__(self, world: World, database: PostgreSQL) -> None:
        self._world, self._database = world, database
        self._target = environment("target-postgres")
        self.versions = {
            **self._target.versions("meltanolabs-target-postgres"),
            "PostgreSQL": database.version,
        }

    def command(self, schema: str) -> list[str]:
        """Upserts, by the streams' keys."""
        settings = {
            "sqlalchemy_url": self._database.url,
            "default_target_schema": schema,
            "load_method": "upsert",
        }
        config = self._world.file(f"target-postgres-{schema}.json", settings)
        return [self._target.program("target-postgres"), "--config", str(config)]

    def rows(self, schema: str, stream: str) -> Iterable[Row]:
        """All rows of a table."""
        said = self._database.query(f'select row_to_json(t) from {schema}."{stream.lower()}" t')  # noqa: S608 - our names
        return [json.loads(line, parse_float=Decimal) for line in said.splitlines()]

    def columns(self, schema: str, stream: str) -> Mapping[str, str]:
        """What PostgreSQL says."""
        sql = "select json_object_agg(column_name, data_type) from information_schema.columns"
        where = f"table_schema = '{schema}' and table_name = '{stream.lower()}'"
        return cast("dict[str, str]", json.loads(self._database.query(f"{sql} where {where}")))


def run(world: World) -> Result:
    """The row of the table."""
    with PostgreSQL() as database:
        return show(world, TargetPostgres(world, database))
