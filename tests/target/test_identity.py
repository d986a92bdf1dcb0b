"""Whose member a row is, over runs: links, rivals, merges, vanished members. Against the sandbox."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from loyalty import contact, count_rows, guid, load_and_count, load_rows, record, schema

from target_annex.ledger_command import ledger

DAY = 24 * 3600
LINKED = "rows {} and {} are the same member; only the former is written"


def codes(site):
    return [message["reject"]["code"] for message in site.rejects() if message["type"] == "RECORD"]


@pytest.fixture
def linked(site):
    """Contact 1 is linked to M1, by the e-mail address."""
    site.put(id="M1", email="person.1@example.org", firstName="Old")
    load_rows(site.config(), [contact(1)])
    site.forget_log()
    return site


def test_the_second_run_asks_and_writes_nothing(linked):
    assert count_rows(linked.config(), [contact(1)]) == {"unchanged": 1}
    assert linked.log() == []


def test_only_fields_that_changed_are_written(linked):
    linked.sandbox.site.update_member("M1", {"lastName": "Mended"})
    assert count_rows(linked.config(), [contact(1, firstname="New")]) == {"updated": 1}
    assert (linked.member("M1")["firstName"], linked.member("M1")["lastName"]) == ("New", "Mended")


def test_the_first_link_wins_over_runs(linked):
    load_rows(linked.config(), [contact(2, emailaddress1="person.1@example.org", firstname="Other")])
    assert linked.reasons() == [LINKED.format(guid(1), guid(2))]
    assert codes(linked) == ["LINKED"]
    assert linked.member("M1")["firstName"] == "Ana"


def test_a_row_that_names_the_id_takes_over_from_one_with_the_address_over_runs(linked):
    load_rows(linked.config(), [contact(2, cr0dd_loyaltyid="M1", firstname="Named")])
    assert linked.rejects() == []
    load_rows(linked.config(), [contact(1, firstname="Addressed")])
    assert linked.reasons() == [LINKED.format(guid(2), guid(1))]
    assert linked.member("M1")["firstName"] == "Named"


def test_a_second_row_with_the_same_id_is_rejected_over_runs(site):
    site.put(id="M1", email="person.1@example.org")
    load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1")])
    load_rows(site.config(), [contact(2, cr0dd_loyaltyid="M1", firstname="Other")])
    assert site.reasons() == [LINKED.format(guid(1), guid(2))]
    assert site.member("M1")["firstName"] == "Ana"


def test_a_changed_address_changes_the_member_and_makes_no_second_one(linked):
    before = linked.ids()
    assert count_rows(linked.config(enrol="all"), [contact(1, emailaddress1="new@example.org")]) == {"updated": 1}
    assert linked.member("M1")["email"] == "new@example.org"
    assert linked.ids() == before


def test_a_changed_address_of_a_member_enrolled_by_address_makes_no_second_one(site):
    load_rows(site.config(enrol="all"), [contact(1)])
    before = site.ids()
    load_rows(site.config(enrol="all"), [contact(1, emailaddress1="new@example.org")])
    assert site.member("person.1@example.org")["email"] == "new@example.org"
    assert site.ids() == before


def test_a_changed_id_links_anew(site):
    for number in (1, 2):
        site.put(id=f"M{number}", email=f"person.{number}@example.org", firstName="Old")
    load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1")])
    moved = {"cr0dd_loyaltyid": "M2", "emailaddress1": "person.2@example.org", "firstname": "Moved"}
    load_rows(site.config(), [contact(1, **moved)])
    assert (site.member("M1")["firstName"], site.member("M2")["firstName"]) == ("Ana", "Moved")
    # The first one is free.
    assert count_rows(site.config(), [contact(2, cr0dd_loyaltyid="M1", firstname="Next")]) == {"updated": 1}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_two_rows_that_exchange_ids_one_after_the_other_both_arrive(site, order):
    for number in (1, 2):
        site.put(id=f"M{number}", email=f"person.{number}@example.org")
    load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1")])
    rows = {1: contact(1, cr0dd_loyaltyid="M2", firstname="One"), 2: contact(2, cr0dd_loyaltyid="M1", firstname="Two")}
    assert count_rows(site.config(), [rows[number] for number in order]) == {"updated": 2}
    assert (site.member("M1")["firstName"], site.member("M2")["firstName"]) == ("Two", "One")


def test_an_id_that_was_emptied_keeps_the_link(site):
    site.put(id="M1", email="other@example.org")
    load_rows(site.config(), [contact(1, cr0dd_loyaltyid="M1")])
    site.forget_log()
    before = site.ids()
    assert count_rows(site.config(enrol="all"), [contact(1, cr0dd_loyaltyid=None, firstname="New")]) == {"updated": 1}
    assert site.member("M1")["firstName"] == "New"
    assert site.ids() == before


def test_an_unknown_id_with_the_address_of_another_member_is_rejected(site):
    site.put(id="M1", email="person.1@example.org")
    before = site.ids()
    load_rows(site.config(enrol="all"), [contact(1, cr0dd_loyaltyid="N1")])
    assert site.reasons() == ["there is no member with this id, and another member has this e-mail address"]
    assert site.ids() == before


def test_neither_id_nor_address_is_rejected(site):
    load_rows(site.config(enrol="all"), [contact(1, emailaddress1=None)])
    assert site.reasons() == ["neither a member id nor an e-mail address says who this is"]
    assert site.log() == []


@pytest.mark.parametrize("skip_unchanged", ["ledger", "read"])
def test_a_member_that_was_merged_into_another_is_followed(site, skip_unchanged):
    for number in (1, 2, 3):
        site.put(id=f"M{number}", email=f"person.{number}@example.org")
    config = site.config(enrol="all", skip_unchanged=skip_unchanged)
    load_rows(config, [contact(1, cr0dd_loyaltyid="M1")])
    site.merge("M2", "M1")
    site.merge("M3", "M2")
    before = site.ids()
    assert count_rows(config, [contact(1, cr0dd_loyaltyid="M1", firstname="New")]) == {"updated": 1}
    assert (site.member("M3")["firstName"], site.member("M3")["email"]) == ("New", "person.1@example.org")
    assert site.ids() == before
    assert site.ledger()[guid(1)][0] == "M3"
    site.forget_log()
    load_rows(config, [contact(1, cr0dd_loyaltyid="M1", firstname="Newer")])
    assert site.member("M3")["firstName"] == "Newer"
    assert ("GET", "/mergeuser/M1", 200) not in site.log()


def test_a_merge_before_the_first_link_is_followed(site):
    for number in (1, 2):
        site.put(id=f"M{number}", email=f"member.{number}@example.org")
    site.merge("M2", "M1")
    assert count_rows(site.config(enrol="all"), [contact(1, cr0dd_loyaltyid="M1")]) == {"updated": 1}
    assert site.member("M2")["firstName"] == "Ana"


@pytest.mark.parametrize("batch_size_rows", [1, 10])
def test_a_row_whose_member_was_merged_into_that_of_another_row_is_rejected(site, batch_size_rows):
    for number in (1, 2):
        site.put(id=f"M{number}", email=f"person.{number}@example.org")
    config = site.config(enrol="all", batch_size_rows=batch_size_rows)
    rows = [contact(number, cr0dd_loyaltyid=f"M{number}") for number in (1, 2)]
    load_rows(config, rows)
    site.merge("M2", "M1")
    load_rows(config, [{**row, "firstname": "New"} for row in rows])
    assert site.reasons() == [LINKED.format(guid(2), guid(1))]
    assert site.member("M2")["email"] == "person.2@example.org"
    assert "M1" not in site.ids()


def test_a_member_that_vanished_is_not_enrolled_again(linked):
    linked.sandbox.site.forget_member("M1")
    before = linked.ids()
    assert count_rows(linked.config(enrol="all"), [contact(1, firstname="New")]) == {"erased earlier": 1}
    assert count_rows(linked.config(enrol="all"), [contact(1, firstname="Newer")]) == {"erased earlier": 1}
    linked.age_ledger(3 * DAY)
    assert count_rows(linked.config(enrol="all"), [contact(1, firstname="Newest")]) == {"erased earlier": 1}
    assert linked.ids() == before


def test_a_member_that_vanished_and_exists_again_is_linked_after_two_days(linked):
    linked.sandbox.site.forget_member("M1")
    load_rows(linked.config(), [contact(1, firstname="New")])
    linked.put(id="M1", email="person.1@example.org", firstName="Back")
    assert count_rows(linked.config(), [contact(1, firstname="Newer")]) == {"erased earlier": 1}
    linked.age_ledger(2 * DAY + 60)
    assert count_rows(linked.config(), [contact(1, firstname="Newest")]) == {"updated": 1}
    assert linked.member("M1")["firstName"] == "Newest"
    assert linked.ledger()[guid(1)] == ["M1", "settled"]


def test_another_site_knows_nothing_of_the_links(linked):
    base_url = linked.config()["base_url"].replace("127.0.0.1", "localhost")
    assert count_rows(linked.config(base_url=base_url), [contact(1)]) == {"updated": 1}, "linked anew"


def test_streams_do_not_take_members_from_each_other(linked):
    columns = {"id": {"type": "string"}, "mail": {"type": "string"}, "tel": {"type": "string"}}
    streams = {"people": {"object": "members", "fields": {"email": "mail", "phone": "tel"}}}
    messages = [
        schema("people", columns, ["id"]),
        record({"id": guid(1), "mail": "person.1@example.org", "tel": "555-0100"}, "people"),
        record({"id": "P2", "mail": "person.1@example.org", "tel": "555-0101"}, "people"),
    ]
    assert load_and_count(linked.config(streams=streams), messages, "people") == {"updated": 1, "rejected": 1}
    assert (linked.member("M1")["phone"], linked.member("M1")["firstName"]) == ("555-0100", "Ana")
    assert count_rows(linked.config(), [contact(1)]) == {"unchanged": 1}


def test_a_lost_ledger_costs_requests_but_no_member(site):
    rows = [contact(1), contact(2, cr0dd_loyaltyid="N2"), contact(3, emailaddress1="person.1@example.org")]
    config = site.config(enrol="all")
    load_rows(config, rows)
    names = ("id", "email", "firstName", "lastName", "optInStatus", "optInDate", "createDate")

    def members():
        return [[member[name] for name in names] for member in site.sandbox.site.members()]

    before = members()
    site.lose_ledger()
    assert count_rows(config, rows) == {"updated": 2, "rejected": 1}
    assert members() == before
    assert site.reasons() == [LINKED.format(guid(1), guid(3))] * 2


def test_a_contact_made_anew_gets_its_member_when_the_old_one_is_forgotten(site):
    site.put(id="M1", email="person.1@example.org")
    config = site.config()
    load_rows(config, [contact(1, cr0dd_loyaltyid="M1")])
    load_rows(config, [contact(2, cr0dd_loyaltyid="M1", firstname="Bea")])
    assert len(site.reasons()) == 1
    path = site.directory / "target.json"
    path.write_text(json.dumps(config))
    done = CliRunner().invoke(ledger, ["forget", "--config", str(path), "--stream", "contacts", guid(1), guid(9)])
    assert done.output == "Forgotten: 1 of 2 rows.\n"
    load_rows(config, [contact(2, cr0dd_loyaltyid="M1", firstname="Bea")])
    assert site.member("M1")["firstName"] == "Bea"


@pytest.mark.parametrize("ids", [(None, "N2"), ("N1", None), ("N1", "N2"), (None, None)])
def test_two_new_contacts_with_one_address_become_one_member(site, ids):
    before = site.ids()
    rows = [contact(number, cr0dd_loyaltyid=each, emailaddress1="x@example.org") for number, each in enumerate(ids)]
    load_rows(site.config(enrol="all"), rows)
    assert len(site.ids() - before) == 1
    assert len(site.reasons()) == 1


def test_a_contact_that_moves_to_an_address_has_it_before_one_that_is_new(site):
    site.put(id="M1", email="person.1@example.org")
    config = site.config(enrol="all")
    load_rows(config, [contact(1, cr0dd_loyaltyid="M1")])
    before = site.ids()
    moved = contact(1, cr0dd_loyaltyid="M1", emailaddress1="y@example.org")
    load_rows(config, [moved, contact(2, emailaddress1="y@example.org")])
    assert site.ids() == before
    assert site.member("M1")["email"] == "y@example.org"
