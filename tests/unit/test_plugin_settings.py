"""Settings of the plugins, for the commands around them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from annex_d365.plugin_settings import TAP_D365, TARGET_ANNEX, load


def test_one_file_for_several_plugins(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({TAP_D365: {"region": "r1"}, TARGET_ANNEX: {"site_id": "1"}}))
    assert load(path, [TARGET_ANNEX]) == {TARGET_ANNEX: {"site_id": "1"}}
    path.write_text(json.dumps({"region": "r1"}))
    assert load(path, [TAP_D365, TARGET_ANNEX]) == {TAP_D365: {"region": "r1"}, TARGET_ANNEX: {"region": "r1"}}


@pytest.mark.parametrize("text", ["[]", "{", '{"tap-d365": {}}'])
def test_a_file_that_does_not_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(click.BadParameter, match=r"settings\.json"):
        load(path, [TARGET_ANNEX])


def test_meltano_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_ENVIRONMENT", "sandbox")
    monkeypatch.chdir(Path(__file__).parents[2])
    assert load(None, [TARGET_ANNEX])[TARGET_ANNEX]["destination"] == "annex_cloud"


def test_no_project_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.UsageError, match="--config"):
        load(None, [TAP_D365])
