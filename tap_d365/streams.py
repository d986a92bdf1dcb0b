"""The streams of tap-d365."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers._compat import datetime_fromisoformat
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib import ActivateVersionMessage, Catalog, Metadata, MetadataMapping, Schema
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, REPLICATION_LOG_BASED

from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.errors import UnknownColumnError, misunderstood
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import Query, all_of
from annex_d365.dataverse.ranges import FORM, RangeReader
from annex_d365.dataverse.record_structs import Record, RecordStructs
from annex_d365.dataverse.records import Records
from annex_d365.errors import PrivilegeError, ServiceError, SettingError
from annex_d365.singer.pace import Pace
from annex_d365.singer.plain import RECORDS_TOGETHER, PlainStream, together
from tap_d365.log_based import DELETED_AT, LogBased, with_deletions
from tap_d365.progress import Progress
from tap_d365.tables import TableSettings

if TYPE_CHECKING:
    from tap_d365.tap import TapD365


class TableStream(PlainStream):
    """Rows of one table.

    For the SDK the stream is unsorted: it then writes the bookmark when the stream is done, and never past the run's
    start. What makes a run resumable is in :mod:`tap_d365.progress`.
    """

    STATE_MSG_FREQUENCY = 1000
    # The SDK would send it before the first record, when a target cannot know yet what is gone (Singer page 5.13).
    emit_activate_version_messages = False

    def __init__(self, tap: TapD365, table: Table, settings: TableSettings) -> None:
        self.table = table
        self._settings = settings
        self._tap_d365 = tap
        method = settings.method(table)
        schema = with_deletions(table.schema) if method == REPLICATION_LOG_BASED else table.schema
        super().__init__(tap, schema=schema, name=table.entity_set)
        self.primary_keys = (table.primary_id,)
        self.forced_replication_method = method
        if self.forced_replication_method != REPLICATION_FULL_TABLE:
            self.replication_key = table.replication_key

    @property
    def metadata(self) -> MetadataMapping:
        """As in the SDK; images and files are left out unless they are selected."""
        metadata = super().metadata
        for column in self.table.on_demand:
            entry = metadata["properties", column]
            if entry.selected_by_default is None:
                entry.selected_by_default = False
        if self.replication_method == REPLICATION_LOG_BASED:
            # Without it a deletion would look like a row that lost its values.
            metadata["properties", DELETED_AT].inclusion = Metadata.InclusionType.AUTOMATIC
        return metadata

    def apply_catalog(self, catalog: Catalog) -> None:
        """As in the SDK; a catalog may ask for LOG_BASED that was discovered without."""
        entry = catalog.get_stream(self.name)
        if entry:
            # Nothing works without these, whatever is selected.
            properties = entry.schema.properties = dict(entry.schema.properties or {})
            for name in filter(None, (self.table.primary_id, self.table.replication_key)):
                properties.setdefault(name, Schema.from_dict(self.table.schema["properties"][name]))
                metadata = entry.metadata["properties", name]
                metadata.selected, metadata.inclusion = True, Metadata.InclusionType.AUTOMATIC
        super().apply_catalog(catalog)
        wanted = self._settings.replication
        if entry and wanted and wanted != self.replication_method:
            self.logger.warning("The catalog says %s, which wins over `tables`: %s.", self.replication_method, wanted)
        if entry and self.replication_method == REPLICATION_LOG_BASED:
            entry.schema = Schema.from_dict(with_deletions(entry.schema.to_dict()))
            entry.metadata.update(self.metadata)
            super().apply_catalog(catalog)
            # It has the schemas of the catalog as that came.
            self._tap.mapper.register_raw_streams_from_catalog(catalog)

    @property
    def dataverse(self) -> Dataverse:
        """The organisation."""
        return self._tap_d365.dataverse

    @property
    def run_start(self) -> str:
        """When this run began, in the form of the rows' own timestamps."""
        return datetime.fromtimestamp(self._tap_d365.initialized_at / 1000, timezone.utc).strftime(FORM)

    @property
    def records(self) -> Records:
        """The columns that are selected, with the key and the bookmark."""
        automatic = {*self.primary_keys, self.replication_key}
        return Records(
            self.table,
            (
                name
                for name in self.effective_schema["properties"]
                if name != DELETED_AT
                and (name in automatic or self.mask.get(("properties", name), name not in self.table.on_demand))
            ),
        )

    def query(self, records: Records) -> Query:
        """What the settings ask for."""
        shard = self.config.get("shard") or {}
        return Query(
            self.name,
            select=records.select,
            filter=all_of(
                self._settings.filter,
                f"createdon ge {in_form(shard['from'])}" if shard.get("from") else "",
                f"createdon lt {in_form(shard['to'])}" if shard.get("to") else "",
            ),
            top=self._settings.top,
            expand=records.expand,
        )

    def get_replication_key_signpost(self, context: Context | None = None) -> Any:
        """The run's start, in the form of the rows' own timestamps."""
        moment = super().get_replication_key_signpost(context)
        return moment.strftime(FORM) if isinstance(moment, datetime) else moment

    def get_records(self, context: Context | None) -> Iterable[Row]:  # noqa: ARG002 - as in the SDK
        """The rows, as records."""
        structs = self._structs()
        for records in self._records(structs):
            for record in records:
                yield record if isinstance(record, dict) else structs.as_dict(record)

    def plain_records(self) -> Iterator[Sequence[Any]]:
        """The rows, as records that need not become dictionaries."""
        return self._records(self._structs())

    def _structs(self) -> RecordStructs:
        more = (DELETED_AT,) if self.replication_method == REPLICATION_LOG_BASED else ()
        return RecordStructs(self.records, self.table, more)

    def _records(self, structs: RecordStructs) -> Iterator[Sequence[Any]]:
        records = structs.records
        try:
            if self.replication_method == REPLICATION_LOG_BASED:
                found = LogBased(self, structs).records()
            elif self.replication_method == REPLICATION_INCREMENTAL:
                found = self._incremental(structs)
            else:
                found = self._full_table(structs)
            pace = self._pace(records)
            for some in found:
                pace.read(len(some))
                yield some
            pace.finish()
        except PrivilegeError as error:
            if not self._settings.optional:
                raise
            # The metadata lists tables whose rows the user may not read.
            self.logger.warning("The table is left out. %s", error)
        except UnknownColumnError as error:
            raise self._settings.unknown_column(error) from None
        except ServiceError as error:
            if not (self._settings.filter and misunderstood(error)):
                raise
            raise self._settings.error("filter", f"is not understood; write it as in OData. {error}") from None

    def _incremental(self, structs: RecordStructs) -> Iterator[Sequence[Record]]:
        try:
            moment = self.get_starting_timestamp(None)
        except (TypeError, ValueError):
            raise SettingError("state", f"the bookmark of {self.name} is not a time.") from None
        try:
            start = moment - timedelta(seconds=self.config["lookback_seconds"]) if moment else None
        except OverflowError:
            raise SettingError("lookback_seconds", "reaches back to before there were dates.") from None
        yield from self.ranges(structs, _text(moment), _text(start))

    def ranges(self, structs: RecordStructs, bookmark: str | None, start: str | None) -> Iterator[Sequence[Record]]:
        """Rows that changed since ``start``, resumable; moves the bookmark when all are read."""
        records = structs.records
        column = self.replication_key or ""
        if column != self.table.replication_key:
            raise SettingError("catalog", f"the replication key of {self.name} is `{self.table.replication_key}`.")
        query = self.query(records)
        progress = Progress(self.stream_state, self.table, bookmark, start, self.run_start, query=query.url)
        page_size = self.config["page_size"]
        if query.top:
            # Those that are read once more come on top.
            query = replace(query, top=min(MAX_PAGE_SIZE, query.top + progress.known))
            page_size = min(page_size, query.top)
        reader = RangeReader(
            self.dataverse,
            query,
            column=column,
            key=self.table.primary_id,
            page_size=page_size,
            parallel=self.config["max_parallel_requests"],
            run_start=self.run_start,
            annotations=records.annotations,
            decode=structs.decode,
        )
        if start is None and self.config["max_parallel_requests"] > 1:
            self.dataverse.ask_for_advice()
        left, most = self._settings.top or math.inf, 1 if query.top else RECORDS_TOGETHER
        chunks = (chunk for part in reader.parts(progress.ranges) for chunk in progress.chunks(part, most))
        with closing(chunks):
            for chunk in chunks:
                yield [structs.build(row) for row in chunk.new]
                progress.note(chunk)
                left -= len(chunk.new)
                if left <= 0:
                    break
        progress.finish(column)

    def _pace(self, records: Records) -> Pace:
        dataverse, query = self.dataverse, self.query(records)
        # How many rows all are, the service knows without counting.
        known = self.get_starting_replication_key_value(None) or self.stream_state.get("delta")
        all_rows = not query.filter and not query.top and not known
        return Pace(
            self.logger,
            pages=lambda: dataverse.pages_read,
            throttled=lambda: dataverse.http.throttled_seconds,
            total=lambda: dataverse.row_count(self.table.logical_name) if all_rows else None,
        )

    def backfill(self, structs: RecordStructs) -> Iterator[Sequence[Record]]:
        """All rows; those since the start date, and resumable, where the table has a change time."""
        if self.replication_key:
            start = self.config.get("start_date")
            return self.ranges(structs, None, in_form(start) if start else None)
        return self._all_rows(structs)

    def _full_table(self, structs: RecordStructs) -> Iterator[Sequence[Record]]:
        part = [name for name, given in (("shard", self.config.get("shard")), ("top", self._settings.top)) if given]
        if self.config["emit_activate_version_messages"] and part:
            self.logger.warning("No ACTIVATE_VERSION: with `%s` these are not all rows.", part[0])
        elif self.config["emit_activate_version_messages"]:
            self.use_version(self.new_version())
        yield from self._all_rows(structs)
        if self._stream_version:
            self.activate_version()

    def _all_rows(self, structs: RecordStructs) -> Iterator[Sequence[Record]]:
        query = replace(self.query(structs.records), orderby=(self.table.primary_id,))
        for page in self.dataverse.raw_pages(query, self.config["page_size"], structs.records.annotations):
            for raws in together(page):
                yield [structs.build(structs.decode(raw)) for raw in raws]

    def new_version(self) -> int:
        """Of a full load that begins now: as in the SDK, seconds since 1970."""
        return self._tap_d365.initialized_at // 1000

    def use_version(self, version: int | None) -> None:
        """Records have this version from now on."""
        self._stream_version = version

    def activate_version(self) -> None:
        """Tell the target that all rows were sent: what it has of earlier versions is gone at the source."""
        for stream_map in self.stream_maps:
            self._tap.write_message(
                ActivateVersionMessage(stream=stream_map.stream_alias, version=self._stream_version or 0)
            )


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(timezone.utc).strftime(FORM) if moment else None


def in_form(value: str) -> str:
    """A time of the settings, in the form of the rows' own timestamps; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    moment = datetime_fromisoformat(value)
    try:
        return _text(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) or ""
    except OverflowError:
        raise ValueError(value) from None
