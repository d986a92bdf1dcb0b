"""The ledger of a dry run: what is kept is read, what is written is seen by this run only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from annex_d365.ledger.entries import Entry
from annex_d365.ledger.links import Link, Links
from annex_d365.ledger.memberships import Memberships
from annex_d365.ledger.store import Shelf, Store

# Written over a link that this run took away.
_NOBODY = Link("", by_id=False)


class Preview:
    """One store laid over another, which stays as it is.

    Args:
        kept: what was there before.
        own: takes what is written.
    """

    def __init__(self, kept: Store, own: Store) -> None:
        self._kept, self._own = kept, own

    def close(self) -> None:
        """Let go of both."""
        self._kept.close()
        self._own.close()

    def memberships(self, site: str) -> Memberships:
        """See :meth:`Store.memberships`."""
        return self._own.memberships(site, self._kept)

    def entries(self, shelf: Shelf, keys: Iterable[str]) -> dict[str, Entry]:
        """See :meth:`Store.entries`."""
        keys = list(keys)
        return {**self._kept.entries(shelf, keys), **self._own.entries(shelf, keys)}

    def by_target(self, shelf: Shelf, targets: Iterable[str]) -> list[Entry]:
        """See :meth:`Store.by_target`."""
        targets = list(targets)
        kept = self._kept.by_target(shelf, targets)
        for stream in {entry.stream for entry in kept}:
            written = self._own.entries(replace(shelf, stream=stream), [each.key for each in kept])
            kept = [each for each in kept if each.stream != stream or each.key not in written]
        return kept + self._own.by_target(shelf, targets)

    def save(self, shelf: Shelf, entries: Iterable[Entry], *, run: str, at: float) -> None:
        """See :meth:`Store.save`."""
        self._own.save(shelf, entries, run=run, at=at)

    @contextmanager
    def relinking(self, shelf: Shelf, targets: Collection[str], keys: Collection[str]) -> Iterator[Links]:
        """See :meth:`Store.relinking`."""
        known = self._kept.links(shelf, targets, keys)
        known.update(self._own.links(shelf, {*targets, *known}, keys))
        links = Links({target: link for target, link in known.items() if link != _NOBODY})
        yield links
        self._own.put_links(shelf, {target: link or _NOBODY for target, link in links.changes.items()})
