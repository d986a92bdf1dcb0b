"""Columns of a stream to fields of a member."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from annex_d365.annexcloud.fields import KNOWN, plain, to_field, yes_or_no
from annex_d365.annexcloud.members import EXTENDED
from annex_d365.errors import RowError, SettingError
from annex_d365.fields import DEFAULT_PREFIX
from annex_d365.frozen import frozen
from annex_d365.singer.rows import Row
from target_annex.member_settings import DEFAULT_MEMBER_ID_COLUMN, MemberRules
from target_annex.ownership import Ownership, Sides
from target_annex.presets import PRESETS, annex_preset

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Dataverse: 1 is inactive.
STATE_COLUMN = "statecode"
INACTIVE = "1"
#: Dataverse: the contact was merged into another one, and is what is left of it.
MERGED_COLUMN = "merged"


@frozen
class Contact:
    """What one row says of a member.

    Attributes:
        key: what tells the row apart at its source, for messages.
        member_id: the member id that the source knows, or empty.
        email: or empty.
        fields: by API name, as the API wants them; empty texts for empty columns.
        wants_enrolment: what the flag column says.
        inactive: at the source.
        departed: the row was deleted, or merged into another one.
    """

    key: str
    member_id: str = field(repr=False)
    email: str = field(repr=False)
    fields: Mapping[str, str] = field(repr=False)
    wants_enrolment: bool = False
    inactive: bool = False
    departed: bool = False


@dataclass(frozen=True)
class MemberMapping:
    """How rows of one stream become members.

    Attributes:
        stream: its name.
        key: columns that tell rows apart.
        id_column: with the member id, or None.
        fields: API field -> column, without ``id``.
        creates: whether the mode allows to create a member.
        clear_nulls: whether an empty column empties the field.
        flag_column: asks for enrolment, or None.
        sides: which of the fields do not simply follow the source.
    """

    stream: str
    key: Sequence[str]
    id_column: str | None
    fields: Mapping[str, str]
    creates: bool
    clear_nulls: bool
    flag_column: str | None
    sides: Sides = field(default_factory=Sides)

    def contact(self, row: Row) -> Contact:
        """What a row says. One that was deleted says nothing more than its key.

        Raises:
            RowError: a value does not suit its field, which is named.
        """
        record = row.record
        if row.deleted:
            return Contact(row_key(self.key, record), "", "", {}, departed=True)
        values = {}
        for name, column in self.fields.items():
            if column in record:
                try:
                    values[name] = to_field(name, record[column])
                except ValueError as error:
                    raise RowError(f"column `{column}` {error}") from None
        return Contact(
            key=row_key(self.key, record),
            member_id=cell(plain, self.id_column, record) if self.id_column else "",
            email=values.get("email", ""),
            fields=values,
            wants_enrolment=bool(self.flag_column and cell(yes_or_no, self.flag_column, record)),
            inactive=cell(plain, STATE_COLUMN, record) == INACTIVE,
            departed=cell(plain, MERGED_COLUMN, record) == "true",
        )


def may_enrol(contact: Contact, mapping: MemberMapping, rules: MemberRules) -> bool:
    """Whether a contact without a member becomes one."""
    wanted = rules.enrol == "all" or (rules.enrol == "flagged" and contact.wants_enrolment)
    return wanted and mapping.creates and not contact.inactive


def row_key(columns: Sequence[str], record: Mapping[str, Any]) -> str:
    """The key of a row as one text: of several columns, a JSON list.

    Raises:
        RowError: a part of it is empty.
    """
    if len(columns) == 1 and (key := cell(plain, columns[0], record)):
        return key
    parts = [cell(plain, column, record) for column in columns]
    for column, part in zip(columns, parts, strict=True):
        if not part:
            raise RowError(f"key column `{column}` is empty")
    return parts[0] if len(parts) == 1 else msgspec.json.encode(parts).decode()


def cell(read: Callable[[Any], T], column: str, record: Mapping[str, Any]) -> T:
    """The value of a column, as ``read`` reads it.

    Raises:
        RowError: ``read`` raises a ``ValueError``; the column is named.
    """
    try:
        return read(record.get(column))
    except ValueError as error:
        raise RowError(f"column `{column}` {error}") from None


def member_mapping(
    stream: str,
    destination: str,
    entry: Mapping[str, Any],
    rules: MemberRules,
    *,
    columns: Collection[str],
    key_properties: Sequence[str],
    ownership: Ownership | None = None,
    prefix: str = DEFAULT_PREFIX,
) -> MemberMapping:
    """The mapping of one stream.

    Args:
        stream: its name.
        destination: the setting.
        entry: its part of the setting `streams`.
        rules: for members.
        columns: of its schema.
        key_properties: of its schema.
        ownership: which side fields follow; the default one if not given.
        prefix: the setting `column_prefix`.

    Raises:
        SettingError: a column that is mapped is not there, or nothing says who the member is.
    """
    preset = annex_preset(stream, prefix)
    ownership = ownership or Ownership(destination)
    sides = Sides()
    setting = f"streams.{stream}"
    if "fields" in entry:
        fields = dict(entry["fields"])
        for name, column in fields.items():
            _check_field(stream, name)
            require(column, columns, f"{setting}.fields", stream)
        if preset:
            ownership.check_named(stream, fields, preset.shared)
    else:
        fields = {name: column for name, column in (preset.fields if preset else {}).items() if column in columns}
        sides = ownership.sides(preset.shared if preset else {})
    key = key_columns(stream, entry, columns, key_properties)
    id_column = fields.pop("id", None)
    if id_column is None and (rules.member_id_column in columns or rules.member_id_column != DEFAULT_MEMBER_ID_COLUMN):
        # Only the default may be missing: a column that was named is wanted.
        require(rules.member_id_column, columns, "member_id_column", stream)
        id_column = rules.member_id_column
    if id_column is None and "email" not in fields:
        raise SettingError(
            "member_id_column",
            f"stream {stream} has no column `{rules.member_id_column}` and none for `email`, so that its "
            "members cannot be told.",
        )
    flagged = rules.enrol == "flagged"
    if flagged:
        require(rules.enrol_flag_column, columns, "enrol_flag_column", stream)
    return MemberMapping(
        stream=stream,
        key=key,
        id_column=id_column,
        fields=fields,
        creates=entry.get("mode") != "update",
        clear_nulls=bool(entry.get("clear_nulls")),
        flag_column=rules.enrol_flag_column if flagged else None,
        sides=sides,
    )


def object_of(stream: str, destination: str, streams: Mapping[str, Mapping[str, Any]]) -> str:
    """What the rows of a stream become.

    Raises:
        SettingError: nothing says so.
    """
    preset = PRESETS.get((destination, stream))
    target = streams.get(stream, {}).get("object") or (preset.object if preset else None)
    if target:
        return str(target)
    known = sorted({name for side, name in PRESETS if side == destination} | set(streams))
    raise SettingError(
        "streams",
        f"stream {stream} is not known (known: {', '.join(known)}). Say what it becomes, such as `streams: {{{stream}: "
        "{object: members, fields: {email: <column>}}}`, or leave it out in the tap.",
    )


def key_columns(
    stream: str, entry: Mapping[str, Any], columns: Collection[str], key_properties: Sequence[str]
) -> list[str]:
    """The columns that tell rows of a stream apart.

    Raises:
        SettingError: there are none, or one of them is not there.
    """
    named = entry.get("key") or key_properties
    key = [named] if isinstance(named, str) else list(named)
    if not key:
        raise SettingError(
            f"streams.{stream}.key", f"stream {stream} has no key; name the column that tells its rows apart."
        )
    for column in key:
        require(column, columns, f"streams.{stream}.key", stream)
    return key


def require(column: str, columns: Collection[str], setting: str, stream: str) -> None:
    """Check that a column that a setting names is there.

    Raises:
        SettingError: it is not.
    """
    if column not in columns:
        raise SettingError(setting, f"stream {stream} has no column `{column}`.")


def _check_field(stream: str, name: str) -> None:
    outer, dot, inner = name.partition(".")
    if dot and (outer != EXTENDED or not inner):
        raise SettingError(f"streams.{stream}.fields", f"`{name}` is no field; only `{EXTENDED}.<name>` has a dot.")
    if not dot and name not in KNOWN:
        logger.warning("Stream %s: `%s` is no documented field of a member; it is sent all the same.", stream, name)
