"""Rows by their keys, many in a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, text

#: A key takes 39 characters of a URL, which may have 32,768 (Dataverse page 2.1); a longer one goes in a batch.
KEYS_PER_REQUEST = 750


def rows_of(dataverse: Dataverse, query: Query, key: str, ids: Sequence[str], annotations: str = "") -> Iterator[Row]:
    """The rows with these keys, in any order; those that are not there, or not for us to see, are left out.

    Args:
        dataverse: the organisation.
        query: table and columns; the key is always among these.
        key: of the table.
        ids: keys, GUIDs.
        annotations: as in :meth:`Dataverse.page`.
    """
    for start in range(0, len(ids), KEYS_PER_REQUEST):
        values = ",".join(text(each) for each in ids[start : start + KEYS_PER_REQUEST])
        # One function is shorter than a condition per key (Dataverse page 2.2).
        condition = f"Microsoft.Dynamics.CRM.In(PropertyName='{key}',PropertyValues=[{values}])"
        url = replace(query, select=tuple(dict.fromkeys((key, *query.select))), filter=condition).url
        while url:
            page = dataverse.page(url, KEYS_PER_REQUEST, annotations)
            yield from map(dataverse.row, page.value)
            url = page.next_link or ""
