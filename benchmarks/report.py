"""From results to ``results.md`` and its chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.chart import Bar, bars

Results = Mapping[str, Any]

#: What contenders are, for readers who do not know them.
NOTES = {
    "floor": "40 lines without Singer: pages one after the other, requests and json, a line for each row "
    "(`benchmarks/floor_tap.py`); for writing, the same calls as the target, eight at a time (`floor_target.py`)",
    "floor, msgspec": "the same with msgspec, the fastest JSON for Python",
    "Microsoft": "powerplatform-dataverse-client, Microsoft's own, `list_pages`, a line of JSON per record",
    "Airbyte": "airbyte-source-microsoft-dataverse, full refresh; cannot select columns",
    "tap-ms-dynamics": "the Singer tap on the package index; selects columns after reading all",
    "SDK's sink": "singer-sdk's `RecordSink` with a PATCH for each row, as most published targets have it",
}


@dataclass(frozen=True)
class Goal:
    """A figure that is to be reached.

    Attributes:
        text: what it says.
        scene: where it is measured.
        ours: contender that is to be fast.
        other: contender that it is compared with.
        figure: which of their figures.
        least: that the ratio other / ours must reach.
        most: that the figure of ours must not exceed.
    """

    text: str
    scene: str
    ours: str
    other: str = ""
    figure: str = "wall"
    least: float = 0.0
    most: float = 0.0

    def measured(self, results: Results) -> float | None:
        """The ratio, or the figure; None where it was not measured."""
        told = results.get(self.scene, {}).get("contenders", {})
        mine, theirs = (told.get(name, {}).get(self.figure) for name in (self.ours, self.other or self.ours))
        if not mine or not theirs:
            return None
        return float(theirs / mine if self.least else mine)

    def met(self, value: float) -> bool:
        """Whether it is reached."""
        return value >= self.least if self.least else value <= self.most


GOALS = (
    Goal("30 columns: times faster than Airbyte's source", "tap-30", "tap-d365", "Airbyte", least=5),
    Goal("30 columns: times faster than Microsoft's client", "tap-30", "tap-d365", "Microsoft", least=2),
    Goal("30 columns: share of the floor's speed", "tap-30", "tap-d365", "floor", least=0.6),
    Goal("260 columns: times faster than Airbyte's source", "tap-260", "tap-d365", "Airbyte", least=7),
    Goal("200 ms: 8 requests at a time, times faster than one", "latency-200", "8 parallel", "1 parallel", least=6),
    *(
        goal
        for name, place in (("annex_cloud", "Annex Cloud"), ("d365", "Dynamics 365"))
        for goal in (
            Goal(f"{place}: times faster than the SDK's sink", f"target-{name}", f"target-annex, {name}", "SDK's sink",
                 least=5),
            *(
                Goal(f"{place}, {milliseconds} ms: share of the floor's speed", f"target-{name}-{milliseconds}",
                     f"target-annex, {name}", "floor", least=0.5)
                for milliseconds in (0, 50, 200)
            ),
        )
    ),
    Goal("tap-d365, 1,000,000 rows: MB of memory", "growth-1000000", "tap-d365", figure="memory", most=200),
    Goal("tap-d365 | target-annex, 1,000,000 rows: MB of the larger", "growth-1000000", "tap-d365 | target-annex",
         figure="memory", most=200),
)  # fmt: skip


def markdown(results: Results) -> str:
    """The whole of ``results.md``."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    machine = results["machine"]
    yield from (
        "# Benchmark",
        "",
        (
            "Written by `make bench`, which repeats it. Each program is a process of its own, started anew; contenders "
            "take turns, and figures are medians. Seconds are those of the whole process, start included. CPU is what "
            "the program used on both cores, memory is the largest process's peak; the server's share is told apart."
        ),
        "",
        f"{machine['processor']}, {machine['memory']}, {machine['system']}, Python {machine['python']}; "
        f"{machine['date']}; {results['mode']} mode, {results['runs']} runs each.",
        "",
        "![Rows per second](results.svg)",
        "",
        "## Goals",
        "",
        "| | goal | measured | |",
        "|---|---|---|---|",
    )
    for goal in GOALS:
        value = goal.measured(results["scenes"])
        wanted = f"at least {goal.least:g}" if goal.least else f"at most {goal.most:g}"
        shown = "not measured" if value is None else f"{value:.2f}" if goal.least else f"{value:.0f}"
        verdict = "" if value is None else "met" if goal.met(value) else "missed"
        text = goal.text.replace("|", "\\|")
        yield f"| {text} | {wanted} | {shown} | {verdict} |"
    for scene in results["scenes"].values():
        yield from _scene(scene)
    yield from ("", "## Who is who", "")
    yield from (f"* **{name}**: {note}." for name, note in NOTES.items())


def _scene(scene: Mapping[str, Any]) -> Iterator[str]:
    delay = f", answers after {scene['latency'] * 1000:.0f} ms" if scene["latency"] else ""
    yield from ("", f"## {scene['title']}: {scene['rows']:,} rows{delay}", "")
    yield "| | seconds (least, most) | rows/s | CPU s | memory MB | requests | server CPU s | times ours |"
    yield "|---|---|---|---|---|---|---|---|"
    told = scene["contenders"]
    mine = next(iter(told.values())).get("wall")
    for contender, each in told.items():
        name = contender.replace("|", "\\|")
        if "error" in each:
            yield f"| {name} | does not run: {_short(each['error'])} | | | | | | |"
            continue
        walls, server = each["all"]["wall"], each["server"]
        times = f"{each['wall'] / mine:.2f}" if mine else ""
        yield (
            f"| {name} | {each['wall']:.2f} ({min(walls):.2f}, {max(walls):.2f}) | {scene['rows'] / each['wall']:,.0f} "
            f"| {each['cpu']:.2f} | {each['memory']:.0f} | {server['requests']:.0f} | {server['cpu']:.2f} | {times} |"
        )


def _short(error: str) -> str:
    return error.strip().splitlines()[-1][:160].replace("|", "/")


#: Scenes of the chart.
_CHARTED = ("tap-30", "tap-260", "tap-30-of-260", "target-annex_cloud", "target-d365", "pipeline")


def chart(results: Results) -> str:
    """The chart: rows per second."""
    groups: list[tuple[str, Sequence[Bar]]] = []
    for name in _CHARTED:
        scene = results["scenes"].get(name)
        if scene:
            told = scene["contenders"].items()
            found = [
                Bar(each, scene["rows"] / figures["wall"], ours=number == 0)
                for number, (each, figures) in enumerate(told)
                if "wall" in figures
            ]
            groups.append((f"{scene['title']}, {scene['rows']:,} rows", found))
    return bars("Rows per second, whole process", groups)
