"""Both directions, round after round: each side gets what the other one owns, and then nothing is written any more."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from pairs import Pair

from annex_d365_sandbox.sandbox import Sandbox

#: Contacts, of whom half are members.
CONTACTS = 12
BOTH = {"identity": "both", "consent": "both"}


@pytest.fixture(scope="module")
def small():
    with Sandbox(contacts=CONTACTS, seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def pair(small, tmp_path):
    return Pair(small, tmp_path)


def test_one_round_converges_and_the_next_one_writes_nothing(pair):
    assert pair.run()
    assert pair.differences() == []
    assert pair.run() == []
    assert pair.run() == []


def join(pair):
    """Somebody becomes a member by himself, and `loyalty-to-d365` makes the contact; its GUID."""
    pair.site.create_member({"id": "ONLY", "email": "only@example.org", "lastName": "Only", "optInStatus": "YES"})
    pair.run(pair.loyalty_to_d365)
    return pair.contacts()["ONLY"]["contactid"]


def enrol(pair):
    """A contact becomes a member by `contacts-to-annex`; its GUID."""
    row = {"emailaddress1": "new@example.org", "lastname": "New", "cr0dd_loyaltyenrol": 1, "cr0dd_optinstatus": "YES"}
    contact = pair.organisation.create("contact", row)
    pair.run(pair.contacts_to_annex)
    return contact if isinstance(contact, str) else contact["contactid"]


def contacts_of(pair, address):
    return [row["contactid"] for row in pair.organisation.rows("contact") if row["emailaddress1"] == address]


def test_a_contact_that_the_other_job_made_is_deleted_before_it_was_read(pair):
    pair.run()
    pair.organisation.delete("contact", join(pair))
    pair.run(pair.contacts_to_annex)
    assert pair.counts("contacts")["opted out"] == 1
    assert pair.site.member("ONLY")["optInStatus"] == "NO"
    pair.run()
    assert contacts_of(pair, "only@example.org") == []
    assert pair.run() == []


def test_it_is_known_as_well_once_the_job_that_made_it_has_seen_that_it_is_gone(pair):
    pair.run()
    pair.organisation.delete("contact", join(pair))
    pair.edit_member({"id": "ONLY"}, status="INACTIVE")
    pair.run(pair.loyalty_to_d365)
    pair.run(pair.contacts_to_annex)
    assert pair.site.member("ONLY")["optInStatus"] == "NO"
    assert contacts_of(pair, "only@example.org") == []


def test_who_has_another_contact_by_then_stays(pair):
    pair.run()
    gone = join(pair)
    pair.organisation.delete("contact", gone)
    pair.organisation.create(
        "contact", {"emailaddress1": "only@example.org", "lastname": "Again", "cr0dd_loyaltyid": "ONLY"}
    )
    pair.run()
    assert pair.site.member("ONLY")["optInStatus"] == "YES"
    assert len(contacts_of(pair, "only@example.org")) == 1


def test_who_was_merged_into_a_member_with_a_contact_that_the_other_job_made(pair):
    pair.run()
    first = enrol(pair)
    second = join(pair)
    pair.site.merges.merge({"primaryUID": "ONLY", "secondaryUID": "new@example.org", "mergedBy": "a@example.org"})
    pair.organisation.delete("contact", first)
    pair.run(pair.contacts_to_annex)
    assert pair.site.member("ONLY")["optInStatus"] == "YES"
    pair.organisation.delete("contact", second)
    pair.run(pair.contacts_to_annex)
    assert pair.site.member("ONLY")["optInStatus"] == "NO"


@pytest.mark.parametrize("setting", ["organization_url", "ledger_url"])
def test_without_the_other_part_of_the_ledger_the_member_is_not_known(pair, tmp_path, setting):
    pair.run()
    pair.organisation.delete("contact", join(pair))
    own = {"organization_url": None, "ledger_url": f"sqlite:///{tmp_path}/own.db"}[setting]
    pair.run(pair.contacts_to_annex, **{setting: own})
    assert pair.site.member("ONLY")["optInStatus"] == "YES"


@pytest.mark.parametrize("told", [False, True])
def test_an_enrolled_contact_is_deleted_before_the_other_job_has_written_to_it(pair, told):
    """Whether or not the job that has enrolled it has been told."""
    pair.run()
    pair.organisation.delete("contact", enrol(pair))
    if told:
        pair.run(pair.contacts_to_annex)
    pair.run(pair.loyalty_to_d365)
    assert pair.counts("members")["erased earlier"] == 1
    assert contacts_of(pair, "new@example.org") == []
    pair.run()
    assert contacts_of(pair, "new@example.org") == []
    assert pair.site.member("new@example.org")["optInStatus"] == "NO"
    assert pair.run() == []
    # Somebody makes the contact again: it is the member's.
    pair.organisation.create("contact", {"emailaddress1": "new@example.org", "lastname": "Again"})
    pair.run()
    assert "new@example.org" in pair.contacts()
    assert pair.run() == []


@pytest.mark.parametrize("first", ["contacts_to_annex", "loyalty_to_d365"])
def test_who_is_created_has_all_fields_at_once(pair, first):
    """Whichever job comes first: the other one has no news of them."""
    pair.run()
    pair.organisation.create(
        "contact",
        {"emailaddress1": "new@example.org", "lastname": "New", "mobilephone": "+34 1", "cr0dd_loyaltyenrol": 1},
    )
    pair.site.create_member({"id": "ONLY", "email": "only@example.org", "firstName": "Ona", "lastName": "Only"})
    pair.run(getattr(pair, first))
    pair.run()
    assert pair.run() == []
    assert pair.site.member("new@example.org")["phone"] == "+34 1"
    contacts = {row["cr0dd_loyaltyid"]: row for row in pair.organisation.rows("contact")}
    assert (contacts["ONLY"]["firstname"], contacts["ONLY"]["cr0dd_optinstatus"]) == ("Ona", "YES")
    assert contacts["new@example.org"]["cr0dd_loyaltystatus"] == "ACTIVE"
    assert pair.differences() == []


def test_what_is_edited_on_the_wrong_side_stays_until_the_owner_says_it_again(pair):
    pair.run()
    (_, name), (_, points) = pair.linked()[:2]
    contacts = pair.contacts()
    pair.edit_member(name, lastName="Wrong")
    pair.edit_contact(contacts[points["id"]], cr0dd_currenttier="Wrong")
    assert pair.run() == []
    assert (name["id"], "lastName") in pair.differences()
    # Another change of the row takes nothing with it,
    pair.edit_contact(contacts[name["id"]], firstname="Other")
    pair.run()
    assert sorted(pair.differences()) == sorted([(name["id"], "lastName"), (points["id"], "currentTier")])
    # reading does,
    pair.states.clear()
    pair.run(skip_unchanged="read")
    assert pair.differences() == []
    # and so does a change of the field by its owner.
    pair.edit_member(name, lastName="Wrong")
    pair.edit_contact(contacts[name["id"]], lastname="Right")
    pair.run()
    assert pair.differences() == []
    assert pair.run() == []


def test_consent_follows_contacts_and_nobody_is_opted_in(pair):
    pair.run()
    out, stays_out = (pair.contacts()[member["id"]] for _, member in pair.linked()[:2])
    pair.edit_member({"id": stays_out["cr0dd_loyaltyid"]}, optInStatus="NO")
    pair.edit_contact(out, cr0dd_optinstatus="NO")
    pair.edit_contact(stays_out, cr0dd_optinstatus="YES")
    pair.run()
    assert pair.site.member(out["cr0dd_loyaltyid"])["optInStatus"] == "NO"
    assert pair.site.member(stays_out["cr0dd_loyaltyid"])["optInStatus"] == "NO"
    assert pair.organisation.get("contact", stays_out["contactid"])["cr0dd_optinstatus"] == "YES"
    assert pair.run() == []


def test_owners_may_be_the_other_way_round(pair):
    pair.settings = {"field_owners": {"identity": "annex_cloud", "consent": "annex_cloud"}}
    pair.run()
    contact, member = pair.linked()[0]
    pair.edit_member(member, lastName="Right", optInStatus="NO")
    pair.edit_contact(contact, firstname="Wrong")
    pair.run()
    row = pair.organisation.get("contact", contact["contactid"])
    assert (row["lastname"], row["firstname"], row["cr0dd_optinstatus"]) == ("Right", "Wrong", "NO")
    assert pair.site.member(member["id"])["firstName"] == member["firstName"]
    assert pair.run() == []


# Both sides


@pytest.fixture
def both(pair):
    """Equal, with a ledger that knows so."""
    pair.settings = {"field_owners": BOTH}
    pair.run()
    assert pair.run() == []
    return pair


def sides(pair, contact, field="lastName", column="lastname"):
    row = pair.organisation.get("contact", contact["contactid"])
    return row[column], pair.site.member(contact["cr0dd_loyaltyid"])[field]


def test_what_one_side_changes_goes_to_the_other(both):
    (one, first), (other, second) = both.linked()[:2]
    both.edit_contact(one, lastname="Contact", cr0dd_optinstatus="NO")
    both.edit_member(first, firstName="Member")
    both.edit_member(second, lastName="Member", optInStatus="NO")
    assert both.run()
    assert sides(both, one) == ("Contact", "Contact")
    assert sides(both, one, "firstName", "firstname") == ("Member", "Member")
    assert sides(both, other) == ("Member", "Member")
    for contact in (one, other):
        assert sides(both, contact, "optInStatus", "cr0dd_optinstatus") == ("NO", "NO")
    assert both.reports["contacts"].conflicts == both.reports["members"].conflicts == 0
    assert both.run() == []


def test_an_equal_change_on_both_sides_is_no_conflict(both):
    contact, member = both.linked()[0]
    both.edit_contact(contact, lastname="Same", mobilephone="+34 (600) 1", emailaddress1="New@Example.org")
    both.edit_member(member, lastName="Same", phone="+346001", email="new@example.org")
    assert both.run() == []
    assert both.reports["contacts"].conflicts == both.reports["members"].conflicts == 0
    assert both.run() == []


@pytest.mark.parametrize(
    ("winner", "by"), [("d365", "ledger"), ("d365", "off"), ("annex_cloud", "ledger"), ("annex_cloud", "read")]
)
def test_a_change_on_both_sides_is_decided_and_told_without_values(both, caplog, winner, by):
    both.settings |= {"on_conflict": winner}
    contact, member = both.linked()[0]
    both.edit_contact(contact, lastname="Contact")
    both.edit_member(member, lastName="Member")
    both.run(skip_unchanged=by)
    wanted = "Contact" if winner == "d365" else "Member"
    assert sides(both, contact) == (wanted, wanted)
    assert both.reports["contacts"].conflicts == 1
    assert both.reports["members"].conflicts == (winner == "annex_cloud")
    told = f"contacts: row {contact['contactid']}: both sides have changed `lastName`; {winner} wins (`on_conflict`)."
    assert told in caplog.messages
    assert "fields changed on both sides" in both.reports["contacts"].sentence(Path("rejects"))
    assert not [line for line in caplog.messages if "Contact" in line.split() or "Member" in line.split()]
    assert both.run() == []
    assert both.reports["contacts"].conflicts == both.reports["members"].conflicts == 0


def test_a_change_on_both_sides_may_reject_the_row(both, tmp_path):
    both.settings |= {"on_conflict": "reject"}
    contact, member = both.linked()[0]
    both.edit_contact(contact, lastname="Contact", firstname="Other")
    both.edit_member(member, lastName="Member")
    assert both.run() == []
    assert sides(both, contact) == ("Contact", "Member")
    assert (both.counts("contacts")["rejected"], both.counts("members")["rejected"]) == (1, 1)
    rejects = (tmp_path / "rejects.singer").read_text()
    assert "both sides have changed `lastName` (`on_conflict` is reject)" in rejects
    assert "both sides have changed `lastname` (`on_conflict` is reject)" in rejects
    # Once the sides agree, the row goes on.
    both.edit_contact(contact, lastname="Member")
    both.run()
    assert sides(both, contact, "firstName", "firstname") == ("Other", "Other")
    assert both.run() == []


def test_who_differs_before_the_first_run_is_decided_like_a_conflict(pair):
    pair.settings = {"field_owners": BOTH}
    contact, member = pair.linked()[0]
    pair.edit_contact(contact, lastname="Contact", mobilephone=None)
    pair.edit_member(member, lastName="Member", phone="+34 1")
    pair.run()
    assert sides(pair, contact) == ("Contact", "Contact")
    assert sides(pair, contact, "phone", "mobilephone") == ("+34 1", "+34 1")
    assert pair.run() == []


@pytest.mark.parametrize("owners", [{}, BOTH])
@pytest.mark.parametrize("by", ["ledger", "read"])
def test_forms_of_their_own_are_no_changes(pair, monkeypatch, owners, by):
    """A site that keeps phone numbers bare and addresses in lower case."""
    keep = pair.site.keep_member

    def in_its_form(member):
        forms = {"phone": lambda text: "".join(sign for sign in text if sign in "+0123456789"), "email": str.lower}
        return keep({**member, **{name: form(member[name]) for name, form in forms.items() if member[name]}})

    monkeypatch.setattr(pair.site, "keep_member", in_its_form)
    pair.settings = {"field_owners": owners, "skip_unchanged": by}
    pair.run()
    contact, _ = pair.linked()[0]
    pair.edit_contact(contact, mobilephone="+34 (600) 12-34", emailaddress1="Ana.Form@Example.org", birthdate=None)
    assert len(pair.run()) == 1
    assert sides(pair, contact, "phone", "mobilephone") == ("+34 (600) 12-34", "+346001234")
    pair.states.clear()
    assert pair.run() == []
    pair.edit_contact(contact, firstname="Other")
    assert len(pair.run()) == 1
    assert sides(pair, contact, "email", "emailaddress1") == ("Ana.Form@Example.org", "ana.form@example.org")
    assert pair.run() == []


def test_a_dry_run_tells_of_conflicts_and_keeps_them(both):
    contact, member = both.linked()[0]
    both.edit_contact(contact, lastname="Contact")
    both.edit_member(member, lastName="Member")
    states = dict(both.states)
    assert both.run(dry_run=True) == []
    assert both.reports["contacts"].conflicts == both.reports["members"].conflicts == 1
    both.states = states
    both.run()
    assert both.reports["contacts"].conflicts == 1
    assert sides(both, contact) == ("Contact", "Contact")


# Anything


names = st.text("abc éß", min_size=1, max_size=8).map(str.strip).filter(bool)
numbers = st.integers(0, CONTACTS)


class Retailer(RuleBasedStateMachine):
    """Both sides are edited by those who own the fields, and synchronised now and then."""

    sandbox: Sandbox

    @initialize()
    def begin(self):
        self.directory = TemporaryDirectory()
        self.pair, self.edits = Pair(self.sandbox, Path(self.directory.name)), 0

    def one(self, number):
        linked = self.pair.linked()
        return linked[number % len(linked)]

    def address(self):
        self.edits += 1
        return f"Edit.{self.edits}@example.org"

    @rule(number=numbers, name=names)
    def rename(self, number, name):
        self.pair.edit_contact(self.one(number)[0], firstname=name, lastname=name.upper())

    @rule(number=numbers, phone=st.none() | st.integers(0, 999).map("+34 {}".format))
    def move(self, number, phone):
        self.pair.edit_contact(self.one(number)[0], mobilephone=phone, emailaddress1=self.address())

    @rule(number=numbers, consent=st.sampled_from(["YES", "NO"]))
    def consent(self, number, consent):
        self.pair.edit_contact(self.one(number)[0], cr0dd_optinstatus=consent)

    @rule(name=names, inactive=st.booleans())
    def arrive(self, name, inactive):
        contact = {"lastname": name, "emailaddress1": self.address(), "cr0dd_loyaltyenrol": 1}
        self.pair.organisation.create("contact", {**contact, "statecode": int(inactive)})

    @rule(name=names)
    def join(self, name):
        address = self.address()
        self.pair.site.create_member({"id": f"J{self.edits}", "email": address, "lastName": name})

    @rule(number=numbers)
    @precondition(lambda self: len(self.pair.linked()) > 1)
    def deactivate(self, number):
        self.pair.edit_contact(self.one(number)[0], statecode=1, statuscode=2)

    @rule(number=numbers)
    @precondition(lambda self: len(self.pair.linked()) > 1)
    def leave(self, number):
        self.pair.organisation.delete("contact", self.one(number)[0]["contactid"])

    @rule(number=numbers, points=st.integers(1, 3000))
    def earn(self, number, points):
        member = self.one(number)[1]
        entry = {"memberId": member["id"], "actionId": 1, "credit": points, "createDate": "2026-01-01T00:00:00+0000"}
        self.pair.site.activities.put([entry])

    @rule(number=numbers, status=st.sampled_from(["ACTIVE", "INACTIVE"]))
    def change_status(self, number, status):
        self.pair.edit_member(self.one(number)[1], status=status)

    @rule()
    def synchronise(self):
        self.pair.run()
        assert self.pair.differences() == []
        for contact, member in self.pair.linked():
            consent = self.pair.organisation.get("contact", contact["contactid"])["cr0dd_optinstatus"]
            assert consent != "NO" or member["optInStatus"] == "NO"
        assert self.pair.run() == []
        assert self.pair.differences() == []

    def teardown(self):
        if hasattr(self, "pair"):
            self.synchronise()
            self.directory.cleanup()


def test_both_sides_settle_whatever_their_owners_edit(small):
    machine = type("Machine", (Retailer,), {"sandbox": small})
    machine.TestCase.settings = settings(max_examples=5, stateful_step_count=10)
    machine.TestCase().runTest()
