"""The compiled validator: the SDK's verdict, without the value."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.exceptions import InvalidRecord
from singer_sdk.sinks.core import JSONSchemaValidator

from annex_d365.errors import ConnectorError
from annex_d365.singer.validator import RecordValidator

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "maxLength": 8},
        "email": {"type": ["string", "null"], "pattern": "^[^@]+@[^@]+$"},
        "born": {"type": ["string", "null"], "format": "date"},
        "points": {"type": ["integer", "null"], "minimum": 0},
        "spend": {"type": ["number", "null"], "maximum": 1000},
        "tier": {"enum": ["gold", "silver", None]},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "address": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "additionalProperties": {"type": "integer"},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id"],
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2000),
    st.decimals(-5, 2000, places=2).filter(lambda number: number % 1),
    st.sampled_from(["gold", "a@b", "long enough to fail", ""]),
    st.lists(st.sampled_from(["a", 1]), max_size=2),
    st.dictionaries(st.sampled_from(["city", "other"]), st.sampled_from(["x", 1]), max_size=2),
)


def verdict(validator, record):
    try:
        validator.validate(record)
    except InvalidRecord:
        return False
    return True


@given(record=st.dictionaries(st.sampled_from([*SCHEMA["properties"], "unknown"]), VALUES))
def test_the_verdict_is_the_sdks(record):
    assert verdict(RecordValidator(SCHEMA, "s"), record) == verdict(JSONSchemaValidator(SCHEMA), record)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "marker-too-long"}, "column `id` breaks the rule `maxLength` of its schema"),
        ({"id": "1", "email": "marker"}, "column `email` breaks the rule `pattern` of its schema"),
        ({"id": "1", "spend": Decimal("1000.01")}, "column `spend` breaks the rule `maximum` of its schema"),
        ({"id": "1", "tier": "marker"}, "column `tier` breaks the rule `enum` of its schema"),
        ({"id": "1", "either": 4711}, "column `either` breaks the rule `anyOf` of its schema"),
        ({"id": "1", "address": {"city": 1}}, "column `address.city` breaks the rule `type` of its schema"),
        ({"id": "1", "address": {"marker": "x"}}, "column `address.*` breaks the rule `type` of its schema"),
        ({"id": "1", "tags": ["a", 4711]}, "column `tags.1` breaks the rule `type` of its schema"),
        ({"email": "a@b"}, "the record breaks the rule `required` of its schema"),
        ({"id": object()}, "a value is not JSON"),
    ],
)
def test_messages_name_the_column_and_the_rule_never_the_value(record, message):
    with pytest.raises(InvalidRecord) as error:
        RecordValidator(SCHEMA, "s").validate(record)
    assert error.value.error_message == message
    assert error.value.record is record
    assert "marker" not in str(error.value)
    assert error.value.__cause__ is None


def test_exact_numbers_and_unenforced_formats_pass():
    record = {"id": "1", "born": "yesterday", "spend": Decimal("999.99")}
    RecordValidator(SCHEMA, "s").validate(record)
    JSONSchemaValidator(SCHEMA).validate(record)


def test_3_point_0_is_an_integer_as_json_schema_says_and_the_sdk_does_not():
    record = {"id": "1", "points": Decimal("3.0")}
    assert verdict(RecordValidator(SCHEMA, "s"), record)
    assert not verdict(JSONSchemaValidator(SCHEMA), record)


def test_a_python_regular_expression_falls_back_to_the_sdks_validator():
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": r"\AX\d+\Z"}}}
    validator = RecordValidator(schema, "s")
    validator.validate({"code": "X1"})
    with pytest.raises(InvalidRecord) as error:
        validator.validate({"code": "marker"})
    assert error.value.error_message == "column `code` breaks the rule `pattern` of its schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "strin"}}},
        {"type": "object", "properties": {"a": {"pattern": "("}}},
        {"type": "object", "properties": {"a": {"$ref": "https://schemas.example/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
        {"type": "object", "properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}},
    ],
)
def test_a_schema_that_is_none_names_the_stream(schema):
    with pytest.raises(ConnectorError, match=r"^Stream contacts: its SCHEMA is not a valid JSON schema"):
        RecordValidator(schema, "contacts")
