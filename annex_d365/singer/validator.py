"""Validates records with a compiled schema, and says what is wrong without the value (Singer page 5.15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jsonschema
import jsonschema_rs
from singer_sdk.exceptions import InvalidRecord
from singer_sdk.sinks.core import BaseJSONSchemaValidator
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from annex_d365.errors import ConnectorError


class RecordValidator(BaseJSONSchemaValidator):
    """For ``Sink.get_validator()``. Same verdict as the SDK's own validator: draft 2020-12, ``format`` not enforced.

    Args:
        schema: of the stream's records.
        stream: its name, for messages.

    Raises:
        ConnectorError: the schema is not valid.
    """

    def __init__(self, schema: dict[str, Any], stream: str) -> None:
        super().__init__(schema)
        self._compiled: jsonschema_rs.Draft202012Validator | _PythonValidator
        try:
            self._compiled = jsonschema_rs.Draft202012Validator(schema, validate_formats=False, offline=True)
        except jsonschema_rs.ValidationError as error:
            if not _only_a_regular_expression(error):
                raise ConnectorError(_refused(stream, error.instance_path)) from None
            # Regular expressions come in dialects: the SDK's validator takes Python's.
            self._compiled = _PythonValidator(schema, stream)
        except (jsonschema_rs.ReferencingError, ValueError):
            raise ConnectorError(_refused(stream, ())) from None

    def validate(self, record: dict[str, Any]) -> None:
        """Check a record.

        Raises:
            InvalidRecord: naming the column and the rule.
        """
        try:
            self._compiled.validate(record)
        except jsonschema_rs.ValidationError as error:
            raise InvalidRecord(_broken(error.instance_path, error.kind.name, error.schema_path), record) from None
        except ValueError:
            # what jsonschema-rs says of a value that JSON does not know
            raise InvalidRecord("a value is not JSON", record) from None


class _PythonValidator:
    """The SDK's own validator, with the errors of this module."""

    def __init__(self, schema: dict[str, Any], stream: str) -> None:
        try:
            DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ConnectorError(_refused(stream, error.absolute_path)) from None
        self._validator = DEFAULT_JSONSCHEMA_VALIDATOR(schema)

    def validate(self, record: dict[str, Any]) -> None:
        error = next(self._validator.iter_errors(record), None)
        if error:
            raise InvalidRecord(_broken(error.absolute_path, error.validator, error.absolute_schema_path), record)


def _only_a_regular_expression(error: jsonschema_rs.ValidationError) -> bool:
    return error.kind.name == "format" and getattr(error.kind, "format", "") == "regex"


def _broken(path: Sequence[str | int], rule: str, schema_path: Sequence[str | int]) -> str:
    """A sentence with names from the schema only: keys of a free-form object may be data."""
    known = {str(part) for part in schema_path}
    column = ".".join(str(part) if isinstance(part, int) or part in known else "*" for part in path)
    where = f"column `{column}`" if column else "the record"
    return f"{where} breaks the rule `{rule}` of its schema"


def _refused(stream: str, path: Sequence[str | int]) -> str:
    at = ".".join(str(part) for part in path)
    return f"Stream {stream}: its SCHEMA is not a valid JSON schema{f' at `{at}`' if at else ''}."
