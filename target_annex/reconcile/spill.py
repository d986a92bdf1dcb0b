"""What was read of both sides, on disk: memory stays flat for any number of people."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from annex_d365.ledger import fold

#: Rows that are taken from the disk at a time.
AT_ONCE = 1000

_TABLES = (
    """CREATE TABLE contacts (id TEXT PRIMARY KEY, member TEXT, email TEXT, digest BLOB, due INTEGER, body BLOB)
       WITHOUT ROWID""",
    """CREATE TABLE members (id TEXT PRIMARY KEY, folded TEXT, contact TEXT, email TEXT, digest BLOB, body BLOB)
       WITHOUT ROWID""",
    "CREATE TABLE pairs (contact TEXT PRIMARY KEY, member TEXT UNIQUE) WITHOUT ROWID",
    """CREATE TABLE lists (segment INTEGER, owned INTEGER, key TEXT, PRIMARY KEY (segment, owned, key))
       WITHOUT ROWID""",
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS contacts_by_member ON contacts (member) WHERE member != ''",
    "CREATE INDEX IF NOT EXISTS contacts_by_email ON contacts (email) WHERE email != ''",
    "CREATE INDEX IF NOT EXISTS members_by_folded ON members (folded)",
    "CREATE INDEX IF NOT EXISTS members_by_email ON members (email) WHERE email != ''",
)
_FREE = """NOT EXISTS (SELECT 1 FROM pairs WHERE pairs.contact = c.id)
           AND NOT EXISTS (SELECT 1 FROM pairs WHERE pairs.member = m.id)"""
# Who belongs to whom, the surest first. Of several contacts for a member, one has it.
_PAIRINGS = (
    # The member that a contact names, or that the ledger has for it.
    f"SELECT c.id, m.id FROM contacts c JOIN members m ON m.folded = c.member WHERE c.member != '' AND {_FREE}",  # noqa: S608 - of texts in this file
    # The contact that the ledger has for a member.
    f"SELECT c.id, m.id FROM members m JOIN contacts c ON c.id = m.contact WHERE c.member = '' AND {_FREE}",  # noqa: S608 - of texts in this file
    # The address, if exactly one member has it.
    f"""SELECT c.id, m.id FROM contacts c JOIN members m ON m.email = c.email
        WHERE c.email != '' AND c.member = '' AND {_FREE}
        AND (SELECT count(*) FROM members o WHERE o.email = m.email) = 1""",  # noqa: S608 - of texts in this file
)
_UNPAIRED = "NOT EXISTS (SELECT 1 FROM pairs WHERE pairs.{side} = {table}.id)"


@dataclass(frozen=True)
class ContactLine:
    """What is kept of a contact.

    Attributes:
        id: its GUID.
        member: the member id that it, or the ledger, names; empty if none.
        email: its address; empty if none.
        digest: of what it has in common with a member.
        due: whether it should have a member.
        body: its columns, encoded.
    """

    id: str
    member: str
    email: str
    digest: bytes
    due: bool
    body: bytes


@dataclass(frozen=True)
class MemberLine:
    """What is kept of a member; ``contact`` is the GUID that the ledger has for it."""

    id: str
    contact: str
    email: str
    digest: bytes
    body: bytes


@dataclass(frozen=True)
class Stranger:
    """A contact without a member.

    Attributes:
        id: its GUID.
        member: the member id that it names; empty if none.
        email: its address.
        taken: whether another contact has that member, or one with that address.
    """

    id: str
    member: str
    email: str
    taken: bool = False


class Spill:
    """For one thread. The file has no name, and is gone with the process."""

    def __init__(self) -> None:
        # An empty name is SQLite's for a file of its own that is gone when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        for table in _TABLES:
            self._database.execute(table)
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Forget all."""
        self._database.close()

    def add_contacts(self, lines: Iterable[ContactLine]) -> None:
        """Keep contacts; one that comes again replaces what was kept."""
        self._database.executemany(
            "INSERT OR REPLACE INTO contacts VALUES (?, ?, ?, ?, ?, ?)",
            [(each.id, fold(each.member), each.email.casefold(), each.digest, each.due, each.body) for each in lines],
        )

    def add_members(self, lines: Iterable[MemberLine]) -> None:
        """Keep members; one that comes again replaces what was kept."""
        self._database.executemany(
            "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?)",
            [(each.id, fold(each.id), each.contact, each.email.casefold(), each.digest, each.body) for each in lines],
        )

    def join(self) -> None:
        """Find out who belongs to whom. May be called again after members were added."""
        for index in _INDEXES:
            self._database.execute(index)
        for pairing in _PAIRINGS:
            self._database.execute(f"INSERT OR IGNORE INTO pairs {pairing} ORDER BY 1, 2")

    def differing(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """The encoded columns of contacts and their members, where the digests differ; some at a time."""
        yield from self._lists(
            """SELECT c.body, m.body FROM pairs p JOIN contacts c ON c.id = p.contact JOIN members m ON m.id = p.member
               WHERE c.digest != m.digest"""
        )

    def strangers(self) -> Iterator[list[Stranger]]:
        """Contacts that should have a member, and have none; some at a time."""
        for rows in self._lists(
            f"""SELECT c.id, c.member, c.email, EXISTS (SELECT 1 FROM members m WHERE m.folded = c.member)
                OR c.member = '' AND c.email != '' AND EXISTS (SELECT 1 FROM members m WHERE m.email = c.email)
                FROM contacts c WHERE c.due AND {_UNPAIRED.format(side="contact", table="c")}"""  # noqa: S608 - of texts in this file
        ):
            yield [Stranger(key, member, email, bool(taken)) for key, member, email, taken in rows]

    def alone(self) -> Iterator[list[str]]:
        """Ids of members without a contact; some at a time."""
        condition = _UNPAIRED.format(side="member", table="m")
        for rows in self._lists(f"SELECT m.id FROM members m WHERE {condition}"):  # noqa: S608 - of texts in this file
            yield [row[0] for row in rows]

    def counts(self) -> tuple[int, int, int]:
        """How many contacts, members and pairs there are."""
        contacts, members, pairs = (
            self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - constants
            for table in ("contacts", "members", "pairs")
        )
        return contacts, members, pairs

    def add_list(self, segment: int, keys: Iterable[str], *, owned: bool) -> None:
        """Keep members of a segment: those that it has at its owner, or those of its copy."""
        self._database.executemany(
            "INSERT OR IGNORE INTO lists VALUES (?, ?, ?)", [(segment, owned, key) for key in keys]
        )

    def only(self, segment: int, *, owned: bool) -> Iterator[str]:
        """Members of a segment that only its owner, or only its copy, has."""
        for rows in self._lists(
            """SELECT key FROM lists l WHERE segment = ? AND owned = ? AND NOT EXISTS
               (SELECT 1 FROM lists o WHERE o.segment = l.segment AND o.owned != l.owned AND o.key = l.key)""",
            segment,
            owned,
        ):
            yield from (row[0] for row in rows)

    def _lists(self, statement: str, *values: object) -> Iterator[list[Any]]:
        cursor = self._database.execute(statement, values)
        while rows := cursor.fetchmany(AT_ONCE):
            yield rows
