"""Members become contacts: whose contact a row is, and what the presets fill. Against the sandbox."""

from __future__ import annotations

from contextlib import closing

import pytest
from crm import Crm, member, members

from annex_d365.dataverse.writes import guid_for
from annex_d365.ledger import Entry, Ledger, State


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


def test_new_members_become_contacts_by_the_documents_call(crm):
    assert crm.load(members(member(1))) == {"created": 1}
    contact = crm.contact("M1")
    assert (contact["firstname"], contact["lastname"]) == ("Ana", "Díaz")
    assert contact["emailaddress1"] == "member.1@example.org"
    assert contact["contactid"] == guid_for("members", "M1")
    assert crm.writes() == [("POST", "contacts", 201)]


@pytest.mark.parametrize("count", [2, 30])
def test_contacts_are_found_by_loyalty_id_then_by_address(crm, count):
    by_id = crm.put(cr0dd_loyaltyid="M0", emailaddress1="other@example.org", lastname="Old")
    by_address = crm.put(emailaddress1="Member.1@Example.org", lastname="Old")
    assert crm.load(members(*(member(number) for number in range(count)))).get("updated") == 2
    assert crm.organisation.get("contact", by_id)["emailaddress1"] == "member.0@example.org"
    assert crm.organisation.get("contact", by_address)["cr0dd_loyaltyid"] == "M1"
    assert all(crm.contact(f"M{number}")["lastname"] == "Díaz" for number in range(count))


def test_the_ledger_knows_the_contact_of_a_row(crm):
    contact = crm.put(emailaddress1="member.1@example.org", lastname="Old")
    crm.load(members(member(1)))
    crm.organisation.update("contact", contact, {"cr0dd_loyaltyid": None, "emailaddress1": "moved@example.org"})
    crm.forget_log()
    assert crm.load(members(member(1, lastName="New"))) == {"updated": 1}
    assert crm.reads() == 0
    assert crm.organisation.get("contact", contact)["lastname"] == "New"


def test_two_candidates_reject_the_row_with_both_ids(crm):
    ids = sorted(crm.put(emailaddress1="member.1@example.org", lastname="Old") for _ in range(2))
    same = sorted(crm.put(cr0dd_loyaltyid="M2", lastname="Old") for _ in range(2))
    assert crm.load(members(member(1), member(2), member(3))) == {"created": 1, "rejected": 2}
    assert sorted(crm.reasons()) == [
        f"several contacts have this e-mail address: {ids[0]}, {ids[1]}",
        f"several contacts have this loyalty id: {same[0]}, {same[1]}",
    ]
    assert {crm.organisation.get("contact", each)["lastname"] for each in ids + same} == {"Old"}


def test_the_contact_of_another_member_is_not_taken(crm):
    contact = crm.put(cr0dd_loyaltyid="M9", emailaddress1="member.1@example.org", lastname="Old")
    assert crm.load(members(member(1))) == {"rejected": 1}
    assert crm.reasons() == [f"contact {contact} has this e-mail address, but another loyalty id"]
    assert crm.contact("M9")["lastname"] == "Old"


@pytest.mark.parametrize("batch_size_rows", [1, 10])
def test_rows_for_one_contact_do_not_overwrite_each_other(crm, batch_size_rows):
    crm.put(emailaddress1="member.1@example.org", lastname="Old")
    rows = [
        member(1, id="A", lastName="First"),
        member(1, id="B", lastName="Second"),
        member(7, id="C", lastName="Third"),
        member(7, id="D", lastName="Fourth"),
    ]
    counts = crm.load(members(*rows), batch_size_rows=batch_size_rows, max_reject_percent=100)
    assert (counts["rejected"], counts["updated"], counts["created"]) == (2, 1, 1)
    assert (crm.contact("A")["lastname"], crm.contact("C")["lastname"]) == ("First", "Third")
    assert crm.contact("B") is None
    assert crm.contact("D") is None


def test_rows_of_one_person_are_linked_once(crm):
    """The key is not the loyalty id, and two rows name the same contact by it."""
    columns = {"row": {"type": "integer"}, "loyalty": {"type": "string"}, "name": {"type": "string"}}
    streams = {"people": {"object": "contacts", "fields": {"cr0dd_loyaltyid": "loyalty", "lastname": "name"}}}
    rows = [{"row": number, "loyalty": "M1", "name": f"Name {number}"} for number in (1, 2)]
    messages = members(*rows, columns=columns, key=["row"], stream="people")
    for _ in range(2):
        counts = crm.load(messages, streams=streams)
        assert counts.pop("rejected") == 1
        assert crm.contact("M1")["lastname"] == "Name 1"
    assert {each["reject"]["code"] for each in crm.rejects() if "reject" in each} == {"LINKED"}
    assert crm.ledger() == {"1": "settled", "2": "rival"}


def test_a_deleted_row_frees_its_contact(crm):
    columns = {"row": {"type": "integer"}, "loyalty": {"type": ["string", "null"]}, "name": {}}
    streams = {"people": {"object": "contacts", "fields": {"cr0dd_loyaltyid": "loyalty", "lastname": "name"}}}

    def load(*rows):
        return crm.load(members(*rows, columns=columns, key=["row"], stream="people"), streams=streams)

    load({"row": 1, "loyalty": "M1", "name": "First"})
    assert load({"row": 1, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}) == {"deleted at the source": 1}
    assert load({"row": 2, "loyalty": "M1", "name": "Second"}) == {"updated": 1}
    assert crm.contact("M1")["lastname"] == "Second"


def test_mode_delete_finds_contacts_as_others_do(crm):
    crm.put(cr0dd_loyaltyid="M1", lastname="Old")
    crm.put(emailaddress1="member.2@example.org", lastname="Old")
    crm.load(members(member(3)))
    gone = {"id": "M3", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    streams = {"members": {"mode": "delete"}}
    assert crm.load(members(member(1), member(2), gone, member(4)), streams=streams) == {"deleted": 3, "not there": 1}
    assert [crm.contact(each) for each in ("M1", "M3")] == [None, None]
    assert "member.2@example.org" not in [row["emailaddress1"] for row in crm.rows()]


def test_mode_update_creates_no_contact(crm):
    found = crm.put(emailaddress1="member.1@example.org", lastname="Old")
    counts = crm.load(members(member(1), member(2)), streams={"members": {"mode": "update"}})
    assert counts == {"updated": 1, "not there": 1}
    assert crm.organisation.get("contact", found)["lastname"] == "Díaz"
    assert crm.contact("M2") is None


@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_a_contact_that_was_erased_stays_erased(crm, mode):
    crm.load(members(member(1)))
    crm.organisation.delete("contact", crm.contact("M1")["contactid"])
    streams = {"members": {"mode": mode}}
    for name in ("Two", "Three"):
        assert crm.load(members(member(1, lastName=name)), streams=streams) == {"erased earlier": 1}
        assert crm.contact("M1") is None


def test_consent_is_never_touched_by_the_preset(crm):
    contact = crm.put(cr0dd_loyaltyid="M1", lastname="Old", donotbulkemail=True, donotemail=True)
    columns = {name: {} for name in ("id", "email", "optInStatus", "optInDate")}
    crm.load(members(member(1, optInStatus="YES", optInDate="2026-01-01T00:00:00Z"), columns=columns))
    row = crm.organisation.get("contact", contact)
    assert (row["donotbulkemail"], row["donotemail"], row["emailaddress1"]) == (True, True, "member.1@example.org")


def test_another_prefix_and_another_id_column(crm):
    crm.put(nickname="M1", lastname="Old")
    streams = {"members": {"fields": {"nickname": "id", "lastname": "lastName"}}}
    assert crm.load(members(member(1)), streams=streams, member_id_column="nickname") == {"updated": 1}
    crm.load(members(member(2)), column_prefix="acme_")
    assert crm.contact("M2") is None, "there is no column for the id"
    assert "member.2@example.org" in [row["emailaddress1"] for row in crm.rows()]


@pytest.mark.parametrize("skip_unchanged", ["ledger", "read", "off"])
def test_mode_create_leaves_contacts_that_are_there(crm, skip_unchanged):
    crm.put(cr0dd_loyaltyid="M1", lastname="Old")
    streams = {"members": {"mode": "create"}}
    for expected in ({"unchanged": 1, "created": 1}, {"unchanged": 2}):
        counts = crm.load(members(member(1), member(2)), streams=streams, skip_unchanged=skip_unchanged)
        assert counts == expected
        assert (crm.contact("M1")["lastname"], crm.contact("M2")["lastname"]) == ("Old", "Díaz")
    crm.organisation.delete("contact", crm.contact("M1")["contactid"])
    crm.load(members(member(1)), skip_unchanged="off")
    crm.put(contactid="00000000-0000-4000-8000-00000000000a", cr0dd_loyaltyid="M1", lastname="Theirs")
    crm.load(members(member(1)), streams=streams, skip_unchanged=skip_unchanged)
    assert crm.contact("M1")["lastname"] == "Theirs"


def test_a_preset_is_for_its_own_table(crm):
    streams = {"members": {"object": "accounts"}}
    columns = {"id": {}, "name": {}, "email": {}}
    assert crm.load(members({"id": "1", "name": "Acme"}, columns=columns), streams=streams) == {"created": 1}
    assert "Acme" in [row["name"] for row in crm.rows("account")]


def test_a_contact_that_the_key_names_gets_all_fields_only_if_it_is_new(crm):
    """By default, names belong to Dynamics 365; whether the contact is there has to be asked."""
    there = crm.put(lastname="Old", emailaddress1="old@example.org")
    new = guid_for("test", "new")
    rows = [{"contactid": each, **member(number)} for number, each in enumerate((there, new))]
    columns = {name: {} for name in rows[0]}
    assert crm.load(members(*rows, columns=columns, key=["contactid"]), field_owners={}) == {"created": 1, "updated": 1}
    assert crm.organisation.get("contact", there)["lastname"] == "Old"
    assert crm.organisation.get("contact", there)["cr0dd_loyaltyid"] == "M0"
    assert crm.organisation.get("contact", new)["lastname"] == "Díaz"


def test_a_contact_that_is_gone_is_looked_for_and_not_written(crm):
    crm.load(members(member(1)))
    crm.organisation.delete("contact", crm.contact("M1")["contactid"])
    assert crm.load(members(member(1, lastName="New"))) == {"erased earlier": 1}
    crm.forget_log()
    assert crm.load(members(member(1, lastName="New"))) == {"erased earlier": 1}
    assert crm.writes() == []
    assert crm.reads() == 3, "by loyalty id, by address, and by the GUID that the ledger has"


@pytest.fixture
def enrolled(crm):
    """Two contacts with one e-mail address, and what `contacts-to-annex` has noted of them, with the same ledger."""

    def note(*members, state=State.SETTLED):
        with closing(Ledger(crm.config()["ledger_url"], site="https://annex.example.net 90365", run="r")) as ledger:
            ledger.book("members", "contacts").save(Entry(*each, state) for each in members)

    contacts = [crm.put(emailaddress1="member.1@example.org", lastname="Old") for _ in range(2)]
    return contacts, note


#: The site, as the other direction has it in its settings.
SITE = {"site_id": "90365", "base_url": "https://annex.example.net/api/3.0"}


def test_of_contacts_with_one_address_the_one_that_was_enrolled_is_taken(crm, enrolled):
    (first, second), note = enrolled
    note((second, "M1"), (first, "m1"))
    assert crm.load(members(member(1)), **SITE) == {"updated": 1}
    assert crm.organisation.get("contact", second)["cr0dd_loyaltyid"] == "M1"
    assert crm.organisation.get("contact", first)["cr0dd_loyaltyid"] is None
    crm.forget_log()
    assert crm.load(members(member(1)), **SITE) == {"unchanged": 1}
    assert (crm.reads(), crm.writes()) == (0, [])


@pytest.mark.parametrize("why", ["site", "several", "erased", "merged", "deleted", "another", "nobody"])
def test_a_link_that_tells_nothing_is_left_alone(crm, enrolled, why):
    (first, second), note = enrolled
    columns = {"merged": {"merged": True}, "another": {"cr0dd_loyaltyid": "M9"}}.get(why)
    if columns:
        crm.organisation.update("contact", second, columns)
    linked = "00000000-0000-4000-8000-00000000dead" if why == "deleted" else second
    if why != "nobody":
        note(
            (linked, "M1"),
            *[(first, "M1")] * (why == "several"),
            state=State.ERASED if why == "erased" else State.SETTLED,
        )
    config = SITE if why != "site" else {**SITE, "site_id": "90366"}
    expected = {"updated": 1} if why == "merged" else {"rejected": 1}
    assert crm.load(members(member(1)), max_reject_percent=100, **config) == expected


def test_a_loyalty_id_outranks_the_link(crm, enrolled):
    (first, second), note = enrolled
    crm.organisation.update("contact", first, {"cr0dd_loyaltyid": "M1"})
    note((second, "M1"))
    assert crm.load(members(member(1)), **SITE) == {"updated": 1}
    assert crm.contact("M1")["contactid"] == first
