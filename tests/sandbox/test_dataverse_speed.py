"""What has an index in the service has one here: work is counted in steps of SQLite, so that no clock is needed."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from urllib.parse import quote

import pytest
from dataverse_client import Dataverse

from annex_d365_sandbox.dataverse import values

ROWS, STEPS = 3000, 100


@pytest.fixture(scope="module")
def crm():
    made = Dataverse()
    made.organisation.put("contact", map(_contact, range(ROWS)))
    yield made
    made.store.close()


def _contact(number):
    at = values.stamp(datetime.fromtimestamp(1.7e9 + number, timezone.utc))
    address = f"{'Ü' if number % 2 else 'u'}ser{number}@example.com"
    return {
        "contactid": f"{number * 7919 % 2**32:08x}-0000-4000-8000-000000000000",
        "emailaddress1": address,
        "cr0dd_loyaltyid": f"AC{number}",
        "createdon": at,
        "modifiedon": at,
    }


@pytest.fixture
def work(crm):
    """Hundreds of SQLite's steps that a call takes."""

    def count(call):
        done = 0

        def step():
            nonlocal done
            done += 1

        crm.store.connection.set_progress_handler(step, STEPS)
        try:
            result = call()
        finally:
            crm.store.connection.set_progress_handler(None, 0)
        return done, result

    return count


def all_of(name, given):
    quoted = ",".join(f"'{each}'" for each in given)
    return f"Microsoft.Dynamics.CRM.In(PropertyName='{name}',PropertyValues=[{quoted}])"


def any_of(name, given):
    return " or ".join(f"{name} eq '{each}'" for each in given)


@pytest.mark.parametrize("order", ["", "&$orderby=modifiedon,contactid"])
@pytest.mark.parametrize("asked", [all_of, any_of])
@pytest.mark.parametrize("column", ["contactid", "emailaddress1", "cr0dd_loyaltyid"])
def test_rows_are_found_by_their_names(crm, work, column, asked, order):
    given = [_contact(number)[column] for number in range(5, ROWS, ROWS // 20)]
    text = asked(column, given)
    if column == "contactid" and asked is any_of:
        text = text.replace("'", "")
    done, body = work(lambda: crm.get("contacts", f"$select=contactid&$filter={quote(text)}{order}"))
    assert len(body["value"]) == len(given)
    assert done < ROWS / STEPS, "a scan takes several steps per row"


@pytest.mark.parametrize("filtered", ["", "modifiedon ge 2020-01-01T00:00:00Z", "modifiedon lt 2030-01-01T00:00:00Z"])
def test_every_page_costs_the_same(crm, work, filtered):
    query = "$select=contactid&$orderby=modifiedon,contactid" + (f"&$filter={quote(filtered)}" if filtered else "")
    pages = crm.pages("contacts", query, prefer="odata.maxpagesize=100")
    costs = []
    for _ in range(ROWS // 100):
        done, body = work(lambda: next(pages))
        costs.append(done)
        assert len(body["value"]) == 100
    assert all(abs(one - other) < 5 for one, other in pairwise(costs[1:-1])), costs
    assert max(costs[1:]) < 1.5 * min(costs[1:-1]) + 1, costs


def test_a_null_is_in_no_list_and_in_every_other(crm):
    row_id = crm.organisation.create("contact", {"lastname": "Null"})
    for given in (["x"], ["ü"], ["x", "ü"]):
        found = all_of("emailaddress1", given)
        assert crm.get("contacts", f"$select=contactid&$filter={quote(found)}")["value"] == []
        for text in (f"not {found}", found.replace("CRM.In", "CRM.NotIn")):
            only = f"lastname eq 'Null' and {text}"
            (row,) = crm.get("contacts", f"$select=contactid&$filter={quote(only)}")["value"]
            assert row["contactid"] == row_id
    crm.organisation.delete("contact", row_id)


def test_text_in_a_list_is_compared_without_case(crm):
    given = ["USER10@EXAMPLE.COM", "üSER11@example.com"]
    body = crm.get("contacts", f"$select=emailaddress1&$filter={quote(all_of('emailaddress1', given))}")
    assert sorted(row["emailaddress1"] for row in body["value"]) == ["user10@example.com", "Üser11@example.com"]
