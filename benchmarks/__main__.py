"""``python -m benchmarks [PART …]``: run all parts or some; write ``results.md``, ``results.json`` and the chart."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import tap, target
from benchmarks.bench import Bench, Scene, machine
from benchmarks.report import chart, markdown
from benchmarks.services import services

HERE = Path(__file__).parent
#: Each as a function of how many rows there are.
PARTS: Mapping[str, Callable[[Mapping[str, int]], list[Scene]]] = {
    "tap": tap.scenes,
    "target": target.scenes,
    "pipeline": target.pipelines,
    "growth": target.growth,
    "latency": target.latencies,
}
#: Rows of the scenes, and counted runs.
MODES: Mapping[str, Mapping[str, int]] = {
    "quick": {"narrow": 20_000, "wide": 5_000, "part": 5_000, "target": 2_000, "target-latency": 5_000,
              "pipeline": 10_000, "growth": 100_000, "latency": 10_000, "runs": 1},
    "full": {"narrow": 100_000, "wide": 20_000, "part": 20_000, "target": 10_000, "target-latency": 30_000,
             "pipeline": 100_000, "growth": 1_000_000, "latency": 50_000, "runs": 5},
}  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all unless named")
    parser.add_argument("--mode", choices=MODES, default="full")
    parser.add_argument("--runs", type=int, help="counted runs of each contender")
    parser.add_argument("--output", type=Path, default=HERE, help="directory of results")
    parser.add_argument("--render", action="store_true", help="run nothing, write results.md again")
    given = parser.parse_args()
    kept = given.output / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    if not given.render:
        rows = MODES[given.mode]
        found = results.get("scenes", {}) if given.parts and results.get("mode") == given.mode else {}
        results = {"machine": machine(), "mode": given.mode, "runs": given.runs or rows["runs"], "scenes": found}
        with services() as started, tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
            bench = Bench(started, Path(directory), results["runs"], found)
            for part in given.parts or PARTS:
                for scene in PARTS[part](rows):
                    bench.play(scene)
                    kept.write_text(json.dumps(results, indent=1) + "\n")
    (given.output / "results.md").write_text(markdown(results))
    (given.output / "results.svg").write_text(chart(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
