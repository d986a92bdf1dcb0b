"""`meltano run`, end to end: what `make demo` shows, and what must be true of it."""

from __future__ import annotations

import json

import pytest
from support import ROOT

from annex_d365_sandbox.demo import Demo, show
from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture
def demo(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with Sandbox(directory=tmp_path / "sandbox", port=0, contacts=200) as sandbox:
        yield Demo(sandbox, tmp_path)


def test_the_demo(demo, capsys):
    show(demo)
    said = capsys.readouterr().out
    assert "exactly those five travelled" in said
    assert "nothing was written twice" in said
    assert said.count("contacts: 0 created, 0 updated, 0 unchanged, 0 deleted, 0 skipped, 0 rejected") == 1
    contacts = {row["cr0dd_loyaltyid"]: row for row in demo.sandbox.organisation.rows("contact")}
    for member in demo.sandbox.site.members():
        if contact := contacts.get(member["id"]):
            for field, column in (
                ("lastName", "lastname"),
                ("phone", "mobilephone"),
                ("zipCode", "address1_postalcode"),
            ):
                assert contact[column] is None or member[field] == contact[column]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TARGET_ANNEX_SECRET_KEY", "pl4nted-key", "Setting `secret_key`: "),
        ("TARGET_ANNEX_DESTINATION", "elsewhere", "Setting `destination`: must be one of annex_cloud, d365."),
    ],
)
def test_a_run_that_fails_says_so_in_a_sentence(demo, capsys, name, value, sentence):
    demo.environment[name] = value
    with pytest.raises(Exception, match="exit code 1"):
        demo.run()
    said = capsys.readouterr().out
    assert said.count(sentence) == 1
    assert "traceback" not in said.lower()
    assert "pl4nted" not in said
    assert demo.writes() == []


def test_three_in_a_hundred_bad_rows_take_no_other_with_them(demo, tmp_path):
    """Their addresses are none, which only Annex Cloud can tell."""
    organisation = demo.sandbox.organisation
    linked = [row for row in organisation.rows("contact") if row["cr0dd_loyaltyid"] and not row["statecode"]]
    poison = {row["contactid"] for row in linked[::33]}
    for contact in poison:
        organisation.update("contact", contact, {"emailaddress1": "nobody@-", "lastname": "Poison"})
    demo.run()
    messages = map(json.loads, (tmp_path / "rejects.singer").read_text().splitlines())
    rejected = {each["record"]["contactid"]: each["reject"] for each in messages if each["type"] == "RECORD"}
    assert {contact for contact, why in rejected.items() if why["status"] == 400} == poison
    members = demo.members()
    assert "Poison" not in {member["lastName"] for member in members.values()}
    for row in linked:
        if row["contactid"] not in poison:
            assert members[row["cr0dd_loyaltyid"]]["lastName"] == row["lastname"]
