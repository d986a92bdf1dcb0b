"""Members of a segment, page by page: what both generations share."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.dataverse.segments.rows import KEYS_PER_REQUEST, rows_of
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import ServiceError, SettingError

CONTACTS = "contacts"


class Members(Protocol):
    """Reads the members of segments of one generation. Safe for threads."""

    def begin(self, segments: Sequence[Segment]) -> None:
        """These will be read."""

    def pages(self, segment: Segment) -> Generator[Sequence[Row]]:
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


class Action:
    """An unbound action that reads. Where the organisation has it not, it is asked once.

    Args:
        dataverse: the organisation.
        name: of the action.
        missing: the sentence for an organisation without it.
    """

    def __init__(self, dataverse: Dataverse, name: str, missing: str) -> None:
        self._dataverse, self._name, self._missing = dataverse, name, missing
        self._is_missing = False

    def ask(self, body: Mapping[str, Any]) -> Row:
        """Its answer.

        Raises:
            ServiceError: the organisation does not have it.
        """
        if not self._is_missing:
            try:
                return self._dataverse.ask(self._name, body)
            except SettingError as error:
                # What is told of an unknown table means an unknown action here.
                if error.setting != "tables":
                    raise
                self._is_missing = True
        raise ServiceError(self._missing)
