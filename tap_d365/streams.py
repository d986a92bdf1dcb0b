"""The streams of tap-d365."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context

from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import Query
from annex_d365.errors import SettingError
from tap_d365.progress import Progress

if TYPE_CHECKING:
    from tap_d365.tap import TapD365

_FORM = "%Y-%m-%dT%H:%M:%SZ"


class TableStream(Stream):
    """Rows of one table, oldest change first.

    For the SDK the stream is unsorted: it then writes the bookmark when the stream is done, and never past the run's
    start. What makes a run resumable is in :mod:`tap_d365.progress`.
    """

    STATE_MSG_FREQUENCY = 1000
    # Values have their JSON types already, as the service sends them.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: TapD365, table: Table) -> None:
        self._table = table
        self._tap_d365 = tap
        super().__init__(tap, schema=table.schema, name=table.entity_set)
        self.primary_keys = (table.primary_id,)
        self.replication_key = table.replication_key

    @property
    def columns(self) -> list[str]:
        """The columns to ask for: those selected, the key and the bookmark.

        Raises:
            SettingError: the catalog names one that the table does not have.
        """
        automatic = {*self.primary_keys, self.replication_key}
        wanted = [
            name
            for name in self.effective_schema["properties"]
            if name in automatic or self.mask.get(("properties", name), True)
        ]
        if unknown := sorted(set(wanted) - set(self._table.columns)):
            raise SettingError(
                "catalog",
                f"table {self.name} has no column {', '.join(f'`{name}`' for name in unknown)}; discover it anew.",
            )
        return wanted

    def get_replication_key_signpost(self, context: Context | None = None) -> Any:
        """The run's start, in the form of the rows' own timestamps."""
        moment = super().get_replication_key_signpost(context)
        return moment.strftime(_FORM) if isinstance(moment, datetime) else moment

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """The rows, as records."""
        columns = self.columns
        converted = {name: kind.convert for name, kind in self._table.columns.items() if kind.convert}
        conversions = [(name, converted[name]) for name in columns if name in converted]
        for row in self._rows(columns, context):
            record = {name: row.get(name) for name in columns}
            for name, convert in conversions:
                if record[name] is not None:
                    record[name] = convert(record[name])
            yield record

    def _rows(self, columns: list[str], context: Context | None) -> Iterable[dict[str, Any]]:
        key, bookmark = self._table.primary_id, self.replication_key
        if not bookmark:
            yield from self._pages(Query(self.name, select=columns, orderby=[key]))
            return
        progress = Progress(
            self.stream_state, self._table, self._start(context), self.get_replication_key_signpost(context)
        )
        query = Query(
            self.name,
            select=columns,
            filter=f"{bookmark} ge {progress.position}" if progress.position else "",
            # The key decides between equal times, or rows would be skipped at the border of a page.
            orderby=[bookmark, key],
        )
        yield from filter(progress.is_new, self._pages(query))
        progress.finish()

    def _start(self, context: Context | None) -> str | None:
        """Where to begin: the bookmark, or ``start_date``."""
        moment = self.get_starting_timestamp(context)
        return moment.astimezone(timezone.utc).strftime(_FORM) if moment else None

    def _pages(self, query: Query) -> Iterable[dict[str, Any]]:
        for page in self._tap_d365.dataverse.pages(query, self.config["page_size"]):
            yield from page.value
