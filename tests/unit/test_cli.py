"""``annex-d365`` and its commands, of which some come with other packages."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from annex_d365 import cli


def test_help_names_every_command():
    done = CliRunner().invoke(cli.main, ["--help"])
    assert done.exit_code == 0
    for name in ("doctor", "plan", "provision", "ledger", "reconcile", "sandbox"):
        assert f"\n  {name} " in done.output


def test_a_command_whose_package_is_missing_says_how_to_get_it(monkeypatch):
    class Entry:
        def load(self):
            raise ModuleNotFoundError("No module named 'flask'", name="flask")

    monkeypatch.setattr(cli, "entry_points", lambda **_: [Entry()])
    done = CliRunner().invoke(cli.main, ["sandbox"])
    assert done.exit_code == 2
    assert "needs flask: pip install 'annexcloud-d365[sandbox]'" in done.output


def test_commands_without_meltano_ask_for_a_file(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    done = CliRunner().invoke(cli.main, ["plan", "--shards", "2"])
    assert done.exit_code == 2
    assert "Meltano is not installed here: give the settings with --config FILE." in done.output


@pytest.mark.parametrize("arguments", [["plan", "--shards", "2"], ["provision", "--yes"]])
def test_a_wrong_setting_is_a_sentence(tmp_path, arguments):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"organization_url": "http://org.crm.dynamics.com", "client_id": "x"}))
    done = CliRunner().invoke(cli.main, [arguments[0], "--config", str(path), *arguments[1:]])
    assert done.exit_code == 1
    assert done.output.startswith("Error: Setting `organization_url`: ")
