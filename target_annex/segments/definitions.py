"""What the copies of Dynamics 365 segments are in Annex Cloud, but for their members: names, days, marks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from annex_d365.annexcloud.segment_writing import Definition
from annex_d365.annexcloud.segments import Segment
from target_annex.segments.rows import ACTIVE
from target_annex.segments.side import SegmentSpec

#: Signs of a segment's id that tell its copy from another segment of the same name; it takes all where they do not.
_TOLD_APART_BY = 8
#: A copy is valid anew when there are fewer days left, or less than half of them all.
_NEAR = dt.timedelta(days=30)


class Definitions:
    """Makes them.

    Args:
        validity_days: of a segment whose owner knows no last day; Annex Cloud wants one (Annex page 10.1).
    """

    def __init__(self, validity_days: int) -> None:
        self._validity = dt.timedelta(days=validity_days)
        #: Marks of copies whose owner says which day is the last.
        self._ended: set[str] = set()

    @cached_property
    def today(self) -> dt.date:
        """In UTC."""
        return dt.datetime.now(dt.timezone.utc).date()

    def of(self, copy: Segment) -> Definition:
        """What a copy is."""
        return Definition(
            name=copy.name or copy.segment_id,
            first=_day(copy.from_date) or self.today,
            last=_day(copy.to_date) or self.today + self._validity,
            active=copy.status == ACTIVE,
            external_id=copy.external_id or "",
            external_name=copy.external_name or "",
        )

    def wanted(self, spec: SegmentSpec, copy: Segment | None) -> Definition:
        """What a copy shall be. Days that the owner does not know stay, unless the last one is near, or over."""
        old = self.of(copy) if copy else None
        marked = copy is not None and copy.origin.casefold() == spec.origin.casefold()
        definition = Definition(
            name=old.name if old and old.name in names(spec) else _name(spec),
            first=spec.valid_from or (old.first if old else self.today),
            last=spec.valid_to or (old.last if old else self.today),
            active=spec.status == ACTIVE,
            external_id=old.external_id if old and marked else spec.origin,
            external_name=_name(spec),
        )
        if spec.valid_to:
            self._ended.add(definition.external_id)
        return self.prolonged(definition)

    def prolonged(self, definition: Definition) -> Definition:
        """The same, but valid for a while, unless its owner says for how long."""
        last = definition.last
        if definition.external_id not in self._ended and last - self.today < min(_NEAR, self._validity / 2):
            last = self.today + self._validity
        return replace(definition, first=min(definition.first, last), last=last)


def names(spec: SegmentSpec) -> Iterator[str]:
    """The names that a copy may have, because another segment may have the first ones."""
    name = _name(spec)
    yield name
    yield f"{name} ({spec.key[:_TOLD_APART_BY]})"
    yield f"{name} ({spec.key})"


def _name(spec: SegmentSpec) -> str:
    return spec.name or spec.key


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text[:10]) if text else None
