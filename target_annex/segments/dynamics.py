"""Segments of Annex Cloud in Dynamics 365."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.metadata import Table
from annex_d365.dataverse.query import Query
from annex_d365.dataverse.segments.choice import AUTO, find_marketing
from annex_d365.dataverse.segments.members import CONTACTS
from annex_d365.dataverse.segments.replies import KEY
from annex_d365.dataverse.segments.rows import KEYS_PER_REQUEST, rows_of
from annex_d365.dataverse.segments.writing import SegmentWriter
from annex_d365.dataverse.segments.writing_calls import SegmentGoneError
from annex_d365.dataverse.segments.writing_copies import GUID
from annex_d365.dataverse.segments.writing_values import SegmentValues
from annex_d365.distinct import Distinct, fingerprint
from annex_d365.errors import RowError, SettingError
from annex_d365.ledger import Book, Ledger, State
from target_annex.dynamics.contacts import MERGED, TABLE
from target_annex.dynamics.settings import id_column, row_rules
from target_annex.segments.side import CopyGoneError, SegmentSpec
from target_annex.work import chunks, in_parallel

logger = logging.getLogger(__name__)

#: Stream of tap-annex whose rows become contacts.
MEMBERS = "members"
#: Column with the state of a contact, and its value for one that is in use.
STATE = "statecode"
_ACTIVE = 0
#: Members without a contact who are looked for in a run.
_LOOKUPS = 100_000


class LoyaltyContacts:
    """The contacts of members. Safe for threads.

    Args:
        dataverse: the organisation.
        contacts: their table.
        id_column: column with the member id.
        book: of the stream of members, in the ledger; its thread is the caller's.
        executor: sends requests in parallel.

    Raises:
        SettingError: there is no such column.
    """

    def __init__(
        self, dataverse: Dataverse, contacts: Table, *, id_column: str, book: Book, executor: Executor
    ) -> None:
        if id_column not in contacts.columns:
            raise SettingError("member_id_column", f"table {contacts.logical_name} has no column `{id_column}`.")
        self._dataverse, self._book, self._executor = dataverse, book, executor
        self._id_column = id_column
        merged = (MERGED,) if MERGED in contacts.columns else ()
        state = (STATE,) if STATE in contacts.columns else ()
        self._query = Query(CONTACTS, (id_column, *merged, *state))
        #: Contacts that the ledger names, read in this run, and those of them that are nobody any more.
        self._asked, self._dead = Distinct(), set[str]()

    def of(self, members: Sequence[str]) -> dict[str, str]:
        """The GUIDs of contacts by member id: as the ledger says; of others, as the contacts say.

        What the ledger says counts while the contact is there, active, and not merged into another one.
        """
        found = self._alive(
            {
                key: entry.target
                for key, entry in self._book.entries(members).items()
                if entry.state is State.SETTLED and GUID.fullmatch(entry.target)
            }
        )
        others = dict.fromkeys(each for each in members if each and each not in found)
        contacts: dict[str, list[str]] = {}
        for row in self._read(self._id_column, list(others)):
            if not row.get(MERGED):
                # The service compares without case; member ids differ by it (Annex page 5.2).
                contacts.setdefault(str(row[self._id_column]).strip(), []).append(row[KEY])
        several = sum(len(ids) > 1 for member, ids in contacts.items() if member in others)
        if several:
            logger.warning("%d members of segments have several contacts each; they are taken for unknown.", several)
        return found | {each: contacts[each][0] for each in others if len(contacts.get(each, ())) == 1}

    def _alive(self, links: dict[str, str]) -> dict[str, str]:
        """Those links whose contact is still somebody; each contact is read once."""
        contacts = {fingerprint(each): each for each in links.values()}
        unread = [contacts[each] for each in self._asked.add(0, contacts.keys())]
        alive = {
            row[KEY] for row in self._read(KEY, unread) if not row.get(MERGED) and row.get(STATE, _ACTIVE) == _ACTIVE
        }
        self._dead.update(each for each in unread if each not in alive)
        return {member: contact for member, contact in links.items() if contact not in self._dead}

    def _read(self, column: str, values: Sequence[str]) -> Iterator[Row]:
        def read(part: Sequence[str]) -> list[Row]:
            return list(rows_of(self._dataverse, self._query, column, part))

        for rows in in_parallel(self._executor, read, chunks(values, KEYS_PER_REQUEST)):
            if isinstance(rows, RowError):
                raise rows
            yield from rows


class DynamicsSide:
    """As in :class:`~target_annex.segments.side.SegmentSide`. Safe for threads, but for :meth:`known`.

    Args:
        writer: of the organisation's segments.
        contacts: of members.
    """

    lookups = _LOOKUPS

    def __init__(self, writer: SegmentWriter, contacts: LoyaltyContacts) -> None:
        self._writer, self._contacts = writer, contacts
        self.chunk = writer.chunk
        #: Name of the generation of segments.
        self.generation = writer.generation.name

    def find(self, spec: SegmentSpec) -> str | None:
        """As in the protocol; or the segment whose GUID the row's own key is (the integration document's updates)."""
        return self._writer.find(spec.origin, spec.key)

    def create(self, spec: SegmentSpec) -> str:
        """As in the protocol."""
        return self._writer.create(_values(spec))

    def intact(self, target: str, spec: SegmentSpec) -> bool:
        """As in the protocol."""
        return self._writer.intact(target, _values(spec), own=_is_own(target, spec))

    def update(self, target: str, spec: SegmentSpec) -> bool:
        """As in the protocol; True too for an active copy that is not live yet."""
        with _gone():
            return self._writer.update(target, _values(spec), own=_is_own(target, spec))

    def retire(self, target: str, spec: SegmentSpec) -> None:  # noqa: ARG002 - one of the protocol
        """As in the protocol: stopped or deleted, as `on_segment_delete` says."""
        self._writer.retire(target)

    def members(self, target: str) -> Iterator[str]:
        """As in the protocol."""
        with _gone():
            yield from self._writer.members(target)

    def known(self, members: Sequence[str]) -> dict[str, str]:
        """As in the protocol; of any number of members."""
        return self._contacts.of(members)

    def appeared(self, members: Sequence[str]) -> dict[str, str]:
        """As in the protocol: :meth:`known` asks."""
        return self.known(members)

    def add(self, target: str, keys: Sequence[str], present: Collection[str] = ()) -> None:  # noqa: ARG002 - see there
        """As in the protocol; that adding adds is documented here."""
        with _gone():
            self._writer.add(target, keys)

    def remove(self, target: str, keys: Sequence[str]) -> None:
        """As in the protocol."""
        with _gone():
            self._writer.remove(target, keys)

    def finish(self, target: str) -> None:
        """As in the protocol."""
        with _gone():
            self._writer.finish(target)

    def ending(self) -> list[str]:
        """As in the protocol: Dynamics 365 knows no days of validity."""
        return []

    def prolong(self, target: str) -> None:
        """As in the protocol; nothing to do."""


def dynamics_side(dataverse: Dataverse, config: Mapping[str, Any], ledger: Ledger, executor: Executor) -> DynamicsSide:
    """The organisation that the settings name.

    Raises:
        SettingError: it has no segments, or a column is missing.
    """
    marketing = find_marketing(dataverse, config.get("segments_api") or AUTO)
    if marketing is None:
        raise SettingError("organization_url", "this organisation has no segments.")
    contacts = LoyaltyContacts(
        dataverse,
        marketing.contacts,
        id_column=id_column(config),
        book=ledger.book(TABLE, MEMBERS),
        executor=executor,
    )
    writer = SegmentWriter(
        dataverse,
        marketing,
        row_rules(config).options,
        origin_column=config.get("segment_origin_column"),
        delete=config.get("on_segment_delete") == "delete",
    )
    return DynamicsSide(writer, contacts)


@contextmanager
def _gone() -> Iterator[None]:
    """A segment that is gone is one of the protocol's errors."""
    try:
        yield
    except SegmentGoneError as error:
        raise CopyGoneError(str(error), status=error.status) from None


def _is_own(target: str, spec: SegmentSpec) -> bool:
    """Whether a row names a segment of the organisation by its GUID."""
    return target == spec.key


def _values(spec: SegmentSpec) -> SegmentValues:
    return SegmentValues(
        origin=spec.origin,
        name=spec.name or spec.key,
        description=spec.description,
        query=spec.query,
        live=spec.status == "active",
    )
