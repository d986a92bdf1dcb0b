"""What tests of the doctor share: an organisation and a site where all is well, and a way to ask."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from unittest import mock

import pytest
from click.testing import CliRunner
from support import tap_config

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.writes import provision
from annex_d365.doctor.areas import AREAS
from annex_d365.doctor.command import doctor
from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365
from annex_d365.provision import loyalty_tables
from annex_d365_sandbox.sandbox import Sandbox


@dataclass
class Visit:
    """What the doctor said."""

    code: int
    output: str
    report: dict

    @property
    def text(self):
        return "\n".join(self.report["text"])

    def check(self, check_id):
        return next(each for service in self.report["services"] for each in service["checks"] if each["id"] == check_id)

    @property
    def ids(self):
        return [each["id"] for service in self.report["services"] for each in service["checks"]]

    def with_verdict(self, *verdicts):
        return [each for each in self.ids if self.check(each)["verdict"] in verdicts]


class Practice:
    """The doctor's place, for one sandbox, where all is well unless a test turns a switch."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.provisioned = False

    def prepare(self, directory):
        """For one test."""
        sandbox = self.sandbox
        self.directory = directory
        dynamics = tap_config(sandbox)
        site = {**sandbox.info["annex"], "ca_bundle": sandbox.info["ca_bundle"]}
        self.settings = {
            TAP_D365: {**dynamics, "tables": [{"name": "contacts", "replication": "LOG_BASED"}]},
            TAP_ANNEX: {**site, "members": {"by": "search"}},
            TARGET_ANNEX: {"destination": "annex_cloud", **site},
            TARGET_D365: dict(dynamics),
        }
        for switches in (sandbox.organisation.switches, sandbox.organisation.marketing.switches, sandbox.site.switches):
            switches.restore()
        sandbox.clock.reset()
        sandbox.faults.clear()
        if not self.provisioned:
            dataverse = connect(dynamics)
            provision.apply(dataverse, provision.plan(dataverse, loyalty_tables(solution="LoyaltySandbox")))
            self.provisioned = True
        return self

    def reset(self):
        """As seeded: nothing is provisioned."""
        self.sandbox.control.reset()
        self.provisioned = False

    def narrow(self, check_id):
        """Only the plugins of the service that the check asks."""
        wanted = {"annex": (TAP_ANNEX, TARGET_ANNEX), "d365": (TAP_D365, TARGET_D365)}[check_id.partition(".")[0]]
        self.settings = {each: self.settings[each] for each in wanted}

    def visit(self, *arguments, only=()):
        """Go there; ``only`` for these checks and those that they need."""
        path, report = self.directory / "settings.json", self.directory / "report.json"
        report.unlink(missing_ok=True)
        path.write_text(json.dumps(self.settings))
        self.sandbox.log.clear()
        with mock.patch.dict(AREAS, {kind: narrowed(area, only) for kind, area in AREAS.items()}):
            result = CliRunner().invoke(
                doctor, ["--config", str(path), "--report", str(report), *arguments], catch_exceptions=False
            )
        return Visit(result.exit_code, result.output, json.loads(report.read_text()) if report.exists() else {})


def narrowed(area, only):
    if not only:
        return area
    wanted = set(only)
    for check in reversed(area.checks):
        if check.id in wanted:
            wanted.add(check.needs)
    return dataclasses.replace(area, checks=[check for check in area.checks if check.id in wanted])


@pytest.fixture(scope="session")
def outbound_practice():
    with Sandbox(port=0, contacts=60, segments_api="outbound", seed=7) as sandbox:
        yield Practice(sandbox)


@pytest.fixture(scope="session")
def journeys_practice():
    with Sandbox(port=0, contacts=60, segments_api="journeys", seed=7) as sandbox:
        yield Practice(sandbox)


@pytest.fixture
def practice(outbound_practice, tmp_path):
    """With outbound segments."""
    return outbound_practice.prepare(tmp_path)


@pytest.fixture
def bare(practice):
    """Without what `annex-d365 provision` makes; for anything that only a reset undoes, too."""
    practice.reset()
    yield practice
    practice.reset()


@pytest.fixture
def journeys(journeys_practice, tmp_path):
    return journeys_practice.prepare(tmp_path)
