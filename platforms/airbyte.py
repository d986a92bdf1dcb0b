"""``source-d365`` and ``source-annex``, run by PyAirbyte into its DuckDB cache (docs/platforms/airbyte.md)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from platforms.environments import Environment, environment, ours
from platforms.result import Failure, Result, expect, same
from platforms.world import Row, World

_READER = Path(__file__).with_name("airbyte_reader.py")
_SECONDS = 300
#: A column of each type.
_COLUMNS = (
    *("firstname", "emailaddress1", "birthdate", "createdon", "modifiedon", "statecode", "donotemail", "creditlimit"),
    "_parentcustomerid_value",
)
_DELETED = "_ab_cdc_deleted_at"


def run(world: World) -> Result:
    """Read both sources, then what changed, then a new column."""
    made = environment("airbyte")
    rows = _dynamics(world, made) + _annex(world, made)
    return Result(made.versions("airbyte", "duckdb"), rows, ("deletion", "schema change"))


def _dynamics(world: World, made: Environment) -> int:
    config = world.tap_d365(tables=[{"name": "contacts", "replication": "LOG_BASED"}], segments_api="journeys")
    streams = ["contacts", "segments", "segment_members", "segment_snapshots"]

    def read() -> Row:
        return _read(world, made, "source-d365", config, streams)

    def source(*columns: str) -> dict[str, Row]:
        return world.rows("contacts", "contactid", *(columns or _COLUMNS))

    found = read()
    rows = same(_by_key(found, "contacts", "contactid"), source(), "contacts")
    segments = world.rows("msdynmkt_segments", "msdynmkt_segmentid", "msdynmkt_displayname")
    named = {key: {"name": row["msdynmkt_displayname"]} for key, row in segments.items()}
    rows += same(_by_key(found, "segments", "segment_id"), named, "segments")
    snapshots = found["streams"]["segment_snapshots"]["rows"]
    members = found["streams"]["segment_members"]["rows"]
    expect(members and sum(each["member_count"] for each in snapshots) == len(members), "members are missing")

    changed, gone, *_ = source()
    world.dataverse("PATCH", f"contacts({changed})", {"firstname": "Changed"})
    world.dataverse("DELETE", f"contacts({gone})")
    found = read()
    expect(found["read"] <= _FEW, f"the second sync read {found['read']} records")
    cached = _by_key(found, "contacts", "contactid")
    expect(cached[gone][_DELETED], "the deleted contact is not marked")
    del cached[gone]
    expect(not any(row[_DELETED] for row in cached.values()), "contacts are marked that are there")
    rows += same(cached, source(), "contacts after changes")

    column = world.add_column("contact", "cr0dd_Shoe")
    world.dataverse("PATCH", f"contacts({changed})", {column: "44"})
    cached = _by_key(read(), "contacts", "contactid")
    del cached[gone]
    return rows + same(cached, source(*_COLUMNS, column), "contacts after the schema change")


#: Two contacts, and the segments that they are in; all are 120 contacts and some 200 members.
_FEW = 60


def _annex(world: World, made: Environment) -> int:
    streams = ["members", "activities", "segments", "segment_members"]
    found = _read(world, made, "source-annex", world.tap_annex(), streams)
    members = _by_key(found, "members", "id")
    wanted = {key: world.member(key) for key in members}
    names = {key: {"firstname": row["firstName"], "email": row["email"]} for key, row in wanted.items()}
    rows = same(members, names, "members")
    activities = len(found["streams"]["activities"]["rows"])
    expect(activities, "no activities")
    again = _read(world, made, "source-annex", world.tap_annex(), ["activities"])
    expect(len(again["streams"]["activities"]["rows"]) == activities, "activities are there twice")
    expect(again["read"] < activities, f"the second sync read all {activities} activities again")
    return rows + activities


def _read(world: World, made: Environment, name: str, config: Row, streams: list[str]) -> Row:
    """One sync; what the cache holds then."""
    asked = {
        "executable": ours(name),
        "config": config,
        "streams": streams,
        "cache": str(world.directory / f"{name}.db"),
    }
    # Isolated: in the script's directory is a module that is called like PyAirbyte's.
    done = subprocess.run(  # noqa: S603 - our own command
        [made.program("python"), "-I", str(_READER)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        cwd=world.directory,
        # No word home, no registry of connectors.
        env={
            **world.environment(),
            "DO_NOT_TRACK": "1",
            "AIRBYTE_OFFLINE_MODE": "1",
            "AIRBYTE_PROJECT_DIR": str(world.directory),
            "AIRBYTE_LOGGING_ROOT": str(world.directory / "logs"),
        },
    )
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise Failure(f"PyAirbyte and {name}: {' '.join(told) or done.stderr.strip()[-600:]}")
    answer: Row = json.loads(done.stdout.splitlines()[-1])
    return answer


def _by_key(found: Row, stream: str, key: str) -> dict[str, Row]:
    """The cache's rows with values as Dynamics 365 writes them."""
    held = found["streams"][stream]
    convert = {column: _CONVERSIONS.get(kind.partition("(")[0], _same) for column, kind in held["types"].items()}
    return {
        row[key]: {column: None if value is None else convert[column](value) for column, value in row.items()}
        for row in held["rows"]
    }


def _same(value: Any) -> Any:
    return value


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "TIMESTAMP": lambda text: text.replace(" ", "T") + "Z",
    "DECIMAL": Decimal,
}
