"""Meltano pointed at a sandbox, and what its runs wrote."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from annex_d365_sandbox.sandbox import Sandbox

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
#: A line of a target's report: its plugin, and what became of the rows of a stream.
_SUMMARY = re.compile(r"(target-\S+) +(\w+: \d+ created.*)")
#: POST requests that only read.
_READING = re.compile(
    r"/(users/search|getbulkpoints|bulktiers|msdyncrm_FetchContactsByQuery|\w*ListGroupMembers|\w*MembersList)$"
)
_SERVICES = ("/api/3.0/", "/api/data/")


@dataclass(frozen=True)
class Run:
    """What a run said and wrote.

    Attributes:
        summaries: plugin and report of each stream, in order.
        writes: method and path of each request that changes something, on both sides.
    """

    summaries: list[tuple[str, str]]
    writes: list[tuple[str, str]]

    @property
    def into_annex(self) -> list[tuple[str, str]]:
        """Writes that Annex Cloud saw."""
        return [write for write in self.writes if write[1].startswith("/api/3.0/")]


class Pipelines:
    """The project's Meltano, with state, ledger and rejects of its own in a directory."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        info = sandbox.info
        dynamics = {"ORGANIZATION_URL": info["url"], "AUTH_ENDPOINT_URL": info["auth_endpoint_url"]}
        annex = {"BASE_URL": info["annex"]["base_url"]}
        services = {"TAP_D365": dynamics, "TARGET_D365": dynamics | annex, "TAP_ANNEX": annex, "TARGET_ANNEX": annex}
        settings = {
            f"{plugin}_{name}": value
            for plugin, own in services.items()
            for name, value in {**own, "CA_BUNDLE": info["ca_bundle"]}.items()
        }
        for plugin in ("TARGET_ANNEX", "TARGET_D365"):
            settings[f"{plugin}_LEDGER_URL"] = f"sqlite:///{directory / 'ledger.db'}"
        settings["TARGET_ANNEX_REJECTS_PATH"] = str(directory / "rejects.singer")
        settings["TARGET_D365_REJECTS_PATH"] = str(directory / "rejects-d365.singer")
        self.environment = {
            **os.environ,
            **settings,
            # Each demo has a state of its own, so that the next one starts from nothing, too.
            "MELTANO_STATE_BACKEND_URI": (directory / "state").as_uri(),
            "MELTANO_DATABASE_URI": f"sqlite:///{directory / 'meltano.db'}",
            "MELTANO_ENVIRONMENT": "sandbox",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "NO_COLOR": "1",
        }

    def run(self, job: str) -> Run:
        """``meltano run``, told in a few lines. Raises ``click.ClickException`` if it fails."""
        self.sandbox.control.log.clear()
        started = time.monotonic()
        output = self.command("meltano", "run", job)
        summaries = [(found[1], found[2]) for found in _SUMMARY.finditer(output)]
        for plugin, summary in summaries:
            click.echo(f"  {plugin:13} {summary}")
        click.echo(f"  {time.monotonic() - started:.1f} s")
        return Run(summaries, self.writes())

    def command(self, *words: str) -> str:
        """Run a command, and return what it said. Raises ``click.ClickException`` if it fails."""
        click.echo(f"$ {' '.join(words)}")
        done = subprocess.run(  # noqa: S603 - a command of our own
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        output = _ANSI.sub("", done.stdout + done.stderr)
        if done.returncode:
            click.echo(output)
            raise click.ClickException(f"{' '.join(words[:2])} ended with exit code {done.returncode}")
        return output

    def writes(self) -> list[tuple[str, str]]:
        """Requests since the last run began that change something."""
        return [
            (each["method"], each["path"])
            for each in self.sandbox.control.log.entries()
            if each["path"].startswith(_SERVICES) and each["method"] != "GET" and not _READING.search(each["path"])
        ]
