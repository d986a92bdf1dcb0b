"""Which page of members to ask for next: what paging by number has in common, and when it has come to its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from annex_d365.errors import ServiceError

#: A service that sends fewer rows than it is asked for is taken at its word down to pages of this size.
LEAST_ROWS = 20
#: After so many pages in a row without a new member, these pages are the same one.
_PAGES_WITHOUT_NEWS = 2


@dataclass
class Steps:
    """Pages by number, until one is empty.

    A short page is no end: contacts that may not be seen are left out of pages, and the service may have a smaller
    size of its own. If the first page is short, the next ones have its size: where the service sends no more than that,
    nobody falls between two pages; else some come twice.

    Attributes:
        size: rows to ask for.
        number: of the page to ask for, from 1.
    """

    size: int
    number: int = 1
    _without_news: int = field(default=0, init=False)

    def took(self, rows: int, new: int) -> None:
        """A page had so many rows, so many of them new.

        Raises:
            ServiceError: the service sends one page again and again.
        """
        if self.number == 1 and rows < self.size:
            self.size = max(rows, min(self.size, LEAST_ROWS))
        self.number += 1
        self._without_news = 0 if new else self._without_news + 1
        if self._without_news == _PAGES_WITHOUT_NEWS:
            raise ServiceError("Dataverse repeats a page of members.")

    @property
    def skip(self) -> int:
        """Rows before the page."""
        return (self.number - 1) * self.size


class Sent:
    """The ids that a segment has sent, so that each member comes once; about 100 bytes for each."""

    def __init__(self) -> None:
        self._ids: set[bytes] = set()

    def new(self, ids: Iterable[str]) -> set[str]:
        """Those that have not been here before."""
        found = {each: bytes.fromhex(each.replace("-", "")) for each in ids}
        fresh = {each for each, packed in found.items() if packed not in self._ids}
        self._ids.update(found.values())
        return fresh
