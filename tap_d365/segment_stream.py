"""What the three streams of segments have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk.helpers.types import Context
from singer_sdk.singerlib import Catalog

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.errors import UnknownColumnError, misunderstood
from annex_d365.dataverse.query import all_of
from annex_d365.dataverse.ranges import FORM
from annex_d365.dataverse.segments.choice import AUTO, Marketing
from annex_d365.dataverse.segments.segment import Segment, Segments
from annex_d365.dataverse.types import JsonSchema
from annex_d365.errors import ConnectorError, ServiceError, SettingError
from annex_d365.singer.plain import PlainStream

if TYPE_CHECKING:
    from tap_d365.tap import TapD365


class SegmentStream(PlainStream):
    """A stream about the segments of one organisation.

    Args:
        tap: the tap.
        marketing: what the organisation has.
        schema: of records, where the class has none.
    """

    # The SDK would send it before the first record (Singer page 5.13).
    emit_activate_version_messages = False

    def __init__(self, tap: TapD365, marketing: Marketing, schema: JsonSchema | None = None) -> None:
        self._tap_d365, self.marketing = tap, marketing
        self.options: Mapping[str, Any] = tap.config.get("segments") or {}
        # A pipeline of contacts must not read all members unasked; to name the generation is to ask.
        self.selected_by_default = tap.config["segments_api"] != AUTO
        super().__init__(tap, schema=schema)

    @property
    def dataverse(self) -> Dataverse:
        """The organisation."""
        return self._tap_d365.dataverse

    @property
    def host(self) -> str:
        """Of the organisation."""
        return urlsplit(self.dataverse.root).netloc

    @property
    def run_start(self) -> str:
        """When this run began, in the form of the rows' own timestamps."""
        return datetime.fromtimestamp(self._tap_d365.initialized_at / 1000, timezone.utc).strftime(FORM)

    @property
    def condition(self) -> str:
        """Which segments are wanted, as OData."""
        return self.options.get("filter") or ""

    @property
    def segments(self) -> Segments:
        """The segments of the organisation."""
        origin = self.options.get("origin_column")
        return Segments(self.dataverse, self.marketing.generation, self.marketing.table, origin_column=origin)

    @property
    def generation_state(self) -> Mapping[str, Any]:
        """What the state says of this generation."""
        part = self.stream_state.get(self.marketing.generation.name)
        return part if isinstance(part, Mapping) else {}

    @generation_state.setter
    def generation_state(self, part: Mapping[str, Any]) -> None:
        self.stream_state[self.marketing.generation.name] = dict(part)

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody wants it; ``--test`` tries all streams that there are."""
        return self.selected_by_default or self._tap_d365.input_catalog is not None

    def apply_catalog(self, catalog: Catalog) -> None:
        """As in the SDK; how it is replicated is no choice: Meltano's ``metadata: {"*": ...}`` is meant for tables."""
        method, key = self.forced_replication_method, self.replication_key
        super().apply_catalog(catalog)
        self.forced_replication_method, self.replication_key = method, key

    @abstractmethod
    def found(self) -> Iterator[Row]:
        """The records of this run; when the last one is taken, the state is that of the next run."""

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002 - as in the SDK
        """The records; the test of a pipeline that reads no segments does not fail for them."""
        try:
            yield from self.found()
        except ConnectorError as error:
            if self.is_asked_for:
                raise
            self.logger.warning("Not tested, for it is not selected: stream %s. %s", self.name, error)

    def has_column(self, name: str) -> bool:
        """Whether the column is selected."""
        return self.mask.get(("properties", name), True)

    def wanted(self, *conditions: str, queries: bool = False) -> Iterator[Segment]:
        """The segments that are wanted, as :meth:`Segments.read`.

        Raises:
            SettingError: the setting names a column that there is not.
        """
        try:
            yield from self.segments.read(all_of(self.condition, *conditions), queries=queries)
        except UnknownColumnError as error:
            raise SettingError("segments.filter", error.problem) from None
        except ServiceError as error:
            if not (self.condition and misunderstood(error)):
                raise
            raise SettingError("segments.filter", f"is not understood; write it as in OData. {error}") from None
