"""A virtual environment for each platform, with exactly the versions that ``requirements/<name>.txt`` names.

``requirements/<name>.in`` names what we ask for; ``python -m platforms --lock`` makes the ``.txt`` of it, with
everything that comes along.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from platforms.result import Failure

ROOT = Path(__file__).parent.parent
REQUIREMENTS = Path(__file__).parent / "requirements"
#: Kept between runs.
CACHE = ROOT / ".platforms"
#: Where our own plugins are: the environment that runs this.
OURS = Path(sys.executable).parent
#: Environments that hold this project, too, and the extras they take of it.
WITH_PROJECT: dict[str, tuple[str, ...]] = {}
_VERSION = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"


@dataclass(frozen=True)
class Environment:
    """Installed programs.

    Attributes:
        name: of its ``requirements/<name>.txt``.
        directory: of the virtual environment.
    """

    name: str
    directory: Path

    def program(self, name: str) -> str:
        """Path of a program in it; ``python`` is its interpreter."""
        return str(self.directory / "bin" / name)

    def versions(self, *packages: str) -> dict[str, str]:
        """Versions of packages as they are installed."""
        return dict(zip(packages, _run(self.program("python"), "-c", _VERSION, *packages).split(), strict=True))


def ours(program: str) -> str:
    """Path of one of our own programs: ``tap-d365``, ``target-annex``, ..."""
    return str(OURS / program)


def environment(name: str) -> Environment:
    """The environment of that name: made the first time, and when what it holds has changed.

    Raises:
        Failure: it cannot be installed.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    project = wheel() if name in WITH_PROJECT else None
    holds = hashlib.sha256(sys.version.encode() + requirements.read_bytes())
    if project is not None:
        holds.update(project.read_bytes())
    made = Environment(name, CACHE / name)
    stamp = made.directory / ".installed"
    if stamp.is_file() and stamp.read_text() == holds.hexdigest():
        return made
    if _uv() is None:
        _run(sys.executable, "-m", "venv", "--clear", str(made.directory))
        install = [made.program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    else:
        _run(str(_uv()), "venv", "--quiet", "--clear", "--python", sys.executable, str(made.directory))
        install = [str(_uv()), "pip", "install", "--quiet", "--python", made.program("python")]
    _run(*install, "--requirement", str(requirements))
    if project is not None:
        _run(*install, "--no-deps", str(project))
    stamp.write_text(holds.hexdigest())
    return made


@functools.cache
def wheel() -> Path:
    """This project as users install it. Raises ``Failure`` if it cannot be built."""
    directory = CACHE / "dist"
    shutil.rmtree(directory, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT))
    return next(directory.glob("*.whl"))


def lock(name: str) -> None:
    """Write ``requirements/<name>.txt`` of ``<name>.in``. Raises ``Failure`` if its versions do not go together."""
    if _uv() is None:
        raise Failure("--lock needs uv")
    project = [
        word for extra in WITH_PROJECT.get(name, ()) for word in (str(ROOT / "pyproject.toml"), "--extra", extra)
    ]
    requirements = REQUIREMENTS / f"{name}.in"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    _run(
        *(str(_uv()), "pip", "compile", "--quiet", "--upgrade", "--no-header", "--no-annotate", "--no-emit-index-url"),
        *("--python-version", version, str(requirements), *project),
        *("--output-file", str(requirements.with_suffix(".txt"))),
    )


def _uv() -> Path | None:
    found = shutil.which("uv", path=str(OURS)) or shutil.which("uv")
    return Path(found) if found else None


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        raise Failure(f"{Path(command[0]).name} {command[1]}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout
