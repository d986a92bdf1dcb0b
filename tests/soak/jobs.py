"""The pipelines as real processes, ``tap | target`` with a state file, as Meltano runs them; and who kills them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from soak.services import environment

#: Columns of contacts that the job selects.
CONTACTS = (
    "statecode cr0dd_loyaltyid cr0dd_loyaltyenrol firstname lastname emailaddress1 mobilephone birthdate"
    " address1_postalcode cr0dd_optinstatus modifiedon"
).split()
SEGMENTS = ("segments", "segment_members", "segment_snapshots")
#: A reject says nothing of its neighbours here, and people leave small segments in droves.
FREELY = {"max_removal_percent": 100, "max_reject_percent": 100}
POSTINGS = {
    "loyalty_postings": {
        "object": "points",
        "fields": {"id": "member", "points": "points", "reason": "why", "orderId": "receipt"},
    }
}
_COUNTS = re.compile(r"(\d+) (created|updated|deleted|upserted|opted out)\b")
_REPORT = re.compile(r"(\w+): \d+ created")


@dataclass
class Job:
    """A tap and a target with their settings; without a tap, a file that grows.

    Attributes:
        streams: that are selected, with their columns (none for all).
    """

    name: str
    target: str
    settings: dict
    tap: str = ""
    tap_settings: dict = field(default_factory=dict)
    streams: dict = field(default_factory=dict)


class Jobs:
    """All jobs, with what they leave behind.

    Args:
        services: that they run against.
        directory: for settings, catalogs, states, ledgers, rejects and logs.
    """

    def __init__(self, services, directory: Path):
        self.services, self.directory = services, directory
        self.jobs = _jobs(services, directory)
        self.counts: Counter[str] = Counter()
        #: The processes of the run that is under way.
        self.running: list[subprocess.Popen] = []
        self._lock = threading.Lock()
        for job in self.jobs:
            self._write(f"{job.name}.target", job.settings)
            if job.tap:
                self._write(f"{job.name}.tap", job.tap_settings)

    def discover(self):
        """Write catalogs; the columns of the loyalty programme have to be there."""
        for job in self.jobs:
            if not job.tap:
                continue
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                job.tap,
                "--config",
                self._path(f"{job.name}.tap"),
                "--discover",
            ]
            catalog = json.loads(self._once(command))
            for entry in catalog["streams"]:
                columns = job.streams.get(entry["tap_stream_id"])
                for each in entry["metadata"]:
                    if not each["breadcrumb"]:
                        each["metadata"]["selected"] = columns is not None
                    elif columns and each["metadata"].get("inclusion") != "automatic":
                        each["metadata"]["selected"] = each["breadcrumb"][-1] in columns
            self._write(f"{job.name}.catalog", catalog)

    def provision(self):
        """Make the columns and the table that ``loyalty-to-d365`` fills."""
        settings = self._path("loyalty-to-d365.target")
        program = "from annex_d365.cli import main; main()"
        self._once([sys.executable, "-W", "ignore", "-c", program, "provision", "--yes", "--config", settings])

    def _once(self, command):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment(), cwd=self.directory
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def run(self, job: Job, seconds=None) -> bool:
        """Run a job to its end, or for so many seconds; whether it ended well."""
        with (self.directory / f"{job.name}.log").open("ab") as log:
            mark = log.tell()
            source, rest = self._source(job, log)
            target = self._start([job.target, "--config", self._path(f"{job.name}.target")], source, log)
            if source is not None:
                source.close()
            with self._lock:
                self.running = [*rest, target]
            printed = _gathered(target)
            codes = [self._end(each, seconds) for each in (target, *rest)]
            printed.join()
            with self._lock:
                self.running = []
        self._keep(job, printed.lines)
        self.counts["runs"] += 1
        well = not any(codes)
        self.counts["runs that ended well"] += well
        with (self.directory / f"{job.name}.log").open("rb") as log:
            log.seek(mark)
            for line in log.read().decode(errors="replace").splitlines():
                if _REPORT.search(line):
                    self.counts["rows written"] += sum(int(number) for number, _ in _COUNTS.findall(line))
        return well

    def _source(self, job, log):
        """What the target reads: the tap's pipe, or the lines of a file that no STATE covers yet."""
        state = self.state(job)
        if not job.tap:
            lines = (self.directory / "postings.singer").read_bytes().splitlines(keepends=True)
            done = (state or {}).get("at", 0)
            part = self.directory / "postings.part"
            part.write_bytes(b"".join([lines[0], *lines[1 + done :]]))
            return part.open("rb"), []
        words = [job.tap, "--config", self._path(f"{job.name}.tap")]
        words += ["--catalog", self._path(f"{job.name}.catalog")]
        if state is not None:
            words += ["--state", self._path(f"{job.name}.state")]
        tap = self._start(words, None, log)
        return tap.stdout, [tap]

    def _start(self, words, source, log):
        module, *options = words
        program = f"from {module}.__main__ import main; main()"
        if module == "target_d365":
            program = "from target_annex.__main__ import main_d365; main_d365()"
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, *map(str, options)],
            stdin=subprocess.DEVNULL if source is None else source,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=self.directory,
            env=environment(),
        )

    def _end(self, process, seconds):
        """Its exit code; who takes too long is told to end."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.counts["runs that took too long"] += 1
            process.terminate()
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            self.counts["deaf to SIGTERM"] += 1
            process.kill()
            return process.wait()

    def kill(self, chance):
        """End tap, target or both of the run under way, without warning or with; what was done."""
        how = chance.choice([signal.SIGTERM, signal.SIGKILL])
        with self._lock:
            alive = [each for each in self.running if each.poll() is None]
            for each in chance.sample(alive, chance.randint(1, len(alive))) if alive else []:
                each.send_signal(how)
                self.counts[how.name] += 1

    def state(self, job):
        """The last STATE that the job's target has printed."""
        path = self.directory / f"{job.name}.state"
        return json.loads(path.read_text()) if path.exists() else None

    def _keep(self, job, lines):
        whole = [line for line in lines if line.endswith(b"\n")]
        if whole:
            self._write(f"{job.name}.state", json.loads(whole[-1]))

    def _path(self, name):
        return str(self.directory / name)

    def _write(self, name, content):
        path = self.directory / name
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content))
        new.replace(path)

    def last_lines(self, name, count=15):
        """The end of a job's log."""
        return (self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-count:]

    def replay(self) -> int:
        """Pipe rejected rows in again; how many there were."""
        rows = 0
        for job in self.jobs:
            rejects = Path(job.settings["rejects_path"])
            if not rejects.exists():
                continue
            moved = rejects.with_suffix(".moved")
            rejects.rename(moved)
            rows += sum(b'"type":"RECORD"' in line for line in moved.read_bytes().splitlines())
            with moved.open("rb") as source, (self.directory / f"{job.name}.log").open("ab") as log:
                target = self._start([job.target, "--config", self._path(f"{job.name}.target")], source, log)
                target.stdout.read()
                if target.wait():
                    self.counts["replays that failed"] += 1
                target.stdout.close()
            moved.unlink()
        return rows

    def rejects(self):
        """(job, stream, record, why) of all rejected rows."""
        found = []
        for job in self.jobs:
            path = Path(job.settings["rejects_path"])
            for line in path.read_text().splitlines() if path.exists() else ():
                message = json.loads(line)
                if message["type"] == "RECORD":
                    found.append((job.name, message["stream"], message["record"], message["reject"]))
        return found


class _gathered(threading.Thread):  # noqa: N801 - used like a function
    """The lines that a process prints, while it runs."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self._process, self.lines = process, []
        self.start()

    def run(self):
        self.lines = self._process.stdout.readlines()
        self._process.stdout.close()


def _jobs(services, directory):
    info = services.info
    dynamics = {
        "organization_url": info["url"],
        "auth_endpoint_url": info["auth_endpoint_url"],
        "client_id": info["credentials"]["client_id"],
        "client_secret": info["credentials"]["client_secret"],
        "ca_bundle": info["ca_bundle"],
    }
    annex = {**info["annex"], "ca_bundle": info["ca_bundle"]}
    ledger = {"ledger_url": f"sqlite:///{directory}/ledger.db"}

    def into_annex(name, **more):
        own = {"destination": "annex_cloud", "enrol": "flagged", "rejects_path": f"{directory}/{name}.rejects"}
        known = {"organization_url": dynamics["organization_url"]}
        return {**annex, **known, **FREELY, **ledger, **own, **more}

    def into_d365(name, **more):
        own = {"rejects_path": f"{directory}/{name}.rejects"}
        known = {each: annex[each] for each in ("base_url", "site_id")}
        return {**dynamics, **known, **FREELY, **ledger, **own, **more}

    contacts = {"tables": [{"name": "contacts", "replication": "LOG_BASED"}], "snapshot_path": f"{directory}/snapshot"}
    (directory / "snapshot").mkdir(exist_ok=True)
    jobs = [
        Job(
            "contacts-to-annex",
            "target_annex",
            into_annex("contacts-to-annex"),
            "tap_d365",
            {**dynamics, **contacts, "page_size": 20},
            {"contacts": CONTACTS},
        ),
        Job(
            "loyalty-to-d365",
            "target_d365",
            into_d365("loyalty-to-d365"),
            "tap_annex",
            {**annex, "members": {"by": "search"}},
            {"members": (), "activities": ()},
        ),
        Job("postings", "target_annex", into_annex("postings", streams=POSTINGS, batch_size_rows=10)),
    ]
    for api in ("journeys", "outbound"):
        jobs.append(
            Job(
                f"segments-to-annex-{api}",
                "target_annex",
                into_annex(f"segments-to-annex-{api}"),
                "tap_d365",
                {**dynamics, "segments_api": api, "page_size": 20},
                dict.fromkeys(SEGMENTS, ()),
            )
        )
        # One ledger knows one copy of a segment; each generation has its own.
        book = ledger if api == "journeys" else {"ledger_url": f"sqlite:///{directory}/ledger-{api}.db"}
        jobs.append(
            Job(
                f"segments-to-d365-{api}",
                "target_d365",
                into_d365(f"segments-to-d365-{api}", segments_api=api, **book),
                "tap_annex",
                annex,
                dict.fromkeys(SEGMENTS, ()),
            )
        )
    return jobs
