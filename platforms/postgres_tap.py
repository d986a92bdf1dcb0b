"""``meltanolabs-tap-postgres``: a table of customers (docs/platforms/taps.md)."""

from __future__ import annotations

from platforms.customers import COLUMNS, STREAM, STREAM_MAP, Source, show
from platforms.environments import environment
from platforms.postgresql import PostgreSQL
from platforms.result import Result
from platforms.world import Row, World

_TABLE = f"""
create table {STREAM} (
    loyalty_no text primary key, email text, first_name text, last_name text, phone text, birth_date date,
    postcode text, updated_at timestamp, deleted_at timestamp
)
"""


class TapPostgres(Source):
    """Incremental by ``updated_at``; rows are marked as deleted, not removed."""

    def __init__(self, world: World, database: PostgreSQL) -> None:
        self._world, self._database = world, database
        self._tap = environment("tap-postgres")
        self.versions = {**self._tap.versions("meltanolabs-tap-postgres"), "PostgreSQL": database.version}
        database.query(_TABLE)

    def write(self, customers: list[Row]) -> None:
        """Insert what is new, update what has changed."""
        for each in customers:
            values = ", ".join("null" if each[name] is None else f"'{each[name]}'" for name in COLUMNS)
            names = ", ".join(COLUMNS)
            update = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
            self._database.query(
                f"insert into {STREAM} ({names}) values ({values}) "  # noqa: S608 - values of our own
                f"on conflict (loyalty_no) do update set {update}"
            )

    def command(self) -> list[str]:
        """One schema, one stream map."""
        settings = {
            "sqlalchemy_url": self._database.loopback_url,
            "filter_schemas": ["public"],
            "stream_maps": {f"public-{STREAM}": STREAM_MAP},
        }
        return [self._tap.program("tap-postgres"), "--config", str(self._world.file("tap.json", settings))]


def run(world: World) -> Result:
    """The row of the table."""
    with PostgreSQL() as database:
        return show(world, TapPostgres(world, database))
