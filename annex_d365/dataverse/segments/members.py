"""Members of a segment, page by page: what both generations share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.dataverse.segments.rows import KEYS_PER_REQUEST, rows_of
from annex_d365.dataverse.segments.segment import Segment

CONTACTS = "contacts"


class Members(Protocol):
    """Reads the members of segments of one generation. Safe for threads."""

    def begin(self, segments: Sequence[Segment]) -> None:
        """These will be read."""

    def pages(self, segment: Segment) -> Iterator[Sequence[Row]]:
        """The members, as rows of contacts in which empty columns may be missing, each member once.

        Raises:
            ConnectorError: they cannot be read, or not all of them.
        """


@dataclass(frozen=True)
class ContactColumns:
    """What is wanted of contacts besides their ids.

    Attributes:
        dataverse: the organisation.
        select: columns, as in ``$select``.
        annotations: as in :meth:`Dataverse.page`.
        page_size: contacts per request of an action.
    """

    dataverse: Dataverse
    select: Sequence[str] = ()
    annotations: str = ""
    page_size: int = MAX_PAGE_SIZE

    def of(self, ids: Sequence[str]) -> Iterator[Sequence[Row]]:
        """The contacts with these ids, in this order; of one that cannot be read, the id alone."""
        remaining = iter(ids)
        while part := list(islice(remaining, KEYS_PER_REQUEST)):
            rows: dict[str, Row] = {}
            if self.select:
                found = rows_of(self.dataverse, Query(CONTACTS, self.select), KEY, part, self.annotations)
                rows = {row[KEY]: row for row in found}
            yield [rows.get(each) or {KEY: each} for each in part]
