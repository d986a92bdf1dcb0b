"""Segments and their copies, compared and mended."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner
from support import tap_config
from test_segment_sync import FREELY, LISTED, RULED, IntoAnnexCloud, IntoDynamics, begin

from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365
from annex_d365_sandbox.sandbox import Sandbox
from target_annex.reconcile.command import reconcile
from target_annex.segments.setup import direction_of
from target_annex.segments.side import SegmentSpec


@pytest.fixture(scope="module")
def services():
    with Sandbox(contacts=40, segments_api="both", seed=7) as sandbox:
        yield sandbox


class Settled:
    """Both jobs, run until nothing changes, and ``annex-d365 reconcile --what segments``."""

    def __init__(self, sandbox, api, directory):
        self.sandbox, self.directory = sandbox, directory
        directory.mkdir()
        self.into_annex, self.into_d365 = (kind(sandbox, api, directory) for kind in (IntoAnnexCloud, IntoDynamics))
        self.into_annex.all = True
        self.into_annex.move({1, 2, 3}, {4, 5})
        self.into_d365.move({1, 2, 3, 4}, {6, 7})
        for _ in range(2):
            for job in (self.into_annex, self.into_d365):
                job.round()
                job.wait(7200)
        plugins = {
            TAP_D365: tap_config(sandbox),
            TAP_ANNEX: {"members": {"by": "search"}},
            TARGET_ANNEX: self.into_annex.target_config(),
            TARGET_D365: {**self.into_d365.target_config(), **FREELY},
        }
        self.config = directory / "config.json"
        self.config.write_text(json.dumps(plugins))

    def reconcile(self, *options):
        path = self.directory / "differences.json"
        arguments = ["--config", str(self.config), "--what", "segments", "--json", str(path), *options]
        self.result = CliRunner().invoke(reconcile, arguments)
        assert self.result.exit_code in {0, 1}, self.result.output
        self.items = json.loads(path.read_text())["segments"]["items"]
        for job in (self.into_annex, self.into_d365):
            job.wait(7200)
        return self.result.exit_code

    def kinds(self):
        # A copy whose name is taken is told apart by the segment's id.
        return sorted((each["kind"], each["owner"], each["name"].partition(" (")[0]) for each in self.items)


@pytest.fixture(scope="module", params=["journeys", "outbound"])
def once(request, services, tmp_path_factory):
    """Jobs that have settled, and what the services and the ledger hold then."""
    directory = tmp_path_factory.mktemp("settled")
    with pytest.MonkeyPatch.context() as patch, closing(sqlite3.connect(":memory:")) as held:
        begin(services)
        patch.setattr("annex_d365.gate.Gate.sleep", lambda _, seconds: services.clock.advance(seconds))
        patch.setattr("annex_d365.annexcloud.token.Clock.now", lambda _: services.clock.now().timestamp())
        settled = Settled(services, request.param, directory / "now")
        services.organisation.store.connection.backup(held)
        shutil.copytree(settled.directory, directory / "then")
        yield settled, held, directory / "then"


@pytest.fixture
def settled(once):
    """As they settled: to settle anew takes seconds."""
    settled, held, then = once
    held.backup(settled.sandbox.organisation.store.connection)
    shutil.rmtree(settled.directory)
    shutil.copytree(then, settled.directory)
    states = settled.into_annex.state, settled.into_d365.state
    yield settled
    settled.into_annex.state, settled.into_d365.state = states


def test_settled_segments_are_equal(settled):
    code = settled.reconcile()
    assert (code, settled.items) == (0, [])


def known_version(job, copy):
    """Of the members that the ledger knows."""
    target = job.target_class(config=job.target_config())
    with closing(target.ledger) as ledger:
        return ledger.memberships().find(str(copy["id"])).version


def test_members_that_copies_lack_or_have_too_many(settled):
    job = settled.into_annex
    site, origin = job.site, f"dynamics:{job.key(LISTED)}"
    copy = next(each for each in site.segments.all() if each["externalId"] == origin)
    there = [*site.segments.members(copy)]
    others = [each["id"] for each in site.members() if each["id"] not in there]
    mandatory = {name: copy[name] for name in ("name", "fromDate", "toDate")}
    changed = [*there[1:], others[0]]
    site.segments.update(str(copy["id"]), {**mandatory, "member": changed, "memberUpdate": "REPLACE"})
    assert settled.reconcile() == 1
    (item,) = settled.items
    assert (item["kind"], item["owner"], item["segment"]) == ("members differing", "d365", job.key(LISTED))
    assert (item["missing"], item["extra"]) == ([there[0]], [others[0]])
    assert others[0] not in settled.result.output
    version = known_version(job, copy)
    assert settled.reconcile("--repair", "--yes") == 0
    assert settled.reconcile() == 0
    assert job.copied() == job.owned()
    assert known_version(job, copy) == version != "", "as the tap tells it, not the time of the repair"


def test_a_copy_in_dynamics_that_was_changed(settled):
    job = settled.into_d365
    of = job.generation
    copy = job.copies()[job.origin(job.key(LISTED))][of.id]
    side = direction_of(job.target_class(config=job.target_config())).side
    someone = next(iter(job.marketing.members(copy)))
    side.find(SegmentSpec(job.key(LISTED), job.origin(job.key(LISTED)), LISTED))
    side.remove(copy, [someone])
    job.wait(7200)
    assert settled.reconcile() == 1
    assert settled.kinds() == [("members differing", "annex_cloud", LISTED)]
    assert (settled.items[0]["missing"], settled.items[0]["extra"]) == ([someone], [])
    assert settled.reconcile("--repair", "--yes") == 0
    assert settled.reconcile() == 0


def test_copies_that_are_missing_or_left_over(settled):
    into_d365, into_annex = settled.into_d365, settled.into_annex
    copy = into_d365.copies()[into_d365.origin(into_d365.key(RULED))]
    into_d365.organisation.delete(into_d365.generation.logical_name, copy[into_d365.generation.id])
    into_annex.remove(LISTED)
    assert settled.reconcile() == 1
    assert settled.kinds() == [("copy extra", "d365", LISTED), ("copy missing", "annex_cloud", RULED)]
    assert settled.reconcile("--repair", "--yes") == 0
    assert settled.reconcile() == 0
