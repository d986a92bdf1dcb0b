"""Change tracking: what is new, changed or deleted since a delta token (Dataverse page 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query
from annex_d365.errors import ServiceError

_TOKEN = re.compile(r"[?&](?:\$|%24)deltatoken=([^&#]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """One row that is there, or that is not there any more.

    Attributes:
        key: its primary key.
        row: as the service sent it; None when it was deleted. It may have been made after the last token.
    """

    key: str
    row: Row | None


@dataclass(frozen=True)
class ChangePage:
    """Some changes, in the order of the service: rows by their version, then deletions.

    Attributes:
        changes: the changes.
        token: on the last page, and only there: where the next call goes on. As it stands in URLs.
    """

    changes: Sequence[Change]
    token: str | None


def tracked_pages(
    dataverse: Dataverse,
    query: Query,
    key: str,
    *,
    token: str | None = None,
    page_size: int = MAX_PAGE_SIZE,
    annotations: str = "",
) -> Iterator[ChangePage]:
    """All rows of a table, or what became of them since ``token``; the next page is fetched ahead.

    ASSUMPTION: a token is about the table, not about the columns of the query that returned it; the service's own link
    is the same URL with the token (page 3). If a service thinks otherwise, it refuses the token.

    Args:
        dataverse: the organisation.
        query: table and columns; the service takes no other option here.
        key: the column with the primary key.
        token: of an earlier call; None to begin.
        page_size: rows per page, at most.
        annotations: as in :meth:`Dataverse.page`.

    Raises:
        StaleTokenError: the service does not know the token, or not any more; on any page.
        ServiceError: it refused, or its links lead nowhere.
    """
    url = f"{query.url}{'&' if '?' in query.url else '?'}$deltatoken={token}" if token else query.url
    # With a token the preference is not needed, and does no harm (page 3).
    for page in dataverse.pages(url, page_size, annotations, ["odata.track-changes"]):
        changes = [_change(dataverse.row(raw), key) for raw in page.value]
        yield ChangePage(changes, None if page.next_link else _token(page.delta_link, query.entity_set))


def _change(entry: Row, key: str) -> Change:
    # A row has its key always; a deletion has `id` and `reason`, which a table may have as columns, too.
    if key in entry:
        return Change(entry[key], entry)
    # In rows keys are in lower case (page 2.5); what removes a row must name it in the same way.
    return Change(str(entry["id"]).lower(), None)


def _token(delta_link: str | None, entity_set: str) -> str:
    found = _TOKEN.search(delta_link or "")
    if not found:
        raise ServiceError(f"Dataverse sent no delta link for {entity_set}.")
    return found[1]
