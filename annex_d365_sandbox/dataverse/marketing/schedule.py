"""What happens later: going live, stopping, refreshes, changes of members. Kept, so that a restart goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import msgspec

from annex_d365_sandbox.store import Store


@dataclass(frozen=True)
class Job:
    """Something to do with a segment at a moment."""

    kind: str
    segment_id: str
    due: datetime
    payload: Any = None


class Schedule:
    """Jobs in the order of their moments."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS d365_segment_job"
                " (number INTEGER PRIMARY KEY, due TEXT, kind TEXT, segment_id TEXT, payload BLOB)"
            )
            db.execute("CREATE INDEX IF NOT EXISTS d365_segment_job_due ON d365_segment_job (due, number)")

    def add(self, job: Job) -> None:
        """Have a job done."""
        row = [job.due.astimezone(timezone.utc).isoformat(), job.kind, job.segment_id, msgspec.json.encode(job.payload)]
        with self._store.transaction() as db:
            db.execute("INSERT INTO d365_segment_job (due, kind, segment_id, payload) VALUES (?, ?, ?, ?)", row)

    def drop(self, segment_id: str, *kinds: str) -> None:
        """Call a segment's jobs off; of all kinds if none is named."""
        marks = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        with self._store.transaction() as db:
            db.execute(f"DELETE FROM d365_segment_job WHERE segment_id = ?{marks}", [segment_id, *kinds])

    def run(self, now: datetime, handlers: Mapping[str, Callable[[Job], None]]) -> None:
        """Do all jobs that are due, also those that others add meanwhile."""
        with self._store.transaction() as db:
            while row := db.execute(
                "SELECT * FROM d365_segment_job WHERE due <= ? ORDER BY due, number LIMIT 1",
                [now.astimezone(timezone.utc).isoformat()],
            ).fetchone():
                db.execute("DELETE FROM d365_segment_job WHERE number = ?", [row["number"]])
                job = Job(
                    row["kind"],
                    row["segment_id"],
                    datetime.fromisoformat(row["due"]),
                    msgspec.json.decode(row["payload"]),
                )
                handlers[job.kind](job)

    def reset(self) -> None:
        """Have no jobs."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM d365_segment_job")
