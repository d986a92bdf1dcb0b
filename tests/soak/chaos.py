"""What goes wrong on purpose, at random moments, while the jobs run."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

DYNAMICS, ANNEX, BOTH = r"^/api/data/v9\.2/", r"^/api/3\.0/", r"^/api/(data/v9\.2|3\.0)/"
WRITES = ("PATCH", "POST")
#: Bulk calls that a site, or a table, may not have.
REFUSALS = (
    {"annex": {"refused_endpoints": ["POST /bulkpatchusers", "POST /bulkpostusers"]}},
    {"annex": {"refused_endpoints": ["POST /getbulkpoints", "POST /bulktiers"], "refusal_status": 403}},
    {"dataverse": {"tables_without_bulk_messages": ["account", "businessunit", "contact", "cr0dd_loyaltyactivity"]}},
    {"dataverse": {"max_bulk_rows": 2}},
)
USUAL = {
    "annex": {"refused_endpoints": [], "refusal_status": 404},
    "dataverse": {"tables_without_bulk_messages": ["account", "businessunit"], "max_bulk_rows": 0},
}


class Chaos(threading.Thread):
    """Edits, faults, kills and restarts until it is told to end.

    Args:
        services: both.
        edits: people at work.
        jobs: whose processes are killed.
        watch: called often; raises if something was lost on the way.
        chance: what, when.
    """

    def __init__(self, services, edits, jobs, watch, chance):
        super().__init__(daemon=True)
        self._services, self._edits, self._jobs, self._watch, self._chance = services, edits, jobs, watch, chance
        self._over = threading.Event()
        self.counts: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._coming: list = []

    def run(self):
        what = {self.edit: 60, self.weather: 20, self.calm: 4, self.refuse: 2, self.kill: 5, self.restart: 1}
        try:
            while not self._over.wait(self._chance.expovariate(6)):
                self._chance.choices(list(what), list(what.values()))[0]()
                self._watch()
        except BaseException as error:  # noqa: BLE001 - the main thread tells it
            self.error = error

    def end(self):
        """No more of it, and all as usual."""
        self._over.set()
        self.join()
        self.calm()
        self._services.control("POST", "switches", USUAL)
        if self.error:
            raise self.error

    def edit(self):
        for _ in range(self._chance.randint(1, 3)):
            self._edits.make_one()

    def weather(self):
        """One to three faults at once, instead of those before; all kinds in turn."""
        self.calm()
        for _ in range(self._chance.randint(1, 3)):
            self._coming = self._coming or self._chance.sample(kinds := list(self._faults()), len(kinds))
            name, settings = self._coming.pop()
            self.counts[name] += 1
            self._services.fault(**settings)

    def _faults(self):
        """Each kind: what it is called, and how it is asked for."""
        chance, route = self._chance, self._chance.choice([DYNAMICS, ANNEX, BOTH])
        share = {"route": route, "probability": chance.choice([0.05, 0.15, 0.4])}
        few = {"route": route, "count": chance.randint(1, 10), "after": chance.randint(0, 3)}
        lost = {"kind": "lost_reply", "method": chance.choice(WRITES), "route": route, "probability": 0.5}
        status, seconds = chance.choice([500, 502, 503, 504]), chance.choice([0.05, 0.3, 1])
        patience = chance.choice([1, 2, "1"])
        yield "429 with Retry-After", {"kind": "status", "status": 429, "retry_after": patience, **few}
        yield "5xx", {"kind": "status", "status": status, **share}
        yield "503 with Retry-After", {"kind": "status", "status": 503, "retry_after": 1, **few}
        yield "outage", {"kind": "status", "status": 503, **few, "count": 40}
        yield "reset", {"kind": "drop", **share}
        yield "truncated body", {"kind": "truncate", **share}
        yield "HTML body", {"kind": "html", "status": chance.choice([200, 502, 503]), **share}
        yield "latency", {"kind": "latency", "seconds": seconds, **share}
        yield "lost reply", lost
        yield "lost bulk reply", {**lost, "method": "POST", "route": r"/\$batch|/bulk|Multiple$|/points$|/segment"}
        yield "expired token", {"kind": "expired_token", **few, "count": chance.randint(1, 3)}
        yield "expired delta token", {"kind": "expired_delta_token", "count": 1}
        yield "sign-in down", {"kind": "status", "status": 503, "route": "/token$", "count": chance.randint(1, 3)}

    def calm(self):
        self._services.calm()

    def refuse(self):
        """Bulk calls are refused from now on, or taken again."""
        refusal = self._chance.choice([USUAL, *REFUSALS])
        self.counts["bulk refused"] += refusal is not USUAL
        self._services.control("POST", "switches", refusal)

    def kill(self):
        self._jobs.kill(self._chance)

    def restart(self):
        """The services go, without a warning or with, and come back after a while."""
        self._services.calm()
        with self._services.lock:
            self._services.stop(self._chance.choice([signal.SIGTERM, signal.SIGKILL]))
            time.sleep(self._chance.uniform(0, 3))
            self._services.start()
        self.counts["restarts"] += 1
