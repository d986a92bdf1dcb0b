"""What the streams have in common that go through all members."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.helpers.types import Context
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.client import AnnexCloud
from annex_d365.annexcloud.columns import Record
from annex_d365.annexcloud.enumeration import (
    Batch,
    Candidate,
    Enumeration,
    EnumerationIncompleteError,
    Seen,
    fingerprint,
    regrouped,
)
from annex_d365.annexcloud.ways import enumeration_of
from annex_d365.errors import RowError
from annex_d365.singer.pace import Pace
from tap_annex.passage import Passage

if TYPE_CHECKING:
    from tap_annex.tap import TapAnnex

_TIME = "%Y-%m-%dT%H:%M:%SZ"
#: Members that one thread reads before their records are sent.
_TOGETHER = 10


@dataclass(frozen=True)
class Found:
    """What was read of some members.

    Attributes:
        records: of the stream.
        gone: candidates that the service does not know.
        refused: candidates whose ids it does not accept, or whose calls it refuses.
    """

    records: Sequence[Record]
    gone: int = 0
    refused: int = 0


class MemberStream(Stream):
    """A stream about members, one after another.

    A killed run is taken up where the state says (:mod:`tap_annex.passage`).
    """

    # For the SDK, which knows bookmarks in records only.
    forced_replication_method = REPLICATION_FULL_TABLE
    STATE_MSG_FREQUENCY = 1000
    # Values have their JSON types already.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # The SDK would send it before the first record (Singer page 5.13).
    emit_activate_version_messages = False

    def __init__(self, tap: TapAnnex) -> None:
        self._tap_annex = tap
        self._left: list[str] = []
        super().__init__(tap)

    @abstractmethod
    def read(self, candidates: Sequence[Candidate]) -> Found:
        """The records about some members; in a thread of its own.

        Raises:
            RowError: the service refuses one of them.
        """

    @property
    def together(self) -> int:
        """How many members are read at once by one thread."""
        return _TOGETHER

    def begin(self, passage: Passage, enumeration: Enumeration) -> None:
        """Hook: the first member is about to be read."""

    def end(self, passage: Passage, enumeration: Enumeration) -> None:
        """Hook: all records were sent."""

    @property
    def service(self) -> AnnexCloud:
        """The site."""
        return self._tap_annex.service

    @cached_property
    def wanted(self) -> Sequence[str]:
        """The selected columns."""
        return [name for name in self.schema["properties"] if self.mask.get(("properties", name), True)]

    @property
    def run_start(self) -> datetime:
        """When this run began."""
        return datetime.fromtimestamp(self._tap_annex.initialized_at // 1000, timezone.utc)

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002 - as in the SDK
        """The records of all members."""
        http, parallel = self.service.http, self.config["max_parallel_requests"]
        sent = http.requests_sent
        pace = Pace(
            self.logger,
            pages=lambda: http.requests_sent - sent,
            throttled=lambda: http.throttled_seconds,
        )
        with http.gate.workers(parallel, self.name) as pool, closing(Seen()) as seen:
            for record in self._all(Crew(pool, parallel), seen):
                pace.read()
                yield record
        pace.finish()

    def _all(self, crew: Crew, seen: Seen) -> Iterator[Record]:
        setting = self.config["members"]
        enumeration = enumeration_of(
            setting, service=self.service, crew=crew, site_id=self.config["site_id"], now=self.run_start
        )
        identity = fingerprint(setting["by"], self.config["base_url"], self.config["site_id"], *enumeration.identity)
        passage = Passage(self.stream_state, fingerprint(identity, sorted(self.wanted)), self.run_start.strftime(_TIME))
        self.begin(passage, enumeration)
        gone = 0
        batches = regrouped(enumeration.batches(passage.position), seen, self.together)
        for batch, found in crew.in_order(batches, self._read):
            yield from found.records
            gone += found.gone
            passage.note(batch, ["members that the service refuses"] if found.refused else ())
        self._left = passage.left
        self.end(passage, enumeration)
        passage.finish()
        if gone:
            self.logger.info("Members that there are not, or not any more: %d.", gone)

    def _read(self, batch: Batch) -> Found:
        try:
            return self.read(batch.candidates) if batch.candidates else Found(())
        except RowError as error:
            if len(batch.candidates) == 1:
                self.logger.warning("A member is left out. %s", error)
                return Found((), refused=1)
        alone = [self._read(Batch((each,))) for each in batch.candidates]
        return Found(
            [record for each in alone for record in each.records],
            sum(each.gone for each in alone),
            sum(each.refused for each in alone),
        )

    def log_sync_costs(self) -> None:
        """As in the SDK, which calls it when all streams are done: then a run that lacks members counts as failed.

        Raises:
            EnumerationIncompleteError: some members could not be read.
        """
        super().log_sync_costs()
        if self._left:
            raise EnumerationIncompleteError(self._left)


def time_of(text: Any) -> datetime | None:
    """The inverse of what :class:`~tap_annex.passage.Passage` keeps; None for what is no such time."""
    try:
        return datetime.strptime(str(text), _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
