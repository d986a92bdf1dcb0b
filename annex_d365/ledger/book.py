"""The ledger as its users see it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from annex_d365.ledger.database import in_memory, open_database, open_for_reading
from annex_d365.ledger.entries import Claim, Entry, fold
from annex_d365.ledger.memberships import Memberships
from annex_d365.ledger.preview import Preview
from annex_d365.ledger.store import Shelf, Store
from annex_d365.ledger.turns import Turn, take_turn


class Ledger:
    """What was written where, by all runs of a site. For one thread at a time; other processes may use the same ledger.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``; what is missing is created.
        site: of the loyalty programme; sites see nothing of each other.
        run: name of this run.
        preview: read what is there, change nothing; what is written is kept in memory.

    Raises:
        SettingError: the ledger cannot be opened (`ledger_url`). All methods raise a SettingError or ConnectorError
            if the database fails.
    """

    def __init__(self, url: str, *, site: str, run: str, preview: bool = False) -> None:
        self._site, self._run = site, run
        self._lock_url = None if preview else url
        self._store: Store | Preview = _preview(url) if preview else _created(Store(open_database(url)))

    def book(self, object_name: str, stream: str, *, site: str = "") -> Book:
        """The part that is about one stream.

        Args:
            object_name: what its rows become in the destination, `members` say.
            stream: by which they come.
            site: another one than the ledger's own, to read what its runs have written.
        """
        return Book(self._store, Shelf(site or self._site, object_name, stream), self._run, self._lock_url)

    def forget(self, object_name: str, stream: str, keys: Iterable[str]) -> int:
        """Know nothing of these rows any more, and let others have what they are linked to.

        Args:
            object_name: what the rows become.
            stream: by which they come.
            keys: of the rows at their source.

        Returns:
            How many of them were known.
        """
        assert isinstance(self._store, Store), "a preview forgets nothing"
        return self._store.forget(Shelf(self._site, object_name, stream), set(keys))

    def memberships(self) -> Memberships:
        """The part that is about the members of segments."""
        return self._store.memberships(self._site)

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()


class Book:
    """The part of the ledger that is about one stream. Made by :meth:`Ledger.book`."""

    def __init__(self, store: Store | Preview, shelf: Shelf, run: str, lock_url: str | None) -> None:
        self._store, self._shelf, self._lock_url = store, shelf, lock_url
        #: Name of this run.
        self.run = run

    def entries(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What is known of rows.

        Args:
            keys: of the rows at their source.

        Returns:
            Key -> entry; no item where nothing is known.
        """
        return self._store.entries(self._shelf, keys)

    def by_target(self, targets: Iterable[str]) -> dict[str, list[Entry]]:
        """Which rows, of this object in all streams of the site, were about these targets, in whatever state.

        Args:
            targets: keys in the destination; an empty one is nobody's.

        Returns:
            Folded target (see :func:`annex_d365.ledger.fold`) -> entries; no item where there are none.
        """
        found: dict[str, list[Entry]] = {}
        for entry in self._store.by_target(self._shelf, {fold(target) for target in targets if target}):
            found.setdefault(fold(entry.target), []).append(entry)
        return found

    def claim(self, claims: Sequence[Claim]) -> dict[str, str]:
        """Let rows have targets for themselves, in the given order, while no other process can.

        A row gets a target that is free, or whose holder came by less than an id if the row comes by id. It then gives
        up the target that it held before; if it does not get the new one, it keeps that.

        Args:
            claims: of which row, to which target.

        Returns:
            Target, as in the claim -> key of the row that holds it now; empty if its holder claimed another one later
            in ``claims``.

        Raises:
            ValueError: a target is empty.
        """
        if not all(claim.target for claim in claims):
            raise ValueError("A claim needs a target.")
        if not claims:
            return {}
        targets = {claim.target: fold(claim.target) for claim in claims}
        with self._store.relinking(self._shelf, set(targets.values()), {claim.key for claim in claims}) as links:
            for claim in claims:
                links.claim(claim.key, targets[claim.target], by_id=claim.by_id)
            return {target: links.holder(folded) for target, folded in targets.items()}

    def release(self, keys: Iterable[str]) -> None:
        """Let rows give up the targets that they hold, if any.

        Args:
            keys: of the rows at their source.
        """
        keys = set(keys)
        if not keys:
            return
        with self._store.relinking(self._shelf, (), keys) as links:
            for key in keys:
                links.release(key)

    def turn(self) -> AbstractContextManager[Turn]:
        """Wait until no other process has the turn of this object, in any stream of the site, and have it for a block.

        For what must not be done twice. A preview, which does nothing, waits for nobody.

        Raises:
            ConnectorError: others had it all the time.
        """
        if self._lock_url is None:
            return nullcontext(Turn(None))
        return take_turn(self._lock_url, self._shelf.site, self._shelf.object)

    def save(self, entries: Iterable[Entry]) -> None:
        """Keep entries, all or none; they are on the disk when this returns.

        Args:
            entries: the last one of a key counts. The run and the stream are set here, and the time if there is none.
        """
        last = {entry.key: entry for entry in entries}
        if last:
            self._store.save(self._shelf, last.values(), run=self.run, at=time.time())


def _created(store: Store) -> Store:
    try:
        store.create()
    except BaseException:
        store.close()
        raise
    return store


def _preview(url: str) -> Preview:
    kept = Store(open_for_reading(url) or in_memory())
    try:
        if not kept.exists():
            kept.close()
            kept = _created(Store(in_memory()))
    except BaseException:
        kept.close()
        raise
    return Preview(kept, _created(Store(in_memory())))
