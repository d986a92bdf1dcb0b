"""A process that runs the target in children, and kills some of them: a child has nothing to import any more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from support import ROOT


class Runner:
    """Runs the target, from outside."""

    def __init__(self, process, directory):
        self._process = process
        self._input, self._output = directory / "input.singer", directory / "output.singer"

    def run(self, config, messages, seconds=None):
        """Run the target, and kill it after so many seconds; its exit status, and the STATE values it emitted."""
        self._input.write_text(messages)
        order = {"config": config, "input": str(self._input), "output": str(self._output), "seconds": seconds}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        whole = [line for line in self._output.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return status, [json.loads(line) for line in whole]


@contextmanager
def runner(directory, settle_seconds):
    """A :class:`Runner`; what was posted is looked for after ``settle_seconds``."""
    command = [sys.executable, "-W", "ignore", "-m", "killed", str(settle_seconds)]
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "target")))
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    environment = {**os.environ, "PYTHONPATH": path}
    with (
        (directory / "children.log").open("w") as log,
        subprocess.Popen(command, text=True, cwd=directory, env=environment, stderr=log, **pipes) as process,
    ):
        yield Runner(process, directory)
        process.stdin.close()


def _child(order):
    from target_annex.target import TargetAnnex  # noqa: PLC0415 - imported by the parent already

    os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    try:
        with Path(order["input"]).open() as messages:
            TargetAnnex(config=order["config"]).listen(messages)
    except BaseException:  # noqa: BLE001 - nothing may reach the parent's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main():
    from target_annex import points, target  # noqa: F401, PLC0415 - before the children

    points.SETTLE_SECONDS = float(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        Path(order["output"]).write_text("")
        child = os.fork()
        if not child:
            _child(order)
        if order["seconds"] is not None:
            time.sleep(order["seconds"])
            os.kill(child, signal.SIGKILL)
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
