"""The definitions for Meltano Hub are what the settings say, and what the Hub takes."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import yaml
from support import ROOT

from platforms import hub as row


@pytest.fixture(scope="module")
def hub():
    scripts = str(ROOT / "scripts")
    sys.path.insert(0, scripts)
    try:
        spec = importlib.util.spec_from_file_location("hub", ROOT / "scripts" / "hub.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(scripts)
    return module


def test_definitions_are_current(hub):
    wanted = hub.current()
    for path, text in wanted.items():
        assert path.read_text(encoding="utf-8") == text, "stale; run `make docs`"
    assert set((ROOT / "hub").rglob("*.yml")) == set(wanted)


@pytest.mark.parametrize("path", row.definitions(), ids=lambda path: path.parent.name)
def test_the_hub_takes_them(path):
    row.check(path, yaml.safe_load(path.read_text(encoding="utf-8")))


def test_meltano_adds_a_plugin_from_its_definition(tmp_path):
    (source,) = (path for path in row.definitions() if path.parent.name == "tap-d365")
    plugin = row.add(source, tmp_path)
    assert plugin["pip_url"] == "annexcloud-d365"
    assert {each["name"] for each in plugin["settings"] if each.get("sensitive")} == {"client_secret", "password"}
