"""What the control plane can do, for its routes and for code in the same process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from annex_d365_sandbox.control.faults import Faults
from annex_d365_sandbox.control.limits import Limits
from annex_d365_sandbox.control.log import Log
from annex_d365_sandbox.dataverse import values
from annex_d365_sandbox.dataverse.marketing import volume
from annex_d365_sandbox.seed import Seed, plant

if TYPE_CHECKING:
    from annex_d365_sandbox.annexcloud.models import Site
    from annex_d365_sandbox.clock import Clock
    from annex_d365_sandbox.dataverse.models import Organisation
    from annex_d365_sandbox.entra.models import Directory
    from annex_d365_sandbox.store import Store
    from annex_d365_sandbox.switchboard import Switchboard


class Control:
    """Faults, limits, the log, and the data as a whole."""

    def __init__(
        self, store: Store, clock: Clock, organisation: Organisation, site: Site, directory: Directory
    ) -> None:
        self._store, self.clock = store, clock
        self._organisation, self._site, self._directory = organisation, site, directory
        self.faults, self.log = Faults(), Log()
        self.limits = Limits(clock, lambda: organisation.switches.throttling_code == "decimal")
        with store.transaction() as db:
            db.execute("CREATE TABLE IF NOT EXISTS sandbox_seed (contacts INTEGER NOT NULL, seed INTEGER NOT NULL)")
            if "extra_tables" not in [row["name"] for row in db.execute("PRAGMA table_info(sandbox_seed)")]:
                db.execute("ALTER TABLE sandbox_seed ADD COLUMN extra_tables INTEGER NOT NULL DEFAULT 0")
            if "segments_api" not in [row["name"] for row in db.execute("PRAGMA table_info(sandbox_seed)")]:
                db.execute("ALTER TABLE sandbox_seed ADD COLUMN segments_api TEXT NOT NULL DEFAULT ''")
        if self.seeded:
            organisation.have_extra_tables(self.seeded.extra_tables)
            organisation.have_segments(self.seeded.segments_api)

    @property
    def seeded(self) -> Seed | None:
        """With what the data was seeded; ``None`` before that."""
        with self._store.transaction() as db:
            row = db.execute("SELECT contacts, seed, extra_tables, segments_api FROM sandbox_seed").fetchone()
        return Seed(*row) if row else None

    def seed(self, seed: Seed) -> None:
        """Replace all data of both services by seeded data."""
        with self._store.transaction() as db:
            self._organisation.reset()
            self._site.reset()
            self._directory.switches.restore()
            db.execute("DELETE FROM sandbox_seed")
            db.execute("INSERT INTO sandbox_seed VALUES (?, ?, ?, ?)", astuple(seed))
            plant(seed, self._organisation, self._site)

    def put_rows(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Create or change rows given as the Web API shows them; columns that only the platform writes are taken too.

        Raises:
            ValueError: no such table or column.
            DataverseError: a value does not fit.
        """
        try:
            at = self._organisation.table(table)
        except KeyError as error:
            raise ValueError(f"there is no table {table!r}") from error
        number = 0
        with self._store.transaction():
            for row in rows:
                unknown = [name for name in row if name not in at.by_property and name not in at.by_name]
                if unknown:
                    raise ValueError(f"table {at.logical_name} has no column {', '.join(unknown)}")
                attributes = {name: at.by_property.get(name) or at.by_name[name] for name in row}
                held = {a.name: values.parse(at, a, row[name]) for name, a in attributes.items()}
                row_id = held.get(at.primary_id)
                if row_id and self._organisation.get(table, row_id):
                    self._organisation.update(table, row_id, held)
                else:
                    self._organisation.create(table, held)
                number += 1
        return number

    def put_members(self, members: Iterable[Mapping[str, Any]]) -> int:
        """Insert or replace members of the Annex Cloud site. Raises ``ValueError`` for one without an id."""
        given = [dict(member) for member in members]
        if any(not member.get("id") for member in given):
            raise ValueError("every member needs an id")
        self._site.put_members(given)
        return len(given)

    def put_segments(self, segments: Iterable[Mapping[str, Any]]) -> None:
        """Add segments to the Annex Cloud site, with ``members`` or ``rules``. Raises ``ValueError``."""
        self._site.segments.put(segments)

    def put_volume(self, segments: int, members: int) -> None:
        """Add so many live static segments to the organisation, with so many members each, for measurements."""
        volume.plant(self._organisation, segments, members)

    def deletions(self) -> list[str]:
        """The members whose deletion waits for Annex Cloud's daily batch."""
        return self._site.pending_deletions()

    def run_deletions(self) -> int:
        """Run that batch; how many members it deleted."""
        return self._site.run_deletions()

    def reset(self) -> None:
        """Back to the seeded state: data, clock, faults, limits, switches, log."""
        self.clock.reset()
        self.faults.clear()
        self.limits.reset()
        self.log.clear()
        self.seed(self.seeded or Seed(0, 0))

    def stats(self) -> dict[str, Any]:
        """Rows per table, what the Annex Cloud site holds, requests per route."""
        return {
            "rows": {name: self._organisation.count(name) for name in self._organisation.tables},
            "members": self._site.member_count(),
            "activities": self._site.activities.count(),
            "segments": len(self._site.segments.all()),
            "requests": self.log.by_route(),
        }

    def switches(self) -> dict[str, dict[str, Any]]:
        """All switches by room: those of Dataverse, its marketing, the sign-in, Annex Cloud."""
        return {room: {name: getattr(of, name) for name in of.names()} for room, of in self._switches().items()}

    def _switches(self) -> dict[str, Switchboard]:
        return {
            "dataverse": self._organisation.switches,
            "marketing": self._organisation.marketing.switches,
            "sign_in": self._directory.switches,
            "annex": self._site.switches,
        }

    def turn(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Turn switches, all or none. Raises ``ValueError`` for one that is not there or a value that does not fit."""
        boards = self._switches()
        for room, changes in settings.items():
            if room not in boards or not isinstance(changes, Mapping):
                raise ValueError(f"there are no switches {room}; rooms are {', '.join(boards)}")
            for name, value in changes.items():
                boards[room].checked(name, value)
        for room, changes in settings.items():
            for name, value in changes.items():
                setattr(boards[room], name, value)
