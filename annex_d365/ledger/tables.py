"""The tables of the ledger, alike in SQLite and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from annex_d365.ledger.entries import State

#: Of the tables below; a ledger of a higher version was made by a newer version of this program. What is only added, a
#: table or a column with a default, is no new version: ledgers that lack it get it when they are opened.
VERSION = 1

# No database keeps all texts that a source can send: PostgreSQL refuses NUL, none takes half a surrogate pair.
_FOREIGN = re.compile("[\0\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


class StateText(TypeDecorator[State]):
    """A state by its value."""

    impl = Text
    cache_ok = True

    def bind_processor(self, _dialect: Dialect) -> Callable[[Any], str]:
        """How a value goes in."""
        return attrgetter("value")

    def result_processor(self, _dialect: Dialect, _coltype: object) -> Callable[[Any], State]:
        """How it comes out."""
        return {state.value: state for state in State}.__getitem__


class AnyText(TypeDecorator[str]):
    """Text of any characters; those that databases refuse are escaped by DLE, and so is DLE."""

    impl = Text
    cache_ok = True

    def bind_processor(self, _dialect: Dialect) -> Callable[[Any], str]:
        """How a value goes in."""
        return encode_text

    def result_processor(self, _dialect: Dialect, _coltype: object) -> Callable[[Any], str]:
        """How it comes out."""
        return decode_text


def encode_text(value: str) -> str:
    """The form of a text that every database keeps."""
    if value.isprintable() or _FOREIGN.search(value) is None:
        return value
    return _FOREIGN.sub(lambda match: f"\x10{ord(match[0]):04x}", value)


def decode_text(value: str) -> str:
    """Undo :func:`encode_text`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value) if "\x10" in value else value


metadata = MetaData()


def _texts(*names: str) -> list[Column[str]]:
    return [Column(name, AnyText, nullable=False) for name in names]


# Keys begin with the column that tells most rows apart: SQLite, which keeps no statistics, would else rather read a
# whole site than use an index.

#: About the ledger itself: `version`, and when it was `created`.
about = Table(
    "annex_d365_ledger",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

rows = Table(
    "annex_d365_rows",
    metadata,
    *_texts("site", "object", "stream", "key", "target", "target_folded"),
    Column("state", StateText, nullable=False),
    Column("digests", LargeBinary, nullable=False),
    Column("version", AnyText, nullable=False),
    Column("at", Double, nullable=False),
    Column("run", AnyText, nullable=False),
    PrimaryKeyConstraint("key", "stream", "object", "site"),
    Index("annex_d365_rows_by_target", "target_folded", "object", "site"),
    sqlite_with_rowid=False,
)

links = Table(
    "annex_d365_links",
    metadata,
    *_texts("site", "object", "stream", "target_folded", "key"),
    Column("by_id", Boolean, nullable=False),
    PrimaryKeyConstraint("target_folded", "stream", "object", "site"),
    Index("annex_d365_links_by_key", "key", "stream", "object", "site"),
    sqlite_with_rowid=False,
)

#: Copies of segments, whose members stand in the next table.
copies = Table(
    "annex_d365_copies",
    metadata,
    Column("id", Integer, primary_key=True),
    *_texts("site", "target"),
    Column("number", Integer, nullable=False),
    Column("version", AnyText, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("unfinished", Boolean, nullable=False),
    UniqueConstraint("target", "site"),
)

#: Slim, for there are millions. `source` tells by which row a member was seen last; `in_doubt`, that the service was to
#: add or to remove it, and may have done so.
memberships = Table(
    "annex_d365_memberships",
    metadata,
    Column("copy", Integer, nullable=False),
    Column("member", AnyText, nullable=False),
    Column("number", Integer, nullable=False),
    Column("source", BigInteger, nullable=False, server_default=text("0")),
    Column("in_doubt", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("copy", "member"),
    sqlite_with_rowid=False,
)

#: Rows of segments that had no member on the other side, and when they were looked for.
waiting = Table(
    "annex_d365_waiting",
    metadata,
    Column("copy", Integer, nullable=False),
    Column("source", BigInteger, nullable=False),
    *_texts("contact", "member"),
    Column("number", Integer, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("copy", "source"),
    Index("annex_d365_waiting_by_time", "copy", "at"),
    sqlite_with_rowid=False,
)
