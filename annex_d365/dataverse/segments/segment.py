"""Segments in one shape, whatever the generation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annex_d365.dataverse.client import ETAG, Dataverse, Row
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import Query, utc
from annex_d365.dataverse.segments.generations import (
    ANNEX_CLOUD_ORIGIN,
    DEFINITION_ID,
    DEFINITION_QUERY,
    DEFINITIONS,
    DYNAMICS_ORIGIN,
    JOURNEYS,
    LIVE,
    OTHER,
    STATIC,
    Generation,
)
from annex_d365.dataverse.segments.replies import guid
from annex_d365.dataverse.segments.rows import rows_of

CONTACT = "contact"
_FRACTION = re.compile(r"\.\d+")
#: With less of the members that the last evaluation found, something is missing.
LEAST_PART = 0.9
_DATES = ("evaluated_on", "created_on", "modified_on")
#: Definitions per request; each may hold a query of some thousand characters.
DEFINITIONS_PER_REQUEST = 200


@dataclass(frozen=True)
class Segment:
    """One segment.

    Attributes:
        segment_id: its key.
        generation: ``outbound`` or ``journeys``.
        name: for people.
        description: for people.
        kind: ``static``, ``dynamic``, ``compound`` or ``other``.
        status: ``draft``, ``going_live``, ``live``, ``stopping``, ``stopped``, ``expired``, ``error``, ``deleted`` or
            ``other``.
        base_table: logical name of the table that members are of.
        origin: ``annexcloud:<site>/<id>`` for a copy from there, else ``dynamics``.
        query: of a segment that is not static, in the service's own language (Dataverse page 8.5).
        member_count: members at the last evaluation.
        evaluated_on: when that was; times are in UTC with ``Z``.
        created_on: when the row was made.
        modified_on: when the row was changed.
        kind_value: raw option value of ``kind``.
        status_value: raw option value of ``status``.
        state_value: raw option value of the row's state.
        version: of the row; empty where the service says none.
        query_name: what queries call the segment (outbound).
        scope: option value, the part of the organisation whose contacts count (outbound).
        business_unit: owner's.
        definition: id of the definition (journeys); None for a segment from elsewhere, whose source has other ids.
    """

    segment_id: str
    generation: str
    name: str | None = None
    description: str | None = None
    kind: str = OTHER
    status: str = OTHER
    base_table: str = CONTACT
    origin: str = DYNAMICS_ORIGIN
    query: str | None = None
    member_count: int | None = None
    evaluated_on: str | None = None
    created_on: str | None = None
    modified_on: str | None = None
    kind_value: int | None = None
    status_value: int | None = None
    state_value: int | None = None
    version: str = ""
    query_name: str | None = None
    scope: int | None = None
    business_unit: str | None = None
    definition: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it has members that can be read."""
        return self.status == LIVE

    @property
    def changed_on(self) -> str:
        """When it was last evaluated or changed; members cannot have changed since.

        ASSUMPTION: adding and removing static members moves one of the two, as it does in the sandbox.
        """
        return max(self.evaluated_on or "", self.modified_on or "")

    def lacks(self, found: int) -> bool:
        """Whether so few members cannot be all of them.

        The size is but loosely true (Dataverse page 8.4): contacts may have been deleted since. The size of a static
        segment is known to be older than its members where these were changed since.
        """
        size = self.member_count or 0
        is_old = self.kind == STATIC and (self.modified_on or "") > (self.evaluated_on or "")
        return bool(size and not found) or (found < size * LEAST_PART and not is_old)


class Segments:
    """The segments of one organisation.

    Args:
        dataverse: the organisation.
        generation: which ones.
        table: what the organisation says of their table; columns that it lacks are not asked for.
        origin_column: another column than the generation's own.
    """

    def __init__(
        self, dataverse: Dataverse, generation: Generation, table: Table, *, origin_column: str | None = None
    ) -> None:
        self._dataverse, self.generation = dataverse, generation
        wanted = {**generation.columns, "origin": origin_column or generation.origin, "base": generation.base}
        self._columns = {name: column for name, column in wanted.items() if column in table.columns}

    def ids(self, condition: str = "") -> set[str]:
        """The ids of all segments, or of those that a condition finds."""
        key = self.generation.id
        query = Query(self.generation.entity_set, select=(key,), filter=condition, orderby=(key,))
        return {row[key] for row in self._dataverse.rows(query)}

    def read(self, condition: str = "", *, queries: bool = True) -> Iterator[Segment]:
        """The segments that a condition finds, in the order of their change times.

        Args:
            condition: OData, over the generation's own table.
            queries: whether the queries of dynamic segments are wanted; journeys keep them in another table.
        """
        columns = {name: column for name, column in self._columns.items() if queries or name != "query"}
        query = replace(self._query(columns), filter=condition, orderby=("modifiedon", self.generation.id))
        found = [self._segment(row, columns) for row in self._dataverse.rows(query)]
        yield from self._with_queries(found) if queries and self.generation is JOURNEYS else found

    def now(self, ids: Sequence[str]) -> dict[str, Segment]:
        """The segments with these ids as they are now, without queries; those that are gone are left out."""
        columns = {name: column for name, column in self._columns.items() if name != "query"}
        found = rows_of(self._dataverse, self._query(columns), self.generation.id, ids)
        return {segment.segment_id: segment for segment in (self._segment(row, columns) for row in found)}

    def _query(self, columns: Mapping[str, str]) -> Query:
        return Query(self.generation.entity_set, tuple(dict.fromkeys((self.generation.id, *columns.values()))))

    def _segment(self, row: Row, columns: Mapping[str, str]) -> Segment:
        values: dict[str, Any] = {name: row.get(column) for name, column in columns.items()}
        origin, base = values.pop("origin", None) or "", values.pop("base", None)
        # In whole seconds, as the service sends them: times are compared as texts.
        values.update({name: _FRACTION.sub("", utc(values[name])) for name in _DATES if values.get(name)})
        if values.get("definition"):
            values["definition"] = guid(values["definition"])
        segment = Segment(row[self.generation.id], self.generation.name, version=row.get(ETAG) or "", **values)
        kind = self.generation.kinds.get(segment.kind_value or 0, OTHER)
        return replace(
            segment,
            kind=kind,
            status=self.generation.statuses.get(segment.status_value or 0, OTHER),
            base_table=(base or CONTACT).lower(),
            origin=origin if origin.startswith(ANNEX_CLOUD_ORIGIN) else DYNAMICS_ORIGIN,
            query=None if kind == STATIC else segment.query,
        )

    def _with_queries(self, segments: Sequence[Segment]) -> Iterator[Segment]:
        for start in range(0, len(segments), DEFINITIONS_PER_REQUEST):
            part = segments[start : start + DEFINITIONS_PER_REQUEST]
            ids = [each.definition for each in part if each.definition and each.kind != STATIC]
            queries = {
                row[DEFINITION_ID]: row.get(DEFINITION_QUERY)
                for row in rows_of(self._dataverse, Query(DEFINITIONS, (DEFINITION_QUERY,)), DEFINITION_ID, ids)
            }
            for each in part:
                yield replace(each, query=queries.get((each.definition or "").lower()))
