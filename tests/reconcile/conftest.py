"""Both sides in this process, synchronised and settled, and the command as a user runs it."""

from __future__ import annotations

import copy
import json
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest
from click.testing import CliRunner
from pairs import Pair
from support import tap_config, target_config

from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365
from annex_d365_sandbox.sandbox import Sandbox
from target_annex.reconcile.command import reconcile

#: Contacts, of whom half are members.
CONTACTS = 24


@pytest.fixture(scope="module")
def small():
    with Sandbox(contacts=CONTACTS, segments_api="both", seed=7) as sandbox:
        yield sandbox


class Reconciled(Pair):
    """A pair, and ``annex-d365 reconcile`` for it."""

    def __init__(self, sandbox, directory, **settings):
        super().__init__(sandbox, directory, **settings)
        self.json = directory / "differences.json"

    def moved(self, directory):
        """The same one, of which all is in another directory."""
        moved = copy.copy(self)
        moved.directory, moved.json = directory, directory / "differences.json"
        moved.states, moved.reports = dict(self.states), {}
        return moved

    def plugins(self, **more):
        """Settings by plugin; more ones by the plugin's name."""
        annex, d365 = target_config(self.sandbox, self.directory), tap_config(self.sandbox)
        common = {name: annex[name] for name in ("ledger_url", "rejects_path")} | self._settings({})
        plugins = {
            TAP_D365: d365,
            TAP_ANNEX: {**self.sandbox.info["annex"], "members": {"by": "search"}},
            TARGET_ANNEX: {**annex, **common, "enrol": "flagged"},
            TARGET_D365: {**d365, **common},
        }
        return {name: {**settings, **more.get(name.replace("-", "_"), {})} for name, settings in plugins.items()}

    def reconcile(self, *options, what="contacts", answer=None, **more):
        """Run the command; its result."""
        path = self.directory / "config.json"
        path.write_text(json.dumps(self.plugins(**more)))
        arguments = ["--config", str(path), "--what", what, "--json", str(self.json), *options]
        self.result = CliRunner().invoke(reconcile, arguments, input=answer)
        if self.result.exception and not isinstance(self.result.exception, SystemExit):
            raise self.result.exception
        return self.result.exit_code

    @property
    def told(self):
        """What the file says."""
        assert stat.S_IMODE(self.json.stat().st_mode) == 0o600
        return json.loads(self.json.read_text())

    def items(self, what="contacts"):
        return self.told[what]["items"]

    def drift(self):
        """(member id, field) of all differences of pairs."""
        assert {each["kind"] for each in self.items()} <= {"differing"}
        return {(each["member"], field["name"]) for each in self.items() for field in each["fields"]}


@pytest.fixture(scope="module")
def settled(small, tmp_path_factory):
    """A pair that has settled, and what the services hold then."""
    pair = Reconciled(small, tmp_path_factory.mktemp("settled"))
    pair.run()
    pair.run()
    with closing(sqlite3.connect(":memory:")) as held:
        small.organisation.store.connection.backup(held)
        yield pair, held


@pytest.fixture
def pair(small, settled, tmp_path):
    """As it settled: to settle anew takes seconds."""
    once, held = settled
    held.backup(small.organisation.store.connection)
    small.control.faults.clear()
    small.control.log.clear()
    shutil.copytree(once.directory, tmp_path, dirs_exist_ok=True)
    return once.moved(tmp_path)
