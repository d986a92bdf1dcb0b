"""Members of segments of outbound marketing (Dataverse pages 8.3, 8.4)."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import quoteattr

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.errors import UnknownColumnError
from annex_d365.dataverse.segments.generations import MEMBER_IDS, OUTBOUND
from annex_d365.dataverse.segments.members import Action, ContactColumns
from annex_d365.dataverse.segments.replies import KEY, contacts_in, ids_in
from annex_d365.dataverse.segments.segment import Segment
from annex_d365.dataverse.segments.steps import Sent, Steps
from annex_d365.errors import ServiceError

FETCH = "msdyncrm_FetchContactsByQuery"
#: Paging by number ends there (Dataverse page 2.3).
MAX_PAGED_ROWS = 50_000
#: Stands in the middle of a query.
_QUERY_NAME = re.compile(r"\w+")
_ORGANIZATION_SCOPE = 270100000
#: Halves of halves: far more than any segment takes.
_MOST_CONDITIONS = 40
_NOT_SPLIT = "Dataverse does not split the segment by the ids of its members."


class OutboundMembers:
    """Reads members by ``msdyncrm_FetchContactsByQuery``, or from the column with the ids of a static segment.

    Args:
        columns: what is wanted of contacts.
        has_ids: whether the table of segments has that column.
    """

    def __init__(self, columns: ContactColumns, *, has_ids: bool = True) -> None:
        self._columns, self._has_ids = columns, has_ids
        self._take = min(columns.page_size, MAX_PAGED_ROWS)
        self._fetch = Action(
            columns.dataverse, FETCH, "Outbound marketing, and its lists of members, is gone from this organisation."
        )

    def begin(self, segments: Sequence[Segment]) -> None:
        """Nothing that they share is to be read."""

    def pages(self, segment: Segment) -> Generator[Sequence[Row]]:
        """As in :class:`~annex_d365.dataverse.segments.members.Members`."""
        if not segment.query_name:
            yield from self._columns.of(self._static_ids(segment))
        elif _QUERY_NAME.fullmatch(segment.query_name):
            yield from self._queried(segment)
        else:
            raise ServiceError("The segment has a query name that is no name.")

    def _static_ids(self, segment: Segment) -> list[str]:
        memo = None
        if self._has_ids:
            url = f"{OUTBOUND.entity_set}({segment.segment_id})?$select={MEMBER_IDS}"
            with suppress(UnknownColumnError):  # it was withdrawn with the rest, whatever the metadata say
                memo = self._columns.dataverse.get(url).get(MEMBER_IDS)
        if memo is None:
            raise ServiceError("The segment has neither a query nor a list of members.")
        return ids_in(memo)

    def _queried(self, segment: Segment) -> Generator[Sequence[Row]]:
        """Pages by number. What has too many rows for them is read again in two parts, which are split likewise.

        The parts are those whose ids are greater than the id of a member, and the others: whatever the order of ids is,
        and whether or not ORDERBY has the same one, nobody is in neither (SQL Server compares the last bytes first).
        """
        sent = Sent()
        parts: list[tuple[tuple[str, str], ...]] = [()]
        while parts:
            conditions = parts.pop()
            ids: dict[str, None] = {}
            steps = Steps(self._take)
            while steps.skip + steps.size <= MAX_PAGED_ROWS:
                page = contacts_in(self._ask(segment, conditions, steps))
                if not page:
                    break
                known = len(ids)
                ids.update((row[KEY], None) for row in page)
                steps.took(len(page), len(ids) - known)
                if any(sign == ">" and key in ids for sign, key in conditions):
                    raise ServiceError(_NOT_SPLIT)
                new = sent.new(row[KEY] for row in page)
                if new:
                    yield [row for row in page if row[KEY] in new]
            else:
                if len(conditions) == _MOST_CONDITIONS:
                    raise ServiceError(_NOT_SPLIT)
                middle = sorted(ids)[(len(ids) - 1) // 2]
                parts += [(*conditions, (sign, middle)) for sign in ("<=", ">")]

    def _ask(self, segment: Segment, conditions: Sequence[tuple[str, str]], steps: Steps) -> Row:
        """One page. Query and FetchXml have to be of the same page."""
        found = f"SEGMENT({segment.query_name})"
        if conditions:
            texts = (f"{KEY} {sign} '{key}'" for sign, key in conditions)
            found += f" INTERSECT PROFILE(contact).FILTER({' && '.join(texts)})"
        body: dict[str, Any] = {
            "Query": f"({found}).ORDERBY({KEY} ASC).SKIP({steps.skip}).TAKE({steps.size}).SELECT({KEY})",
            "FetchXml": _fetch_xml(self._columns.select, steps.size, steps.number),
            "Scope": segment.scope or _ORGANIZATION_SCOPE,
            "TimeZone": None,
        }
        if segment.business_unit:
            body["OwningBusinessUnit"] = segment.business_unit
        return self._fetch.ask(body)


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
