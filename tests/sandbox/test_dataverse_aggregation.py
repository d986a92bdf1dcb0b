from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from dataverse_client import ORIGIN


@pytest.fixture
def applied(dataverse):
    """The rows of an aggregating query over contacts."""
    org = dataverse.organisation
    shop = org.create("account", {"name": "Shop"})
    for number, (limit, gender, city) in enumerate([(1, 1, "Ulm"), (2, 1, "ULM"), (4, 2, "Bonn"), (None, None, None)]):
        org.create(
            "contact",
            {
                "lastname": f"N{number}",
                "numberofchildren": number,
                "creditlimit": None if limit is None else limit * 10**4,
                "gendercode": gender,
                "address1_city": city,
                "modifiedon": f"2026-01-0{number + 1}T00:00:00",
                "parentcustomerid": shop if gender else None,
                "parentcustomerid__table": "account" if gender else None,
            },
        )

    def call(text):
        return dataverse.get("contacts", f"$apply={quote(text)}")["value"]

    return call


def test_counting_and_the_span_of_a_date(applied):
    assert applied("aggregate($count as n)") == [{"n": 4}]
    assert applied("aggregate($count as n,modifiedon with min as low,modifiedon with max as high)") == [
        {"n": 4, "low": "2026-01-01T00:00:00Z", "high": "2026-01-04T00:00:00Z"}
    ]
    assert applied("filter(modifiedon ge 2026-01-02T00:00:00Z and lastname ne 'a)/,b')/aggregate($count as n)") == [
        {"n": 3}
    ]
    assert applied("filter(numberofchildren gt 0)/filter(gendercode eq 1)/aggregate($count as n)") == [{"n": 1}]
    nothing = "filter(lastname eq 'x')/aggregate($count as n,modifiedon with max as high)"
    assert applied(nothing) == [{"n": 0, "high": None}]


def test_numbers(applied):
    text = (
        "aggregate(creditlimit with sum as s,creditlimit with average as a,numberofchildren with average as b,"
        "gendercode with countdistinct as d)"
    )
    (row,) = applied(text)
    assert row == {"s": 7, "a": pytest.approx(7 / 3), "b": 1.5, "d": 2}


def test_groups(applied):
    assert applied("groupby((gendercode))") == [{"gendercode": None}, {"gendercode": 1}, {"gendercode": 2}]
    rows = applied("filter(address1_city ne null)/groupby((address1_city),aggregate($count as n))")
    assert [(row["address1_city"].lower(), row["n"]) for row in rows] == [("bonn", 1), ("ulm", 2)]
    rows = applied("groupby((_parentcustomerid_value,gendercode), aggregate(numberofchildren with max as most))")
    assert [row["most"] for row in rows] == [3, 1, 2]


@pytest.mark.parametrize(
    "text",
    ["", "compute(1 as n)", "aggregate($count)", "aggregate(nope with max as n)", "aggregate(lastname with sum as n)",
     "aggregate(lastname with middle as n)", "aggregate($count as n)/filter(gendercode eq 1)", "groupby(gendercode)",
     "filter(nope eq 1)/aggregate($count as n)"],
)  # fmt: skip
def test_refused_transformations(dataverse, text):
    assert dataverse.error("GET", "contacts", f"$apply={quote(text)}")[:2] == (400, "0x80060888")


def test_it_stands_alone(dataverse):
    query = f"$apply={quote('aggregate($count as n)')}&$orderby=lastname"
    assert dataverse.error("GET", "contacts", query)[:2] == (400, "0x80060888")


def test_too_many_rows(dataverse, applied):
    dataverse.organisation.switches.max_aggregated_rows = 3
    query = f"$apply={quote('aggregate($count as n)')}"
    assert dataverse.error("GET", "contacts", query)[:2] == (400, "0x8004E023")
    assert applied("filter(numberofchildren gt 0)/aggregate($count as n)") == [{"n": 3}]


def test_total_record_counts(dataverse, applied):
    path = "RetrieveTotalRecordCount(EntityNames=['contact','account'])"
    assert dataverse.get(path) == {
        "@odata.context": f"{ORIGIN}/api/data/v9.2/$metadata#Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse",
        "EntityRecordCountCollection": {
            "Count": 2, "IsReadOnly": False, "Keys": ["contact", "account"], "Values": [4, 1],
        },
    }  # fmt: skip
    dataverse.organisation.switches.total_record_counts = {"contact": 9}
    alias = dataverse.get("RetrieveTotalRecordCount(EntityNames=@p1)", f"@p1={quote(json.dumps(['contact']))}")
    assert alias["EntityRecordCountCollection"]["Values"] == [9]
    dataverse.organisation.switches.unreadable_tables = ["account"]
    assert dataverse.error("GET", path)[:2] == (403, "0x80040220")


@pytest.mark.parametrize(
    ("names", "status"), [("['nope']", 404), ("contact", 400), ("[contact]", 400), ("@p", 400), ("['a' 'b']", 400)]
)
def test_refused_names(dataverse, names, status):
    assert dataverse.error("GET", f"RetrieveTotalRecordCount(EntityNames={names})")[0] == status


def test_the_annotations_of_a_count(dataverse, applied):
    wanted = "Microsoft.Dynamics.CRM.totalrecordcount,Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"
    body = dataverse.get("contacts", "$count=true&$top=1", prefer=f'odata.include-annotations="{wanted}"')
    assert (body["@odata.count"], body["@Microsoft.Dynamics.CRM.totalrecordcount"]) == (4, 4)
    assert body["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is False
