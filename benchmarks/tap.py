"""Part (a): reading a table, with all its columns or some."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.bench import Maker, Scene
from benchmarks.measure import Command
from benchmarks.peers import UnavailableError
from benchmarks.services import NARROW, NARROW_SET, SELECTION, WIDE, WIDE_SET, Services

HERE = Path(__file__).parent
ROOT = HERE.parent
#: Peers call tables by their logical names.
LOGICAL = {NARROW_SET: "cr0dd_shopper", WIDE_SET: "contact"}
OURS = "tap-d365"


def scenes(rows: Mapping[str, int]) -> list[Scene]:
    """The scenes; ``rows`` by ``narrow``, ``wide`` and ``part``."""
    return [
        Scene("tap-30", f"{NARROW} columns", rows["narrow"], _contenders(NARROW_SET)),
        Scene("tap-260", f"{WIDE} columns", rows["wide"], _contenders(WIDE_SET)),
        Scene("tap-30-of-260", f"{NARROW} of {WIDE} columns", rows["part"], _contenders(WIDE_SET, SELECTION)),
    ]


def _contenders(table: str, columns: Sequence[str] = ()) -> dict[str, Maker]:
    return {
        OURS: ours(table, columns),
        "floor": _floor(table, columns),
        "floor, msgspec": _floor(table, columns, "--msgspec"),
        "Microsoft": _microsoft(table, columns),
        "Airbyte": _airbyte(table, columns),
        "tap-ms-dynamics": _tap_ms_dynamics(table, columns),
    }


def ours(table: str, columns: Sequence[str] = (), **settings: Any) -> Maker:
    """tap-d365, with its catalog discovered before, as Meltano does."""

    def make(services: Services, directory: Path) -> Command:
        config = write(directory / "config.json", {**services.organisation, "tables": [table], **settings})
        tap = [sys.executable, "-m", "tap_d365", "--config", config]
        catalog = json.loads(_output([*tap, "--discover"], directory))
        for entry in catalog["streams"]:
            select(entry, selected=entry["tap_stream_id"] == table, columns=columns)
        path = write(directory / "catalog.json", catalog)
        return Command([[*tap, "--catalog", path]], str(directory))

    return make


def select(entry: Mapping[str, Any], *, selected: bool, columns: Sequence[str]) -> None:
    """Select a stream of a catalog, and of its columns these, or all."""
    for each in entry["metadata"]:
        metadata = each["metadata"]
        if not each["breadcrumb"]:
            metadata["selected"] = selected
        elif columns and metadata.get("inclusion") != "automatic":
            metadata["selected"] = each["breadcrumb"][-1] in columns


def _floor(table: str, columns: Sequence[str], *options: str) -> Maker:
    def make(services: Services, directory: Path) -> Command:
        chosen = [",".join(columns)] if columns else []
        script = str(HERE / "floor_tap.py")
        return Command(
            [[sys.executable, script, services.url, services.token, table, *chosen, *options]], str(directory)
        )

    return make


def _microsoft(table: str, columns: Sequence[str]) -> Maker:
    def make(services: Services, directory: Path) -> Command:
        chosen = [",".join(columns)] if columns else []
        script = str(HERE / "microsoft_tap.py")
        step = [peers.python("Microsoft"), script, services.url, services.token, LOGICAL[table], *chosen]
        return Command([step], str(directory))

    return make


def _airbyte(table: str, columns: Sequence[str]) -> Maker:
    """It has no selection of columns: the configured catalog may have fewer, and all are read and written."""

    def make(services: Services, directory: Path) -> Command:
        source = _rerouted("Airbyte", "source_microsoft_dataverse.run:run", services)
        names = services.info["credentials"]
        config = write(
            directory / "config.json",
            {
                "url": services.url, "tenant_id": names["tenant_id"], "client_id": names["client_id"],
                "client_secret_value": names["client_secret"], "odata_maxpagesize": 5000,
            },
        )  # fmt: skip
        told = [json.loads(line) for line in _output([*source, "discover", "--config", config], directory).splitlines()]
        found = next(each["catalog"]["streams"] for each in told if each["type"] == "CATALOG")
        stream = next(each for each in found if each["name"] == LOGICAL[table])
        if columns:
            schema = stream["json_schema"]["properties"]
            stream["json_schema"]["properties"] = {name: schema[name] for name in columns}
        chosen = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
        catalog = write(directory / "catalog.json", {"streams": [chosen]})
        return Command([[*source, "read", "--config", config, "--catalog", catalog]], str(directory))

    return make


def _tap_ms_dynamics(table: str, columns: Sequence[str]) -> Maker:
    """It selects columns after it has read all of them."""

    def make(services: Services, directory: Path) -> Command:
        tap = _rerouted("tap-ms-dynamics", "tap_dynamics:main", services)
        names = services.info["credentials"]
        config = write(
            directory / "config.json",
            {
                "start_date": "2020-01-01T00:00:00Z", "organization_uri": services.url, "user_agent": "benchmark",
                "client_id": names["client_id"], "client_secret": names["client_secret"], "max_pagesize": 5000,
                "redirect_uri": "https://localhost", "refresh_token": "-",
            },
        )  # fmt: skip
        catalog = json.loads(_output([*tap, "--config", config, "--discover"], directory))
        catalog["streams"] = [each for each in catalog["streams"] if each["tap_stream_id"] == LOGICAL[table]]
        if not catalog["streams"]:
            raise UnavailableError("it does not discover the table")
        select(catalog["streams"][0], selected=True, columns=columns)
        if not columns:
            for each in catalog["streams"][0]["metadata"]:
                each["metadata"]["selected"] = True
        path = write(directory / "catalog.json", catalog)
        return Command([[*tap, "--config", config, "--catalog", path]], str(directory))

    return make


def _rerouted(name: str, module: str, services: Services) -> list[str]:
    return [peers.python(name), str(HERE / "rerouted.py"), services.url, module]


def _output(command: Sequence[str], directory: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, timeout=300)
    if done.returncode:
        raise UnavailableError(f"{command[-1]} ends with {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def write(path: Path, content: Any) -> str:
    """Write a JSON file; its path."""
    path.write_text(json.dumps(content))
    return str(path)
