from __future__ import annotations

import random
from collections import Counter

import pytest

from annex_d365_sandbox.seed import customers

COUNT = 4000


@pytest.fixture(scope="module")
def people():
    return list(customers(random.Random(7), COUNT, ["shop"]))


def share(people, test):
    return sum(1 for customer in people if test(customer)) / len(people)


def test_the_same_seed_gives_the_same_people():
    def some(seed):
        return list(customers(random.Random(seed), 50, ["shop"]))

    assert some(3) == some(3) != some(4)


def test_half_are_members_and_know_each_other(people):
    members = [customer for customer in people if customer.member]
    assert len(members) == COUNT / 2
    assert len({customer.member["id"] for customer in members}) == COUNT / 2
    assert all(customer.member["id"] == customer.contact["cr0dd_loyaltyid"] for customer in members)
    assert all(customer.contact.get("cr0dd_loyaltyid") is None for customer in people if not customer.member)
    assert 0.07 < share(members, lambda c: c.member["optInStatus"] == "NO") < 0.13

    def stale(customer):
        pairs = (("phone", "mobilephone"), ("lastName", "lastname"), ("zipCode", "address1_postalcode"))
        return any(customer.member.get(theirs) != customer.contact.get(ours) for theirs, ours in pairs)

    assert 0.16 < share(members, stale) < 0.24


def test_shares_of_the_others(people):
    others = [customer for customer in people if not customer.member]
    assert 0.16 < share(others, lambda c: c.contact["cr0dd_loyaltyenrol"]) < 0.24
    assert 0.005 < share(people, lambda c: c.contact["emailaddress1"] is None) < 0.015
    addresses = Counter(c.contact["emailaddress1"] for c in others if c.contact["emailaddress1"])
    assert 0.008 < sum(count - 1 for count in addresses.values()) / len(others) < 0.025
    members = [c.contact["emailaddress1"] for c in people if c.member]
    assert len(set(members) | set(addresses)) == len(members) + len(addresses)


def test_values_fit_their_columns(people, dataverse):
    columns = dataverse.organisation.tables["contact"].by_name
    for customer in people:
        row = customer.contact
        assert row["createdon"] <= row["modifiedon"] <= "2026-01-01"
        for name, value in row.items():
            if isinstance(value, str) and name in columns and columns[name].kind.edm == "Edm.String":
                assert len(value) <= columns[name].max_length, name
        if row["emailaddress1"]:
            assert row["emailaddress1"].rpartition("@")[2] in ("example.com", "example.org", "example.net")
            assert row["emailaddress1"].isascii()


def test_the_awkward_cases_are_there(people):
    rows = [customer.contact for customer in people]
    names = "".join(row["fullname"] for row in rows)
    assert {"'", '"', "👑", "&"} <= set(names)
    assert any("\u0590" <= char <= "\u06ff" for char in names), "right to left"
    assert any("\u4e00" <= char <= "\u9fff" for char in names)
    assert any(len(row["lastname"]) == 50 for row in rows)
    assert any(len(row["emailaddress1"] or "") == 100 for row in rows)
    assert any(len(row.get("description", "")) == 2000 for row in rows)
    assert any((row["birthdate"] or "").endswith("-02-29") for row in rows)
    assert any(row["birthdate"] is None for row in rows)
    assert any(row.get("parentcustomerid") for row in rows)
    assert 0.03 < share(people, lambda c: c.contact["statecode"] == 1) < 0.07
    assert Counter(row["modifiedon"] for row in rows).most_common(1)[0][1] > 3, "some share a second"
    assert min(row["modifiedon"] for row in rows) < "2024-12"
