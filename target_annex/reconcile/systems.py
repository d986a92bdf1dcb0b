"""Both sides, as the settings of the plugins have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.dataverse.client import Dataverse
from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365, Settings
from target_annex.presets import ANNEX_CLOUD
from target_annex.target import TargetAnnex, TargetD365

#: Settings by plugin that reconciling needs.
PLUGINS = (TAP_D365, TAP_ANNEX, TARGET_ANNEX, TARGET_D365)
#: How tap-annex finds members unless a setting says it.
_DEFAULT_MEMBERS = {"by": "segments"}
#: Those who opted out take most of a search; here they are found by their contacts, unless a setting wants more.
_SEARCH = {"opted_out": False}


@dataclass(frozen=True)
class Systems:
    """The targets of both directions: their settings and clients serve for reading, too.

    Attributes:
        annex: writes contacts and segments of Dynamics 365 into Annex Cloud.
        d365: writes members and segments of Annex Cloud into Dynamics 365.
        finding: the setting `members` of tap-annex.
        segments: the setting `segments` of tap-d365.
    """

    annex: TargetAnnex
    d365: TargetD365
    finding: Mapping[str, Any]
    segments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def site(self) -> AnnexCloud:
        """Annex Cloud."""
        return self.annex.annex_cloud

    @property
    def dataverse(self) -> Dataverse:
        """Dynamics 365."""
        return self.d365.dataverse

    def close(self) -> None:
        """Let go of ledgers and threads."""
        for target in (self.annex, self.d365):
            target.let_go()
            if "executor" in vars(target):
                target.executor.shutdown(cancel_futures=True)


def systems(settings: Mapping[str, Settings], *, writes: bool = False) -> Systems:
    """The sides that the settings name.

    Args:
        settings: by plugin. What a target lacks to reach its side, it has from that side's tap.
        writes: whether the targets are to write. Else not even their ledgers are.

    Raises:
        ConfigValidationError, SettingError: a setting is missing or not valid.
    """
    # What is read is what counts, not what was once written.
    mode: Settings = {"skip_unchanged": "read"} if writes else {"dry_run": True, "dry_run_path": None}
    annex = {**_known(settings[TAP_ANNEX]), **_given(settings[TARGET_ANNEX]), "destination": ANNEX_CLOUD, **mode}
    d365 = {**_known(settings[TAP_D365]), **_given(settings[TARGET_D365]), **mode}
    d365 = {**{name: annex.get(name) for name in ("site_id", "base_url")}, **d365}
    return Systems(
        TargetAnnex(config=annex),
        TargetD365(config=d365),
        {**_SEARCH, **(settings[TAP_ANNEX].get("members") or _DEFAULT_MEMBERS)},
        settings[TAP_D365].get("segments") or {},
    )


def _known(settings: Settings) -> Settings:
    """Those of a tap's settings that the target has, too."""
    known = TargetAnnex.config_jsonschema["properties"]
    return {name: value for name, value in _given(settings).items() if name in known}


def _given(settings: Settings) -> Settings:
    return {name: value for name, value in settings.items() if value not in (None, "")}
