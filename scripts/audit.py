"""Look for known vulnerabilities of what requirements.lock names: ``python scripts/audit.py VENV``.

VENV has pip-audit. Its advisories come from PyPI. Where that does not answer (a mirror, no network) nothing is known;
this says so and passes: a change must not fail because somebody's service is down. Exit code 1: something was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

LOCK = Path(__file__).parent.parent / "requirements.lock"
#: A release with a known vulnerability (CVE-2024-3651): a service that has nothing against it does not answer.
KNOWN = "idna==3.6 --hash=sha256:c05567e9c24a6b9faaa835c4821bad0590fbb9d5779e7caa6e1cc4978e7eb24f\n"
#: Advisories that do not concern us, each with the reason why.
ACCEPTED: dict[str, str] = {}


def main(venv: str) -> int:
    """Ask, and print what was found."""
    with tempfile.TemporaryDirectory() as directory:
        known = Path(directory) / "known.txt"
        known.write_text(KNOWN, encoding="ascii")
        if not _vulnerable(_audit(venv, known)):
            click.echo("Audit skipped: PyPI's advisories cannot be reached from here.")
            return 0
    packages = _audit(venv, LOCK)
    if not packages:
        click.echo("pip-audit does not understand requirements.lock.")
        return 1
    found = [
        (package, each)
        for package in _vulnerable(packages)
        for each in package["vulns"]
        if not {each["id"], *each["aliases"]} & ACCEPTED.keys()
    ]
    for package, each in found:
        mended = ", ".join(each["fix_versions"]) or "no release yet"
        click.echo(f"{package['name']} {package['version']}: {each['id']}, mended in {mended}")
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        click.echo(f"Not known to PyPI: {', '.join(unknown)}")
    click.echo(f"Audited: {len(packages) - len(unknown)} packages, {len(found)} known vulnerabilities.")
    return 1 if found else 0


def _audit(venv: str, requirements: Path) -> list[dict[str, Any]]:
    """What pip-audit says of each package; nothing where it fails."""
    command = [
        f"{venv}/bin/pip-audit",
        *("--requirement", str(requirements), "--disable-pip", "--no-deps", "--require-hashes"),
        *("--format", "json", "--progress-spinner", "off", "--timeout", "15"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - all of it is ours
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (OSError, ValueError, KeyError):  # it could not be installed, or says nothing
        return []
    return packages


def _vulnerable(packages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [package for package in packages if package.get("vulns")]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
