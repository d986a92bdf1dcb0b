"""A dry run changes nothing, anywhere, and tells what a run would do. Against the sandbox."""

from __future__ import annotations

import io
import json
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loyalty import contact, count_rows, deletion, guid, lines, load, load_and_count, load_rows, record, schema, state

from target_annex.target import TargetAnnex

DELETED_BY = {"on_contact_delete": "delete", "delete_requested_by": "clerk@example.org"}


def members(site):
    return list(site.sandbox.site.members())


def files(site):
    """All files and what is in them, without those that SQLite makes for readers."""
    paths = [path for path in site.directory.iterdir() if not path.name.endswith(("-shm", "-wal"))]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture
def known(site):
    """Contacts 1 to 3 are linked; M4 is a member that the ledger does not know."""
    for number in range(1, 5):
        site.put(id=f"M{number}", email=f"person.{number}@example.org", firstName="Old")
    load_rows(site.config(), [contact(number, cr0dd_loyaltyid=f"M{number}") for number in (1, 2, 3)])
    return site


ROWS = [
    contact(1, cr0dd_loyaltyid="M1", firstname="New"),
    contact(2, cr0dd_loyaltyid="M2"),
    deletion(3),
    contact(4, cr0dd_loyaltyid="M4", firstname="New"),
    contact(5),
    contact(6, emailaddress1="no address", birthdate="marker"),
    contact(7, cr0dd_loyaltyid="M1"),
]


def test_nothing_changes_anywhere(known):
    before, kept = members(known), files(known)
    assert load_rows(known.config(enrol="all", dry_run=True, **DELETED_BY), ROWS) == [], "no STATE"
    assert members(known) == before
    assert known.sandbox.site.pending_deletions() == []
    assert files(known) == kept, "neither ledger nor rejects"


def test_nothing_is_created_where_nothing_was(site):
    before = members(site)
    assert load_rows(site.config(enrol="all", dry_run=True), ROWS) == []
    assert (members(site), files(site)) == (before, {})


def test_a_dry_run_only_reads(known):
    known.forget_log()
    load_rows(known.config(enrol="all", dry_run=True, **DELETED_BY), ROWS)
    assert {(method, path) for method, path, _ in known.log() if method != "GET"} <= {("POST", "/users/search")}


def test_the_second_run_does_what_the_first_one_said(known):
    config = known.config(enrol="all", **DELETED_BY)
    said = count_rows({**config, "dry_run": True}, ROWS)
    assert said == {"updated": 2, "unchanged": 1, "deleted": 1, "created": 1, "rejected": 2}
    assert count_rows(config, ROWS) == said


def test_the_log_tells_rows_and_fields_but_no_values(known, caplog):
    caplog.set_level("INFO")
    target = TargetAnnex(config=known.config(enrol="all", dry_run=True, **DELETED_BY))
    target.listen(io.StringIO(lines([schema(), *map(record, ROWS), state(7)])))
    target.log_report()
    told = [message for name, _, message in caplog.record_tuples if name.startswith("target")]
    assert f"contacts: would update the target of row {guid(1)}: firstName" in told
    assert f"contacts: would delete the target of row {guid(3)}" in told
    assert f"contacts: would create the target of row {guid(5)}: email, firstName, lastName, optInStatus" in told
    assert "Dry run: nothing was written. What would have become of the rows:" in told
    text = "\n".join(told)
    assert not [value for value in ("M1", "M4", "New", "Old", "Ana", "Díaz", "@example.org", "marker") if value in text]


def test_the_file_has_old_and_new_values_for_its_owner(known):
    path = known.directory / "dry.jsonl"
    load_rows(known.config(enrol="all", dry_run=True, dry_run_path=str(path), **DELETED_BY), ROWS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told = {each["key"]: each for each in map(json.loads, path.read_text().splitlines())}
    assert sorted(told) == [guid(number) for number in (1, 3, 4, 5)]
    first = told[guid(1)]
    assert (first["action"], first["target"]) == ("update", "M1")
    assert first["fields"] == {"firstName": {"old": "Ana", "new": "New"}}
    assert (told[guid(3)]["action"], told[guid(3)]["target"], told[guid(3)]["fields"]) == ("delete", "M3", {})
    assert told[guid(5)]["fields"]["optInStatus"] == {"old": None, "new": "NO"}


def test_an_opt_out_is_told(known):
    path = known.directory / "dry.jsonl"
    config = known.config(dry_run=True, dry_run_path=str(path))
    assert count_rows(config, [deletion(3)]) == {"opted out": 1}
    assert json.loads(path.read_text())["fields"]["optInStatus"]["new"] == "NO"


def test_rows_of_one_batch_see_each_other(site):
    config = site.config(enrol="all", dry_run=True)
    rows = [contact(1, cr0dd_loyaltyid="N1"), contact(2, cr0dd_loyaltyid="N1"), contact(1, cr0dd_loyaltyid="N1")]
    assert count_rows(config, rows)["rejected"] == 1


def test_points_are_told_and_not_posted(known):
    columns = {"id": {"type": "string"}, "member": {"type": "string"}, "points": {"type": "number"}}
    streams = {"postings": {"object": "points", "fields": {"id": "member", "points": "points"}}}
    path = known.directory / "dry.jsonl"
    config = known.config(streams=streams, dry_run=True, dry_run_path=str(path))
    rows = [{"id": "P1", "member": "M1", "points": 2}, {"id": "P1", "member": "M1", "points": 2}]
    messages = [schema("postings", columns, ["id"]), *(record(row, "postings") for row in rows)]
    assert load_and_count(config, messages, "postings") == {"created": 1, "unchanged": 1}
    assert known.postings("M1") == []
    fields = json.loads(path.read_text())["fields"]
    assert (fields["points"]["new"], fields["activity"]["new"]) == ("2", "CREDIT")
    assert load(config, messages) == []


#: Of contacts 1 to 6: 3 has no address, 6 has that of the member of 4; 3 and 5 are no members.
MAILS = {number: f"person.{number}@example.org" for number in (1, 2, 4, 5)} | {3: None, 6: "person.4@example.org"}
row_sets = st.lists(
    st.one_of(
        st.builds(
            lambda number, names_it, firstname: contact(
                number,
                cr0dd_loyaltyid=f"M{number}" if names_it else None,
                emailaddress1=MAILS[number],
                firstname=firstname,
            ),
            st.integers(1, 6),
            st.booleans(),
            st.sampled_from(["Ana", "New", None]),
        ),
        st.builds(deletion, st.integers(1, 6)),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row["contactid"],
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(row_sets)
def test_any_rows_come_out_as_the_dry_run_said(site, rows):
    """With members read in both runs: else the real one also writes what it cannot know to be there.

    Nothing here is refused by the service, which only a real run is told; no row comes twice and none changes an
    address: a dry run reads what was there before the first of them.
    """
    site.reset()
    site.lose_ledger()
    for number in (1, 2, 4):
        site.put(id=f"M{number}", email=f"person.{number}@example.org", firstName="Old")
    config = site.config(enrol="all", skip_unchanged="read", **DELETED_BY)
    load_rows(config, [contact(1, cr0dd_loyaltyid="M1"), contact(2, cr0dd_loyaltyid="M2")])
    said = count_rows({**config, "dry_run": True}, rows)
    assert count_rows(config, rows) == said
