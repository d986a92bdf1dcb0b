"""The whole: everything comes to the other side, is edited and broken for a while, settles, and is judged."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import click

from soak.chaos import Chaos
from soak.edits import Edits
from soak.jobs import Jobs
from soak.judge import LostError, Watch, judged
from soak.services import Services
from soak.world import World

CONTACTS = 60
#: A run that meets nothing but outages is ended after so long.
LONGEST_RUN_SECONDS = 40
#: Rounds after which nothing is written any more; what was rejected is piped in again after the first of them.
MOST_ROUNDS = 8
#: Writes, and differences, that a soak names which does not settle.
MOST_TOLD = 30
#: Kinds of faults without which a soak says nothing, unless it takes three times as long as it should.
FEWEST_KINDS = 4
_READING = re.compile(
    r"(token|search|getbulkpoints|bulktiers|FetchContactsByQuery|MembersList|ListGroupMembers|batch)$"
)


class Soak:
    """One soak.

    Args:
        directory: for everything that it leaves behind.
        seed: of data, edits, faults and kills; when they happen is the machine's.
        seconds: of chaos.
        say: takes a line of progress.
    """

    def __init__(self, directory: Path, seed: int, seconds: float, say=click.echo):
        self._directory, self._seed, self._seconds, self._say = directory, seed, seconds, say
        (directory / "services").mkdir(parents=True)
        self.services = Services(directory / "services", CONTACTS, seed)
        self.world = World()
        self.rejects: list = []

    def __call__(self) -> str:
        """Run; what it survived. Raises :class:`LostError` with the first promise that was not kept."""
        self.services.start()
        try:
            return self._run()
        finally:
            self.services.stop()

    def _run(self):
        world, services = self.world, self.services
        jobs = Jobs(services, self._directory)
        edits = Edits(services, world, random.Random(f"{self._seed}/edits"), self._directory)
        jobs.provision()
        jobs.discover()
        world.look(services)
        edits.begin_segments()
        self._round(jobs)
        self._say("everything is on both sides; now it is broken")
        watch = Watch(services, world)
        chaos = Chaos(services, edits, jobs, watch, random.Random(f"{self._seed}/chaos"))
        until = time.monotonic() + self._seconds
        chaos.start()
        try:
            while chaos.is_alive() and (time.monotonic() < until or self._spared(until)):
                for job in jobs.jobs:
                    if chaos.is_alive():
                        jobs.run(job, LONGEST_RUN_SECONDS)
        finally:
            chaos.end()
        # Dynamic segments are evaluated once more.
        services.control("POST", "clock", {"advance": 7200})
        self._say("the storm is over")
        self._settle(jobs)
        replayed = jobs.replay()
        self._settle(jobs)
        watch()
        services.stop()
        self._traces()
        self.rejects = jobs.rejects()
        differences, checked = judged(services.directory, world, self.rejects)
        for each in differences:
            self._say(f"  {each}")
        if differences:
            raise LostError(differences[0])
        return self._survived(jobs, edits, chaos, checked=checked, looks=watch.looks, replayed=replayed)

    def _spared(self, until):
        """Whether a slow machine has not met much of it yet."""
        kinds = sum(count > 0 for count in self.services.hits.values())
        return kinds < FEWEST_KINDS and time.monotonic() < until + 2 * self._seconds

    def _settle(self, jobs):
        """Rounds without faults until one writes nothing."""
        for _ in range(MOST_ROUNDS):
            failed, wrote = self._round(jobs)
            if not wrote and not failed:
                return
        raise LostError(self._unsettled(jobs, failed, wrote))

    def _round(self, jobs):
        """Each job once; names of those that failed, and what each has written."""
        failed, wrote = [], []
        for job in jobs.jobs:
            self.services.control("DELETE", "log")
            if not jobs.run(job):
                failed.append(job.name)
            wrote += [
                f"{job.name}: {each['method']} {each['path']}"
                for each in self.services.control("GET", "log")
                if each["method"] != "GET" and not _READING.search(each["path"])
            ]
        self._say(f"  a round of all jobs: {len(wrote)} writes; failed: {', '.join(failed) or 'none'}")
        return failed, wrote

    def _unsettled(self, jobs, failed, wrote):
        """What did not come to rest: which jobs, what they said last, what they wrote, what still differs."""
        self.services.stop()
        differences, _ = judged(self.services.directory, self.world, jobs.rejects())
        tails = [line for name in failed for line in (f"{name} ends with:", *jobs.last_lines(name))]
        found = [f"writes in the last round: {len(wrote)}", *wrote[:MOST_TOLD], *tails]
        found += [f"differences: {len(differences)}", *differences[:MOST_TOLD]]
        return "\n  ".join([f"not settled after {MOST_ROUNDS} rounds; failed: {', '.join(failed) or 'none'}", *found])

    def _traces(self):
        """No program ends with a traceback, and every state is whole."""
        for log in sorted(self._directory.glob("*.log")):
            text = log.read_text(errors="replace")
            if (at := text.find("Traceback (most recent call last)")) >= 0:
                raise LostError(f"{log.name} has a traceback:\n{text[max(0, at - 500) : at + 3000]}")

    def _survived(self, jobs, edits, chaos, *, checked, looks, replayed):
        def told(counts):
            return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))

        runs = jobs.counts["runs"]
        kills = f"{jobs.counts['SIGTERM']} SIGTERM, {jobs.counts['SIGKILL']} SIGKILL"
        return (
            f"survived (seed {self._seed}): {runs} runs, "
            f"{runs - jobs.counts['runs that ended well']} of them broken off; {kills}, "
            f"{chaos.counts.pop('restarts', 0)} restarts of both services; requests hit by faults: "
            f"{told(self.services.hits)}; faults set: {told(chaos.counts)}; {edits.counts['edits']} edits; "
            f"{jobs.counts['rows written']} rows written; {replayed} rejected rows piped in again; "
            f"{looks} looks in between; compared at the end: {told(checked)}"
        )
