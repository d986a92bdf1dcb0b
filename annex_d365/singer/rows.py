"""From messages to rows: what a record's sink gets, and what becomes of a record that is not fit to be written."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from singer_sdk import BatchSink, Target
from singer_sdk.exceptions import InvalidRecord
from singer_sdk.sinks.core import BaseJSONSchemaValidator

from annex_d365.errors import ConnectorError
from annex_d365.singer.rejects import Reject
from annex_d365.singer.validator import RecordValidator

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

DELETED_AT = "_sdc_deleted_at"


@dataclass(frozen=True)
class Row:
    """One record.

    Attributes:
        record: after stream maps, validated; dates are the texts that came.
        message: the RECORD message as it came.
    """

    record: Mapping[str, Any] = field(repr=False)
    message: Mapping[str, Any] = field(repr=False)


def shown(key: str) -> str:
    """A row's key as a message may name it: a GUID is no member data, anything else might be."""
    return key if _GUID.fullmatch(key) else "(key not shown)"


class RowTarget(Target):
    """Mixin for a target: keeps the message at hand, for what the SDK does not pass on."""

    message: Mapping[str, Any]

    @abc.abstractmethod
    def reject(self, stream: str, row: Row, reject: Reject) -> None:
        """Put a row aside.

        Raises:
            ConnectorError: the settings want the run to end here.
        """

    @abc.abstractmethod
    def skip_deletion(self, stream: str) -> None:
        """Count a deletion, which no sink handles."""

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        """As in the SDK (target_base.py:302)."""
        self._assert_line_requires(message_dict, requires={"stream", "record"})
        if not isinstance(message_dict["record"], dict):
            raise ConnectorError(f"Stream {message_dict['stream']}: a RECORD message holds no object.")
        self.message = message_dict
        super()._process_record_message(message_dict)


class RowSink(BatchSink):
    """A sink whose batch is ``context["rows"]``, a list of :class:`Row` that are valid and no deletions.

    In the SDK (0.54.9, sinks/core.py:537, :572) an invalid record ends the run, or goes on as if it were valid, and its
    value is in the log; so it is with a date that does not parse. Here the record is rejected, and dates stay texts.
    """

    def __init__(
        self, target: RowTarget, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        self.target = target
        self._problem = ""
        super().__init__(target, stream_name, schema, key_properties)

    def get_validator(self) -> BaseJSONSchemaValidator | None:
        """As in the SDK, compiled."""
        return RecordValidator(self.schema, self.stream_name) if self.validate_schema else None

    @property
    def _is_deletion(self) -> bool:
        # The SDK takes it out of the record (Singer page 5.12).
        return self.target.message["record"].get(DELETED_AT) is not None

    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        self._problem = ""
        if self._validator:
            try:
                self._validator.validate(record)
            except InvalidRecord as error:
                self._problem = error.error_message
        return record

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        missing = [name for name in self.key_properties if record.get(name) is None]
        if missing and not self._problem:
            self._problem = f"key column `{missing[0]}` is empty"

    def start_batch(self, context: dict[str, Any]) -> None:
        """Begin with no rows."""
        context["rows"] = []

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Add the record to the batch, or put it aside."""
        row = Row(record, self.target.message)
        if self._is_deletion:
            self.target.skip_deletion(self.stream_name)
        elif self._problem:
            self.target.reject(self.stream_name, row, Reject(self._problem))
        else:
            context["rows"].append(row)
