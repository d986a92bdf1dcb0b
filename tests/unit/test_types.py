"""Column types as JSON Schema, and as values of it."""

from __future__ import annotations

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annex_d365.dataverse.types import COLUMN_TYPES, column_type


def test_every_documented_type_is_in_the_table():
    """The kinds of column of Dataverse page 2.5."""
    documented = """String Memo Integer BigInt Decimal Double Money Boolean DateTime Picklist State Status
        MultiSelectPicklist Lookup Customer Owner PartyList Uniqueidentifier Image File EntityName ManagedProperty
        Virtual CalendarRules""".split()
    assert sorted(COLUMN_TYPES) == sorted(f"{kind}Type" for kind in documented)


@pytest.mark.parametrize("kind", [kind for kind in COLUMN_TYPES.values() if kind])
def test_every_schema_is_one_and_allows_null(kind):
    jsonschema_rs.meta.validate(kind.nullable)
    assert jsonschema_rs.is_valid(kind.nullable, None)
    assert not jsonschema_rs.is_valid(kind.nullable, {})


@pytest.mark.parametrize(
    ("type_name", "behavior", "schema"),
    [
        ("DateTimeType", "DateOnly", {"type": ["string", "null"], "format": "date"}),
        ("DateTimeType", "UserLocal", {"type": ["string", "null"], "format": "date-time"}),
        ("DateTimeType", "TimeZoneIndependent", {"type": ["string", "null"], "format": "date-time"}),
        ("DateTimeType", None, {"type": ["string", "null"], "format": "date-time"}),
        ("MoneyType", None, {"type": ["number", "null"]}),
        ("BigIntType", None, {"type": ["integer", "null"]}),
        ("MultiSelectPicklistType", None, {"type": ["array", "null"], "items": {"type": "integer"}}),
        ("OwnerType", None, {"type": ["string", "null"], "format": "uuid"}),
        ("ImageType", None, {"type": ["string", "null"], "contentEncoding": "base64"}),
    ],
)
def test_schemas(type_name, behavior, schema):
    assert column_type("x", type_name, behavior).nullable == schema


@given(st.lists(st.integers(-(2**31), 2**31 - 1)), st.sampled_from([",", ", "]))
def test_choices(values, separator):
    convert = COLUMN_TYPES["MultiSelectPicklistType"].convert
    assert convert(separator.join(map(str, values))) == values


json_values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_an_unknown_type_is_text(value):
    kind = column_type("new_x", "HologramType")
    assert kind.nullable == {"type": ["string", "null"]}
    text = kind.convert(value)
    assert text == value if isinstance(value, str) else msgspec.json.decode(text) == value


def test_an_unknown_type_is_told(caplog):
    column_type("new_x", "HologramType")
    assert "new_x" in caplog.text
    assert "HologramType" in caplog.text
