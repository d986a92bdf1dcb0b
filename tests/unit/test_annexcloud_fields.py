"""Values of a member's fields."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.annexcloud.fields import plain, same, to_field, yes_or_no


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("firstName", None, ""),
        ("firstName", "  Ana ", "Ana"),
        ("zipCode", 1234, "1234"),
        ("zipCode", Decimal("1E+3"), "1000"),
        ("extendedAttribute.size", Decimal("42.50"), "42.50"),
        ("extendedAttribute.vip", True, "true"),
        ("birthDate", "1990-02-28", "1990-02-28"),
        ("birthDate", "1990-02-28T00:00:00Z", "1990-02-28"),
        ("optInStatus", True, "YES"),
        ("optInStatus", "no", "NO"),
        ("optInStatus", 0, "NO"),
        ("optInStatus", "", ""),
        ("optInDate", "2024-08-08T09:00:12.5+02:00", "2024-08-08T07:00:12+0000"),
        ("optInDate", "2024-08-08T07:00:12Z", "2024-08-08T07:00:12+0000"),
        ("optInDate", "2024-08-08T07:00:12+0000", "2024-08-08T07:00:12+0000"),
        ("optInDate", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+0000"),
        ("phone", 10**40 - 1, "9" * 40),
        ("phone", Decimal("1E-40"), "0." + "0" * 39 + "1"),
    ],
)
def test_on_the_wire(name, value, text):
    assert to_field(name, value) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("birthDate", "31.12.1990"),
        ("birthDate", "1990-02-30"),
        ("optInStatus", "perhaps-Müller"),
        ("optInDate", "yesterday"),
        ("optInDate", "0001-01-01T00:00:00+02:00"),
        ("optInDate", "9999-12-31T23:59:59-02:00"),
        ("phone", 10**40),
        pytest.param("phone", -(10**5000), id="not even Python writes it out"),
        ("phone", Decimal("1E+999999999")),
        ("phone", Decimal("1E-999999999")),
        ("phone", Decimal("0E-999999999")),
        ("phone", 1e300),
        ("phone", float("nan")),
        ("phone", Decimal("Infinity")),
        ("firstName", "Ana\ud800"),
        ("firstName", ["Ana"]),
        ("firstName", {"first": "Ana"}),
    ],
)
def test_what_does_not_suit_is_refused_without_the_value(name, value):
    with pytest.raises(ValueError) as error:
        to_field(name, value)
    assert isinstance(value, int) or str(value) not in str(error.value)
    assert "Ana" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "wanted", "current"),
    [
        ("firstName", "", None),
        ("firstName", "", ""),
        ("zipCode", "1234", 1234),
        ("zipCode", "01234", 1234),
        ("zipCode", "12.50", Decimal("12.5")),
        ("birthDate", "1990-02-28", "1990-02-28T00:00:00+0000"),
        ("optInDate", "2024-08-08T07:00:12+0000", "2024-08-08T09:00:12+0200"),
        ("optInStatus", "YES", "Yes"),
        ("email", "ana@example.com", "Ana@Example.com"),
        ("firstName", "Ana", "Ana "),
        ("extendedAttribute.vip", "true", True),
    ],
)
def test_the_same(name, wanted, current):
    assert same(name, wanted, current)


@pytest.mark.parametrize(
    ("name", "wanted", "current"),
    [
        ("firstName", "Ana", None),
        ("firstName", "", "Ana"),
        ("firstName", "ana", "Ana"),
        ("zipCode", "01234", "1234"),
        ("zipCode", "A1234", 1234),
        ("birthDate", "1990-02-28", "1990-03-01"),
        ("birthDate", "1990-02-28", "unknown"),
        ("extendedAttribute.a", "x", {"y": 1}),
    ],
)
def test_not_the_same(name, wanted, current):
    assert not same(name, wanted, current)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.decimals(allow_nan=False, allow_infinity=False, places=2)
)


@given(value=VALUES)
def test_what_was_written_is_the_same_when_read_back(value):
    assert same("phone", to_field("phone", value), value)
    assert same("phone", to_field("phone", value), to_field("phone", value))


@given(seconds=st.integers(0, 4_000_000_000), minutes=st.integers(-720, 840))
def test_times_keep_their_instant(seconds, minutes):
    moment = dt.datetime.fromtimestamp(seconds, dt.timezone(dt.timedelta(minutes=minutes)))
    written = dt.datetime.strptime(to_field("optInDate", moment.isoformat()), "%Y-%m-%dT%H:%M:%S%z")
    assert written == moment


@given(text=st.text())
def test_yes_or_no_of_any_text_is_an_answer_or_an_error_without_it(text):
    try:
        answer = str(yes_or_no(text))
    except ValueError as error:
        answer = str(error)
    assert answer in {"True", "False", "None", "is neither yes nor no"}


def test_plain_integers_of_any_size():
    assert plain(10**30) == "1" + "0" * 30
