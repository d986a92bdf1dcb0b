"""Other people's clients, each in an environment of its own that is made when it is first needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv-bench"

#: What is installed, by the name that tables show; the versions of the day when the benchmark was written.
PEERS = {
    "Airbyte": "airbyte-source-microsoft-dataverse==1.0.2",
    "tap-ms-dynamics": "tap-ms-dynamics==0.1.1",
    "Microsoft": "powerplatform-dataverse-client==1.1.0",
}


class UnavailableError(Exception):
    """The client cannot be had here; why."""


def python(name: str) -> str:
    """The interpreter that has this peer.

    Raises:
        UnavailableError: it cannot be installed.
    """
    environment = ENVIRONMENTS / name.lower()
    interpreter, done = environment / "bin" / "python", environment / ".installed"
    if not done.exists() or done.read_text() != PEERS[name]:
        print(f"Installing {PEERS[name]} …", file=sys.stderr, flush=True)
        made = _run(sys.executable, "-m", "venv", "--clear", str(environment)) or _install(interpreter, PEERS[name])
        if made:
            raise UnavailableError(f"{PEERS[name]} cannot be installed: {made}")
        done.write_text(PEERS[name])
    return str(interpreter)


def _install(interpreter: Path, requirement: str) -> str:
    if uv := shutil.which("uv"):
        return _run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(interpreter), requirement)
    return _run(str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)


def _run(*command: str) -> str:
    """What a command says as it fails; nothing if it does not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
