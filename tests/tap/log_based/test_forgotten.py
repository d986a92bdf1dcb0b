"""When the service has forgotten the last run, or the state is another table's: all rows again. On the sandbox."""

from __future__ import annotations

import json

import pytest
from mirror import (
    DELETED_AT,
    KEYS,
    Mirror,
    bookmark,
    forget,
    log_based,
    people,
    table,
)
from support import Messages, run_cli, run_tap

from annex_d365.errors import SettingError


def test_forgotten_changes_with_a_snapshot(crm, tmp_path, caplog):
    config = log_based(crm, snapshot_path=str(tmp_path))
    first = run_tap(config)
    assert first.of("ACTIVATE_VERSION") == []
    for key in KEYS[1:4]:
        crm.organisation.delete("contact", key)
    people(crm, [KEYS[6], KEYS[2]])
    crm.organisation.update("contact", KEYS[0], {"lastname": "Second"})
    crm.clock.advance(8 * 86400)
    second = run_tap(config, state=first.states[-1])
    assert [each["contactid"] for each in second.records() if each[DELETED_AT]] == [KEYS[1], KEYS[3]]
    assert Mirror().take(first).take(second) == table(crm)
    assert second.of("ACTIVATE_VERSION") == []
    (warning,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "by the keys of its snapshot" in warning
    assert set(bookmark(second.states[-1])["delta"]) == {"token", "fingerprint"}


@pytest.mark.parametrize(("days", "forgotten"), [(6, False), (8, True)])
def test_tokens_expire_by_the_clock_of_the_service(crm, tmp_path, days, forgotten):
    """The whole run, from the command line, a week later."""
    config = log_based(crm, snapshot_path=str(tmp_path / "keys"))
    first = run_cli("tap_d365", config=config, directory=tmp_path)
    assert first.returncode == 0, first.stderr
    mirror = Mirror().take(Messages.read(first.stdout))
    (tmp_path / "state.json").write_text(json.dumps(Messages.read(first.stdout).states[-1]))
    crm.clock.advance(days * 86400)
    for key in KEYS[1:3]:
        crm.organisation.delete("contact", key)
    people(crm, [KEYS[6]])
    second = run_cli("tap_d365", "--state", "state.json", config=config, directory=tmp_path)
    assert second.returncode == 0, second.stderr
    assert ("All rows of contacts are read again" in second.stderr) is forgotten
    messages = Messages.read(second.stdout)
    gone = [record["contactid"] for record in messages.records() if record[DELETED_AT]]
    assert sorted(gone) == sorted(KEYS[1:3])
    assert len(messages.records()) == len(gone) + (5 if forgotten else 1)
    assert messages.of("ACTIVATE_VERSION") == []
    assert mirror.take(messages) == table(crm)


def test_forgotten_changes_without_a_snapshot(crm, caplog):
    first = run_tap(log_based(crm))
    for key in KEYS[1:4]:
        crm.organisation.delete("contact", key)
    forget(crm)
    second = run_tap(log_based(crm), state=first.states[-1])
    beforehand, warning = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "`snapshot_path` keeps them exact" in beforehand
    assert "ACTIVATE_VERSION" in warning
    assert not any(each[DELETED_AT] for each in second.records())
    kinds = [message["type"] for message in second if message["type"] != "STATE"]
    assert kinds == ["SCHEMA", "RECORD", "RECORD", "RECORD", "ACTIVATE_VERSION"]
    (activated,) = second.of("ACTIVATE_VERSION")
    assert {message["version"] for message in second.of("RECORD")} == {activated["version"]}
    assert activated["version"] > first.of("ACTIVATE_VERSION")[0]["version"]
    assert Mirror().take(first).take(second) == table(crm)
    crm.organisation.update("contact", KEYS[0], {"lastname": "Second"})
    third = run_tap(log_based(crm), state=second.states[-1])
    assert [message["version"] for message in third.of("RECORD")] == [activated["version"]]


@pytest.mark.parametrize("kept", [False, True])
def test_changes_that_are_forgotten_between_two_pages(crm, tmp_path, kept):
    config = log_based(crm, snapshot_path=str(tmp_path) if kept else None)
    first = run_tap(config)
    for key in KEYS[1:5]:
        crm.organisation.delete("contact", key)
    crm.organisation.update("contact", KEYS[5], {"lastname": "Second"})
    crm.faults.add(kind="status", route="/contacts", status=400, code="0x80044352", after=1, count=1)
    second = run_tap(config, state=first.states[-1])
    assert Mirror().take(first).take(second) == table(crm)
    assert bool(second.of("ACTIVATE_VERSION")) is not kept


@pytest.mark.parametrize(
    "said",
    [
        {"status": 500, "code": "0x80044352"},
        {"status": 503, "message": "Version stamp associated with the client has expired. Please perform a full sync."},
        {"status": 410, "code": "-2147204270"},
    ],
)
def test_the_status_of_forgetting_does_not_matter(crm, said):
    """And it is not tried again."""
    first = run_tap(log_based(crm))
    crm.organisation.delete("contact", KEYS[1])
    crm.faults.add(kind="status", route="/contacts", count=1, **said)
    second = run_tap(log_based(crm), state=first.states[-1])
    assert len(second.records()) == 5
    assert second.of("ACTIVATE_VERSION")


def test_a_token_of_another_organisation(crm):
    state = run_tap(log_based(crm)).states[-1]
    bookmark(state)["delta"]["token"] = "999999%2103%2f01%2f2026%2000%3a00%3a00"
    assert len(run_tap(log_based(crm), state=state).records()) == 6


@pytest.mark.parametrize(
    "wrong", [{"token": "1&$filter=lastname eq null"}, {"token": 7}, {"load": "all"}, {"version": "x"}, {"token": None}]
)
@pytest.mark.parametrize("kept", [False, True])
def test_a_state_that_cannot_be_used(crm, tmp_path, wrong, kept):
    config = log_based(crm, snapshot_path=str(tmp_path) if kept else None)
    first = run_tap(config)
    state = json.loads(json.dumps(first.states[-1]))
    bookmark(state)["delta"].update(wrong)
    crm.organisation.delete("contact", KEYS[0])
    second = run_tap(config, state=state)
    assert len(second.of("ACTIVATE_VERSION")) == 1
    assert Mirror().take(first).take(second) == table(crm)


def test_changes_that_are_always_forgotten(crm):
    forget(crm, count=None)
    with pytest.raises(SettingError, match=r"tables\.contacts\.replication.*ExpireChangeTrackingInDays"):
        run_tap(log_based(crm))


@pytest.mark.parametrize("kept", [False, True])
def test_other_columns_are_a_full_load(crm, tmp_path, kept):
    path = str(tmp_path) if kept else None
    first = run_tap(log_based(crm, snapshot_path=path))
    crm.organisation.delete("contact", KEYS[1])
    columns = {"name": "contacts", "replication": "LOG_BASED", "select": ["lastname", "firstname"]}
    second = run_tap(log_based(crm, tables=[columns], snapshot_path=path), state=first.states[-1])
    assert sum("firstname" in record for record in second.records()) == 5
    assert Mirror().take(first).take(second) == table(crm)


def test_another_host_is_a_full_load(crm):
    config = log_based(crm)
    state = run_tap(config).states[-1]
    elsewhere = {**config, "organization_url": config["organization_url"].replace("127.0.0.1", "localhost")}
    elsewhere["resource"] = config["organization_url"]
    assert len(run_tap(elsewhere, state=state).records()) == 6
