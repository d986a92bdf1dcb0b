"""Change tracking: what was created, changed and deleted since a version stamp (Dataverse page 3).

The stamp that a client gets is that of the first page of its load or delta: what changes while it reads comes again in
the next delta. A row that was deleted and made again under the same id is not reported as deleted (ASSUMPTION).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from sqlite3 import Connection
from typing import Any
from urllib.parse import quote

from annex_d365_sandbox.dataverse import errors, paging, schema
from annex_d365_sandbox.dataverse.models import USER_ID, Organisation
from annex_d365_sandbox.dataverse.preferences import Preferences
from annex_d365_sandbox.dataverse.query import Order, Query
from annex_d365_sandbox.dataverse.reading import COUNT_CAP, Reader, context, with_option
from annex_d365_sandbox.dataverse.rows import Shape, by_id
from annex_d365_sandbox.dataverse.schema import Attribute, Table
from annex_d365_sandbox.dataverse.sql import Sql

_FORM = "%m/%d/%Y %H:%M:%S"
#: Changes come first, by version, deletions after.
_ORDERS = (
    Order("deleted", Attribute("deleted", schema.INTEGER), "deleted"),
    Order("version", Attribute("versionnumber", schema.BIGINT), "versionnumber"),
)


@dataclass(frozen=True)
class Stamp:
    """A delta token: ``<version>!<MM/dd/yyyy HH:mm:ss>``."""

    version: int
    at: datetime

    def __str__(self) -> str:
        return f"{self.version}!{self.at.strftime(_FORM)}"

    @classmethod
    def read(cls, text: str) -> Stamp:
        """The stamp of a decoded token. Raises ``DataverseError`` if it is malformed."""
        version, _, at = text.partition("!")
        try:
            moment = datetime.strptime(at, _FORM).replace(tzinfo=timezone.utc)
        except ValueError as error:
            raise errors.invalid_stamp() from error
        if not re.fullmatch(r"[0-9]{1,19}", version):
            raise errors.invalid_stamp()
        return cls(int(version), moment)

    @property
    def encoded(self) -> str:
        """For a URL, with the escapes in lower case as Dataverse writes them."""
        return re.sub("%..", lambda match: match[0].lower(), quote(str(self), safe=""))


class Tracker:
    """Answers queries of one organisation that track changes."""

    def __init__(self, organisation: Organisation, reader: Reader) -> None:
        self._organisation, self._reader = organisation, reader

    def concerns(self, query: Query, wishes: Preferences) -> bool:
        """Whether a query tracks changes: it asks to, holds a delta token, or goes on with a page that did."""
        return wishes.track_changes or query.deltatoken is not None or paging.stamp_of(query.skiptoken) is not None

    def page(self, query: Query, wishes: Preferences, *, root: str, url: str) -> dict[str, Any]:
        """One page of a set or, with a delta token, of its changes; the last one has the next delta link.

        Args:
            query: the options.
            wishes: preferences of the request.
            root: ``<origin>/api/data/v9.2``.
            url: the request's own address without its tokens.

        Raises:
            DataverseError: the table or an option cannot be tracked; the token is malformed, foreign or too old.
        """
        self._check(query)
        begun = paging.stamp_of(query.skiptoken)
        with self._organisation.store.transaction() as db:
            stamp = (
                self._checked(begun) if begun else Stamp(self._organisation.version(), self._organisation.clock.now())
            )
            if query.deltatoken is None:
                body = self._reader.page(query, wishes, root=root, url=url, stamp=str(stamp))
            else:
                since = self._checked(query.deltatoken)
                body = self._changes(db, query, wishes, root=root, url=url, since=since, stamp=stamp)
        if "@odata.nextLink" not in body or self._organisation.switches.delta_link_on == "every_page":
            body["@odata.deltaLink"] = with_option(url, "$deltatoken", stamp.encoded)
        return body

    def count(self, query: Query) -> int:
        """How many changes and deletions there are since the delta token, capped like every count."""
        self._check(query)
        since = self._checked(query.deltatoken or "")
        with self._organisation.store.transaction() as db:
            return len(_found(db, query.table, since, [], COUNT_CAP))

    def _check(self, query: Query) -> None:
        table = query.table
        if table.intersect:
            raise errors.intersect_not_tracked(table)
        if not self._organisation.tracks_changes(table):
            raise errors.not_tracked(table)
        if table.logical_name in self._organisation.switches.partly_readable_tables:
            raise errors.missing_privilege(table, USER_ID)
        given = {"$filter": query.where, "$orderby": query.order, "$expand": query.expand}
        for name, value in given.items():
            if value:
                raise errors.option_beside_tracking(name, self._organisation.switches.tracking_refusal_code)
        if query.top is not None:
            raise errors.option_beside_tracking("$top", self._organisation.switches.tracking_refusal_code)

    def _checked(self, text: str) -> Stamp:
        """The stamp of a token that is young enough; of one organisation, as far as its number tells."""
        stamp = Stamp.read(text)
        switches = self._organisation.switches
        if self._organisation.clock.now() - stamp.at > timedelta(days=switches.expire_change_tracking_in_days):
            raise errors.expired_stamp(switches.expired_stamp_status)
        if stamp.version > self._organisation.version():
            raise errors.invalid_stamp()
        return stamp

    def _changes(
        self, db: Connection, query: Query, wishes: Preferences, *, root: str, url: str, since: Stamp, stamp: Stamp
    ) -> dict[str, Any]:
        cookie = paging.decode(query.skiptoken, _ORDERS) if query.skiptoken is not None else None
        limit = self._reader.page_size(wishes)
        found = _found(db, query.table, since, [paging.after(cookie, _ORDERS)] if cookie else [], limit + 1)
        more, found = len(found) > limit, found[:limit]
        shape = Shape(query.table, self._organisation.tables, query.select, wishes)
        changed = [row_id for deleted, _, row_id in found if not deleted]
        rows = shape.rows(db, list(by_id(db, query.table, shape.columns, changed)))
        by_key = {row[query.table.primary_id]: row for row in rows}
        deletion = f"{root}/$metadata#{query.table.set_name}/$deletedEntity"
        body: dict[str, Any] = {
            "@odata.context": f"{root}/$metadata#{context(query)}/$delta",
            "value": [
                {"@odata.context": deletion, "id": row_id, "reason": "deleted"} if deleted else by_key[row_id]
                for deleted, _, row_id in found
            ],
        }
        if more:
            place = paging.Cookie((cookie.page if cookie else 1) + 1, tuple(found[-1][:2]), str(stamp))
            here = with_option(url, "$deltatoken", since.encoded)
            token = self._reader.skiptoken(place, found[0][:2], _ORDERS)
            body["@odata.nextLink"] = with_option(here, "$skiptoken", token)
        return body


def _found(
    db: Connection, table: Table, since: Stamp, conditions: Sequence[Sql], limit: int
) -> list[tuple[int, int, str]]:
    """(deleted, version, id) of what happened after the stamp."""
    name, key = table.logical_name, table.primary_id
    where = f" WHERE {' AND '.join(condition.text for condition in conditions)}" if conditions else ""
    found = db.execute(
        f"SELECT * FROM (SELECT 0 AS deleted, versionnumber AS version, {key} AS id FROM {name} WHERE versionnumber > ?"
        " UNION ALL SELECT 1, version, row_id FROM d365_deleted WHERE table_name = ? AND version > ?"
        f" AND NOT EXISTS (SELECT 1 FROM {name} WHERE {key} = row_id)){where} ORDER BY deleted, version LIMIT ?",
        [since.version, name, since.version, *(p for c in conditions for p in c.parameters), limit],
    )
    return [tuple(row) for row in found]
