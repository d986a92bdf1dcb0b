from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365_sandbox.dataverse.marketing.language import dates, parser, tree
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.marketing.memberships import group

ANN, BEN, CLEO, DAN = (f"{letter}0000000-0000-4000-8000-000000000001" for letter in "abcd")
SHOP = "e0000000-0000-4000-8000-000000000001"


@pytest.fixture
def find(dataverse):
    """First names of the contacts that a query finds."""
    organisation = dataverse.organisation
    dataverse.clock.freeze(datetime(2026, 3, 1, 12, 30, 59, tzinfo=timezone.utc))
    organisation.create("account", {"accountid": SHOP, "name": "Shop"})
    rows = (
        {"contactid": ANN, "firstname": "Ann", "address1_city": "Köln", "numberofchildren": 2, "donotemail": 1,
         "birthdate": "1990-03-01", "creditlimit": 12_3400, "parentcustomerid": SHOP,
         "parentcustomerid__table": "account"},
        {"contactid": BEN, "firstname": "Ben", "address1_city": "Berlin", "numberofchildren": 0,
         "createdon": "2026-03-01T12:30:30"},
        {"contactid": CLEO, "firstname": "Cleo O'Neil", "address1_city": "KÖLN", "gendercode": 2,
         "parentcustomerid": ANN, "parentcustomerid__table": "contact"},
        {"contactid": DAN, "firstname": "Dan"},
    )  # fmt: skip
    for row in rows:
        organisation.create("contact", row)

    def found(text, table="contact"):
        room = organisation.marketing.room
        query = room.found(text, lambda name: ("members-of-" + name, "contact"), room.now)
        assert query.table.logical_name == table
        with organisation.store.transaction() as db:
            ids = [row[0] for row in db.execute(query.sql.text, query.sql.parameters)]
        assert len(ids) == len(set(ids))
        return sorted((organisation.get(table, row_id)["firstname"] or "") for row_id in ids)

    return found


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("address1_city == 'köln'", "Ann, Cleo O'Neil"),
        ("(address1_city == 'Köln' || address1_city == 'Berlin')", "Ann, Ben, Cleo O'Neil"),
        ("address1_city == 'Berlin' OR firstname == 'Dan'", "Ben, Dan"),
        ("address1_city != 'Berlin'", "Ann, Cleo O'Neil"),
        ("NOT(address1_city == 'Berlin')", "Ann, Cleo O'Neil"),
        ("ISNULL(address1_city)", "Dan"),
        ("IsNotNull(address1_city) && numberofchildren > 0", "Ann"),
        ("numberofchildren >= 0 && numberofchildren < 2 || gendercode == 2", "Ben, Cleo O'Neil"),
        ("firstname == 'Cleo O''Neil'", "Cleo O'Neil"),
        ("firstname CONTAINS 'o''n'", "Cleo O'Neil"),
        ("firstname startswith 'B'", "Ben"),
        ("firstname ENDSWITH 'N'", "Ann, Ben, Dan"),
        ("firstname ENDSWITH ''", "Ann, Ben, Cleo O'Neil, Dan"),
        ("donotemail == true", "Ann"),
        ("FALSE == donotemail", "Ben, Cleo O'Neil, Dan"),
        ("creditlimit == 12.34", "Ann"),
        ("numberofchildren * 2 + 1 == 5", "Ann"),
        ("1 + 2 * 3 - numberofchildren == 5", "Ann"),
        ("numberofchildren / 4 == 0.5", "Ann"),
        ("numberofchildren > -1 && numberofchildren / 0 == 1", ""),
        (f"contactid >= '{CLEO.upper()}'", "Cleo O'Neil, Dan"),
        (f"parentcustomerid == '{SHOP}'", "Ann"),
        ("birthdate < '1990-03-02'", "Ann"),
        ("DATEDIFF(year, birthdate, DATETIMEUTCNOW()) == 36", "Ann"),
        ("birthdate == DATE(1990, 3, 1)", "Ann"),
        ("DATEADD(DAY, 1, birthdate) == DATE(1990, 3, 2, 0, 0, 0, 0)", "Ann"),
        ("birthdate == DATE(1990, 13, 1)", ""),
        ("createdon > DATETIMEUTCNOW()", "Ann, Ben, Cleo O'Neil, Dan"),
        ("DATEADD(SECOND, 31, DATETIMEUTCNOW()) > createdon", "Ben"),
    ],
)
def test_conditions(find, condition, names):
    assert ", ".join(find(f"PROFILE(contact).FILTER({condition})")) == names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("PROFILE(contact, contact_1).FILTER(ISNOTNULL(contact_1.address1_city)).FILTER(contact_1.gendercode == 2)",
         "Cleo O'Neil"),
        ((f"PROFILE(account, account_1).FILTER(account_1.accountid == '{SHOP}')"
         ".TRAVERSE(contact_account_parentcustomerid, contact_1).FILTER(ISNULL(contact_1.gendercode))"), "Ann"),
        ("PROFILE(account).TRAVERSE(contact_account_parentcustomerid, c, FILTER(c.numberofchildren == 2))", "Ann"),
        ("PROFILE(contact, a).TRAVERSE(contact_contact_parentcustomerid, b).FILTER(a.address1_city == b.address1_city)",
         "Cleo O'Neil"),
        ("PROFILE(contact).FILTER(firstname == 'Ann') UNION PROFILE(contact).FILTER(firstname CONTAINS 'n')",
         "Ann, Ben, Cleo O'Neil, Dan"),
        (("PROFILE(contact) EXCEPT PROFILE(contact).FILTER(firstname == 'Ann') EXCEPT (PROFILE(contact).FILTER("
         "firstname == 'Ben') MINUS PROFILE(contact).FILTER(firstname == 'Ben'))"), "Ben, Cleo O'Neil, Dan"),
        ("(PROFILE(contact) INTERSECT PROFILE(contact).FILTER(gendercode == 2)) UNION SEGMENT('some one')",
         "Cleo O'Neil, Dan"),
    ],
)  # fmt: skip
def test_profiles_and_sets(dataverse, find, query, names):
    memberships = dataverse.organisation.marketing.memberships
    contact = dataverse.organisation.tables["contact"]
    memberships.put("members-of-some one", [DAN], contact)
    memberships.replace("members-of-some one", group("members-of-some one"))
    assert ", ".join(find(query)) == names


@pytest.mark.parametrize(
    "query",
    [
        "",
        "contact",
        "PROFILE()",
        "PROFILE(contact",
        "PROFILE(contact).",
        "PROFILE(contact).FILTER()",
        "PROFILE(contact).FILTER(firstname)",
        "PROFILE(contact).FILTER(firstname = 'Ann')",
        "PROFILE(contact).FILTER(firstname == )",
        "PROFILE(contact).FILTER(firstname == 'Ann)",
        "PROFILE(contact).FILTER((firstname == 'Ann') == 1)",
        "PROFILE(contact).FILTER(firstname == 'Ann' && lastname)",
        "PROFILE(contact).FILTER(CONTAINS(firstname, 'Ann'))",
        "PROFILE(contact).FILTER('Ann' CONTAINS 'A')",
        "PROFILE(contact).FILTER(nosuch == 1)",
        "PROFILE(contact, a).FILTER(b.firstname == 'Ann')",
        "PROFILE(contact).FILTER(firstname == 1)",
        "PROFILE(contact).FILTER(numberofchildren == '1')",
        "PROFILE(contact).FILTER(numberofchildren CONTAINS '1')",
        "PROFILE(contact).FILTER(birthdate < 'soon')",
        "PROFILE(contact).FILTER(entityimage == 'x')",
        "PROFILE(contact).FILTER(firstname + 1 == 2)",
        "PROFILE(contact).FILTER(birthdate == DATE(1990))",
        "PROFILE(contact).FILTER(DATEDIFF(WEEK, birthdate, birthdate) == 1)",
        "PROFILE(nosuch)",
        "PROFILE(account).TRAVERSE(nosuch)",
        "PROFILE(account) UNION PROFILE(contact)",
        "PROFILE(contact) UNION",
        "PROFILE(contact) AND PROFILE(contact)",
        "INTERACTION(EmailOpened, EmailOpened_ContactLink)",
        "(" * 100 + "PROFILE(contact)" + ")" * 100,
        "PROFILE(contact).FILTER(" + "NOT(" * 100 + "firstname == 'A'" + ")" * 101,
        "PROFILE(contact)" + " UNION PROFILE(contact)" * 300,
        "PROFILE(contact).FILTER(numberofchildren == 1" + " + 1" * 100 + ")",
        "PROFILE(contact) # PROFILE(contact)",
    ],
)
def test_what_is_no_query(find, query):
    with pytest.raises(QueryError):
        find(query)


def test_listing():
    text = "(SEGMENT(SEGMENT_CRM_ID_1)).ORDERBY(fullname ASC, contactid desc, x).SKIP(10).TAKE(15).SELECT(contactid)"
    assert parser.listing(text) == tree.Listing(
        tree.Segment("SEGMENT_CRM_ID_1"),
        (tree.Order("fullname"), tree.Order("contactid", descending=True), tree.Order("x")),
        10,
        15,
        ("contactid",),
    )
    assert parser.listing("PROFILE(contact)") == tree.Listing(tree.Profile(tree.Step("contact", None)))
    for wrong in ("SEGMENT(a).TAKE(1).TAKE(2)", "SEGMENT(a).TAKE(1.5)", "SEGMENT(a).SKIP(-1)", "SEGMENT(a).TOP(1)"):
        with pytest.raises(QueryError):
            parser.listing(wrong)


NAMES = st.sampled_from(["city", "Name_1", "year", "straße", "filter2", "not_", "orders"])
COLUMNS = st.builds(tree.Column, NAMES, st.none() | NAMES)
CONSTANTS = st.builds(
    tree.Constant,
    st.text(max_size=9) | st.booleans() | st.integers(-(10**20), 10**20) | st.decimals(0, 10**6, places=3),
)
PARTS = st.sampled_from(["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND"])
VALUES = st.recursive(
    COLUMNS | CONSTANTS | st.just(tree.Now()),
    lambda inner: (
        st.builds(tree.Arithmetic, st.sampled_from("+-*/"), inner, inner)
        | st.builds(tree.DateDiff, PARTS, inner, inner)
        | st.builds(tree.DateAdd, PARTS, inner, inner)
        | st.builds(tree.Date, st.lists(inner, min_size=3, max_size=7).map(tuple))
    ),
    max_leaves=5,
)
CONDITIONS = st.recursive(
    st.builds(tree.Comparison, st.sampled_from(["==", "!=", ">", ">=", "<", "<="]), VALUES, VALUES)
    | st.builds(tree.TextTest, st.sampled_from(["CONTAINS", "STARTSWITH", "ENDSWITH"]), COLUMNS, st.text(max_size=9))
    | st.builds(tree.NullTest, COLUMNS, st.booleans()),
    lambda inner: (
        st.builds(tree.Not, inner)
        | st.builds(tree.Junction, st.sampled_from(["&&", "||"]), st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=5,
)
STEPS = st.builds(tree.Step, NAMES, st.none() | NAMES, st.lists(CONDITIONS, max_size=2).map(tuple))
MEMBERS = st.recursive(
    st.builds(tree.Profile, STEPS, st.lists(STEPS, max_size=2).map(tuple))
    | st.builds(tree.Segment, st.text(max_size=9) | NAMES),
    lambda inner: st.builds(tree.SetOperation, st.sampled_from(["UNION", "INTERSECT", "EXCEPT"]), inner, inner),
    max_leaves=4,
)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


WRITERS = {
    tree.Constant: lambda n: quoted(n.value) if isinstance(n.value, str) else str(n.value).lower(),
    tree.Column: lambda n: f"{n.alias}.{n.name}" if n.alias else n.name,
    tree.Arithmetic: lambda n: f"({write(n.left)} {n.operator} {write(n.right)})",
    tree.Comparison: lambda n: f"({write(n.left)} {n.operator} {write(n.right)})",
    tree.DateDiff: lambda n: f"DATEDIFF({n.part.lower()}, {write(n.start)}, {write(n.end)})",
    tree.DateAdd: lambda n: f"DateAdd({n.part},{write(n.number)},{write(n.moment)})",
    tree.Date: lambda n: f"DATE({','.join(map(write, n.parts))})",
    tree.Now: lambda _: "DATETIMEUTCNOW()",
    tree.TextTest: lambda n: f"({write(n.column)} {n.operator} {quoted(n.text)})",
    tree.NullTest: lambda n: f"IS{'NOT' if n.negated else ''}NULL({write(n.column)})",
    tree.Not: lambda n: f"NOT({write(n.of)})",
    tree.Junction: lambda n: "(" + f" {n.operator} ".join(map(write, n.of)) + ")",
    tree.Segment: lambda n: f"SEGMENT({quoted(n.name)})",
    tree.SetOperation: lambda n: f"({write(n.left)}) {n.operator}({write(n.right)})",
    tree.Profile: lambda n: "PROFILE" + ".TRAVERSE".join(map(write, (n.start, *n.traversals))),
    tree.Step: lambda n: (
        f"({', '.join(filter(None, (n.name, n.alias)))})"
        + "".join(f".FILTER({write(condition)})" for condition in n.filters)
    ),
}


def write(node):
    """A tree as text, with a bracket around all that may have one."""
    return WRITERS[type(node)](node)


@given(MEMBERS)
def test_what_is_written_is_read(node):
    assert parser.members(write(node)) == node


@given(MEMBERS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_pages_are_read(node, skip, take):
    listing = tree.Listing(node, (tree.Order("a", descending=True),), skip, take)
    text = f"({write(node)}).TAKE({take}).ORDERBY(a DESC).SKIP({skip})"
    assert parser.listing(text) == listing
    assert parser.listing(text.replace("ORDERBY", "orderby")) == replace(listing)


@given(st.text(max_size=60) | st.text(alphabet="PROFILE(contact).FT 'a=&|+-1,<>", max_size=60))
def test_any_text_is_a_query_or_an_error(text):
    try:
        assert parser.listing(text).of == parser.members(text)
    except QueryError:
        with pytest.raises(QueryError):
            parser.members(text)


@pytest.mark.parametrize(
    ("part", "start", "end", "borders"),
    [
        ("YEAR", "2025-12-31T23:59:59", "2026-01-01T00:00:00", 1),
        ("MONTH", "2025-12-31T23:59:59", "2026-02-01T00:00:00", 2),
        ("DAY", "2026-01-01T23:59:59", "2026-01-02T00:00:00", 1),
        ("HOUR", "2026-01-01T01:59:59", "2026-01-01T01:00:00", 0),
        ("MINUTE", "2026-01-01T01:00:00", "2026-01-01T00:59:59", -1),
        ("SECOND", "2026-01-01T00:00:00", "2026-01-02T00:00:00", 86400),
        ("MILLISECOND", "2026-01-01T00:00:00", "2026-01-01T00:00:01", 1000),
        ("DAY", None, "2026-01-01T00:00:00", None),
    ],
)
def test_date_differences(part, start, end, borders):
    assert dates.difference(part, start, end) == borders


def test_later_dates():
    assert dates.later("MONTH", 1, "2026-01-31T10:00:00") == "2026-02-28T10:00:00"
    assert dates.later("YEAR", -1, "2024-02-29T10:00:00") == "2023-02-28T10:00:00"
    assert dates.later("MILLISECOND", 500, "2026-01-31T10:00:00") == "2026-01-31T10:00:00.500000"
    assert dates.later("YEAR", 8000, "2026-01-31T10:00:00") is None
    assert dates.later("DAY", 10**12, "2026-01-31T10:00:00") is None
    assert dates.later("DAY", None, "2026-01-31T10:00:00") is None
