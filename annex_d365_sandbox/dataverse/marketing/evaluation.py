"""From a segment's query to its members: what both generations share."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.marketing.language import parser
from annex_d365_sandbox.dataverse.marketing.language.compiler import Compiler, Found
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.marketing.memberships import Memberships
from annex_d365_sandbox.dataverse.marketing.schedule import Schedule
from annex_d365_sandbox.dataverse.marketing.switches import Switches
from annex_d365_sandbox.dataverse.sql import Sql

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation

#: Finds the rows that a query may name: by id, back-end name or name -> id of its members, logical name of their table.
Resolver = Callable[[str], tuple[str, str]]


@dataclass
class Room:
    """What the services of both generations work with."""

    organisation: Organisation
    memberships: Memberships
    schedule: Schedule
    switches: Switches

    @property
    def now(self) -> datetime:
        """The time."""
        return self.organisation.clock.now()

    def compiler(self, resolve: Resolver, at: datetime) -> Compiler:
        """Compiles queries whose ``SEGMENT(...)`` are found by a resolver."""

        def segment(name: str) -> Found:
            segment_id, table = resolve(name)
            return Found(self.memberships.query(segment_id), self.organisation.tables[table])

        return Compiler(self.organisation.tables, segment, at)

    def found(self, query: str | None, resolve: Resolver, at: datetime) -> Found:
        """The members of a query. Raises ``QueryError``."""
        if not query:
            raise QueryError("The segment has no query.")
        any_case = self.switches.query_keywords == "any_case"
        return self.compiler(resolve, at).members(parser.members(query, any_case=any_case))

    def keep(self, segment_id: str, found: Sql) -> int:
        """Make what a query finds a segment's members. Returns how many. Raises ``QueryError`` if it is too complex."""
        try:
            return self.memberships.replace(segment_id, found)
        except sqlite3.OperationalError as error:
            raise QueryError(f"The query is too complex: {error}.") from error

    def check_works(self, *names: str | None) -> None:
        """Raises ``QueryError`` if a test wants the segment of this id or name to fail."""
        if any(name in self.switches.failing_segments for name in names):
            raise QueryError("The evaluation failed.")

    def check_refused(self, *names: str | None) -> None:
        """Raises ``DataverseError`` if a test wants the members of the segment of this id or name refused."""
        for name in names:
            status = self.switches.refused_segments.get(name or "")
            if status:
                code = {403: "0x80040220", 500: "0x80040216"}.get(status, "")
                raise DataverseError(status, code, f"The members of the segment '{name}' cannot be read.")

    def check_known(self, ids: Iterable[str], table: str) -> None:
        """Raises ``DataverseError`` if some id is nobody's and such ids are refused (page 8.3 has both)."""
        if self.switches.unknown_member_ids == "refused":
            for row_id in ids:
                if self.organisation.get(table, row_id) is None:
                    raise plugin_fault(f"There is no {table} {row_id}.")

    def next_refresh(self, due: datetime, minutes: int | None) -> datetime:
        """The next moment in the rhythm of a segment that is still to come; those that were slept over are left out."""
        rhythm = timedelta(minutes=minutes or self.switches.refresh_minutes or 1)
        return due + rhythm * (max(self.now - due, timedelta()) // rhythm + 1)

    def latest_refresh(self, due: datetime, minutes: int | None) -> datetime:
        """The last moment in the rhythm that has come."""
        rhythm = timedelta(minutes=minutes or self.switches.refresh_minutes or 1)
        return due + rhythm * (max(self.now - due, timedelta()) // rhythm)


def plugin_fault(message: str) -> DataverseError:
    """Business logic refuses a write; the page has status and message of some (8.3), the code is assumed."""
    return DataverseError(400, "0x80040265", message)


_LEGACY = re.compile(r"^crm(?=[0-9a-fA-F]{8}-)")


def ids(given: Any) -> list[str]:
    """Ids from a list, or from the text of a JSON array; the legacy prefix ``crm`` is dropped (Dataverse page 8.3).

    Raises:
        ValueError: it is neither, or one of them is no id.
    """
    listed = json.loads(given) if isinstance(given, str) else given
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ValueError("An array of ids was expected.")
    return [str(UUID(_LEGACY.sub("", each))) for each in listed]


def same_name(row: Mapping[str, Any], name: str, *columns: str) -> bool:
    """Whether one of the columns holds the name, whatever its case and its dashes."""
    plain = name.lower().replace("-", "")
    return any(str(row[column] or "").lower().replace("-", "") == plain for column in columns)
