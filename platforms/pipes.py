"""``tap | target`` as a shell runs it, between programs of different environments."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from platforms.result import Failure

#: As much of what a program says last as a reason needs.
_LAST_WORDS = 500


def pipe(tap: Sequence[str], target: Sequence[str], *, directory: Path, environment: Mapping[str, str]) -> str:
    """Run both, and return the last line that the target printed: the state.

    Args:
        tap: words of the command.
        target: words of the command.
        directory: where both run; holds what they said in ``tap.log`` and ``target.log`` afterwards.
        environment: variables of both.

    Raises:
        Failure: one ended with another exit code than 0.
    """
    logs = directory / "tap.log", directory / "target.log"
    with logs[0].open("wb") as tap_log, logs[1].open("wb") as target_log:
        source = subprocess.Popen(  # noqa: S603 - our own command
            tap, stdout=subprocess.PIPE, stderr=tap_log, cwd=directory, env=environment
        )
        sink = subprocess.Popen(  # noqa: S603 - our own command
            target, stdin=source.stdout, stdout=subprocess.PIPE, stderr=target_log, cwd=directory, env=environment
        )
        if source.stdout is not None:  # the target alone reads it, so that its end is seen
            source.stdout.close()
        said = sink.communicate()[0].decode()
        codes = source.wait(), sink.returncode
    # A tap whose target has died dies, too: the target says why.
    for words, code, log in reversed(list(zip((tap, target), codes, logs, strict=True))):
        if code:
            raise Failure(
                f"{Path(words[0]).name} ended with exit code {code}: {log.read_text()[-_LAST_WORDS:].strip()}"
            )
    return said.splitlines()[-1] if said.strip() else ""
