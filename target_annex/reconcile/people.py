"""What contacts and members say of each other, by the mappings of the target: nothing is decided here anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from annex_d365.annexcloud.columns import NEXT_REWARDS, POINTS, PROFILE, TIERS
from annex_d365.annexcloud.members import Member
from annex_d365.dataverse.writes import Kind, read_definition
from annex_d365.dataverse.writes.definition import TableDefinition
from annex_d365.errors import RowError, SettingError
from annex_d365.fields import comparable
from annex_d365.ledger import Book, State
from annex_d365.singer.rows import Row
from target_annex.changes import Differences
from target_annex.dynamics.contacts import EMAIL, MERGED, TABLE
from target_annex.dynamics.current import same
from target_annex.dynamics.mapping import GUID, RowMapping
from target_annex.dynamics.setup import row_mapping
from target_annex.mapping import STATE_COLUMN, Contact, MemberMapping, may_enrol, member_mapping, object_of
from target_annex.member_settings import member_rules
from target_annex.ownership import BOTH, ownership
from target_annex.presets import ANNEX_CLOUD, D365
from target_annex.reconcile.spill import ContactLine, MemberLine
from target_annex.reconcile.systems import Systems
from target_annex.tasks import Task

CONTACTS, MEMBERS = "contacts", "members"
MODIFIED_ON = "modifiedon"

Record = dict[str, Any]

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(Record, float_hook=Decimal)


@dataclass(frozen=True)
class Difference:
    """A field in which a contact and its member differ.

    Attributes:
        name: in Annex Cloud.
        column: in Dynamics 365.
        owner: the side whose value counts, or ``both``.
        d365: the value there.
        annex_cloud: the value there.
    """

    name: str
    column: str
    owner: str
    d365: Any = field(repr=False)
    annex_cloud: Any = field(repr=False)


class People:
    """Contacts and members, as the targets of both directions see them.

    Args:
        systems: both sides.
        rewards: whether what takes a call for each member is compared, too.

    Raises:
        SettingError: the settings make something else of contacts, or of members.
        ConnectorError: Dynamics 365 cannot be asked for its columns.
    """

    def __init__(self, systems: Systems, *, rewards: bool = True) -> None:
        annex, d365 = systems.annex, systems.d365
        if object_of(CONTACTS, ANNEX_CLOUD, annex.streams) != MEMBERS:
            raise SettingError(f"streams.{CONTACTS}.object", "must be `members` for contacts to be compared with them.")
        self.definition: TableDefinition = read_definition(systems.dataverse, TABLE)
        rules, owners = member_rules(annex.config), ownership(annex.config)
        there = {self.definition.primary_id, *(each.property for each in self.definition.columns.values())}
        self._into_annex: MemberMapping = member_mapping(
            CONTACTS,
            ANNEX_CLOUD,
            annex.streams.get(CONTACTS, {}),
            rules,
            columns=there,
            key_properties=[self.definition.primary_id],
            ownership=owners,
            prefix=annex.config["column_prefix"],
        )
        self._differences = Differences(self._into_annex, rules, owners)
        self._rules = rules
        self._into_d365: RowMapping = row_mapping(
            systems.dataverse,
            MEMBERS,
            d365.streams.get(MEMBERS, {}),
            columns=[each.name for each in (*PROFILE, *POINTS, *TIERS, *(NEXT_REWARDS if rewards else ()))],
            key_properties=["id"],
            prefix=d365.config["column_prefix"],
            too_long=d365.config["too_long"],
            ownership=ownership(d365.config),
        )
        if self._into_d365.definition.logical_name != TABLE:
            raise SettingError(f"streams.{MEMBERS}.object", "must be `contact` for members to be compared with them.")
        self._there = there
        self._links = annex.ledger.book(MEMBERS, CONTACTS)
        self._contacts: Book = d365.ledger.book(TABLE, MEMBERS)

    @property
    def makes_contacts(self) -> bool:
        """Whether a member without a contact gets one."""
        return self._into_d365.mode in {Kind.UPSERT, Kind.CREATE}

    @cached_property
    def contact_columns(self) -> Sequence[str]:
        """The columns of contacts that are read."""
        mapping = self._into_annex
        wanted = [*mapping.key, mapping.id_column, mapping.flag_column, *mapping.fields.values()]
        wanted += [EMAIL, STATE_COLUMN, MERGED, MODIFIED_ON, *(each.column.property for each in self._into_d365.fields)]
        return [each for each in dict.fromkeys(wanted) if each in self._there]

    @cached_property
    def member_columns(self) -> Sequence[str]:
        """The columns of members that are read."""
        fields = (name.partition(".")[0] for name in self._into_annex.fields)
        return [*dict.fromkeys(["id", "email", *fields, *(each.source for each in self._into_d365.fields)])]

    def contact_lines(self, rows: Iterable[Mapping[str, Any]]) -> list[ContactLine]:
        """What is kept of contacts. Those that were merged into others are left out.

        Raises:
            ConnectorError: the ledger fails.
        """
        records = [{name: row.get(name) for name in self.contact_columns} for row in rows]
        contacts = [(record, self._contact(record)) for record in records]
        entries = self._links.entries([contact.key for _, contact in contacts])
        lines = []
        for record, contact in contacts:
            if contact.departed:
                continue
            entry = entries.get(contact.key)
            task = Task(Row(record, {}), contact, entry)
            erased = entry is not None and entry.state is State.ERASED
            named = "" if erased else task.link or contact.member_id
            due = not erased and (bool(contact.member_id) or may_enrol(contact, self._into_annex, self._rules))
            lines.append(
                ContactLine(
                    id=contact.key,
                    member=named,
                    email=contact.email or _text(record.get(EMAIL)),
                    digest=self._digest(record),
                    due=due,
                    body=_encoder.encode(record),
                )
            )
        return lines

    def member_lines(self, records: Sequence[Mapping[str, Any]]) -> list[MemberLine]:
        """What is kept of members.

        Raises:
            ConnectorError: the ledger fails.
        """
        entries = self._contacts.entries([record["id"] for record in records])
        lines = []
        for record in records:
            entry = entries.get(record["id"])
            linked = entry is not None and entry.state is State.SETTLED and GUID.fullmatch(entry.target)
            lines.append(
                MemberLine(
                    id=record["id"],
                    contact=entry.target if entry and linked else "",
                    email=record.get("email") or "",
                    digest=self._digest(record, member=True),
                    body=_encoder.encode(record),
                )
            )
        return lines

    def compare(self, contact: bytes, member: bytes) -> tuple[str, str, list[Difference]]:
        """GUID, member id and differences of a pair, as they were kept."""
        row, record = _decoder.decode(contact), _decoder.decode(member)
        found = {each.column: each for each in (*self._by_contact(row, record), *self._by_member(row, record))}
        return row[self.definition.primary_id], record["id"], list(found.values())

    def _by_member(self, row: Record, record: Record) -> Iterable[Difference]:
        """Where the contact does not have what its member says."""
        mapping = self._into_d365
        try:
            values = mapping.values(Row(record, {}))
        except RowError:
            return
        both = mapping.both(values)
        for each in mapping.fields:
            name, column = each.column.name, each.column
            if name not in values or name in mapping.sides.filled:
                continue
            if name in both:
                equal = both[name] == comparable(mapping.sides.both[name], _text(row.get(column.property)))
            else:
                equal = same(column, values[name], row)
            if not equal:
                owner = BOTH if name in both else ANNEX_CLOUD
                yield Difference(each.source, name, owner, row.get(column.property), record.get(each.source))

    def _by_contact(self, row: Record, record: Record) -> Iterable[Difference]:
        """Where the member does not have what its contact says."""
        mapping = self._into_annex
        task = Task(Row(row, {}), self._contact(row), member=Member(record["id"], record))
        changes = self._differences.of(task)
        for name in sorted({*changes.fields, *changes.conflicts}):
            # What a data feed does not tell is not known to differ.
            if name.partition(".")[0] in record:
                owner = BOTH if name in mapping.sides.both else D365
                column = mapping.fields[name]
                yield Difference(name, column, owner, row.get(column), task.member and task.member.value(name))

    def _contact(self, record: Record) -> Contact:
        try:
            return self._into_annex.contact(Row(record, {}))
        except RowError:
            # A value that cannot be written: the target rejects such a row, and says why.
            key, member_id = record[self.definition.primary_id], _text(record.get(self._into_annex.id_column or ""))
            return Contact(str(key), member_id, _text(record.get(EMAIL)), {})

    @cached_property
    def _common(self) -> Sequence[tuple[str, str]]:
        """(column of contacts, column of members) of what both should have."""
        mapping, rows = self._into_annex, self._into_d365
        said = [(column, name) for name, column in mapping.fields.items() if name not in mapping.sides.filled]
        told = [
            (each.column.property, each.source) for each in rows.fields if each.column.name not in rows.sides.filled
        ]
        return sorted({*said, *told})

    def _digest(self, record: Mapping[str, Any], *, member: bool = False) -> bytes:
        """The same for a contact and a member that say the same; others may still mean the same."""
        texts = (_text(_part(record, pair[member])) for pair in self._common)
        return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _part(record: Mapping[str, Any], name: str) -> Any:
    outer, _, inner = name.partition(".")
    value = record.get(outer)
    return value.get(inner) if inner and isinstance(value, Mapping) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return f"{Decimal(str(value)).normalize():f}"
    return str(value).strip()
