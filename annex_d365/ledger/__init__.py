"""What was written where: the target's memory, in SQLite or, for fleets, in PostgreSQL.

A row is known by site, object, stream and its key at the source. The ledger keeps to which target it was written, its
state and version, and digests of the fields last written; and links: which row of a stream holds which target, so that
no two rows write to one; and which members the copies of segments have. Losing the ledger costs reads, never
correctness, except for pending entries.
"""

from __future__ import annotations

from annex_d365.ledger.book import Book, Ledger
from annex_d365.ledger.copies import Copy
from annex_d365.ledger.digests import changed, digest, merged, value_digest, without
from annex_d365.ledger.entries import Claim, Entry, State, fold
from annex_d365.ledger.memberships import LEARNT, Memberships
from annex_d365.ledger.turns import Turn
from annex_d365.ledger.waiting import Waiting

__all__ = [
    "LEARNT",
    "Book",
    "Claim",
    "Copy",
    "Entry",
    "Ledger",
    "Memberships",
    "State",
    "Turn",
    "Waiting",
    "changed",
    "digest",
    "fold",
    "merged",
    "value_digest",
    "without",
]
