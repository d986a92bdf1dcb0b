"""The definitions for Meltano Hub are what the settings say, and what the Hub takes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from support import ROOT


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


#: What the schemas of github.com/meltano/hub ask for (schemas/plugin_definitions and schemas/common, 2026), of what we
#: say; there is no other field.
SETTING = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        **{field: {"type": "string"} for field in ("name", "label", "description")},
        "kind": {"enum": "array boolean date_iso8601 decimal integer object string".split()},
        "sensitive": {"type": "boolean"},
        "value": {},
    },
}
TEXTS = "name namespace variant label description pip_url executable log_parser".split()
DEFINITION = {
    "type": "object",
    "required": ["name", "namespace", "variant", "quality"],
    "additionalProperties": False,
    "properties": {
        **{field: {"type": "string"} for field in TEXTS},
        "maintenance_status": {"enum": "active beta development inactive unknown".split()},
        "quality": {"enum": "gold silver bronze unknown".split()},
        "keywords": {"type": "array", "items": {"type": "string"}},
        "supported_python_versions": {"type": "array", "minItems": 1, "items": {"pattern": r"^3\.\d+$"}},
        "settings_group_validation": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "settings": {"type": "array", "items": SETTING},
        "capabilities": {"type": "array"},
    },
}
CAPABILITIES = {
    "extractors": "properties catalog discover state about stream-maps schema-flattening activate-version batch test "
    "log-based structured-logging",
    "loaders": "about stream-maps activate-version batch soft-delete hard-delete datatype-failsafe schema-flattening "
    "target-schema validate-records",
}


def test_definitions_are_current(hub):
    wanted = hub.current()
    for path, text in wanted.items():
        assert path.read_text(encoding="utf-8") == text, "stale; run `make docs`"
    assert set((ROOT / "hub").rglob("*.yml")) == set(wanted)


@pytest.mark.parametrize("path", sorted((ROOT / "hub").rglob("*.yml")), ids=lambda path: path.parent.name)
def test_the_hub_takes_them(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(DEFINITION).validate(content)
    assert set(content["capabilities"]) <= set(CAPABILITIES[path.parts[-3]].split())
    # The Hub finds a plugin by its path.
    assert (path.parent.name, path.stem) == (content["name"], content["variant"])
    names = [each["name"] for each in content["settings"]]
    assert len(set(names)) == len(names)
    assert {name for group in content["settings_group_validation"] for name in group} <= set(names)


def test_meltano_adds_a_plugin_from_its_definition(tmp_path):
    (tmp_path / "meltano.yml").write_text("send_anonymous_usage_stats: false\n")
    source = next((ROOT / "hub" / "extractors" / "tap-d365").iterdir())
    programs = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MELTANO_")}
    command = [programs / "meltano", "add", "tap-d365", "--from-ref", source, "--no-install"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (plugin,) = yaml.safe_load((tmp_path / "meltano.yml").read_text())["plugins"]["extractors"]
    assert plugin["pip_url"] == "annexcloud-d365"
    assert {each["name"] for each in plugin["settings"] if each.get("sensitive")} == {"client_secret", "password"}
