"""The sandbox as a process that may be killed, its control plane, and a look at its database past all clients."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import requests

#: What makes the services quick: nothing has to be waited for by a clock, which a restart would set back.
SWITCHES = {"marketing": {"going_live_seconds": 0, "stopping_seconds": 0, "member_update_seconds": 0}}
START_SECONDS = 60


class Services:
    """Both services in one process, on a directory and a port that stay when it is killed.

    Args:
        directory: of its database.
        contacts: of a fresh organisation.
        seed: of the data.
    """

    def __init__(self, directory: Path, contacts: int, seed: int):
        self.directory, self._contacts, self._seed = directory, contacts, seed
        self._port = 0
        self._process: subprocess.Popen | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        #: One request to the control plane at a time, and none while the process is exchanged.
        self.lock = threading.RLock()
        #: Requests that faults have hit, by kind.
        self.hits: Counter[str] = Counter()
        self.info: dict = {}

    def start(self):
        """Start on the same directory and port as before."""
        command = [sys.executable, "-W", "ignore", "-m", "annex_d365_sandbox", "--port", str(self._port)]
        command += ["--contacts", str(self._contacts), "--segments-api", "both", "--seed", str(self._seed)]
        with self.lock, (self.directory.parent / "sandbox.log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self.directory)], stdout=subprocess.PIPE, stderr=log, text=True
            )
            self.info = json.loads(self._process.stdout.readline())
            self._port = int(self.info["url"].rpartition(":")[2])
            self.control("POST", "switches", SWITCHES)

    def stop(self, how=signal.SIGTERM):
        """End the process: told to, or killed."""
        with self.lock:
            if self._process:
                self._process.send_signal(how)
                self._process.wait()
                self._process.stdout.close()
                self._process = None

    def control(self, method, name, body=None):
        """Ask the control plane, which faults never hit."""
        with self.lock:
            url = f"{self.info['url']}/_sandbox/{name}"
            data = None if body is None else json.dumps(body)
            response = self._session.request(method, url, data=data, verify=self.info["ca_bundle"], timeout=60)
            response.raise_for_status()
            return response.json()

    def fault(self, **settings):
        """Put a fault in force."""
        self.control("POST", "faults", settings)

    def calm(self):
        """Take all faults away, and count what they have hit."""
        with self.lock:
            for fault in self.control("GET", "faults"):
                self.hits[fault["kind"]] += fault["hits"]
            self.control("DELETE", "faults")

    def select(self, sql, *values):
        """Rows of the services' own database, past both services."""
        path = f"file:{self.directory / 'sandbox.sqlite'}?mode=ro"
        with closing(sqlite3.connect(path, uri=True, timeout=30)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, values)]


def environment():
    """For processes of the project."""
    root = Path(__file__).parent.parent.parent
    return {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"}
