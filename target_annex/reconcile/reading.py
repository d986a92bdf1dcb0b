"""Contacts and members, read in parallel requests."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone

from annex_d365.annexcloud.ahead import Crew
from annex_d365.annexcloud.columns import Record
from annex_d365.annexcloud.enumeration import Batch, Candidate, Seen, regrouped
from annex_d365.annexcloud.members import Members
from annex_d365.annexcloud.profiles import Profiles
from annex_d365.annexcloud.ways import enumeration_of
from annex_d365.dataverse.budget import MAX_PAGE_SIZE
from annex_d365.dataverse.client import Row
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.ranges import FORM, Range, RangeReader
from annex_d365.errors import RowError
from annex_d365.ledger import fold
from target_annex.reconcile.people import MODIFIED_ON, People
from target_annex.reconcile.spill import Stranger
from target_annex.reconcile.systems import Systems

#: Members that are read by one thread, where there are bulk calls and where there are none.
_TOGETHER, _TOGETHER_SINGLY = 100, 10
_REFUSED = "members that the service refuses"


class ContactReading:
    """Reads all contacts.

    Args:
        systems: both sides.
        people: says which columns.
    """

    def __init__(self, systems: Systems, people: People) -> None:
        self._dataverse, self._definition, self._columns = systems.dataverse, people.definition, people.contact_columns
        self._parallel = systems.d365.config["max_parallel_requests"]

    def total(self) -> int | None:
        """How many there were on the last day; None where that is not told."""
        return self._dataverse.row_count(self._definition.logical_name)

    def lists(self) -> Generator[Sequence[Row]]:
        """All contacts, some at a time; one that changes meanwhile may come twice."""
        reader = RangeReader(
            self._dataverse,
            Query(self._definition.entity_set, self._columns),
            column=MODIFIED_ON,
            key=self._definition.primary_id,
            page_size=MAX_PAGE_SIZE,
            parallel=self._parallel,
            run_start=datetime.now(timezone.utc).strftime(FORM),
        )
        with closing(reader.parts([Range()])) as parts:  # type: ignore[type-var]
            for part in parts:
                yield list(part.rows)


class MemberReading:
    """Finds members as the setting `members` of tap-annex says, and reads them.

    Args:
        systems: both sides.
        people: says which columns.

    Attributes:
        left: what could not be read; without member data.
        refused: folded ids of members whom the service does not tell about.
        whole: whether all members there are were found.
    """

    def __init__(self, systems: Systems, people: People) -> None:
        config = systems.annex.config
        self._site, self._parallel = systems.site, config["max_parallel_requests"]
        self._setting, self._site_id = systems.finding, config["site_id"]
        self._profiles = Profiles(systems.site, people.member_columns, self._setting.get("columns"))
        self._members = Members(systems.site)
        self.left: list[str] = []
        self.refused: set[str] = set()
        self.whole = True

    def lists(self) -> Generator[Sequence[Record]]:
        """All members that can be found, some at a time."""
        with self._site.http.gate.workers(self._parallel, "members") as pool, closing(Seen()) as seen:
            crew = Crew(pool, self._parallel)
            enumeration = enumeration_of(
                self._setting, service=self._site, crew=crew, site_id=self._site_id, now=datetime.now(timezone.utc)
            )
            # A search for those who opted in shows nobody else.
            self.whole = enumeration.whole and self._setting.get("opted_out") is not False
            batches = regrouped(enumeration.batches(None), seen, self._together)
            for batch, records in crew.in_order(batches, lambda batch: self.read(batch.candidates)):
                self._note(batch)
                yield records

    def named(self, strangers: Sequence[Stranger]) -> list[Record]:
        """The members of contacts for whom none was found: no enumeration is sure to find all."""
        ids = [Candidate(each.member) for each in strangers if each.member]
        addresses = [each.email for each in strangers if not each.member and each.email]
        with self._site.http.gate.workers(self._parallel, "members") as pool:
            by_address = list(pool.map(self._members.find_by_email, addresses))
        others = [Candidate(each.id, each.fields, proven=True) for members in by_address for each in members]
        return self.these([*ids, *others])

    def these(self, candidates: Sequence[Candidate]) -> list[Record]:
        """Members by their ids."""
        with self._site.http.gate.workers(self._parallel, "members") as pool:
            return [
                record for records in pool.map(self.read, _parts(candidates, _TOGETHER_SINGLY)) for record in records
            ]

    def read(self, candidates: Sequence[Candidate]) -> list[Record]:
        """The members among the candidates; those whom the service refuses are left out, and noted."""
        try:
            return self._profiles.read(candidates) if candidates else []
        except RowError:
            if len(candidates) == 1:
                self._leave(_REFUSED)
                self.refused.add(fold(candidates[0].id))
                return []
        return [record for each in candidates for record in self.read([each])]

    @property
    def _together(self) -> int:
        return _TOGETHER if self._profiles.bulk else _TOGETHER_SINGLY

    def _note(self, batch: Batch) -> None:
        for part in batch.left:
            self._leave(part)
        self.whole = self.whole and not batch.torn

    def _leave(self, part: str) -> None:
        self.whole = False
        if part not in self.left:
            self.left.append(part)


def _parts(candidates: Sequence[Candidate], size: int) -> Iterator[Sequence[Candidate]]:
    return (candidates[start : start + size] for start in range(0, len(candidates), size))
