"""Runs that write into Dynamics 365, as a user sees them: what is logged, told before, and survived."""

from __future__ import annotations

import datetime as dt
import json
import random
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from crm import ACTIVITIES, ACTIVITY, Crm, member, members, rows_of
from loyalty import lines, state
from support import ROOT, run_cli

from annex_d365.cli import main
from annex_d365.errors import OutageError, PrivilegeError, SettingError
from annex_d365.fields import ACTIVITY_COLUMNS, CONTACT_COLUMNS
from annex_d365.singer import rejects
from target_annex.target import TargetAnnex, TargetD365


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)


def activities(*numbers, points=1):
    rows = [{"cr0dd_loyaltyid": f"X{number}", "cr0dd_points": points} for number in numbers]
    return rows_of(ACTIVITIES, *rows, key=["cr0dd_loyaltyid"])


def written(crm):
    return {key: row["cr0dd_points"] for key, row in crm.activities().items() if key.startswith("X")}


# Faults


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "drop"},
        {"kind": "lost_reply"},
        {"kind": "truncate"},
        {"kind": "html", "status": 502},
    ],
)
@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.usefixtures("short_pauses")
def test_a_passing_fault_is_survived(crm, fault, count):
    before = len(crm.rows(ACTIVITY))
    crm.fault(route=ACTIVITIES, method="POST", count=1, **fault)
    assert sum(crm.load(activities(*range(count))).values()) == count
    assert written(crm) == {f"X{number}": 1 for number in range(count)}
    assert len(crm.rows(ACTIVITY)) == before + count
    assert crm.rejects() == []


@pytest.mark.usefixtures("short_pauses")
def test_a_lost_reply_makes_one_contact(crm):
    crm.fault(route="/contacts$", method="POST", kind="lost_reply", count=1)
    assert sum(crm.load(members(member(1))).values()) == 1
    assert crm.contact("M1")["lastname"] == "Díaz"
    assert crm.rejects() == []


@pytest.mark.usefixtures("short_pauses")
def test_a_dead_service_ends_the_run_with_the_state_of_what_is_written(crm, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    first, second = activities(1, 2)[1:]
    crm.fault(route=ACTIVITIES, kind="status", status=503, retry_after=0, after=1)
    with pytest.raises(OutageError):
        crm.load([activities(1, 2)[0], first, state(1), second, state(2)], batch_size_rows=1)
    # Two batches are in flight: either may have been the one that was served.
    assert written(crm) in ({"X1": 1}, {"X2": 1})
    assert crm.states == [{"at": 1}][: len(written(crm).keys() & {"X1"})]
    assert crm.rejects() == []


def test_a_missing_privilege_ends_the_run(crm):
    crm.sandbox.control.turn({"dataverse": {"unwritable_tables": [ACTIVITY]}})
    with pytest.raises(PrivilegeError):
        crm.load([*activities(1), state(1)])
    assert written(crm) == {}
    assert crm.rejects() == []


def test_bypassing_custom_logic_needs_a_privilege(crm):
    options = {"bypass_business_logic": "CustomSync,CustomAsync", "suppress_flows": True}
    assert crm.load(activities(1), **options) == {"created": 1}
    crm.sandbox.control.turn({"dataverse": {"may_bypass_custom_logic": False}})
    with pytest.raises(PrivilegeError):
        crm.load(activities(2), **options)
    assert written(crm) == {"X1": 1}


# Before


@pytest.mark.parametrize(
    ("missing", "setting"),
    [
        ({"organization_url": None}, "organization_url"),
        ({"client_id": None}, "client_id"),
        ({"client_secret": None}, "client_secret"),
        ({"etag_guard": True}, "etag_guard"),
        ({"dry_run_path": "x"}, "dry_run_path"),
        ({"bypass_business_logic": "CustomSync, all"}, "bypass_business_logic"),
    ],
)
def test_what_is_needed_is_asked_for_at_the_start(crm, missing, setting):
    with pytest.raises(SettingError) as error:
        TargetAnnex(config=crm.config(**missing))
    assert error.value.setting == setting


def test_nothing_of_annex_cloud_is_needed(crm):
    assert TargetD365(config={**crm.config(), "destination": "annex_cloud"}).config["destination"] == "d365"


def test_modes_of_dynamics_are_refused_for_annex_cloud(crm):
    config = {"destination": "annex_cloud", "site_id": "1", "site_name": "a", "secret_key": "b" * 32}
    for name, value in (("mode", "create"), ("object", "contacts")):
        with pytest.raises(SettingError) as error:
            TargetAnnex(config={**config, "streams": {"contacts": {name: value}}})
        assert error.value.setting == f"streams.contacts.{name}"


# Dry run


def test_a_dry_run_tells_and_writes_nothing(crm):
    contact = crm.put(cr0dd_loyaltyid="M1", lastname="Old", emailaddress1="member.1@example.org")
    crm.load(members(member(3)))
    crm.organisation.delete("contact", crm.contact("M3")["contactid"])
    before = crm.rows()
    crm.forget_log()
    path = crm.directory / "dry.jsonl"
    messages = [*members(member(1), member(2), member(3, lastName="New")), state(1)]
    counts = crm.load(messages, dry_run=True, dry_run_path=str(path))
    assert counts == {"updated": 1, "created": 1, "erased earlier": 1}
    assert crm.states == []
    assert crm.writes() == []
    assert crm.rows() == before
    told = {line["key"]: line for line in map(json.loads, path.read_text().splitlines())}
    assert (told["M1"]["action"], told["M1"]["target"]) == ("update", contact)
    assert told["M1"]["fields"]["lastname"] == {"old": "Old", "new": "Díaz"}
    assert "emailaddress1" not in told["M1"]["fields"]
    assert told["M2"]["action"] == "create"
    assert set(told) == {"M1", "M2"}
    assert crm.load(messages) == counts


def test_a_dry_run_of_deletions(crm):
    crm.load(activities(1))
    streams = {ACTIVITIES: {"mode": "delete"}}
    counts = crm.load(activities(1, 2), streams=streams, dry_run=True)
    assert counts == {"deleted": 1, "not there": 1}
    assert written(crm) == {"X1": 1}


# Rejects


def test_rejects_can_be_piped_in_again_and_overwrite_nothing_newer(crm):
    rows = activities(1, 2)
    rows[1]["record"]["cr0dd_points"] = "many"
    assert crm.load(rows, max_reject_percent=100) == {"rejected": 1, "created": 1}
    rejects = crm.rejects()
    assert rejects[1]["record"] == rows[1]["record"]
    rejects[1]["record"]["cr0dd_points"] = 5
    (crm.directory / "rejects.singer").unlink()
    assert crm.load(rejects) == {"created": 1}
    assert written(crm)["X1"] == 5
    crm.load(activities(1, points=6))
    assert crm.load(rejects) == {"rejected": 1}
    assert written(crm)["X1"] == 6


def test_a_reject_that_nothing_is_known_of_asks_the_table(crm, monkeypatch):
    crm.load(activities(1))
    crm.lose_ledger()
    head, row = activities(1, points=9)
    for seconds, expected in ((3600, {"rejected": 1}), (-3600, {"updated": 1})):
        at = dt.datetime.now(dt.timezone.utc) - dt.timedelta(seconds=seconds)
        monkeypatch.setattr(rejects, "_now", lambda: "9999")  # or the run would take the row for its own output
        why = {"reason": "", "code": "", "status": 0, "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        assert crm.load([head, {**row, "reject": why}]) == expected
        crm.lose_ledger()
    assert written(crm)["X1"] == 9


# Logs


def test_the_report_names_the_service(crm):
    config = {name: value for name, value in crm.config().items() if name != "destination"}
    code = "from target_annex.__main__ import main_d365; main_d365()"
    path = crm.directory / "config.json"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-W", "ignore", "-c", code, "--config", str(path)]
    done = subprocess.run(
        command,
        input=lines([*activities(1), state(1)]),
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        cwd=crm.directory,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"at": 1}
    assert f"{ACTIVITIES}: 1 created, 0 updated, 0 unchanged, 0 deleted, 0 skipped, 0 rejected" in done.stderr
    assert "Dynamics 365: " in done.stderr
    assert "Annex Cloud" not in done.stderr


def test_nothing_personal_and_no_secret_is_logged(crm):
    marked = {"email": "marker@example.org", "firstName": "MarkerFirst", "lastName": "MarkerLast", "phone": "marker1"}
    rows = [
        member("Marker1", **marked),
        member("Marker2", **{**marked, "lastName": "Marker" * 50}),
        member("Marker3", **{**marked, "birthDate": "marker-date"}),
        member("Marker4", **{**marked, "lastName": 4}),
    ]
    crm.put(cr0dd_loyaltyid="MMarker5", emailaddress1="marker5@example.org", lastname="Marker")
    rows.append(member("Other", email="marker5@example.org"))
    crm.fault(route="/contacts", method="POST", kind="status", status=503, retry_after=0, count=1)
    config = crm.config(max_reject_percent=100)
    done = run_cli(
        "target_annex",
        config=config,
        directory=crm.directory,
        stdin=lines([*members(*rows), state("MarkerState")]),
        TARGET_ANNEX_LOGLEVEL="DEBUG",
    )
    assert done.returncode == 0, done.stderr
    assert "rejected" in done.stderr
    assert "marker" not in done.stderr.lower()
    assert config["client_secret"] not in done.stderr


# Killed


@pytest.mark.parametrize("seed", [0])
def test_kill_9_at_any_moment_ends_in_the_same_state(crm, seed):
    count = 400
    rows = activities(*range(count))
    messages = rows[:1]
    for number, row in enumerate(rows[1:]):
        messages.append(row)
        if number % 20 == 19:
            messages.append(state(number + 1))
    config = crm.config(batch_size_rows=20)
    path = crm.directory / "config.json"
    path.write_text(json.dumps(config))
    crm.fault(route=ACTIVITIES, kind="latency", seconds=0.03)
    command = [sys.executable, "-W", "ignore", "-m", "target_annex", "--config", str(path)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, cwd=crm.directory, env={"PYTHONPATH": str(ROOT)}, **pipes) as running:
        running.stdin.write(lines(messages))
        running.stdin.flush()
        first = running.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 0.4))
        running.send_signal(signal.SIGKILL)
        emitted = [json.loads(line) for line in (first + running.stdout.read()).splitlines() if line.endswith("}")]
    done = emitted[-1]["at"]
    assert done > 0
    assert {f"X{number}" for number in range(done)} <= set(written(crm)), "a STATE came too early"
    crm.sandbox.faults.clear()
    start = messages.index(state(done)) + 1
    crm.load([messages[0], *messages[start:]] if start < len(messages) else messages)
    assert written(crm) == {f"X{number}": 1 for number in range(count)}
    assert crm.rejects() == []
    crm.forget_log()
    assert crm.load(messages) == {"unchanged": count}
    assert crm.writes() == []


# Provision


@pytest.fixture
def provision(crm):
    path = crm.directory / "target.json"
    path.write_text(json.dumps(crm.config()))

    def run(*options, said=""):
        command = ["provision", "--config", str(path), *options]
        return CliRunner().invoke(main, command, input=said)

    return run


def test_provision_refuses_a_prefix_that_no_publisher_has(crm, provision):
    path = crm.directory / "target.json"
    path.write_text(json.dumps(crm.config(column_prefix="CR0DD_")))
    refused = provision("--yes")
    assert refused.exit_code == 1
    assert "`column_prefix`" in refused.output
    assert crm.writes() == []


def test_provision_into_a_solution_that_is_not_there_ends_at_once(crm, provision):
    refused = provision("--solution", "Nope", "--yes")
    assert refused.exit_code == 1
    assert "Is there a solution of the unique name `Nope`?" in refused.output
    assert len(crm.writes()) == 1


def test_provision_tells_and_asks_before_it_does_anything(crm, provision):
    told = provision("--solution", "LoyaltySandbox", said="n\n")
    assert told.exit_code == 1
    assert "Create column cr0dd_AvailablePoints (Available Points, Decimal) in contact." in told.output
    assert crm.writes() == []


def test_a_provisioned_organisation_takes_the_presets_at_once(crm, provision, caplog):
    done = provision("--solution", "LoyaltySandbox", "--yes")
    assert done.exit_code == 0, done.output
    assert provision("--yes").output == "All is there.\n"
    sources = {each.sources[0]: each for each in CONTACT_COLUMNS}
    full = dict.fromkeys(sources, "1")
    full |= {name: "2026-03-01T00:00:00+00:00" for name in sources if name.endswith("Date")}
    full |= {"id": "M1", "email": "m1@example.org", "phone": "+34 1", "availablePoints": 12.5}
    assert crm.load(members(full, columns={name: {} for name in full})) == {"created": 1}
    contact = crm.contact("M1")
    for each in CONTACT_COLUMNS:
        assert contact[each.column("cr0dd_")] is not None, each
    activity = {each.sources[0]: "1" for each in ACTIVITY_COLUMNS if each.sources}
    activity |= {"createDate": "2026-03-01T00:00:00+00:00", "expireDate": "2026-03-01T00:00:00+00:00"}
    rows = members(activity, columns={name: {} for name in activity}, key=["activityId"], stream="activities")
    assert crm.load(rows) in ({"created": 1}, {"upserted": 1})
    (row,) = [row for row in crm.rows(ACTIVITY) if row["cr0dd_activityid"] == "1"]
    for each in ACTIVITY_COLUMNS:
        assert not each.sources or row[each.column("cr0dd_")] is not None, each
    assert [each.message for each in caplog.records if each.name == "target_annex.dynamics.setup"] == []


def test_an_alternate_key_on_the_loyalty_id_makes_no_second_contact(crm, provision):
    assert provision("--solution", "LoyaltySandbox", "--yes").exit_code == 0
    contact = crm.put(emailaddress1="member.1@example.org", lastname="Old")
    assert crm.load(members(member(1))) == {"updated": 1}
    assert crm.organisation.get("contact", contact)["cr0dd_loyaltyid"] == "M1"
    crm.put(cr0dd_loyaltyid="m2", lastname="Old")
    assert crm.load(members(member(2))) == {"rejected": 1}
    (reason,) = crm.reasons()
    assert "another row has the same alternate key" in reason
    assert crm.ledger() == {"M1": "settled"}


def test_a_lookup_by_the_loyalty_id_of_a_contact(crm, provision):
    assert provision("--solution", "LoyaltySandbox", "--yes").exit_code == 0
    contact = crm.put(cr0dd_loyaltyid="M1", lastname="Lee")
    fields = {"cr0dd_activityid": "id", "cr0dd_contact": {"column": "member", "key": "cr0dd_loyaltyid"}}
    streams = {"events": {"object": ACTIVITY, "fields": fields}}
    rows = rows_of("events", {"id": "1", "member": "M1"}, {"id": "2", "member": "nobody"}, key=["id"])
    counts = crm.load(rows, streams=streams, max_reject_percent=100)
    assert counts.pop("rejected") == 1
    (row,) = [row for row in crm.rows(ACTIVITY) if row["cr0dd_activityid"] == "1"]
    assert row["cr0dd_contact"] == contact
    assert "a row that it refers to is not there" in crm.reasons()[0]


def test_provision_without_the_right_to_customise_names_the_privilege(crm, provision):
    crm.sandbox.control.turn({"dataverse": {"may_customize": False}})
    done = provision("--solution", "LoyaltySandbox", "--yes")
    assert done.exit_code == 1
    assert "privilege" in done.output
    assert "Traceback" not in done.output
