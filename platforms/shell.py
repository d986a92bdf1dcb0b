"""``scripts/pipeline.sh``: a shell, cron, and nothing else (docs/platforms/shell.md)."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from platforms.environments import OURS, ROOT
from platforms.result import Result, expect
from platforms.world import Row, World

_SCRIPT = str(ROOT / "scripts" / "pipeline.sh")
_BUSY = 75
_PATIENCE = 60


class Directory:
    """What the script works in."""

    def __init__(self, world: World, name: str = "pipeline") -> None:
        self.path = world.directory / name
        self.path.mkdir()
        self._world = world
        config = world.file(
            f"{name}/tap.json", world.tap_d365(tables=[{"name": "contacts", "replication": "LOG_BASED"}])
        )
        world.file(f"{name}/target.json", world.target_annex())
        world.selected("tap-d365", config, streams=("contacts",)).rename(self.path / "catalog.json")
        (self.path / "commands").write_text("TAP=tap-d365 TARGET=target-annex\n")

    def start(self) -> subprocess.Popen[bytes]:
        """A run, in a process group of its own."""
        environment = self._world.environment()
        environment["PATH"] = f"{OURS}{os.pathsep}{environment['PATH']}"
        return subprocess.Popen([_SCRIPT, str(self.path)], env=environment, start_new_session=True)  # noqa: S603 - ours

    def run(self) -> int:
        """A run; its exit code."""
        return self.start().wait(_PATIENCE)

    def said(self) -> str:
        """What tap and target said so far."""
        return (self.path / "run.log").read_text()

    def state(self) -> Row:
        """The state that is kept. Fails unless it is whole."""
        kept: Row = json.loads((self.path / "state.json").read_text())
        return kept


def run(world: World) -> Result:
    """The row of the table."""
    loyal = world.rows(
        "contacts", "contactid", "cr0dd_loyaltyid", "firstname", where="cr0dd_loyaltyid ne null and statecode eq 0"
    )
    edited, removed, *_ = loyal
    directory = Directory(world)
    expect(directory.run() == 0, f"first run: {directory.said()[-400:]}")

    def differing() -> list[str]:
        """Members whose first name is not that of their contact."""
        now = world.rows("contacts", "contactid", "cr0dd_loyaltyid", "firstname")
        there = (row for key, row in now.items() if key in loyal)
        shown = ((row["cr0dd_loyaltyid"], row["firstname"]) for row in there)
        return [member for member, name in shown if name and world.member(member)["firstName"] != name]

    expect(not differing(), f"not the name of their contact: {differing()[:5]}")
    before = directory.state()

    world.dataverse("PATCH", f"contacts({edited})", {"firstname": "Ørjan"})
    _kill_in_the_middle(world, directory)
    expect(directory.state() == before, "a run that was killed before it had written left another state")
    expect(_held(directory.path / "lock", directory) == _BUSY, "two runs at a time")

    world.dataverse("DELETE", f"contacts({removed})")
    column = world.add_column("contact", "cr0dd_Nick")
    world.dataverse("PATCH", f"contacts({edited})", {column: "Ø"})
    expect(directory.run() == 0, f"run after the kill: {directory.said()[-400:]}")
    expect(not differing(), f"after the kill, not the name of their contact: {differing()[:5]}")
    expect(directory.state() != before, "the state stayed where it was")
    opted = world.member(loyal[removed]["cr0dd_loyaltyid"])["optInStatus"]
    expect(opted == "NO", f"the member of a deleted contact is opted in: {opted}")

    world.control("faults", {"kind": "status", "route": "/api/data/.*contacts", "status": 403})
    kept = directory.state()
    expect(directory.run() not in (0, _BUSY), "a tap that failed was taken for a success")
    expect(directory.state() == kept, "a tap that failed moved the state")
    bash = subprocess.run(["bash", "--version"], capture_output=True, text=True, check=True)  # noqa: S607 - any
    return Result({"bash": bash.stdout.split()[3].split("(")[0]}, len(loyal), ("deletion", "schema change", "kill -9"))


def _kill_in_the_middle(world: World, directory: Directory) -> None:
    """Script, tap and target get ``kill -9`` while the service takes its time."""
    world.control("faults", {"kind": "latency", "route": "/api/3.0/", "seconds": 30})
    size = len(directory.said())
    running = directory.start()
    expect(_wait(lambda: len(directory.said()) > size + 500), "nothing happens")
    time.sleep(1)
    expect(running.poll() is None, "it ended before it was killed")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(_PATIENCE)
    world.control_delete("faults")


def _held(lock: Path, directory: Directory) -> int:
    """Exit code of a run while another has the lock."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        return directory.run()


def _wait(until: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.1)
    return False
