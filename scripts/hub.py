"""Writes ``hub/``: definitions of our plugins as Meltano Hub keeps them, made of the plugins' settings (``make docs``).

They go to ``_data/meltano/`` of the Hub's repository, and serve as they are: ``meltano add --from-ref FILE``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import yaml
from singer_sdk import Tap
from singer_sdk.plugin_base import PluginBase
from tables import BUILT_IN, ROOT, kind_of, settings_of

from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.target import TargetAnnex, TargetD365

DISTRIBUTION = metadata("annexcloud-d365")
VARIANT = DISTRIBUTION["Name"]
#: Plugin -> what people call it.
PLUGINS: Mapping[str, tuple[type[PluginBase], str, str]] = {
    "tap-d365": (TapD365, "Dynamics 365", "Contacts, any table, segments and their members of Microsoft Dynamics 365"),
    "tap-annex": (TapAnnex, "Annex Cloud", "Members, activities, segments and their members of Annex Cloud"),
    "target-annex": (TargetAnnex, "Annex Cloud", "Loyalty members, points and segments of Annex Cloud"),
    "target-d365": (TargetD365, "Dynamics 365", "Contacts, rows of any table, and segments of Microsoft Dynamics 365"),
}
#: What the Hub has a word for (schemas/common/*_specific.schema.json), of what the SDK has.
CAPABILITIES = {
    "extractors": {
        *("about", "activate-version", "batch", "catalog", "discover", "schema-flattening", "state", "stream-maps"),
        "structured-logging",
    },
    "loaders": {"about", "schema-flattening", "stream-maps", "validate-records"},
}


def definition(name: str) -> dict[str, Any]:
    """A plugin, as the Hub wants it."""
    plugin, label, text = PLUGINS[name]
    required = [setting for setting, rule in settings_of(name).items() if rule["required"]]
    return {
        "name": name,
        "variant": VARIANT,
        "namespace": name.replace("-", "_"),
        "label": label,
        "description": text,
        "pip_url": VARIANT,
        "executable": name,
        "maintenance_status": "active",
        "quality": "unknown",  # the Hub's word, once it knows us
        "keywords": ["meltano_sdk"],
        "log_parser": "singer-sdk",
        "supported_python_versions": [
            word for line in DISTRIBUTION.get_all("Classifier", ()) if (word := line.rpartition(":: ")[2])[:2] == "3."
        ],
        "capabilities": sorted({each.value for each in plugin.capabilities} & CAPABILITIES[folder(name)]),
        "settings_group_validation": [required],
        "settings": [setting(key, rule) for key, rule in settings_of(name).items()]
        + [{"name": key, "kind": kind} for key, kind in BUILT_IN.items()],
    }


def setting(name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """A setting."""
    made = {"name": name, "label": name.replace("_", " ").capitalize(), "kind": kind_of(rule)}
    choices = ", ".join(f"`{each}`" for each in rule.get("enum", ()) if each is not None)
    made["description"] = rule["description"] + (f" ({choices})" if choices else "")
    if rule.get("secret"):
        made["sensitive"] = True
    if "default" in rule:
        made["value"] = rule["default"]
    return made


def folder(name: str) -> str:
    """The Hub's word for taps, or for targets."""
    return "extractors" if issubclass(PLUGINS[name][0], Tap) else "loaders"


def current() -> dict[Path, str]:
    """The files as they should be."""
    return {
        ROOT / "hub" / folder(name) / name / f"{VARIANT}.yml": yaml.safe_dump(
            definition(name), sort_keys=False, allow_unicode=True, width=120
        )
        for name in PLUGINS
    }


if __name__ == "__main__":
    for path, text in current().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} written", file=sys.stderr)  # noqa: T201
