"""Scenes: contenders that do the same work, run in turns, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.measure import Command, FailedError, Run, run
from benchmarks.peers import UnavailableError
from benchmarks.services import Services

#: A contender as a function that makes ready what its command needs; it may say that it cannot run.
Maker = Callable[[Services, Path], Command]


@dataclass(frozen=True)
class Scene:
    """Work to be done.

    Attributes:
        name: short, for files.
        title: for people.
        rows: how many are read or written.
        contenders: by name; the first one is ours, and others are compared with it.
        latency: seconds that the server waits before each answer.
        most_runs: counted runs, where they take long.
    """

    name: str
    title: str
    rows: int
    contenders: Mapping[str, Maker]
    latency: float = 0.0
    most_runs: int = 100


@dataclass
class Bench:
    """Plays scenes and keeps results.

    Attributes:
        services: what contenders talk to.
        directory: for their files.
        runs: counted runs of each.
        results: by scene, as in the file.
    """

    services: Services
    directory: Path
    runs: int
    results: dict[str, Any] = field(default_factory=dict)

    def play(self, scene: Scene) -> None:
        """One run of each contender that does not count, then the others in turns."""
        self.services.set(rows=scene.rows, latency=0)
        commands: dict[str, Command] = {}
        told: dict[str, Any] = {}
        for name, make in scene.contenders.items():
            directory = self.directory / scene.name / name.replace(" ", "-").replace("/", "-")
            directory.mkdir(parents=True, exist_ok=True)
            try:
                commands[name] = make(self.services, directory)
                run(commands[name])
            except (FailedError, UnavailableError) as error:
                commands.pop(name, None)
                told[name] = {"error": str(error)}
                _say(f"{scene.title}: {name} does not run: {error}")
        self.services.set(latency=scene.latency)
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        served: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
        for turn in range(min(self.runs, scene.most_runs)):
            for name, command in commands.items():
                before = self.services.stats()
                runs[name].append(done := run(command))
                after = self.services.stats()
                served[name].append({key: after[key] - before[key] for key in after})
                _say(f"{scene.title} ({turn + 1}): {name} {done.wall:.1f} s, {done.cpu:.1f} s CPU")
        self.services.set(latency=0)
        for name, each in runs.items():
            told[name] = _medians([asdict(one) for one in each]) | {"server": _medians(served[name])}
        self.results[scene.name] = {
            "title": scene.title,
            "rows": scene.rows,
            "latency": scene.latency,
            "contenders": {name: told[name] for name in scene.contenders},
        }


def _medians(figures: list[dict[str, float]]) -> dict[str, Any]:
    """The median of each figure, with all values."""
    names = figures[0].keys()
    return {name: statistics.median(each[name] for each in figures) for name in names} | {
        "all": {name: [round(each[name], 3) for each in figures] for name in names}
    }


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{memory / 1024 / 1024:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
