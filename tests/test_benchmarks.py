"""The benchmark runs, compares what is the same, and says what it found."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from benchmarks import tap
from benchmarks.bench import Bench, Scene, machine
from benchmarks.measure import Command, FailedError, run
from benchmarks.report import GOALS, chart, markdown
from benchmarks.rows import Clock
from benchmarks.services import NARROW_SET, services


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    ours, floor = tap.ours(NARROW_SET), tap._contenders(NARROW_SET)["floor"]

    def broken(_services, _directory):
        return Command([["false"]], str(directory))

    with services() as started:
        bench = Bench(started, directory, runs=1)
        bench.play(Scene("tap-30", "30 columns", 700, {"tap-d365": ours, "floor": floor, "Airbyte": broken}))
    return {"machine": machine(), "mode": "test", "runs": 1, "scenes": bench.results}


def test_all_contenders_read_all_rows(results):
    told = results["scenes"]["tap-30"]["contenders"]
    assert told["floor"]["lines"] == 700 + 1
    assert 700 < told["tap-d365"]["lines"] < 710, "and a schema, and states"
    assert "exit codes [1]" in told["Airbyte"]["error"]
    for name in ("tap-d365", "floor"):
        assert told[name]["wall"] > 0
        assert 20 < told[name]["memory"] < 300
        assert told[name]["server"]["requests"] > 0


def test_the_report_says_what_was_measured(results):
    text = markdown(json.loads(json.dumps(results)))
    assert "| 30 columns: share of the floor's speed | at least 0.6 |" in text
    assert "| Airbyte | does not run:" in text
    assert text.count("not measured") == len(GOALS) - 1
    assert ET.fromstring(chart(results)).tag.endswith("svg")


def test_a_pipe_fails_with_each_of_its_commands(tmp_path):
    assert run(Command([["echo", "a\nb"], ["cat"]], str(tmp_path))).lines == 2
    with pytest.raises(FailedError, match=r"exit codes \[1, 0\]"):
        run(Command([["false"], ["cat"]], str(tmp_path)))


def test_bounds_of_a_filter():
    clock = Clock(10)
    first, last = clock.texts[3].decode(), clock.texts[8].decode()
    assert clock.bounds(f"(modifiedon ge {first}) and (modifiedon lt {last})") == (3, 8)
    assert clock.bounds(f"modifiedon lt {last} or modifiedon eq null") == (0, 8)
    assert clock.bounds("") == (0, 10)
    with pytest.raises(ValueError, match="does not know"):
        clock.bounds("statecode eq 0")
