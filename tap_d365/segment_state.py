"""What the streams of segments remember from run to run.

There are thousands of segments, so that every run lists them all. What decides is a time, and the version of the row
(its ETag) for those with the bookmark's own time, as in :mod:`tap_d365.progress`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import accumulate
from typing import Any

import msgspec

from annex_d365.dataverse.query import utc
from annex_d365.dataverse.ranges import FORM
from annex_d365.dataverse.segments.segment import Segment

_ETAG = re.compile(r'W/"(\d+)"')


class _Seen(msgspec.Struct):
    query: str
    until: str | None = None
    versions: list[int] = []
    again: list[str] = []


@dataclass(frozen=True)
class Seen:
    """What earlier runs have read of the segments of one generation.

    In the state: ``{"query": what was asked for, "until": bookmark, "versions": [...], "again": ids}``. ``versions``
    are those of the segments with the bookmark's time, or a later one, each as difference to the one before; ``again``
    are segments that the bookmark covers though they could not be read.

    Attributes:
        query: hash of what is asked for; after another question nothing counts as read.
        until: bookmark.
        versions: of rows that were read.
        again: ids of segments that are read whatever their time is.
    """

    query: str
    until: str | None = None
    versions: frozenset[int] = frozenset()
    again: frozenset[str] = frozenset()

    @classmethod
    def from_state(cls, state: Any, query: str) -> Seen:
        """What the state says; nothing, if it is of another question or not readable."""
        try:
            seen = msgspec.convert(state, _Seen)
            until = moment_of(seen.until) if seen.until else None
        except (msgspec.ValidationError, ValueError):
            return cls(query)
        if seen.query != query:
            return cls(query)
        return cls(query, until, frozenset(accumulate(seen.versions)), frozenset(seen.again))

    def start(self, lookback: int) -> str | None:
        """From which time on rows may be new; ``lookback`` in seconds."""
        try:
            return moment_of(self.until, timedelta(seconds=lookback)) if self.until else None
        except OverflowError:  # before the year 1
            return None

    def has(self, version: str) -> bool:
        """Whether the row was read in this version."""
        return _number(version) in self.versions

    def after(self, rows: Iterable[tuple[str, str]], run_start: str, again: Iterable[str] = ()) -> Seen:
        """What the next run has to know.

        Args:
            rows: time and version of each row at or after the bookmark.
            run_start: a bookmark beyond it would hide what changes until then.
            again: as the attribute.
        """
        rows = list(rows)
        until = max([self.until or "", *(moment for moment, _ in rows if moment <= run_start)]) or None
        versions = {_number(version) for moment, version in rows if moment >= (until or "")} - {None}
        return Seen(self.query, until, frozenset(each for each in versions if each is not None), frozenset(again))

    def with_read(self, segments: Iterable[Segment]) -> Seen:
        """The same with some segments that were read, while others are still to come: the bookmark stays."""
        segments = list(segments)
        versions = {_number(each.version) for each in segments} - {None}
        return replace(
            self,
            versions=self.versions.union(each for each in versions if each is not None),
            again=self.again.difference(each.segment_id for each in segments),
        )

    def to_state(self) -> dict[str, Any]:
        """The inverse of :meth:`from_state`."""
        versions = sorted(self.versions)
        steps = [now - before for before, now in zip([0, *versions], versions, strict=False)]
        return {"query": self.query, "until": self.until, "versions": steps, "again": sorted(self.again)}


def moment_of(value: str, less: timedelta = timedelta()) -> str:
    """A time in the form of the rows' own timestamps, in whole seconds.

    Raises:
        ValueError: it is not a time.
    """
    moment = datetime.fromisoformat(utc(value).replace("Z", "+00:00"))
    return (moment.astimezone(timezone.utc) - less).strftime(FORM).rjust(len("2026-01-01T00:00:00Z"), "0")


def fingerprint(*parts: Any) -> str:
    """A short hash of what is asked for."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _number(version: str) -> int | None:
    found = _ETAG.fullmatch(version)
    return int(found[1]) if found else None
