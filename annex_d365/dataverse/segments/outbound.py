"""Members of segments of outbound marketing (Dataverse pages 8.3, 8.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.segments.generations import MEMBER_IDS, OUTBOUND
from annex_d365.dataverse.segments.members import ContactColumns
from annex_d365.dataverse.segments.replies import KEY, contacts_in, ids_in
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.errors import ServiceError, SettingError

FETCH = "msdyncrm_FetchContactsByQuery"
#: Paging by number ends there (Dataverse page 2.3).
MAX_PAGED_ROWS = 50_000
#: Stands in the middle of a query.
_QUERY_NAME = re.compile(r"\w+")
_ORGANIZATION_SCOPE = 270100000


class OutboundMembers:
    """Reads members by ``msdyncrm_FetchContactsByQuery``, or from the column with the ids of a static segment.

    Args:
        columns: what is wanted of contacts.
    """

    def __init__(self, columns: ContactColumns) -> None:
        self._columns = columns
        self._take = min(columns.page_size, MAX_PAGED_ROWS)

    def begin(self, segments: Sequence[Segment]) -> None:
        """Nothing that they share is to be read."""

    def pages(self, segment: Segment) -> Iterator[Sequence[Row]]:
        """As in :class:`~annex_d365.dataverse.segments.members.Members`."""
        if not segment.query_name:
            yield from self._columns.of(self._static_ids(segment))
        elif _QUERY_NAME.fullmatch(segment.query_name):
            yield from self._queried(segment)
        else:
            raise ServiceError("The segment has a query name that is no name.")

    def _static_ids(self, segment: Segment) -> list[str]:
        row = self._columns.dataverse.get(f"{OUTBOUND.entity_set}({segment.segment_id})?$select={MEMBER_IDS}")
        if row.get(MEMBER_IDS) is None:
            raise ServiceError("The segment has neither a query nor a list of members.")
        return ids_in(row[MEMBER_IDS])

    def _queried(self, segment: Segment) -> Iterator[Sequence[Row]]:
        """Pages by number as far as they go; the next ones are of the contacts behind the last one.

        ASSUMPTION: the order by id and the comparison of ids agree, whichever order that is.
        """
        after, skip = "", 0
        known: set[str] = set()
        while True:
            page = contacts_in(self._ask(segment, after, skip))
            new = [row for row in page if row[KEY] not in known]
            if page and not new:
                raise ServiceError("Dataverse repeats a page of members.")
            if new:
                yield new
            if len(page) < self._take:
                return
            known = {row[KEY] for row in page}
            skip += self._take
            if skip + self._take > MAX_PAGED_ROWS:
                after, skip = page[-1][KEY], 0

    def _ask(self, segment: Segment, after: str, skip: int) -> Row:
        """One page. Query and FetchXml have to be of the same page."""
        found = f"SEGMENT({segment.query_name})"
        if after:
            found += f" INTERSECT PROFILE(contact).FILTER(contactid > '{after}')"
        body: dict[str, Any] = {
            "Query": f"({found}).ORDERBY({KEY} ASC).SKIP({skip}).TAKE({self._take}).SELECT({KEY})",
            "FetchXml": _fetch_xml(self._columns.select, self._take, skip // self._take + 1),
            "Scope": segment.scope or _ORGANIZATION_SCOPE,
            "TimeZone": None,
        }
        if segment.business_unit:
            body["OwningBusinessUnit"] = segment.business_unit
        try:
            return self._columns.dataverse.ask(FETCH, body)
        except SettingError as error:
            if error.setting != "tables":
                raise
            # What is told of an unknown table means an unknown action here.
            raise ServiceError(
                "Outbound marketing, and its lists of members, is gone from this organisation."
            ) from None


def _fetch_xml(select: Sequence[str], count: int, page: int) -> str:
    names = [KEY, *(_attribute(name) for name in select if name != KEY)]
    attributes = "".join(f"<attribute name={quoteattr(name)}/>" for name in names)
    return (
        f'<fetch version="1.0" output-format="xml-platform" mapping="logical" count="{count}" page="{page}" '
        f'returntotalrecordcount="true"><entity name="contact">{attributes}'
        f'<order attribute="{KEY}" descending="false"/></entity></fetch>'
    )


def _attribute(column: str) -> str:
    """The name in FetchXml of a column of ``$select``: a lookup is ``_<name>_value`` there (Dataverse page 2.5)."""
    lookup = re.fullmatch(r"_(\w+)_value", column)
    return lookup[1] if lookup else column
