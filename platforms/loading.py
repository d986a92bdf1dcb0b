"""Both taps before somebody else's target: loaded, compared with the source, changed at the source, loaded again.

What each loader shows is the same; a row of the table says only how its loader is run and read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from platforms import truth
from platforms.environments import ours
from platforms.pipes import pipe
from platforms.result import Result, expect, same
from platforms.truth import Rows
from platforms.world import Row, World

_TABLES = {"contacts": "contact", "cr0dd_specimens": "cr0dd_specimen"}
KEYS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("contactid",),
    "cr0dd_specimens": ("cr0dd_specimenid",),
    "segments": ("segment_id",),
    "segment_members": ("segment_id", "contact_id"),
    "members": ("id",),
    "activities": ("activityId",),
}
#: Streams of each tap: one schema of the destination each.
STREAMS = {
    "d365": ("contacts", "cr0dd_specimens", "segments", "segment_members"),
    "annex_cloud": ("members", "activities"),
}
_TAPS = {"d365": "tap-d365", "annex_cloud": "tap-annex"}


class Loader(Protocol):
    """Somebody else's target.

    Attributes:
        versions: of what is not ours.
        merges: whether it keeps one row for each key. Else all are kept, and the last one counts.
        types: kind of a Dataverse column -> what may hold it; empty where files have no types but those of JSON.
    """

    versions: Mapping[str, str]
    merges: bool
    types: Mapping[str, frozenset[str]]

    def column(self, name: str) -> str:
        """What it calls a column."""
        return name

    def value(self, value: Any) -> Any:
        """What it makes of a value."""
        return value

    def command(self, schema: str) -> list[str]:
        """The words that load what comes in by standard input into a schema."""

    def rows(self, schema: str, stream: str) -> Iterable[Row]:
        """What it has, in the order of arrival unless it merges."""

    def columns(self, schema: str, stream: str) -> Mapping[str, str]:
        """Column -> type, where ``types`` is not empty."""


class Loading:
    """One run after another, of both taps into one loader."""

    def __init__(self, world: World, loader: Loader) -> None:
        self.world, self.loader = world, loader
        tables = [{"name": name, "replication": "LOG_BASED"} for name in _TABLES]
        # A column that is added means a full load, in which deletions are found by the keys that are known.
        snapshots = str(world.directory / "snapshots")
        d365 = world.tap_d365(tables=tables, segments_api="journeys", snapshot_path=snapshots)
        self._configs = {
            "d365": world.file("tap-d365.json", d365),
            "annex_cloud": world.file("tap-annex.json", world.tap_annex()),
        }

    def load(self) -> None:
        """Run both taps, each where it was. The state is what the target printed last."""
        for schema, streams in STREAMS.items():
            tap, config = _TAPS[schema], self._configs[schema]
            # Anew each time: a column that was added since is in no older catalog.
            words = [
                ours(tap),
                "--config",
                str(config),
                "--catalog",
                str(self.world.selected(tap, config, streams=streams)),
            ]
            state = self.world.directory / f"state-{schema}.json"
            if state.exists():
                words += ["--state", str(state)]
            printed = pipe(
                words,
                self.loader.command(schema),
                directory=self.world.directory,
                environment=self.world.environment(),
            )
            expect(printed, f"the target printed no state for {schema}")
            state.write_text(printed)

    def there(self, schema: str, stream: str) -> tuple[Rows, set[str]]:
        """What the loader has by key, and the keys of what it has marked as deleted."""
        rows: Rows = {}
        gone: set[Any] = set()
        count = 0
        for row in self.loader.rows(schema, stream):
            values = tuple(row[self.loader.column(name)] for name in KEYS[stream])
            key = values[0] if len(values) == 1 else values
            count += 1
            rows[key] = {name: truth.plain(value) for name, value in row.items()}
            gone.discard(key)
            if row.get("_sdc_deleted_at"):
                gone.add(key)
        expect(not self.loader.merges or count == len(rows), f"{stream}: {count} rows for {len(rows)} keys")
        return {key: row for key, row in rows.items() if key not in gone}, gone

    def compare_tables(self) -> int:
        """Rows of the tables, all columns, and types; how many rows."""
        count = 0
        for entity_set, logical in _TABLES.items():
            got = self.there("d365", entity_set)[0]
            wanted = truth.table(self.world, entity_set, logical)
            some = next(iter(got.values()), {})
            for row in wanted.values():  # the table that a lookup points to is a column only where there are several
                for name in [name for name in row if name.endswith("_value_table") and name not in some]:
                    del row[name]
            count += same(got, self._as_stored(wanted), entity_set)
            if self.loader.types:
                columns = self.loader.columns("d365", entity_set)
                for name, kind in truth.kinds(self.world, logical).items():
                    if name in columns and kind in self.loader.types:
                        fits = columns[name] in self.loader.types[kind]
                        expect(fits, f"{entity_set}.{name}: {columns[name]} for {kind}")
        return count

    def compare_others(self) -> int:
        """Segments and their members, members and activities; how many rows."""
        loyal = self.world.rows("contacts", "contactid", "cr0dd_loyaltyid", where="cr0dd_loyaltyid ne null")
        ids = sorted({row["cr0dd_loyaltyid"] for row in loyal.values()})
        return sum(
            same(self.there(schema, stream)[0], self._as_stored(wanted), stream)
            for schema, stream, wanted in (
                ("d365", "segments", truth.segments(self.world)),
                ("d365", "segment_members", truth.segment_members(self.world)),
                ("annex_cloud", "members", truth.members(self.world, ids)),
                ("annex_cloud", "activities", truth.activities(self.world, ids)),
            )
        )

    def _as_stored(self, rows: Rows) -> Rows:
        return {
            key: {self.loader.column(name): self.loader.value(v) for name, v in row.items()}
            for key, row in rows.items()
        }


def show(world: World, loader: Loader) -> Result:
    """Everything that the page of a loader says. Raises ``Failure``."""
    loading = Loading(world, loader)
    loading.load()
    rows = loading.compare_tables() + loading.compare_others()

    contacts = list(world.rows("contacts", "contactid", "lastname"))
    edited, removed = contacts[0], contacts[1]
    column = world.add_column("contact", "cr0dd_ShoeSize")
    world.dataverse("PATCH", f"contacts({edited})", {"lastname": "Größer", column: "44½"})
    world.dataverse("POST", "contacts", {"lastname": "New", "emailaddress1": "new@example.com", column: "37"})
    world.dataverse("DELETE", f"contacts({removed})")
    loading.load()
    rows += loading.compare_tables()
    there, gone = loading.there("d365", "contacts")
    expect(gone == {removed}, f"marked as deleted: {sorted(gone)}, deleted: {removed}")
    expect(there[edited][column] == "44½", f"the added column holds {there[edited][column]!r}")
    return Result(
        loader.versions, rows, ("types", "deletion", "schema change") if loader.types else ("deletion", "schema change")
    )
