"""Rows that are no more, and what becomes of their members. Against the sandbox."""

from __future__ import annotations

import pytest
from loyalty import FIELDS, contact, count_rows, deletion, guid, load, load_and_count, load_rows, record, schema

from annex_d365.errors import SettingError
from target_annex.target import TargetAnnex

DELETED_BY = {"delete_requested_by": "clerk@example.org"}
OPT_INS = {"contacts": {"fields": {**FIELDS, "optInStatus": "optedin"}}}


def configured(site, policy, **more):
    return site.config(on_contact_delete=policy, enrol="all", **DELETED_BY, **more)


def remove_at_once(site):
    """What the service does in the next night."""
    site.post("deletions", {})


@pytest.fixture
def linked(site):
    """Contact 1 is linked to M1."""
    site.put(id="M1", email="person.1@example.org")
    load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1")])
    site.forget_log()
    return site


def depart(site, config, how):
    """Contact 1 departs from its source; outcomes."""
    if how == "deleted":
        return count_rows(config, [deletion(1)])
    if how == "deactivated":
        return count_rows(config, [contact(1, cr0dd_loyaltyid="M1", statecode=1, firstname="Idle")])
    if how == "merged":
        columns = {**schema()["schema"]["properties"], "merged": {"type": ["boolean", "null"]}}
        row = contact(1, cr0dd_loyaltyid="M1", statecode=1, merged=True, firstname="Merged")
        return load_and_count(config, [schema(columns=columns), record(row)])
    site.sandbox.site.forget_member("M1")
    return count_rows(config, [contact(1, cr0dd_loyaltyid="M1", firstname="New")])


TABLE = {
    # outcome, opt-in and first name of the member, deletions asked for
    ("deleted", "opt_out"): ("opted out", "NO", "Ana", []),
    ("deleted", "delete"): ("deleted", "YES", "Ana", ["M1"]),
    ("deleted", "ignore"): ("deleted at the source", "YES", "Ana", []),
    ("deactivated", "opt_out"): ("updated", "YES", "Idle", []),
    ("deactivated", "delete"): ("updated", "YES", "Idle", []),
    ("deactivated", "ignore"): ("updated", "YES", "Idle", []),
    ("merged", "opt_out"): ("merged into another row", "YES", "Ana", []),
    ("merged", "delete"): ("merged into another row", "YES", "Ana", []),
    ("merged", "ignore"): ("merged into another row", "YES", "Ana", []),
    ("erased", "opt_out"): ("erased earlier", None, None, []),
    ("erased", "delete"): ("erased earlier", None, None, []),
    ("erased", "ignore"): ("erased earlier", None, None, []),
}


@pytest.mark.parametrize(("how", "policy"), TABLE, ids=lambda each: each)
def test_the_table(linked, how, policy):
    outcome, *expected = TABLE[how, policy]
    assert depart(linked, configured(linked, policy), how) == {outcome: 1}
    member = linked.member("M1") or {"optInStatus": None, "firstName": None}
    assert [member["optInStatus"], member["firstName"], linked.sandbox.site.pending_deletions()] == expected
    assert linked.rejects() == []


@pytest.mark.parametrize("policy", ["opt_out", "delete"])
def test_a_rival_that_is_deleted_leaves_the_member_alone(linked, policy):
    load_rows(linked.config(), [contact(2, cr0dd_loyaltyid="M1")])
    linked.forget_log()
    assert count_rows(configured(linked, policy), [deletion(2)]) == {"deleted at the source": 1}
    assert linked.log() == []


@pytest.mark.parametrize("policy", ["opt_out", "delete"])
@pytest.mark.parametrize("departure", ["deleted", "merged"])
def test_the_member_of_a_holder_that_is_gone_goes_to_its_rival_by_a_replay(linked, policy, departure):
    load_rows(linked.config(), [contact(2, cr0dd_loyaltyid="M1", firstname="Rival")])
    rejects = linked.rejects()
    config = configured(linked, policy)
    outcome = {"deleted": "deleted at the source", "merged": "merged into another row"}[departure]
    assert depart(linked, config, departure) == {outcome: 1}
    assert (linked.member("M1")["optInStatus"], linked.sandbox.site.pending_deletions()) == ("YES", [])
    assert load_and_count(config, rejects) == {"updated": 1}
    assert linked.member("M1")["firstName"] == "Rival"
    # Nobody else is left.
    outcome = {"opt_out": "opted out", "delete": "deleted"}[policy]
    assert count_rows(config, [deletion(2)]) == {outcome: 1}


@pytest.mark.parametrize("reopt_in", [True, False])
def test_a_row_that_is_restored_goes_on(linked, reopt_in):
    config = configured(linked, "opt_out", streams=OPT_INS, reopt_in=reopt_in)
    load_rows(config, [deletion(1)])
    before = linked.ids()
    restored = contact(1, cr0dd_loyaltyid=None, emailaddress1="new@example.org", optedin=True)
    assert count_rows(config, [restored]) == {"updated": 1}
    member = linked.member("M1")
    assert (member["email"], member["optInStatus"]) == ("new@example.org", "YES" if reopt_in else "NO")
    assert linked.ids() == before


@pytest.mark.parametrize("policy", ["opt_out", "delete"])
def test_a_second_deletion_does_nothing(linked, policy):
    config = configured(linked, policy)
    load_rows(config, [deletion(1)])
    linked.forget_log()
    (outcome,) = count_rows(config, [deletion(1)])
    assert outcome in {"deleted", "deleted at the source"}
    assert linked.log() == []


@pytest.mark.parametrize("policy", ["opt_out", "delete"])
def test_a_deletion_that_is_replayed_after_the_row_came_back_changes_nothing(linked, policy):
    config = configured(linked, policy)
    linked.fault(route="/users", method="PATCH", kind="status", status=400, code="AC1007", count=1)
    linked.fault(route="/userdelete", kind="status", status=400, code="AC1007", count=1)
    dated = schema(bookmark="modifiedon")
    assert load_and_count(config, [dated, record(deletion(1))]) == {"rejected": 1}
    rejects = linked.rejects()
    linked.sandbox.faults.clear()
    back = contact(1, cr0dd_loyaltyid="M1", firstname="Back", modifiedon="2026-03-02T00:00:00Z")
    assert load_and_count(config, [dated, record(back)]) == {"updated": 1}
    assert load_and_count(config, rejects) == {"rejected": 1}
    assert linked.reasons()[1:] == ["a newer version of this row has come since it was rejected"]
    assert (linked.member("M1")["optInStatus"], linked.sandbox.site.pending_deletions()) == ("YES", [])


def test_a_deletion_that_was_rejected_is_carried_out_by_a_replay(linked):
    config = configured(linked, "opt_out")
    linked.fault(route="/users", method="PATCH", kind="status", status=400, code="AC1007", count=1)
    load_rows(config, [deletion(1)])
    linked.age_ledger(60)  # times of rejects are compared by the second
    assert load_and_count(config, linked.rejects()) == {"opted out": 1}
    assert linked.member("M1")["optInStatus"] == "NO"


def test_a_member_is_there_until_the_service_deletes_it(linked):
    config = configured(linked, "delete")
    assert count_rows(config, [deletion(1)]) == {"deleted": 1}
    assert "M1" in linked.ids()
    assert count_rows(config, [contact(1, cr0dd_loyaltyid="M1", firstname="New")]) == {"erased earlier": 1}
    assert linked.member("M1")["firstName"] == "Ana"
    remove_at_once(linked)
    assert "M1" not in linked.ids()
    assert count_rows(config, [contact(1, cr0dd_loyaltyid="M1", firstname="New")]) == {"erased earlier": 1}
    assert "M1" not in linked.ids()


def test_a_member_that_is_gone_already_was_erased_earlier(linked):
    linked.sandbox.site.forget_member("M1")
    assert count_rows(configured(linked, "delete"), [deletion(1)]) == {"erased earlier": 1}
    assert linked.rejects() == []


def test_deletion_needs_somebody_who_requests_it(site):
    with pytest.raises(SettingError) as error:
        TargetAnnex(config=site.config(on_contact_delete="delete"))
    assert error.value.setting == "delete_requested_by"


@pytest.mark.parametrize("carried_out", [False, True], ids=["asked for", "carried out"])
@pytest.mark.parametrize(
    "messages",
    [
        [record(contact(1))],
        [record(contact(2, emailaddress1="person.1@example.org"))],
        [record(contact(2, emailaddress1="Person.1@EXAMPLE.org"))],
        [record(contact(2, emailaddress1="b@example.org", cr0dd_loyaltyid="person.1@example.org"))],
        [{**record(contact(1)), "reject": {"reason": "", "code": "", "status": 0, "at": "2026-01-01T00:00:00.0Z"}}],
        [{**record(contact(1)), "reject": {"reason": "", "code": "", "status": 0, "at": "2096-01-01T00:00:00.0Z"}}],
    ],
    ids=["its own row", "its address", "its address in capitals", "its id", "an old replay", "a late replay"],
)
def test_nobody_erased_comes_back(site, monkeypatch, messages, carried_out):
    monkeypatch.setattr("annex_d365.singer.rejects.RejectsFile.refuse_own_output", lambda *_: None)
    config = configured(site, "delete")
    load_rows(config, [contact(1)])
    load_rows(config, [deletion(1)])
    if carried_out:
        remove_at_once(site)
    before = {member["id"]: member["updateDate"] for member in site.sandbox.site.members()}
    load(config, [schema(), *messages])
    assert {member["id"]: member["updateDate"] for member in site.sandbox.site.members()} == before
    assert (site.member("person.1@example.org") is None) == carried_out


def test_a_batch_with_the_deletion_and_the_return_keeps_their_order(linked):
    config = configured(linked, "opt_out", streams=OPT_INS, reopt_in=True)
    rows = [deletion(1), contact(1, cr0dd_loyaltyid="M1", firstname="Back", optedin=True)]
    assert count_rows(config, rows) == {"opted out": 1, "updated": 1}
    assert (linked.member("M1")["firstName"], linked.member("M1")["optInStatus"]) == ("Back", "YES")


def test_a_successor_in_the_same_batch_gets_the_member(linked):
    config = configured(linked, "opt_out")
    rows = [contact(2, cr0dd_loyaltyid="M1", firstname="Next"), deletion(1)]
    count_rows(config, rows)
    assert linked.rejects() == []
    assert linked.member("M1")["firstName"] == "Next"
    assert linked.ledger()[guid(2)] == ["M1", "settled"]


def test_who_was_erased_does_not_come_back_by_another_row_with_the_address(site):
    """The member's id is not the address: the ledger remembers that, too, without keeping it."""
    site.put(id="M1", email="person.1@example.org")
    config = site.config(enrol="all", on_contact_delete="delete", delete_requested_by="crm@example.org")
    load_rows(config, [contact(1, cr0dd_loyaltyid="M1")])
    load_rows(config, [deletion(1)])
    site.sandbox.site.run_deletions()
    before = site.ids()
    load_rows(config, [contact(2, emailaddress1="person.1@example.org")])
    load_rows(config, [contact(3, emailaddress1="Person.1@Example.org", cr0dd_loyaltyid="M3")])
    assert site.ids() == before
    assert b"person.1@example.org" not in (site.directory / "ledger.db").read_bytes()


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("by_id", [False, True])
def test_duplicates_that_are_all_deleted_take_their_member_with_them(site, size, by_id):
    site.put(id="M1", email="person.1@example.org")
    config = site.config(batch_size_rows=size)
    rows = [contact(number, emailaddress1="person.1@example.org") for number in (1, 2)]
    if by_id:
        rows[1]["cr0dd_loyaltyid"] = "M1"
    for row in rows:
        load_rows(config, [row])
    load_rows(config, [deletion(1), deletion(2)])
    assert site.member("M1")["optInStatus"] == "NO"


@pytest.mark.parametrize("policy", ["opt_out", "delete"])
def test_a_member_whom_another_row_of_the_batch_names_stays(linked, policy):
    another = contact(2, cr0dd_loyaltyid="M1", emailaddress1="person.1@example.org", firstname="Bea")
    load_rows(configured(linked, policy), [another, deletion(1)])
    assert linked.member("M1")["optInStatus"] == "YES"
    assert linked.member("M1")["firstName"] == "Bea"


def test_a_rival_that_went_another_way_is_no_stake_any_more(linked):
    rival = contact(2, emailaddress1="person.1@example.org")
    load_rows(linked.config(), [rival])
    load_rows(linked.config(), [{**rival, "emailaddress1": "elsewhere@example.org"}])
    load_rows(linked.config(), [deletion(1)])
    assert linked.member("M1")["optInStatus"] == "NO"


@pytest.mark.parametrize(("policy", "left"), [("opt_out", "NO"), ("delete", None)])
def test_a_member_that_was_merged_is_followed_when_its_contact_is_deleted(linked, policy, left):
    linked.put(id="M9", email="other@example.org")
    linked.sandbox.site.merges.merge({"primaryUID": "M9", "secondaryUID": "M1", "mergedBy": "crm@example.org"})
    load_rows(configured(linked, policy), [deletion(1)])
    remove_at_once(linked)
    assert (linked.member("M9") or {"optInStatus": None})["optInStatus"] == left


def test_an_opt_out_is_passed_on_although_an_opt_in_was_withheld_before(site):
    streams = {"contacts": {"fields": {**FIELDS, "optInStatus": "optedin"}}}
    config = site.config(streams=streams)
    site.put(id="M1", email="person.1@example.org")
    for said, joined in ((False, False), (True, True), (False, False)):
        if joined:
            site.sandbox.site.update_member("M1", {"optInStatus": "YES"})
        load_rows(config, [contact(1, cr0dd_loyaltyid="M1", optedin=said)])
    assert site.member("M1")["optInStatus"] == "NO"


@pytest.mark.parametrize("mark", ["", False, 0, None])
def test_an_empty_mark_is_no_deletion(linked, mark):
    columns = {**schema()["schema"]["properties"], "_sdc_deleted_at": {}}
    row = contact(1, cr0dd_loyaltyid="M1", _sdc_deleted_at=mark)
    load(linked.config(), [schema(columns=columns), record(row)])
    assert linked.rejects() == []
    assert linked.member("M1")["optInStatus"] == "YES"
