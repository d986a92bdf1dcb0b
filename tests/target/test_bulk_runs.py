"""Many rows at once: few requests, faults that stay with their row or pass by, whatever form the site answers in."""

from __future__ import annotations

from collections import Counter

import pytest
from loyalty import contact, count_rows, guid, load_rows

COUNTED = ("id", "email", "firstName", "lastName", "phone", "optInStatus")


def people(count, start=1, **columns):
    return [contact(number, cr0dd_loyaltyid=f"N{number}", **columns) for number in range(start, start + count)]


def members(site):
    """The members of :func:`people`, without times."""
    found = site.sandbox.site.members()
    return {each["id"]: [each[name] for name in COUNTED] for each in found if each["id"].startswith("N")}


def requests_by_route(site):
    return Counter(path if path.startswith("/bulk") else path.split("/")[1] for _, path, _ in site.log())


def enrol(site, count):
    """Members N1 and so on, of whom the ledger does not know."""
    site.sandbox.site.put_members(
        [{"id": f"N{number}", "email": f"person.{number}@example.org"} for number in range(1, count + 1)]
    )


@pytest.fixture
def enrolled(site):
    """40 members."""
    enrol(site, 40)
    return site


@pytest.fixture
def short_pauses(monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)


def test_a_thousand_rows_take_few_requests(site):
    enrol(site, 1000)
    config = site.config(enrol="all")
    rows = people(1000)
    assert count_rows(config, rows) == {"updated": 1000}
    assert requests_by_route(site) == {"/bulkpatchusers": 10}
    site.forget_log()
    assert count_rows(config, rows) == {"unchanged": 1000}
    assert site.log() == []
    rows[::4] = people(1000, firstname="New")[::4]
    assert count_rows(config, rows) == {"unchanged": 750, "updated": 250}
    assert requests_by_route(site) == {"/bulkpatchusers": 3}
    site.forget_log()
    site.lose_ledger()
    assert count_rows(config, rows) == {"updated": 1000}
    assert requests_by_route(site) == {"/bulkpatchusers": 10}


def test_members_are_created_by_the_hundred(site):
    assert count_rows(site.config(enrol="all"), people(250)) == {"created": 250}
    assert requests_by_route(site)["/bulkpostusers"] == 3


POISON = {
    "address": {"emailaddress1": "no address"},
    "long address": {"emailaddress1": f"{'a' * 70}@example.org"},
    "long id": {"cr0dd_loyaltyid": "N" * 501},
    "id with a line": {"cr0dd_loyaltyid": "N\n1"},
    "twin": {"cr0dd_loyaltyid": "N1"},
    "nobody": {"cr0dd_loyaltyid": None, "emailaddress1": None},
    "number": {"firstname": 5},
    "long name": {"firstname": "A" * 51},
    "date": {"birthdate": "the first of May"},
    "half a sign": {"lastname": "\ud800"},
}


@pytest.mark.parametrize("known", [False, True], ids=["new", "linked"])
def test_poison_rows_are_alone(site, known):
    rows = people(200)
    config = site.config(enrol="all", max_reject_percent=100)
    if known:
        load_rows(config, people(200, firstname="Old"))
    poisoned = set()
    for kind, columns in enumerate(POISON.values()):
        for place in range(kind + 7, 200, 33):  # six of each
            rows[place] |= columns
            poisoned.add(place)
    # The ledger knows whom a row means that names nobody any more.
    expected = {rows[place]["contactid"] for place in poisoned if not known or rows[place]["cr0dd_loyaltyid"]}
    outcomes = count_rows(config, rows)
    told = {each["record"]["contactid"] for each in site.rejects() if each["type"] == "RECORD"}
    assert told == expected
    assert outcomes == {"rejected": len(expected), ("updated" if known else "created"): 200 - len(expected)}
    good = {f"N{number}" for place, number in enumerate(range(1, 201)) if place not in poisoned}
    written = {member_id for member_id, (_, _, first_name, *_) in members(site).items() if first_name == "Ana"}
    assert good <= written
    assert len(written) == 200 - len(expected)


@pytest.mark.parametrize("status", [403, 404])
def test_a_site_without_bulk_calls_ends_in_the_same_state(enrolled, status):
    rows = [*people(40), *people(20, start=41), contact(99, cr0dd_loyaltyid="N99", emailaddress1="no address")]
    config = enrolled.config(enrol="all")
    outcomes = count_rows(config, rows)
    expected = members(enrolled)
    enrolled.reset()
    enrolled.lose_ledger()
    enrolled.switch(refused_endpoints=["POST /bulkpostusers", "POST /bulkpatchusers"], refusal_status=status)
    enrol(enrolled, 40)
    assert count_rows(config, rows) == outcomes == {"updated": 40, "created": 20, "rejected": 1}
    assert members(enrolled) == expected


@pytest.mark.parametrize("kind", ["lost_reply", "truncate"])
@pytest.mark.usefixtures("short_pauses")
def test_a_bulk_call_whose_reply_is_lost_enrols_once_and_counts_as_such(site, kind):
    before = len(site.ids())
    site.fault(route="/bulkpostusers", kind=kind, count=1)
    assert count_rows(site.config(enrol="all"), people(30)) == {"created": 30}
    assert len(site.ids()) == before + 30
    assert site.rejects() == []


@pytest.mark.usefixtures("short_pauses")
def test_a_change_whose_reply_is_lost_arrives(enrolled):
    enrolled.fault(route="/bulkpatchusers", kind="lost_reply", count=1)
    assert count_rows(enrolled.config(), people(40)) == {"updated": 40}
    assert {first_name for _, _, first_name, *_ in members(enrolled).values()} == {"Ana"}


def test_throttling_in_the_middle_is_waited_out(enrolled):
    enrolled.fault(route="/bulkpatchusers", kind="status", status=429, retry_after=1, after=1, count=1)
    rows = [row for start in (1, 21) for row in people(20, start=start)]
    assert count_rows(enrolled.config(batch_size_rows=20), rows) == {"updated": 40}
    assert [status for _, path, status in enrolled.log() if path == "/bulkpatchusers"] == [200, 429, 200]


def test_rows_of_one_contact_keep_their_order_in_a_batch(site):
    rows = [*people(30, firstname="First"), *people(30, firstname="Second"), *people(30, firstname="Third")]
    assert count_rows(site.config(enrol="all"), rows) == {"created": 30, "updated": 60}
    assert {first_name for _, _, first_name, *_ in members(site).values()} == {"Third"}
    assert len(members(site)) == 30


def test_one_member_is_once_in_a_bulk_call(site):
    """Two rows of different contacts for one member, with neither of them known."""
    rows = people(20) + [contact(number, cr0dd_loyaltyid=f"N{number - 100}") for number in range(101, 121)]
    assert count_rows(site.config(enrol="all"), rows) == {"created": 20, "rejected": 20}
    assert set(site.reasons()) == {
        f"rows {guid(number)} and {guid(number + 100)} are the same member; only the former is written"
        for number in range(1, 21)
    }


@pytest.mark.parametrize("envelope", ["flat", "Data"])
@pytest.mark.parametrize("numbers", ["number", "string"])
@pytest.mark.parametrize("bulk_form", ["array", "map"])
def test_every_form_of_answer_is_understood(enrolled, envelope, numbers, bulk_form):
    enrolled.switch(envelope=envelope, numbers=numbers, bulk_form=bulk_form, create_status=200)
    rows = [*people(40), *people(20, start=41), *people(20, start=61, emailaddress1="no address")]
    expected = {"updated": 40, "created": 20, "rejected": 20}
    assert count_rows(enrolled.config(enrol="all", max_reject_percent=100), rows) == expected
    assert requests_by_route(enrolled)["/bulkpostusers"] == 1
    assert len(members(enrolled)) == 60


@pytest.mark.parametrize("count", [8, 9])
def test_few_rows_go_one_by_one(enrolled, count):
    load_rows(enrolled.config(), people(count))
    assert requests_by_route(enrolled) == ({"users": 8} if count == 8 else {"/bulkpatchusers": 1})
