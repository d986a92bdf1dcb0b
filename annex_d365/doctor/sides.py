"""Which services the settings of the plugins reach, and which plugins each check's setting is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from annex_d365.annexcloud.client import DEFAULT_BASE_URL
from annex_d365.doctor.canary import Canary
from annex_d365.doctor.model import Change
from annex_d365.plugin_settings import PLUGINS, TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365, Settings, load

_TARGETS = (TARGET_ANNEX, TARGET_D365)
_D365 = "d365"
_ANNEX = (TAP_ANNEX, *_TARGETS)
_DYNAMICS = (TAP_D365, *_TARGETS)
#: Settings that a check may ask to change, by the plugins that have them.
_PLUGINS_OF: Mapping[str, Sequence[str]] = {
    "members": (TAP_ANNEX,),
    "tables": (TAP_D365,),
    "segments": (TAP_D365,),
    "token_lifetime_seconds": _ANNEX,
    "signed_id_form": _ANNEX,
    "undocumented_get_signs": _ANNEX,
    "segment_words": _ANNEX,
    "enrol_flag_column": _TARGETS,
    "patch_replaces": _TARGETS,
    "segment_member_update": _TARGETS,
    "segment_member_form": _TARGETS,
    "segment_date_form": _TARGETS,
    "segment_origin_column": _TARGETS,
    "skip_unchanged": _TARGETS,
    "column_prefix": _TARGETS,
    "member_id_column": _DYNAMICS,
    "segments_api": _DYNAMICS,
    "api_version": _DYNAMICS,
}
_ANNEX_CONNECTION = ("base_url", "site_id", "site_name", "secret_key", "ca_bundle")
_DYNAMICS_CONNECTION = (
    "organization_url",
    "organization",
    "region",
    "client_id",
    "client_secret",
    "client_certificate",
    "tenant_id",
    "auth_endpoint_url",
    "resource",
    "username",
    "password",
    "ca_bundle",
)
_DEFAULTS = {"base_url": DEFAULT_BASE_URL}
#: Settings without which a plugin has not been set up for a side.
_MARKS = {"annex": ("site_id", "secret_key"), "d365": ("organization_url", "organization")}


class Side:
    """One service, as some plugins are set up for it.

    Args:
        plugins: settings by plugin; the connection is the same in all of them.
    """

    def __init__(self, plugins: Mapping[str, Settings]) -> None:
        self.plugins = plugins
        #: Their settings together; checks ask for those of a connection, or by :meth:`setting`.
        self.connection: Settings = next(iter(plugins.values()))
        #: What `--canary` makes here; None without it.
        self.canary: Canary | None = None
        #: What one check leaves to later ones, by its id.
        self.notes: dict[str, Any] = {}

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting of the plugins that have it: the first value there is."""
        values = (self.plugins[each].get(name) for each in self.having(name))
        return next((value for value in values if value not in (None, "")), default)

    def having(self, name: str) -> list[str]:
        """The plugins of this side that have the setting."""
        return [each for each in self.plugins if each in _PLUGINS_OF[name]]

    def change(self, setting: str, value: Any) -> tuple[Change, ...]:
        """The setting's change, for those plugins that have it."""
        return tuple(Change(plugin, setting, value) for plugin in self.having(setting.partition(".")[0]))

    @property
    def bird(self) -> Canary:
        """The canary, of checks that write."""
        if self.canary is None:
            raise RuntimeError("a check that writes was run without --canary")
        return self.canary

    @property
    def is_target(self) -> bool:
        """Whether something is written here."""
        return any(each in _TARGETS for each in self.plugins)


def load_all(path: Path | None) -> dict[str, Settings]:
    """The settings of the plugins that have some.

    Raises:
        click.ClickException: no plugin has.
    """

    def settings(plugin: str) -> Settings | click.ClickException:
        try:
            return load(path, [plugin])[plugin]
        except click.ClickException as problem:
            return problem

    with ThreadPoolExecutor() as pool:
        found = dict(zip(PLUGINS, pool.map(settings, PLUGINS), strict=True))
    given = {plugin: each for plugin, each in found.items() if isinstance(each, dict)}
    if not given:
        raise next(each for each in found.values() if isinstance(each, click.ClickException))
    return given


def groups(settings: Mapping[str, Settings]) -> list[tuple[str, dict[str, Settings]]]:
    """The services, as ``annex`` or ``d365`` and the settings of the plugins that share one connection to it."""
    found: list[tuple[str, dict[str, Settings]]] = []
    for kind, names in (("d365", _DYNAMICS_CONNECTION), ("annex", _ANNEX_CONNECTION)):
        by_connection: dict[tuple[str, ...], dict[str, Settings]] = {}
        for plugin, given in settings.items():
            if _kind(plugin, given) == kind and any(given.get(name) for name in _MARKS[kind]):
                connection = tuple(str(given.get(name) or _DEFAULTS.get(name, "")) for name in names)
                by_connection.setdefault(connection, {})[plugin] = given
        found += [(kind, plugins) for plugins in by_connection.values()]
    return found


def _kind(plugin: str, settings: Settings) -> str:
    if plugin in {TAP_D365, TARGET_D365}:
        return "d365"
    return "d365" if plugin == TARGET_ANNEX and settings.get("destination") == _D365 else "annex"


def secrets(settings: Mapping[str, Settings]) -> set[str]:
    """Texts of connections, none of which belongs into a report."""
    names = {*_ANNEX_CONNECTION, *_DYNAMICS_CONNECTION} - {"region", "base_url"}
    return {str(value) for given in settings.values() for name in names if (value := given.get(name))}
