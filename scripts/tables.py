"""Writes what the documents and meltano.yml say about settings from the settings themselves (``make docs``)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from singer_sdk import Tap

import tap_annex.settings
import tap_d365.settings
import target_annex.settings
from annex_d365_sandbox.sandbox import Sandbox
from tap_annex.tap import TapAnnex
from tap_d365.tap import TapD365
from target_annex.presets import ANNEX_CLOUD, PRESETS

ROOT = Path(__file__).parent.parent

#: JSON Schema of each plugin's settings.
PLUGINS = {
    "tap-d365": tap_d365.settings.CONFIG,
    "tap-annex": tap_annex.settings.CONFIG,
    "target-annex": target_annex.settings.CONFIG,
    "target-d365": target_annex.settings.CONFIG_D365,
}
#: Settings of the SDK that go with the capabilities in meltano.yml.
BUILT_IN = {"stream_maps": "object", "stream_map_config": "object", "flattening_enabled": "boolean"}


def settings_of(plugin: str) -> dict[str, dict[str, Any]]:
    """JSON Schema of each setting of a plugin, with ``required``."""
    schema = PLUGINS[plugin]
    required = set(schema.get("required", ()))
    return {name: {**rule, "required": name in required} for name, rule in schema["properties"].items()}


def markdown(plugin: str) -> Iterator[str]:
    """The settings of a plugin as a table."""
    yield "| setting | kind | default | meaning |"
    yield "|---|---|---|---|"
    for name, rule in settings_of(plugin).items():
        kind = "secret" if rule.get("secret") else _kind(rule)
        default = f"`{json.dumps(rule['default'])}`" if "default" in rule else "required" if rule["required"] else ""
        choices = ", ".join(f"`{each}`" for each in rule.get("enum", ()) if each is not None)
        meaning = (rule["description"] + (f" ({choices})" if choices else "")).replace("|", r"\|")
        yield f"| `{name}` | {kind} | {default} | {meaning} |"


def yaml(plugin: str) -> Iterator[str]:
    """The settings of a plugin as Meltano declares them."""
    yield "    settings:"
    for name, rule in settings_of(plugin).items():
        yield f"    - name: {name}"
        yield f"      kind: {kind_of(rule)}"
        if rule.get("secret"):
            yield "      sensitive: true"
    for name, kind in BUILT_IN.items():
        yield f"    - name: {name}"
        yield f"      kind: {kind}"


def preset(stream: str) -> Iterator[str]:
    """What the target makes of a stream of our taps."""
    yield "| member | contact | group of `field_owners` |"
    yield "|---|---|---|"
    yield "| `id` | `member_id_column`, else found by e-mail | |"
    preset = PRESETS[ANNEX_CLOUD, stream]
    for field, column in preset.fields.items():
        yield f"| `{field}` | `{column}` | `{preset.shared[field].group.value}` |"


def streams(tap: Tap) -> Iterator[str]:
    """The streams of a tap."""
    yield "| stream | key | bookmark | replication |"
    yield "|---|---|---|---|"
    for stream in tap.streams.values():
        keys = ", ".join(f"`{key}`" for key in stream.primary_keys)
        bookmark = f"`{stream.replication_key}`" if stream.replication_key else ""
        yield f"| `{stream.name}` | {keys} | {bookmark} | {stream.replication_method} |"


def taps() -> dict[str, Iterator[str]]:
    """Their streams, as the sandbox has them."""
    with Sandbox(contacts=0) as sandbox:
        info, ca_bundle = sandbox.info, sandbox.info["ca_bundle"]
        dynamics = {
            "organization_url": info["url"],
            "auth_endpoint_url": info["auth_endpoint_url"],
            "client_id": info["credentials"]["client_id"],
            "client_secret": info["credentials"]["client_secret"],
            "ca_bundle": ca_bundle,
        }
        made = [TapD365(config=dynamics), TapAnnex(config={**info["annex"], "ca_bundle": ca_bundle})]
        return {f"streams of {tap.name}": iter(list(streams(tap))) for tap in made}


def kind_of(rule: Mapping[str, Any]) -> str:
    """Meltano's word for the type of a setting."""
    # Choices are left to the plugin: Meltano meets a wrong one (kind `options`) with a traceback.
    return {"date-time": "date_iso8601"}.get(rule.get("format", ""), _kind(rule))


def _kind(rule: Mapping[str, Any]) -> str:
    kinds = [each for each in ([rule["type"]] if isinstance(rule["type"], str) else rule["type"]) if each != "null"]
    return {"number": "decimal"}.get(kinds[0], kinds[0])


def between(text: str, start: str, end: str, lines: Iterator[str]) -> str:
    """``text`` with what stands between two marks replaced."""
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{start!r} … {end!r} not found")
    indent = tail and head.rpartition("\n")[2]
    return f"{head}{start}\n" + "\n".join(lines) + f"\n{indent}{end}{tail}"


def current() -> dict[Path, str]:
    """The files as they should be."""
    meltano = ROOT / "meltano.yml"
    paths = [meltano, ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    for plugin in PLUGINS:
        mark = f"# settings of {plugin} (make docs)"
        texts[meltano] = between(texts[meltano], mark, "# end of settings", yaml(plugin))
    tables = {
        **{f"settings of {plugin}": markdown(plugin) for plugin in ("tap-d365", "tap-annex", "target-annex")},
        **taps(),
        "preset of contacts": preset("contacts"),
    }
    for name, lines in tables.items():
        mark = f"<!-- {name} (make docs) -->"
        path = next((path for path, text in texts.items() if mark in text), meltano)
        texts[path] = between(texts[path], mark, f"<!-- end of {name} -->", lines)
    return texts


if __name__ == "__main__":
    for path, text in current().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{path.name} written", file=sys.stderr)  # noqa: T201
