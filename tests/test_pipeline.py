"""`meltano run`, end to end: what `make demo` shows, and what must be true of it."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from support import ROOT

from annex_d365_sandbox.demo.pipelines import Pipelines
from annex_d365_sandbox.demo.sides import Sides
from annex_d365_sandbox.demo.story import first_run
from annex_d365_sandbox.sandbox import Sandbox

CONTACTS = "contacts-to-annex"
REGIONS = ("r1", "r2", "r3")


@pytest.fixture
def pipelines(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with Sandbox(directory=tmp_path / "sandbox", contacts=200, segments_api="both") as sandbox:
        yield Pipelines(sandbox, tmp_path)


@pytest.fixture
def sides(pipelines):
    return Sides(pipelines.sandbox)


def test_the_demo(pipelines, sides, capsys):
    """Its first run, and five edits."""
    first_run(sides, pipelines)
    said = capsys.readouterr().out
    assert "every contact has the points and the tier of its member" in said
    assert "every copy has the members that its owner says" in said
    contacts = sides.contacts_by_member()
    for member in sides.members().values():
        contact = contacts[member["id"]]
        for field, column in (("lastName", "lastname"), ("phone", "mobilephone"), ("zipCode", "address1_postalcode")):
            assert contact[column] is None or member[field] == contact[column]
    edited = [member for member, contact in contacts.items() if not contact["statecode"]][:5]
    for number, member in enumerate(edited):
        sides.organisation.update("contact", contacts[member]["contactid"], {"mobilephone": f"+49 30 555 {number:04}"})
    run = pipelines.run(CONTACTS)
    assert sorted(run.writes) == sorted(("PATCH", f"/api/3.0/users/{member}") for member in edited)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TARGET_ANNEX_SECRET_KEY", "pl4nted-key", "Setting `secret_key`: "),
        ("TARGET_ANNEX_DESTINATION", "elsewhere", "Setting `destination`: must be one of annex_cloud, d365."),
    ],
)
def test_a_run_that_fails_says_so_in_a_sentence(pipelines, capsys, name, value, sentence):
    pipelines.environment[name] = value
    with pytest.raises(Exception, match="exit code 1"):
        pipelines.run(CONTACTS)
    said = capsys.readouterr().out
    assert said.count(sentence) == 1
    assert "traceback" not in said.lower()
    assert "pl4nted" not in said
    assert pipelines.writes() == []


def test_three_in_a_hundred_bad_rows_take_no_other_with_them(pipelines, sides, tmp_path):
    """Their addresses are none, which only Annex Cloud can tell."""
    linked = [row for row in sides.contacts() if row["cr0dd_loyaltyid"] and not row["statecode"]]
    poison = {row["contactid"] for row in linked[::33]}
    for contact in poison:
        sides.organisation.update("contact", contact, {"emailaddress1": "nobody@-", "lastname": "Poison"})
    pipelines.run(CONTACTS)
    messages = map(json.loads, (tmp_path / "rejects.singer").read_text().splitlines())
    rejected = {each["record"]["contactid"]: each["reject"] for each in messages if each["type"] == "RECORD"}
    assert {contact for contact, why in rejected.items() if why["status"] == 400} == poison
    members = sides.members()
    assert "Poison" not in {member["lastName"] for member in members.values()}
    for row in linked:
        if row["contactid"] not in poison:
            assert members[row["cr0dd_loyaltyid"]]["lastName"] == row["lastname"]


def test_a_region_has_an_organisation_a_ledger_and_a_state_of_its_own(pipelines, tmp_path):
    """What was set for all, such as the base organisation, does not reach a region by accident."""
    info = pipelines.sandbox.info
    own = {f"ANNEX_{name.upper()}_R1": info["annex"][name] for name in ("site_id", "site_name", "secret_key")}
    pipelines.environment |= {
        **own,
        "D365_ORGANIZATION_URL_R1": info["url"],
        "TARGET_ANNEX__R1_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger-r1.db'}",
        "TARGET_ANNEX__R1_REJECTS_PATH": str(tmp_path / "rejects-r1.singer"),
        "TAP_D365_ORGANIZATION_URL": "https://nobody.crm4.example.com",
    }
    assert pipelines.run(f"{CONTACTS}-r1").writes
    assert (tmp_path / "ledger-r1.db").exists()
    assert not (tmp_path / "ledger.db").exists()
    states = pipelines.command("meltano", "state", "list")
    assert re.findall(r"^sandbox:.*", states, re.MULTILINE) == ["sandbox:tap-d365--contacts-r1-to-target-annex--r1"]


@pytest.fixture(scope="module")
def project():
    return yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_has_all_jobs(project, region):
    """With the same tasks, by plugins that inherit, and share nothing that has to be a region's own."""
    tasks = {job["name"]: job["tasks"] for job in project["jobs"]}
    plugins = {each["name"]: each for kind in project["plugins"].values() for each in kind}
    for name in (CONTACTS, "segments-to-annex", "loyalty-to-d365", "segments-to-d365", "full-sync"):
        for task, base in zip(tasks[f"{name}-{region}"], tasks[name], strict=True):
            for plugin, parent in zip(task.split(), base.split(), strict=True):
                assert plugins[plugin]["inherit_from"] == parent
                config = plugins[plugin]["config"]
                assert config.get("region", region) == region
                assert all(region.upper() in str(value) or region in str(value) for value in config.values()), (
                    f"{plugin}: {config}"
                )


def test_schedules_are_of_jobs_that_are_there(project):
    jobs = {job["name"] for job in project["jobs"]}
    assert {each["job"] for each in project["schedules"]} == {*jobs} - {name for name in jobs if name.endswith(REGIONS)}
    assert all(each["name"] == each["job"] for each in project["schedules"])
