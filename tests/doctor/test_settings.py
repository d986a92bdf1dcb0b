"""Settings and privileges that are wrong, on services that do as assumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from types import MappingProxyType

import pytest
from support import ROOT

from annex_d365.dataverse.writes import provision
from annex_d365.doctor import d365_access
from annex_d365.doctor.canary import Canary
from annex_d365.doctor.d365_organisation import Organisation
from annex_d365.doctor.model import Change, Check, Verdict, merged, ok
from annex_d365.doctor.run import run
from annex_d365.doctor.wire import Answer
from annex_d365.plugin_settings import TAP_ANNEX, TAP_D365, TARGET_ANNEX, TARGET_D365
from annex_d365.provision import loyalty_tables


def test_what_is_not_provisioned(bare):
    bare.narrow("d365")
    visit = bare.visit()
    assert visit.code == 1
    assert "annex-d365 provision" in visit.check("d365.columns")["to_do"]
    assert "annex-d365 provision" in visit.check("d365.keys")["to_do"]


def test_the_key_is_still_being_built(bare):
    bare.narrow("d365")
    bare.sandbox.control.turn({"dataverse": {"key_build_seconds": 600}})
    organisation = Organisation(bare.settings)
    for step in provision.plan(organisation.dataverse, loyalty_tables(solution="LoyaltySandbox")):
        answer = organisation.send("POST", step.url, "", step.body, {"MSCRM.SolutionUniqueName": step.solution})
        assert answer.ok
    check = bare.visit(only=["d365.keys"]).check("d365.keys")
    assert "still being built" in check["sentence"]
    assert check["verdict"] == "differs"


@pytest.mark.parametrize(
    ("settings", "wrong", "check_id", "told"),
    [
        (TAP_D365, {"client_secret": "wrong"}, "d365.sign_in", "client_secret"),
        (TAP_D365, {"api_version": "9.7"}, "d365.api_version", "not served"),
        (TAP_D365, {"tables": ["contacts", "new_nothings"]}, "d365.tables", "new_nothings"),
        (TAP_D365, {"member_id_column": "new_loyaltyid"}, "d365.member_id_column", "cr0dd_loyaltyid"),
        (TAP_ANNEX, {"secret_key": "wrong-secret-wrong-secret-wrong-secret"}, "annex.token", "signature"),
        (TAP_ANNEX, {"base_url": "/apiv2"}, "annex.token", "no Loyalty API"),
    ],
)
def test_a_wrong_setting(practice, settings, wrong, check_id, told):
    own = practice.settings[settings]
    if "base_url" in wrong:
        wrong = {"base_url": practice.sandbox.info["url"] + wrong["base_url"]}
    practice.settings = {settings: {**own, **wrong}}
    visit = practice.visit()
    assert visit.code == 1
    assert visit.check(check_id)["verdict"] == "failed"
    assert told in visit.check(check_id)["sentence"]


def test_the_values_of_wrong_settings(practice):
    practice.settings[TAP_D365] |= {"api_version": "9.7", "member_id_column": "new_loyaltyid"}
    practice.settings = {TAP_D365: practice.settings[TAP_D365]}
    assert practice.visit().report["settings_to_change"] == {TAP_D365: {"api_version": "9.2"}}
    practice.settings[TAP_D365]["api_version"] = "9.2"
    assert practice.visit().report["settings_to_change"] == {TAP_D365: {"member_id_column": "cr0dd_loyaltyid"}}


def test_no_user_of_the_organisation(practice):
    practice.narrow("d365")
    practice.sandbox.control.turn({"dataverse": {"member": False}})
    visit = practice.visit()
    assert visit.code == 1
    assert "application user" in visit.check("d365.user")["sentence"]
    assert visit.with_verdict("failed") == ["d365.user"]


def test_a_table_that_may_not_be_read(practice):
    practice.narrow("d365")
    practice.sandbox.control.turn({"dataverse": {"unreadable_tables": ["contact"]}})
    assert "prvReadcontact" in practice.visit(only=["d365.privileges"]).check("d365.privileges")["to_do"]


def test_a_table_that_may_not_be_written(practice):
    practice.narrow("d365")
    practice.sandbox.control.turn({"dataverse": {"unwritable_tables": ["contact"]}})
    visit = practice.visit("--canary")
    assert "prvCreateContact" in visit.check("d365.canary.contact")["to_do"]
    assert not [each for service in visit.report["services"] for each in service["left"]]


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["prvReadcontact"], Verdict.FAILED),
        ([f"prv{verb}Contact" for verb in ("Read", "Create", "Write", "Delete")], Verdict.OK),
    ],
)
def test_privileges_by_the_documented_function(names, verdict):
    class Told:
        used = MappingProxyType({"contact": None})
        is_target = True

        class dataverse:  # noqa: N801 - stands for an attribute
            @staticmethod
            def get(_url):
                return {"UserId": "1"}

        @staticmethod
        def get(_url, route):
            privileges = ",".join(f'{{"PrivilegeName":"{each}"}}' for each in names)
            return Answer(route, 200, {}, f'{{"RolePrivileges":[{privileges}]}}'.encode())

    assert d365_access._privileges(Told()).verdict is verdict


def test_one_bad_check_takes_no_other_along():
    def bad(_):
        raise KeyError("a member's name")

    checks = [Check("a", "", "", "", bad), Check("b", "", "", "", lambda _: ok("")), Check("c", "", "", "", bad, "a")]
    first, second, third = run(checks, None, lambda _: None)
    assert first.finding.verdict is Verdict.FAILED
    assert "member" not in first.finding.sentence
    assert second.finding.verdict is Verdict.OK
    assert third.finding.verdict is Verdict.CANNOT_TELL


def test_settings_are_merged_into_what_is_there():
    there = {"tap-annex": {"members": {"by": "search", "columns": {"a": "b"}}}}
    changes = (Change("tap-annex", "members.columns.c", "d"), Change("tap-annex", "members.by", "segments"))
    assert merged(there, changes) == {"tap-annex": {"members": {"by": "segments", "columns": {"a": "b", "c": "d"}}}}
    assert there == {"tap-annex": {"members": {"by": "search", "columns": {"a": "b"}}}}


def test_a_canary_is_cleared_to_the_end():
    done = []

    def interrupted():
        raise KeyboardInterrupt

    def broken():
        raise ValueError("secret")

    canary = Canary()
    canary.making("first", lambda: done.append("first"))
    canary.making("second", interrupted)
    canary.making("third", broken)
    canary.clear()
    assert done == ["first"]
    assert canary.left == [
        "third could not be removed (ValueError).",
        "second may still be there: it was interrupted.",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_canary_is_removed(practice, number):
    """In the middle of the checks of segments, which are slow then."""
    practice.narrow("annex")
    path = practice.directory / "settings.json"
    path.write_text(json.dumps(practice.settings))
    sandbox = practice.sandbox
    before = {each["name"] for each in sandbox.site.segments.all()}
    sandbox.faults.add(kind="latency", route=r"/segment/", method="PATCH", seconds=1.5, count=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "annex_d365", "doctor", "--canary", "--config", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=practice.directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        until = time.monotonic() + 30
        while before == {each["name"] for each in sandbox.site.segments.all()}:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    (segment,) = [each for each in sandbox.site.segments.all() if each["name"] not in before]
    assert segment["status"] == "INACTIVE"
    assert segment["name"] in sandbox.site.pending_deletions()
    assert "INACTIVE now" in output
    assert process.returncode != 0


def test_an_unknown_setting_is_asked_of_nobody(practice):
    practice.settings[TARGET_ANNEX]["destination"] = "d365"
    practice.settings[TARGET_ANNEX] |= practice.settings[TARGET_D365]
    visit = practice.visit()
    assert [each["plugins"] for each in visit.report["services"]] == [
        [TAP_D365, TARGET_ANNEX, TARGET_D365],
        [TAP_ANNEX],
    ]
