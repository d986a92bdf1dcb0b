"""What tests share: a sandbox, settings for it, and ways to run the plugins."""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests

from annex_d365_sandbox.sandbox import Sandbox
from tap_d365.tap import TapD365

ROOT = Path(__file__).parent.parent
#: Few enough for quick tests, more than a page of the tests that turn pages.
CONTACTS = 300


@functools.cache
def shared_sandbox() -> Sandbox:
    """One for all tests; also for those that need it while they are collected."""
    sandbox = Sandbox(port=0, http_port=0, contacts=CONTACTS, seed=7)
    sandbox.start()
    atexit.register(sandbox.stop)
    return sandbox


def tap_config(sandbox: Sandbox, **more):
    """tap-d365 as an application at AD FS, which MSAL accepts on any port."""
    info = sandbox.info
    config = {
        "organization_url": info["url"],
        "auth_endpoint_url": info["auth_endpoint_url"],
        "client_id": info["credentials"]["client_id"],
        "client_secret": info["credentials"]["client_secret"],
        "ca_bundle": info["ca_bundle"],
        **more,
    }
    return {name: value for name, value in config.items() if value is not None}


def target_config(sandbox: Sandbox, directory: Path, **more):
    """target-annex for the sandbox's site."""
    info = sandbox.info
    return {
        "destination": "annex_cloud",
        **info["annex"],
        "ca_bundle": info["ca_bundle"],
        "rejects_path": str(directory / "rejects.singer"),
        "ledger_url": f"sqlite:///{directory}/ledger.db",
        **more,
    }


#: The organisation of the integration document, and where one signs in to it.
ORGANISATION = "https://annex.crm.dynamics.com"
LOGIN = "https://login.microsoftonline.com"


class Reroute(requests.adapters.HTTPAdapter):
    """Sends what is meant for one https origin to the sandbox, in plain http (Dataverse page 1.5, recipe R1)."""

    def __init__(self, sandbox_url):
        self._to = urlsplit(sandbox_url)
        super().__init__()

    def send(self, request, **kwargs):
        meant = urlsplit(request.url)
        request.headers["Host"] = meant.netloc
        request.url = urlunsplit((self._to.scheme, self._to.netloc, meant.path, meant.query, ""))
        response = super().send(request, **kwargs)
        request.url = urlunsplit(meant)
        return response


def token_requests(sandbox):
    """Paths of the sign-ins that the sandbox has seen."""
    return [entry["path"] for entry in sandbox.control.log.entries() if entry["path"].endswith("/token")]


class Messages(list):
    """Singer messages."""

    @classmethod
    def read(cls, text: str) -> Messages:
        return cls(json.loads(line) for line in text.splitlines() if line.strip())

    def of(self, kind: str):
        return [message for message in self if message["type"] == kind]

    def records(self, stream: str = "contacts"):
        return [message["record"] for message in self.of("RECORD") if message["stream"] == stream]

    @property
    def states(self):
        return [message["value"] for message in self.of("STATE")]

    def text(self) -> str:
        return "".join(json.dumps(message) + "\n" for message in self)


def run_tap(config, *, catalog=None, state=None) -> Messages:
    """tap-d365 in this process."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(out):
        TapD365(config=dict(config), catalog=catalog, state=state).sync_all()
    return Messages.read(out.buffer.getvalue().decode())


def discover(config):
    """The catalog that tap-d365 finds."""
    return TapD365(config=dict(config)).catalog_dict


def select(catalog, *columns, stream="contacts"):
    """The catalog with only these columns selected."""
    for entry in catalog["streams"]:
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["selected"] = entry["tap_stream_id"] == stream
            elif each["metadata"].get("inclusion") != "automatic":
                each["metadata"]["selected"] = each["breadcrumb"][-1] in columns
    return catalog


def run_cli(module: str, *arguments, config=None, directory: Path, stdin: str = "", **environment):
    """A plugin as a process of its own."""
    if config is not None:
        path = directory / f"{module}.json"
        path.write_text(json.dumps(config))
        arguments = ("--config", str(path), *arguments)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
