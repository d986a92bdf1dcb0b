"""The thin parts of platforms/ and orchestrate/; the platforms themselves are `make platforms`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from decimal import Decimal
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml
from support import ROOT

from platforms import __main__ as table
from platforms import hub, truth
from platforms.result import Failure, same


def test_rows_that_are_equal_are_counted():
    assert same({1: {"a": Decimal("1.50"), "more": 0}}, {1: {"a": Decimal("1.5")}}, "rows") == 1


@pytest.mark.parametrize(
    ("got", "wanted", "reason"),
    [
        ({}, {1: {}}, "1 is missing"),
        ({1: {}, 2: {}}, {1: {}}, "2 should not be there"),
        ({1: {"a": True}}, {1: {"a": 1}}, "a is True"),
        ({1: {}}, {1: {"a": None}}, "no such column"),
        ({}, {}, "nothing is compared"),
    ],
)
def test_what_differs_is_named(got, wanted, reason):
    with pytest.raises(Failure, match=reason):
        same(got, wanted, "rows")


@pytest.mark.parametrize(
    "written", ["2026-01-31T01:02:03Z", "2026-01-31 01:02:03+00:00", "2026-01-31T01:02:03.000", "2026-01-31T01:02:03"]
)
def test_moments_have_one_form(written):
    assert truth.plain(written) == "2026-01-31T01:02:03"


def test_days_and_numbers_stay():
    assert [truth.plain(each) for each in ("2026-01-31", 5, "x")] == ["2026-01-31", 5, "x"]


def test_each_row_is_in_the_index_and_names_its_page():
    pages = ROOT / "docs" / "platforms"
    index = (pages / "README.md").read_text()
    for row, module in table.ROWS.items():
        name = re.search(r"docs/platforms/([\w-]+\.md)", import_module(module).__doc__)[1]
        assert (pages / name).is_file()
        assert f"({name})" in index
        assert f"`{row}`" in index


@pytest.fixture
def dags(monkeypatch):
    """The DAG file, with nothing of Airflow but names."""
    made, tasks = [], []

    class Dag:
        def __init__(self, dag_id, **settings):
            made.append((dag_id, settings["schedule"]))

        __enter__ = __exit__ = lambda *_: None

    class Operator:
        def __init__(self, **settings):
            tasks.append(settings)

        partial = classmethod(lambda cls, **_: types.SimpleNamespace(expand=lambda **_: None))

    sdk = types.SimpleNamespace(
        DAG=Dag,
        Param=lambda *_, **__: None,
        get_current_context=None,
        task=lambda _: lambda: types.SimpleNamespace(map=lambda _: None),
    )
    names = ["airflow", "airflow.providers", "airflow.providers.standard", "airflow.providers.standard.operators"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    monkeypatch.setitem(sys.modules, f"{names[-1]}.bash", types.SimpleNamespace(BashOperator=Operator))
    monkeypatch.setenv("ANNEX_D365_REGIONS", "default,r1")
    spec = spec_from_file_location("annex_d365_dags", ROOT / "orchestrate" / "dags" / "annex_d365.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return dict(made), {each["task_id"]: each["bash_command"] for each in tasks}


def test_each_job_of_meltano_is_a_dag_with_a_task_for_each_region(dags):
    made, tasks = dags
    assert made["contacts-to-annex"] == "*/15 * * * *"
    assert made["annex-d365-backfill"] is None
    assert not any(name.endswith("-r1") for name in made)
    assert tasks["contacts-to-annex"].endswith(".meltano/turn meltano run contacts-to-annex")
    assert tasks["full-sync-r1"].endswith(".meltano/turn-r1 meltano run full-sync-r1")
    assert "full-sync-r2" not in tasks


@pytest.fixture
def pipeline(tmp_path):
    """The script, with a tap and a target of three lines."""

    def run(tap="true", target="cat"):
        for name, body in (("tap", tap), ("target", target)):
            path = tmp_path / name
            path.write_text(f"#!/bin/bash\n{body}\n")
            path.chmod(0o700)
        (tmp_path / "commands").write_text(f"TAP={tmp_path}/tap TARGET={tmp_path}/target\n")
        script = ROOT / "scripts" / "pipeline.sh"
        return subprocess.run([script, tmp_path], check=False, env={"PATH": os.environ["PATH"]}, timeout=20).returncode

    return tmp_path, run


def test_the_last_whole_line_is_the_state(pipeline):
    directory, run = pipeline
    assert run(target="echo 1; echo 2; printf half") == 0
    assert (directory / "state.json").read_text() == "2\n"


@pytest.mark.parametrize(
    ("tap", "target", "code"), [("exit 3", "cat", 3), ("exit 3", "exit 4", 4), ("true", "true", 0)]
)
def test_who_fails_is_told_and_the_state_stays(pipeline, tap, target, code):
    directory, run = pipeline
    (directory / "state.json").write_text("old\n")
    assert run(tap, target) == code
    assert (directory / "state.json").read_text() == "old\n"


def test_rows_have_modules_that_run():
    for name in ("shell", "postgres-target", "csv-tap", "airflow"):
        assert callable(import_module(table.ROWS[name]).run)
    assert Path(ROOT / "scripts" / "pipeline.sh").stat().st_mode & 0o100


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quality": "excellent"}, "quality"),
        ({"more": 1}, "more"),
        ({"name": "tap-other"}, "another name"),
        ({"capabilities": ["fly"]}, "no capability fly"),
        ({"settings": [{"name": "client_id"}] * 2}, "twice"),
        ({"settings_group_validation": [["nosuch"]]}, "no setting"),
    ],
)
def test_what_the_hub_does_not_take_is_named(change, reason):
    (path,) = (path for path in hub.definitions() if path.parent.name == "tap-d365")
    content = yaml.safe_load(path.read_text())
    hub.check(path, content)
    with pytest.raises(Failure, match=reason):
        hub.check(path, {**content, **change})
