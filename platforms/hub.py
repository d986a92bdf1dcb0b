"""Definitions for Meltano Hub: its schema takes them, Meltano adds plugins by them (docs/platforms/meltano-hub.md)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import yaml  # type: ignore[import-untyped]

from platforms.environments import ROOT, ours
from platforms.result import Failure, Result, expect
from platforms.world import World

HUB = ROOT / "hub"

#: What the schemas of github.com/meltano/hub ask for (schemas/plugin_definitions and schemas/common, 2026), of what we
#: say; there is no other field.
_SETTING = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        **{field: {"type": "string"} for field in ("name", "label", "description")},
        "kind": {"enum": ["array", "boolean", "date_iso8601", "decimal", "integer", "object", "string"]},
        "sensitive": {"type": "boolean"},
        "value": {},
    },
}
_TEXTS = ("name", "namespace", "variant", "label", "description", "pip_url", "executable", "log_parser")
_DEFINITION = {
    "type": "object",
    "required": ["name", "namespace", "variant", "quality"],
    "additionalProperties": False,
    "properties": {
        **{field: {"type": "string"} for field in _TEXTS},
        "maintenance_status": {"enum": ["active", "beta", "development", "inactive", "unknown"]},
        "quality": {"enum": ["gold", "silver", "bronze", "unknown"]},
        "keywords": {"type": "array", "items": {"type": "string"}},
        "supported_python_versions": {"type": "array", "minItems": 1, "items": {"pattern": r"^3\.\d+$"}},
        "settings_group_validation": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "settings": {"type": "array", "items": _SETTING},
        "capabilities": {"type": "array"},
    },
}
_CAPABILITIES = {
    "extractors": "properties catalog discover state about stream-maps schema-flattening activate-version batch test "
    "log-based structured-logging",
    "loaders": "about stream-maps activate-version batch soft-delete hard-delete datatype-failsafe schema-flattening "
    "target-schema validate-records",
}


def definitions() -> list[Path]:
    """The files, one for each plugin."""
    return sorted(HUB.rglob("*.yml"))


def check(path: Path, content: Mapping[str, Any]) -> None:
    """Raise ``Failure`` unless the Hub takes the content at this path, ``…/extractors|loaders/name/variant.yml``."""
    try:
        jsonschema.Draft7Validator(_DEFINITION).validate(content)
    except jsonschema.ValidationError as error:
        raise Failure(f"{path.parent.name}: {error.json_path} {error.message}") from None
    unknown = set(content["capabilities"]) - set(_CAPABILITIES[path.parts[-3]].split())
    expect(not unknown, f"{path.parent.name}: the Hub knows no capability {', '.join(sorted(unknown))}")
    # The Hub finds a plugin by its path.
    expect((path.parent.name, path.stem) == (content["name"], content["variant"]), f"{path} has another name inside")
    names = [each["name"] for each in content["settings"]]
    expect(len(set(names)) == len(names), f"{path.parent.name}: a setting is there twice")
    grouped = {name for group in content["settings_group_validation"] for name in group}
    expect(grouped <= set(names), f"{path.parent.name}: what is required is no setting")


def add(path: Path, directory: Path) -> dict[str, Any]:
    """The plugin as ``meltano add`` declares it in a new project in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    project = directory / "meltano.yml"
    project.write_text("send_anonymous_usage_stats: false\n", encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - our own program
        [ours("meltano"), "add", path.parent.name, "--from-ref", path, "--no-install"],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if not name.startswith("MELTANO_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    expect(done.returncode == 0, f"meltano add {path.parent.name}: {done.stderr[-200:]}")
    plugins = yaml.safe_load(project.read_text(encoding="utf-8"))["plugins"]
    (plugin,) = plugins[path.parts[-3]]
    return dict(plugin)


def run(world: World) -> Result:
    """Each definition, against the schema and by Meltano."""
    settings = 0
    for path in definitions():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        check(path, content)
        added = add(path, world.directory / path.parent.name)
        names = {each["name"] for each in content["settings"]}
        expect({each["name"] for each in added["settings"]} == names, f"{path.parent.name}: Meltano lost settings")
        settings += len(names)
    expect(settings, "there are no definitions")
    return Result({"meltano": version("meltano")}, settings, ("schema", "meltano add"))
