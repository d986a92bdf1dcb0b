"""OData queries and literals."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.query import Query, all_of, text, utc


def test_the_readable_form_of_the_document():
    query = Query("contacts", select=["cr0dd_loyaltyid", "firstname"], filter="emailaddress1 eq 'a@example.com'", top=5)
    assert query.url == (
        "contacts?$select=cr0dd_loyaltyid,firstname&$filter=emailaddress1%20eq%20'a@example.com'&$top=5"
    )


def test_no_options():
    assert Query("contacts").url == "contacts"


@given(st.text(), st.lists(st.from_regex(r"[a-z_]\w*", fullmatch=True), max_size=5))
def test_options_arrive_as_they_were(value, columns):
    condition = f"name eq {text(value)}"
    parts = urlsplit("https://x/" + Query("contacts", select=columns, filter=condition, orderby=columns).url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, errors="surrogatepass"))
    assert options["$filter"] == condition
    assert options.get("$select", "") == ",".join(columns)
    assert parts.path == "/contacts"
    assert not parts.fragment


@given(st.text())
def test_a_text_cannot_end_its_literal(value):
    literal = text(value)
    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "").count("'") == 0
    assert literal[1:-1].replace("''", "'") == value


def test_conditions():
    assert all_of("a eq 1", "") == "a eq 1"
    assert all_of("a eq 1", "b eq 2 or c eq 3") == "(a eq 1) and (b eq 2 or c eq 3)"
    assert all_of("") == ""


@given(
    st.datetimes(
        min_value=datetime(1900, 1, 2),  # noqa: DTZ001
        max_value=datetime(9998, 12, 30),  # noqa: DTZ001
        timezones=st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
            lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
        ),
    )
)
def test_timestamps_in_utc(moment):
    assert datetime.fromisoformat(utc(moment.isoformat()).replace("Z", "+00:00")) == moment
    assert utc(moment.isoformat()).endswith("Z")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2023-04-07T21:59:01Z", "2023-04-07T21:59:01Z"),
        ("2023-04-07T21:59:01+02:00", "2023-04-07T19:59:01Z"),
        ("2023-04-07T21:59:01.1234567+00:00", "2023-04-07T21:59:01.123456Z"),
        ("2023-04-07T21:59:01.5+00:00", "2023-04-07T21:59:01.500000Z"),
        ("2023-04-07T21:59:01", "2023-04-07T21:59:01Z"),
    ],
)
def test_timestamps_of_other_servers(sent, kept):
    assert utc(sent) == kept


@given(st.lists(st.sampled_from(["", ".1", ".25", ".5", ".500001"]), min_size=1, max_size=6))
def test_the_largest_text_is_never_after_the_latest_time(fractions):
    """So that a bookmark, which the SDK takes by text, never passes a row."""
    texts = [f"2023-04-07T21:59:01{fraction}Z" for fraction in fractions]
    latest = max(texts, key=lambda each: float("0" + each[19:-1] if each[19:-1] else "0"))
    as_number = lambda each: float("0" + each[19:-1] if each[19:-1] else "0")  # noqa: E731
    assert as_number(max(texts)) <= as_number(latest)
