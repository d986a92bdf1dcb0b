"""Runs commands as processes of their own, and reads what the operating system has counted for them.

This file is a program, too: a child's peak of memory begins with that of the process which starts it, so that this must
be a small one. It imports little, and is started anew for each run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: A run that takes longer is given up.
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Command:
    """What is run.

    Attributes:
        steps: the commands of a pipe.
        directory: where they run.
        environment: on top of this process's own.
        stdin: file that the first one reads.
        fresh: files that must not be there at the start.
    """

    steps: Sequence[Sequence[str]]
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    fresh: Sequence[str] = ()


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        wall: seconds until all were done.
        cpu: seconds of processor, of all processes together.
        memory: MB that the largest process held at its peak.
        lines: lines that the last command wrote.
    """

    wall: float
    cpu: float
    memory: float
    lines: int


class FailedError(Exception):
    """A command did not end well; what it said at the end."""


def run(command: Command) -> Run:
    """Run once.

    Raises:
        FailedError: a command failed, or took too long.
    """
    try:
        told = subprocess.run(
            [sys.executable, "-S", __file__], input=json.dumps(asdict(command)), capture_output=True, text=True,
            check=True, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise FailedError(f"took longer than {TIMEOUT_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise FailedError(error.stderr) from None
    found = json.loads(told.stdout)
    if found["codes"] != [0] * len(command.steps):
        raise FailedError(f"exit codes {found['codes']}: {found['said']}")
    return Run(**found["run"])


def _measured(command: Command) -> dict[str, Any]:
    for each in command.fresh:
        Path(each).unlink(missing_ok=True)
    path = Path(command.directory) / "stderr.txt"
    with path.open("wb") as stderr:
        started = time.perf_counter()
        children: list[subprocess.Popen[bytes]] = []
        source: Any = Path(command.stdin).open("rb") if command.stdin else subprocess.DEVNULL  # noqa: SIM115 - closed below
        for step in command.steps:
            child = subprocess.Popen(
                step, stdin=source, stdout=subprocess.PIPE, stderr=stderr, cwd=command.directory,
                env={**os.environ, **command.environment},
            )  # fmt: skip
            if not isinstance(source, int):
                source.close()  # or a command would not be told that the next one is gone
            source = child.stdout
            children.append(child)
        lines = 0
        while block := source.read1(1 << 20):
            lines += block.count(b"\n")
        ends = [os.wait4(child.pid, 0) for child in children]
        wall = time.perf_counter() - started
    usage = [each for _, _, each in ends]
    cpu = sum(each.ru_utime + each.ru_stime for each in usage)
    codes = [os.waitstatus_to_exitcode(status) for _, status, _ in ends]
    memory = max(each.ru_maxrss for each in usage) / 1024
    return {
        "run": asdict(Run(wall, cpu, memory, lines)),
        "codes": codes,
        "said": path.read_text(errors="replace")[-1500:] if any(codes) else "",
    }


if __name__ == "__main__":
    json.dump(_measured(Command(**json.load(sys.stdin))), sys.stdout)
