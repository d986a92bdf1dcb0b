"""Parts (b) to (d): writing, whole pipelines, and how both grow."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.bench import Maker, Scene
from benchmarks.measure import Command, run
from benchmarks.services import NARROW_SET, SELECTION, WIDE_SET, Services
from benchmarks.tap import HERE, ours, write

SDK = "SDK's sink"
ANNEX, D365 = "annex_cloud", "d365"
#: A statecode says whether a contact is active.
COLUMNS = (*SELECTION, "statecode")
#: Milliseconds before an answer: none, a service in the same region, one that is far or busy.
LATENCIES = (0, 50, 200)


def scenes(rows: Mapping[str, int]) -> list[Scene]:
    """Writing, at both destinations."""
    places = ((ANNEX, "Annex Cloud"), (D365, "Dynamics 365"))
    return [
        Scene(f"target-{destination}", f"writing to {place}", rows["target"], _contenders(destination))
        for destination, place in places
    ] + [
        # More rows, so that it is not the start of programs that is measured. One row after the other, the SDK's sink
        # would take rows x latency longer: it is left out.
        Scene(
            f"target-{destination}-{milliseconds}", f"writing to {place}, {milliseconds} ms", rows["target-latency"],
            {name: make for name, make in _contenders(destination).items() if name != SDK}, latency=milliseconds / 1000,
        )
        for destination, place in places
        for milliseconds in LATENCIES
    ]  # fmt: skip


def _contenders(destination: str) -> dict[str, Maker]:
    floor = [str(HERE / "floor_target.py"), destination]
    return {
        f"target-annex, {destination}": _target(destination),
        "floor": _reading(destination, floor),
        "floor, msgspec": _reading(destination, [*floor, "--msgspec"]),
        SDK: _reading(destination, [str(HERE / "sdk_target.py"), "--config"]),
    }


def settings(services: Services, directory: Path, destination: str) -> dict[str, Any]:
    """Of the target, with files in this directory."""
    return {
        "destination": destination,
        **(services.organisation if destination == D365 else services.site),
        "ca_bundle": services.info["ca_bundle"],
        "rejects_path": str(directory / "rejects.singer"),
        "ledger_url": f"sqlite:///{directory / 'ledger.db'}",
    }


def ledger_files(directory: Path) -> list[str]:
    """What is removed before each run, so that all rows are new."""
    return [str(directory / f"ledger.db{end}") for end in ("", "-wal", "-shm")]


def _target(destination: str) -> Maker:
    def make(services: Services, directory: Path) -> Command:
        config = write(directory / "target.json", settings(services, directory, destination))
        step = [sys.executable, "-m", "target_annex", "--config", config]
        return Command([step], str(directory), stdin=rows_file(services, directory), fresh=ledger_files(directory))

    return make


def _reading(destination: str, arguments: list[str]) -> Maker:
    def make(services: Services, directory: Path) -> Command:
        given = settings(services, directory, destination)
        config = write(directory / "target.json", given)
        return Command([[sys.executable, *arguments, config]], str(directory), stdin=rows_file(services, directory))

    return make


def rows_file(services: Services, directory: Path) -> str:
    """What the tap says of the contacts, once for all contenders of a scene."""
    path = directory.parent / "contacts.singer"
    if not path.exists():
        made = ours(WIDE_SET, COLUMNS)(services, directory)
        steps = [[*made.steps[0]], [sys.executable, "-c", "import shutil, sys; shutil.copyfileobj(sys.stdin.buffer, "
                 "open(sys.argv[1], 'wb'))", str(path)]]  # fmt: skip
        run(Command(steps, str(directory)))
        state = [line for line in path.read_bytes().splitlines() if b'"STATE"' in line[:20]][-1]
        assert msgspec.json.decode(state)["value"]["bookmarks"][WIDE_SET]
    return str(path)


def pipelines(rows: Mapping[str, int]) -> list[Scene]:
    """tap-d365 into target-annex, by a pipe and by Meltano."""
    return [
        Scene(
            "pipeline", "tap-d365 into target-annex", rows["pipeline"],
            {"a pipe": pipe(), "meltano run": _meltano()},
        )
    ]  # fmt: skip


def pipe() -> Maker:
    """``tap-d365 | target-annex``, into Annex Cloud."""

    def make(services: Services, directory: Path) -> Command:
        tap = ours(WIDE_SET, COLUMNS)(services, directory)
        config = write(directory / "target.json", settings(services, directory, ANNEX))
        target = [sys.executable, "-m", "target_annex", "--config", config]
        return Command([*tap.steps, target], str(directory), fresh=ledger_files(directory))

    return make


def _meltano() -> Maker:
    def make(services: Services, directory: Path) -> Command:
        binaries = Path(sys.executable).parent
        plugins: dict[str, list[dict[str, Any]]] = {
            "extractors": [
                {
                    "name": "tap-d365", "namespace": "tap_d365", "executable": str(binaries / "tap-d365"),
                    "capabilities": ["catalog", "discover", "state"],
                    "config": {**services.organisation, "tables": [WIDE_SET]},
                    "select": [f"{WIDE_SET}.{name}" for name in COLUMNS],
                }
            ],
            "loaders": [
                {
                    "name": "target-annex", "namespace": "target_annex", "executable": str(binaries / "target-annex"),
                    "config": settings(services, directory, ANNEX),
                }
            ],
        }  # fmt: skip
        for kind in plugins.values():
            for plugin in kind:
                plugin["settings"] = [{"name": name} for name in plugin["config"]]
        project = {"send_anonymous_usage_stats": False, "default_environment": "bench", "plugins": plugins,
                   "project_id": "benchmark", "environments": [{"name": "bench"}]}  # fmt: skip
        write(directory / "meltano.yml", project)  # JSON is YAML
        step = [str(binaries / "meltano"), "run", "--full-refresh", "tap-d365", "target-annex"]
        return Command([step], str(directory), fresh=ledger_files(directory))

    return make


def growth(rows: Mapping[str, int]) -> list[Scene]:
    """The same with more and more rows."""
    sizes = [size for size in (10_000, 100_000, 1_000_000) if size <= rows["growth"]]
    contenders = {"tap-d365": ours(NARROW_SET), "tap-d365 | target-annex": pipe()}
    return [Scene(f"growth-{size}", f"{size:,} rows", size, contenders, most_runs=1) for size in sizes]


#: Rows of a page, and pages, of the scenes with latency: enough for the wait to be what counts.
LATENCY_PAGE = 250


def latencies(rows: Mapping[str, int]) -> list[Scene]:
    """Answers that take time, and requests at the same time."""
    return [
        Scene(
            f"latency-{milliseconds}", f"{milliseconds} ms", rows["latency"],
            {
                f"{parallel} parallel": ours(
                    NARROW_SET, page_size=LATENCY_PAGE, max_parallel_requests=parallel
                )
                for parallel in (8, 1, 4, 16)
            },
            latency=milliseconds / 1000, most_runs=3,
        )
        for milliseconds in (0, 50, 200)
    ]  # fmt: skip
