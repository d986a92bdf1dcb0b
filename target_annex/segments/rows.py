"""What rows of the three streams of segments say. Both taps send the same columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annex_d365.annexcloud.fields import plain
from annex_d365.distinct import fingerprint
from annex_d365.errors import SettingError
from annex_d365.singer.rejects import rejected_at
from annex_d365.singer.rows import Row
from target_annex.mapping import cell
from target_annex.segments.side import SegmentSpec, Status

SEGMENT_ID = "segment_id"
CONTACT_ID = "contact_id"
MEMBER_ID = "member_id"

#: What both taps' words for the status come to, beside "inactive".
ACTIVE: Status = "active"
#: Words of both taps for a segment that is in use.
_ACTIVE = frozenset({"active", "live", "going_live"})
#: Tables whose rows can be members of a loyalty programme; tap-annex names none.
_TABLES = frozenset({"", "contact"})


@dataclass(frozen=True)
class Owner:
    """Where segments come from.

    Attributes:
        copies: how the origin of a copy begins that came from the destination: never sent back.
        prefix: of the origin that a copy in the destination carries.
        shelf: begins the ledger's keys of segments, where their ids alone do not tell them apart.
    """

    copies: str
    prefix: str
    shelf: str = ""

    def key(self, segment_id: str) -> str:
        """By which the ledger keeps a segment."""
        return f"{self.shelf}{segment_id}"

    def origin(self, segment_id: str) -> str:
        """The text that a segment's copy carries."""
        return f"{self.prefix}{segment_id}"

    def is_copy(self, row: Row) -> bool:
        """Whether a segment is itself a copy of one in the destination."""
        return _text("origin", row).casefold().startswith(self.copies)


@dataclass(frozen=True)
class MemberRow:
    """A row of `segment_members`.

    Attributes:
        row: as it came.
        segment: its id.
        version: of the segment.
        contact: id of the contact, where the row has one.
        member: id of the member in the loyalty programme; empty if the row does not say it.
        replayed: the row was rejected before.
    """

    row: Row = field(repr=False)
    segment: str
    version: str
    contact: str = field(repr=False)
    member: str = field(repr=False)
    replayed: bool

    @property
    def source(self) -> int:
        """The fingerprint of what its owner calls the member."""
        return fingerprint(self.contact or self.member)


@dataclass(frozen=True)
class SnapshotRow:
    """A row of `segment_snapshots`.

    Attributes:
        segment: its id.
        version: of the segment.
        members: how many came before the row.
        complete: whether these are all members; not, if their number is not told.
        replayed: the row was rejected before.
    """

    segment: str
    version: str
    members: int
    complete: bool
    replayed: bool


def spec_of(row: Row, owner: Owner) -> SegmentSpec:
    """What a row of `segments` says; of a deletion, the id only.

    Raises:
        RowError: a value is not readable.
    """
    key = segment_id(row)
    if row.deleted:
        return SegmentSpec(key, owner.origin(key), "", status="inactive")
    status = _text("status", row).casefold()
    return SegmentSpec(
        key=key,
        origin=owner.origin(key),
        name=_text("name", row),
        description=_text("description", row),
        kind=_text("kind", row),
        query=_text("query", row),
        status=ACTIVE if not status or status in _ACTIVE else "inactive",
        valid_from=_day("from_date", row),
        valid_to=_day("to_date", row),
    )


def of_persons(row: Row) -> bool:
    """Whether a segment's members can be members of a loyalty programme."""
    return _text("base_table", row).casefold() in _TABLES


def member_row(row: Row) -> MemberRow:
    """What a row of `segment_members` says.

    Raises:
        RowError: a value is not readable.
    """
    return MemberRow(
        row,
        segment=segment_id(row),
        version=_text("version", row),
        contact=_text(CONTACT_ID, row),
        member=_text(MEMBER_ID, row),
        replayed=rejected_at(row.message) is not None,
    )


def named_members(rows: Sequence[MemberRow]) -> list[str]:
    """The members that rows name."""
    return [each.member for each in rows]


def snapshot_row(row: Row) -> SnapshotRow:
    """What a row of `segment_snapshots` says.

    Raises:
        RowError: a value is not readable.
    """
    count = row.record.get("member_count")
    return SnapshotRow(
        segment=segment_id(row),
        version=_text("version", row),
        members=cell(_whole, "member_count", row.record),
        complete=row.record.get("complete") is True and count is not None,
        replayed=rejected_at(row.message) is not None,
    )


def segment_id(row: Row) -> str:
    """The id of the segment that a row is about, GUIDs in lower case."""
    return _text(SEGMENT_ID, row).casefold()


def require_columns(stream: str, columns: Collection[str], *wanted: str) -> None:
    """Check that a stream is one of segments.

    Raises:
        SettingError: it lacks a column.
    """
    for column in wanted:
        if column not in columns:
            raise SettingError(f"streams.{stream}.object", f"stream {stream} has no column `{column}`.")


def _text(column: str, row: Row) -> str:
    return cell(plain, column, row.record)


def _whole(value: Any) -> int:
    text = plain(value)
    if text and not text.isdecimal():
        raise ValueError("is no number of members")
    return int(text or 0)


def _day(column: str, row: Row) -> dt.date | None:
    def read(value: Any) -> dt.date | None:
        text = plain(value)
        try:
            return dt.date.fromisoformat(text[:10]) if text else None
        except ValueError:
            raise ValueError("is not a date (yyyy-MM-dd)") from None

    return cell(read, column, row.record)


def facts(spec: SegmentSpec) -> Mapping[str, str]:
    """All that is written of a segment, for the ledger's digests."""
    return {
        "name": spec.name,
        "description": spec.description,
        "kind": spec.kind,
        "query": spec.query,
        "status": spec.status,
        "valid_from": str(spec.valid_from or ""),
        "valid_to": str(spec.valid_to or ""),
    }
