"""The form that Airbyte shows, made of a tap's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: ``emit_activate_version_messages``: the protocol has no such message. ``snapshot_path``: a container forgets files,
#: and a snapshot that is always new costs a listing of all keys in each run.
LEFT_OUT = frozenset({"emit_activate_version_messages", "snapshot_path"})
_KEPT = ("description", "format", "minimum", "maximum", "minLength", "maxLength", "required")


def connection_specification(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema for Airbyte, which knows one type per field and marks secrets in its own way.

    Args:
        settings: JSON Schema of the settings, as the tap declares them.
    """
    fields = {name: rule for name, rule in settings["properties"].items() if name not in LEFT_OUT}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": list(settings.get("required", ())),
        "properties": {
            name: {**_field(name, rule), "order": order} for order, (name, rule) in enumerate(fields.items())
        },
        "additionalProperties": True,
    }


def _field(name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": name.replace("_", " ").capitalize(), **_rule(rule)}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": _type(rule), **{word: rule[word] for word in _KEPT if word in rule}}
    if "enum" in rule:
        made["enum"] = [each for each in rule["enum"] if each is not None]
    if rule.get("secret"):
        made["airbyte_secret"] = True
    if made["type"] == "object":
        made["properties"] = {name: _field(name, each) for name, each in rule.get("properties", {}).items()}
        made["additionalProperties"] = rule.get("additionalProperties", True)
    if made["type"] == "array":
        made["items"] = _rule(rule["items"])
    if "default" in rule:
        made["default"] = _default(rule)
    return made


def _type(rule: Mapping[str, Any]) -> str:
    """The one type; an object where a text is short for one."""
    types = [each for each in ([rule["type"]] if isinstance(rule["type"], str) else rule["type"]) if each != "null"]
    return "object" if "object" in types else str(types[0])


def _default(rule: Mapping[str, Any]) -> Any:
    default = rule["default"]
    items = rule.get("items", {})
    if not items or _type(items) != "object":
        return default
    (only,) = items["required"]  # what the text is short for
    return [each if isinstance(each, dict) else {only: each} for each in default]
