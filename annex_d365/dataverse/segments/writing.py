"""Copies of segments of another service: found by their origin, made, changed, stopped or deleted (page 8)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.segments.choice import Marketing
from annex_d365.dataverse.segments.generations import (
    DRAFT,
    DYNAMIC,
    DYNAMICS_ORIGIN,
    ERROR,
    GOING_LIVE,
    LIVE,
    OUTBOUND,
    STATIC,
    STOPPED,
    STOPPING,
)
from annex_d365.dataverse.segments.segment import Segment, Segments
from annex_d365.dataverse.segments.writing_calls import SegmentGoneError
from annex_d365.dataverse.segments.writing_copies import Copies
from annex_d365.dataverse.segments.writing_journeys import JourneysCopies
from annex_d365.dataverse.segments.writing_outbound import OutboundCopies
from annex_d365.dataverse.segments.writing_values import SegmentValues, fitting
from annex_d365.dataverse.writes.calls import Calls
from annex_d365.dataverse.writes.operations import WriteOptions
from annex_d365.errors import RowError, SettingError

#: Going live and stopping take about a minute (page 8.3).
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 5.0


class CopyService(Protocol):
    """One generation. ``changes`` are attributes of :class:`Segment`: name, description, query, origin.

    All methods may be repeated. They raise a RowError if the service refuses this segment, a SegmentGoneError if it is
    not there.

    Attributes:
        chunk: most members per call.
    """

    chunk: int

    def check(self) -> None:
        """Raise a SettingError if the organisation has no services behind these segments any more."""

    def create(self, segment: Segment) -> bool:
        """Create a draft without members; False if there is one with this GUID."""

    def definition(self, segment_id: str) -> str | None:
        """GUID for the definition of a segment to come; None where segments have none."""

    def update(self, segment: Segment, changes: Mapping[str, Any]) -> None:
        """Change a segment."""

    def start(self, segment: Segment) -> None:
        """Let a segment go live."""

    def stop(self, segment: Segment) -> None:
        """Stop a live segment."""

    def delete(self, segment: Segment) -> None:
        """Delete a segment."""

    def members(self, segment: Segment) -> Iterator[str]:
        """Ids of its static members."""

    def add(self, segment: Segment, ids: Sequence[str]) -> None:
        """Add static members."""

    def remove(self, segment: Segment, ids: Sequence[str]) -> None:
        """Remove static members."""


class SegmentWriter:
    """Writes copies of segments into an organisation. Safe for threads.

    What is said of a segment that is not there any more is a
    :class:`~annex_d365.dataverse.segments.writing_calls.SegmentGoneError`, a RowError.

    Segments of the organisation's own are changed where they are named by their GUID, but they do not go live by it.

    Args:
        dataverse: the organisation.
        marketing: its segments.
        options: how rows are written.
        origin_column: another column for the origin than the generation's own.
        delete: whether what is gone at its owner is deleted here, not only stopped.

    Raises:
        SettingError: there is no such column, or it has another meaning.
    """

    def __init__(
        self,
        dataverse: Dataverse,
        marketing: Marketing,
        options: WriteOptions,
        *,
        origin_column: str | None = None,
        delete: bool = False,
    ) -> None:
        self.generation, self._delete = marketing.generation, delete
        column = origin_column or marketing.generation.origin
        if column not in marketing.table.columns:
            problem = f"table {marketing.generation.logical_name} has no column `{column}`."
            raise SettingError("segment_origin_column", problem)
        if column in marketing.generation.columns.values():
            raise SettingError("segment_origin_column", f"column `{column}` holds something else.")
        segments = Segments(dataverse, marketing.generation, marketing.table, origin_column=column)
        kind = OutboundCopies if marketing.generation is OUTBOUND else JourneysCopies
        self._service: CopyService = kind(dataverse, Calls(dataverse, options), column)
        self._copies = Copies(segments, column)
        self._table, self._gate = marketing.table, dataverse.http.gate

    @property
    def chunk(self) -> int:
        """Most members per call of :meth:`add` and :meth:`remove`."""
        return self._service.chunk

    def find(self, origin: str, key: str = "") -> str | None:
        """The GUID of the copy with this origin, or of the segment with the GUID ``key``; None if there is neither.

        The first call lists all copies.

        Raises:
            SettingError: the services behind the segments are gone.
        """
        self._service.check()
        found = self._copies.by_origin(origin) or self._copies.by_id(key)
        return found.segment_id if found else None

    def create(self, values: SegmentValues) -> str:
        """Create a copy without members, as a draft; its GUID. What an earlier try has made is taken over.

        Raises:
            RowError: the service refuses it.
        """
        segment_id = self._copies.new_id(values.origin)
        segment = Segment(
            segment_id,
            self.generation.name,
            name=self._fitting("name", values.name),
            description=self._fitting("description", values.description),
            kind=values.kind,
            status=DRAFT,
            origin=values.origin,
            query=values.query if values.kind == DYNAMIC else None,
            definition=self._service.definition(segment_id),
        )
        if self._service.create(segment):
            self._copies.put(segment)
        else:
            there = self._copies.read(segment_id)
            # As in :meth:`update`; that is why the copy was not found.
            lost: dict[str, Any] = {"origin": values.origin} if there.origin != values.origin else {}
            self._change(there, {**self._changes(replace(there, **lost), values), **lost})
        return segment_id

    def intact(self, target: str, values: SegmentValues, *, own: bool = False) -> bool:
        """Whether a copy needs no update, if ``values`` are those of its last one: it is there, and says whose it is.

        A copy that has failed needs one, to go live again; one that somebody has stopped does not. The first call lists
        all copies.
        """
        segment = self._copies.listed(target)
        if segment is None or own:
            return segment is not None
        return segment.origin == values.origin and not (values.live and segment.status in {DRAFT, ERROR})

    def update(self, target: str, values: SegmentValues, *, own: bool = False) -> bool:
        """Let a segment be as ``values`` say; whether anything is, or is still to be done by :meth:`finish`.

        Args:
            target: its GUID.
            values: what it shall be.
            own: it is one of the organisation's own, not a copy.

        Raises:
            RowError: the service refuses it, or the copy is of the other kind.
        """
        segment = self._copies.get(target)
        # Somebody may have emptied the column: without it the copy would be sent back as a segment of its own.
        lost: dict[str, Any] = {} if own or segment.origin == values.origin else {"origin": values.origin}
        changes = {**self._changes(replace(segment, **lost), values), **lost}
        self._change(segment, changes)
        if own:
            return bool(changes)
        if values.live:
            return bool(changes) or segment.status not in {LIVE, GOING_LIVE}
        return self._stopped(target) or bool(changes)

    def retire(self, target: str) -> None:
        """The segment is gone at its owner: stop it, or delete it, if it is there.

        Raises:
            RowError: the service refuses it, for a journey uses the segment, say.
        """
        if not self._delete:
            with suppress(SegmentGoneError):
                self._stopped(target)
        elif segment := self._copies.by_id(target):
            self._service.delete(segment)
            self._copies.forget(segment)

    def members(self, target: str) -> Iterator[str]:
        """Ids of static members; some may come twice. A dynamic segment has none.

        Raises:
            RowError: the service does not tell them.
        """
        segment = self._copies.get(target)
        return self._service.members(segment) if segment.kind == STATIC else iter(())

    def add(self, target: str, ids: Sequence[str]) -> None:
        """Add at most :attr:`chunk` static members; a dynamic segment has its own by its query.

        Raises:
            RowError: the service refuses them.
        """
        segment = self._copies.get(target)
        if segment.kind == STATIC and ids:
            self._service.add(segment, ids)

    def remove(self, target: str, ids: Sequence[str]) -> None:
        """Remove at most :attr:`chunk` static members.

        Raises:
            RowError: the service refuses that.
        """
        segment = self._copies.get(target)
        if segment.kind == STATIC and ids:
            self._service.remove(segment, ids)

    def finish(self, target: str) -> None:
        """Let a copy go live, if it is not.

        Raises:
            RowError: the service refuses that.
        """
        segment = self._settled(target, STOPPING)
        if segment.status in {LIVE, GOING_LIVE} or segment.origin == DYNAMICS_ORIGIN:
            return
        try:
            self._service.start(segment)
        except RowError:
            # Also the answer to a second request whose first one's reply was lost.
            if self._copies.read(target).status not in {LIVE, GOING_LIVE}:
                raise

    def _stopped(self, target: str) -> bool:
        """Stop a segment, if it is live; whether it was."""
        segment = self._settled(target, GOING_LIVE)
        if not segment.is_live:
            return False
        try:
            self._service.stop(segment)
        except RowError:
            if self._copies.read(target).status not in {STOPPED, STOPPING}:
                raise
        return True

    def _settled(self, target: str, status: str) -> Segment:
        """The segment, when it is no longer on its way: the service takes no other wish then (page 8.2)."""
        until = time.monotonic() + PATIENCE_SECONDS
        while (segment := self._copies.read(target)).status == status:
            if time.monotonic() > until:
                raise RowError(f"the segment's copy has been {status} for more than {PATIENCE_SECONDS:.0f} s")
            self._gate.sleep(POLL_SECONDS)
        return segment

    def _changes(self, segment: Segment, values: SegmentValues) -> dict[str, Any]:
        copy = segment.origin == values.origin
        # What a segment of the organisation's own has is not taken away by a row that does not say it.
        wanted = {"name": self._fitting("name", values.name)}
        if copy or values.description:
            wanted["description"] = self._fitting("description", values.description)
        if values.kind == DYNAMIC:
            wanted["query"] = values.query
        if (copy or values.kind == DYNAMIC) and STATIC in {segment.kind, values.kind} and segment.kind != values.kind:
            raise RowError(f"its copy is {segment.kind}, which cannot be changed; delete the copy to have a new one")
        return {name: value for name, value in wanted.items() if (getattr(segment, name) or "") != value}

    def _change(self, segment: Segment, changes: Mapping[str, Any]) -> None:
        if changes:
            self._service.update(segment, changes)
            self._copies.put(replace(segment, **changes))

    def _fitting(self, name: str, value: str) -> str:
        return fitting(self._table, self.generation.columns[name], value)
