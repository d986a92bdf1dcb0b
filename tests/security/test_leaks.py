"""Secrets and personal data that are planted show up in nothing that a run leaves behind, at any level of the log."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, run_cli, tap_config, target_config

from annex_d365_sandbox.sandbox import Sandbox

#: In every name, address and number of a person; its case is kept nowhere else.
MARK = "pl4nt"
#: Every logger that there is, in both of the SDK's formats.
LOGGING = """
version: 1
disable_existing_loggers: false
formatters:
  console: {(): singer_sdk.logging.ConsoleFormatter}
  structured: {(): singer_sdk.logging.StructuredFormatter}
handlers:
  console: {class: logging.StreamHandler, formatter: console, stream: ext://sys.stderr}
  file: {class: logging.FileHandler, formatter: structured, filename: log.jsonl}
root: {level: 1, handlers: [console, file]}
loggers:
  urllib3: {level: 1}
  urllib3.connectionpool: {level: 1}
  requests: {level: 1}
  msal: {level: 1, handlers: [file]}
  msal.application: {level: 1}
  sqlalchemy: {level: 1}
  sqlalchemy.engine: {level: 1}
  sqlalchemy.pool: {level: 1}
  singer_sdk: {level: 1}
  singer_sdk.mapper: {level: 1}
  charset_normalizer: {level: 1}
"""
FAULTS = (
    {"kind": "status", "status": 503, "retry_after": 0, "message": f"{MARK}@example.com is busy", "count": 2},
    {"kind": "html", "status": 502, "count": 1, "after": 3},
    {"kind": "truncate", "count": 1, "after": 5},
    {"kind": "drop", "method": "GET", "count": 1, "after": 6},
    {"kind": "lost_reply", "method": "PATCH", "count": 1, "after": 1},
    {"kind": "status", "status": 400, "message": f"the value {MARK}@example.com is no good", "method": "PATCH",
     "count": 1, "after": 2},
)  # fmt: skip
#: Any bearer token, of either service.
TOKEN = re.compile(r"eyJ[\w-]{8}|Bearer ", re.IGNORECASE)

#: Ids of members, which may be addresses: the ledger and the list of differences are about them, and say so.
_ID = re.compile(r"pl4nt\.\d+@example\.com")


def plant(sandbox):
    """Personal data of a form that is found again."""
    for number, row in enumerate(list(sandbox.organisation.rows("contact"))):
        sandbox.organisation.update(
            "contact",
            row["contactid"],
            {
                "firstname": f"Pl4ntgiven{number}",
                "lastname": f"Pl4ntfamily{number}",
                "emailaddress1": f"pl4nt.{number}@example.com",
                "mobilephone": f"555-pl4nt-{number}",
                "address1_postalcode": f"pl4nt{number}",
            },
        )
    for number, member in enumerate(list(sandbox.site.members())):
        sandbox.site.update_member(
            member["id"],
            {
                "firstName": f"Pl4ntfirst{number}",
                "lastName": f"Pl4ntlast{number}",
                "email": f"m.pl4nt.{number}@example.com",
                "phone": f"556-pl4nt-{number}",
            },
        )


@pytest.fixture(scope="module")
def planted():
    with Sandbox(port=0, contacts=24, segments_api="both", seed=7) as sandbox:
        plant(sandbox)
        yield sandbox


def secrets(sandbox):
    credentials, annex = sandbox.info["credentials"], sandbox.info["annex"]
    known = [*(credentials[name] for name in ("client_secret", "password", "refresh_token")), annex["secret_key"]]
    assert all(len(each) > 8 for each in known)
    return [*known, "Pl4ntSecret"]


class Runs:
    """Plugins and commands as processes of their own, in one directory, with all logging on."""

    def __init__(self, sandbox, directory: Path):
        self.sandbox, self.directory = sandbox, directory
        (directory / "logging.yml").write_text(LOGGING)
        self.environment = {"SINGER_SDK_LOG_CONFIG": "logging.yml", "LOGLEVEL": "DEBUG", "PYTHONWARNINGS": "default"}
        self.kept = {"logging.yml"}
        self.said = []

    def plugin(self, module, *arguments, config=None, stdin="", **environment):
        done = run_cli(
            module, *arguments, config=config, directory=self.directory, stdin=stdin,
            **{**self.environment, **environment},
        )  # fmt: skip
        self.kept.add(f"{module}.json")
        self.said.append((f"{module} {arguments}", done.stderr))
        return done

    def command(self, *arguments, settings):
        """``annex-d365``, of which everything that it prints is looked at."""
        (self.directory / "settings.json").write_text(json.dumps(settings))
        self.kept.add("settings.json")
        name, *rest = arguments
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "annex_d365", *name.split(), "--config", "settings.json", *rest],
            capture_output=True, text=True, check=False, timeout=120, cwd=self.directory, input="",
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **self.environment},
        )  # fmt: skip
        self.said.append((name, done.stdout + done.stderr))
        return done

    def check(self, *, personal=()):
        """Nothing of what was planted; files in ``personal`` hold personal data, which the README says."""
        files = {path for path in self.directory.rglob("*") if path.is_file()}
        texts = self.said + [
            (path.name, path.read_bytes().decode("utf-8", "replace")) for path in files if path.name not in self.kept
        ]
        for where, text in texts:
            for secret in secrets(self.sandbox):
                assert secret not in text, f"{where} holds a secret"
            if found := TOKEN.search(text):
                pytest.fail(f"{where} holds a token: {text[max(0, found.start() - 200) : found.end()]}")
            told = _ID.sub("", text) if where.startswith(("ledger.db", "differences.json")) else text
            at = told.lower().find(MARK)
            if at >= 0 and where not in personal:
                pytest.fail(f"{where} holds personal data: {told[max(0, at - 300) : at + 60]}")


@pytest.fixture
def runs(planted, tmp_path):
    planted.faults.clear()
    yield Runs(planted, tmp_path)
    planted.faults.clear()


def annex_config(sandbox, **more):
    return {**sandbox.info["annex"], "ca_bundle": sandbox.info["ca_bundle"], **more}


def but_records(done):
    """What else a tap sends: the catalog and the state are kept by others."""
    messages = map(json.loads, done.stdout.splitlines())
    return "".join(json.dumps(each) for each in messages if each["type"] != "RECORD")


def fault(sandbox):
    sandbox.faults.clear()
    for each in FAULTS:
        sandbox.faults.add(route="/users|/contacts", **each)


@pytest.mark.parametrize("skip", ["ledger", "read"])
def test_contacts_to_members(runs, skip):
    sandbox = runs.sandbox
    config = tap_config(sandbox, segments_api="outbound", snapshot_path="snapshots", tables=[
        {"name": "contacts", "replication": "LOG_BASED"},
    ])  # fmt: skip
    fault(sandbox)
    read = runs.plugin("tap_d365", config=config)
    assert read.returncode == 0, read.stderr
    runs.said.append(("what is no record", but_records(read)))
    assert MARK in read.stdout.lower()
    fault(sandbox)
    settings = {"enrol": "all", "max_reject_percent": 100, "skip_unchanged": skip}
    target = target_config(sandbox, runs.directory, **settings)
    dry = {**target, "dry_run": True, "dry_run_path": "dry.jsonl"}
    assert runs.plugin("target_annex", config=dry, stdin=read.stdout).returncode == 0
    done = runs.plugin("target_annex", config=target, stdin=read.stdout)
    assert done.returncode == 0, done.stderr
    runs.said.append(("state", done.stdout))
    again = runs.plugin("target_annex", config={**target, "on_error": "fail"}, stdin=read.stdout)
    runs.said.append(("state", again.stdout))
    runs.check(personal={"dry.jsonl", "rejects.singer"})


def test_members_to_contacts(runs):
    sandbox = runs.sandbox
    dynamics = {**tap_config(sandbox), "ledger_url": "sqlite:///ledger.db", "max_reject_percent": 100}
    made = runs.command("provision", "--yes", "--solution", "LoyaltySandbox", settings=dynamics)
    assert made.returncode == 0, made.stderr
    fault(sandbox)
    read = runs.plugin("tap_annex", config=annex_config(sandbox, members={"by": "search"}))
    assert read.returncode == 0, read.stderr
    assert MARK in read.stdout.lower()
    runs.said.append(("what is no record", but_records(read)))
    fault(sandbox)
    target = {**annex_config(sandbox), **dynamics, "destination": "d365"}
    assert runs.plugin("target_annex", config={**target, "dry_run": True}, stdin=read.stdout).returncode == 0
    done = runs.plugin("target_annex", config=target, stdin=read.stdout)
    assert done.returncode == 0, done.stderr
    runs.said.append(("state", done.stdout))
    runs.check(personal={"rejects.singer"})


@pytest.mark.parametrize("module", ["tap_d365", "tap_annex", "target_annex"])
def test_what_plugins_tell_of_themselves(runs, module):
    secret = {"client_secret": "Pl4ntSecret", "secret_key": "Pl4ntSecret", "password": "Pl4ntSecret"}
    prefix = module.upper()
    environment = {f"{prefix}_{name.upper()}": value for name, value in secret.items()}
    environment |= {f"{prefix}_USERNAME": f"{MARK}@example.com", f"{prefix}_SITE_NAME": "x", f"{prefix}_SITE_ID": "1"}
    environment[f"{prefix}_LEDGER_URL"] = "postgresql://u:Pl4ntSecret@127.0.0.1:1/d"
    for arguments in (["--about", "--format", "json"], ["--about"], ["--version"]):
        done = runs.plugin(module, "--config", "ENV", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        runs.said.append(("about", done.stdout))
    if module == "tap_d365":
        done = runs.plugin(module, "--discover", config=tap_config(runs.sandbox))
        runs.said.append(("catalog", done.stdout))
        assert done.returncode == 0
    runs.check()


def test_commands(runs):
    sandbox = runs.sandbox
    plant(sandbox)  # the runs of other tests make both sides equal
    dynamics = tap_config(sandbox)
    common = {"ledger_url": "sqlite:///ledger.db", "max_reject_percent": 100}
    settings = {
        "tap-d365": {**dynamics, "username": sandbox.info["credentials"]["username"],
                     "password": sandbox.info["credentials"]["password"]},
        "tap-annex": annex_config(sandbox, members={"by": "search"}),
        "target-annex": annex_config(sandbox, destination="annex_cloud", **common),
        "target-d365": {**dynamics, **common},
    }  # fmt: skip
    fault(sandbox)
    plan = runs.command("plan", "--shards", "3", settings=settings)
    assert plan.returncode == 0, plan.stderr
    fault(sandbox)
    runs.command("doctor", "--report", "report.json", settings=settings)
    assert json.loads((runs.directory / "report.json").read_text())
    sandbox.faults.clear()
    runs.command("doctor", "--canary", "--report", "report-canary.json", settings=settings)
    fault(sandbox)
    reconciled = runs.command("reconcile", "--json", "differences.json", settings=settings)
    assert reconciled.returncode in (0, 1), reconciled.stdout + reconciled.stderr
    assert "differing" in (runs.directory / "differences.json").read_text()
    forgotten = runs.command("ledger forget", "--stream", "contacts", f"{MARK}@example.com", settings=settings)
    assert forgotten.stdout == "Forgotten: 0 of 1 rows.\n", forgotten.stderr
    runs.check()


WRONG = {
    "secret": {"client_secret": "Pl4ntSecret"},
    "password": {"username": f"{MARK}@example.com", "password": "Pl4ntSecret"},
    "kind": {"client_secret": {"a": "Pl4ntSecret"}},
    "userinfo": {"organization_url": f"https://{MARK}:Pl4ntSecret@127.0.0.1:1"},
    "endpoint": {"auth_endpoint_url": f"https://{MARK}:Pl4ntSecret@127.0.0.1:1/adfs"},
    "certificate": {"client_secret": None, "client_certificate": "key.pem"},
    "filter": {"tables": [{"name": "contacts", "filter": f"nosuch eq '{MARK}@example.com'"}]},
    "filter that does not parse": {"tables": [{"name": "contacts", "filter": f"emailaddress1 eq '{MARK}@example.com"}]},
}
KEY = "-----BEGIN PRIVATE KEY-----\nPl4ntSecret\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nx\n"


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_settings(runs, wrong):
    (runs.directory / "key.pem").write_text(KEY)
    runs.kept.add("key.pem")
    done = runs.plugin("tap_d365", config=tap_config(runs.sandbox, **wrong))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    runs.said.append(("output", done.stdout))
    runs.check()


def test_a_proxy_with_a_password(runs):
    done = runs.plugin(
        "tap_d365", config=tap_config(runs.sandbox), HTTPS_PROXY="http://user:Pl4ntSecret@127.0.0.1:1", NO_PROXY=""
    )
    assert done.returncode == 1
    assert "could not be reached" in done.stderr
    runs.check()


@pytest.mark.parametrize(
    "url", ["postgresql://u:Pl4ntSecret@127.0.0.1:1/d", "mysql://u:Pl4ntSecret@h/d", "Pl4ntSecret"]
)
def test_a_ledger_with_a_password(runs, url):
    row = {"contactid": "c1", "emailaddress1": f"{MARK}@example.com", "cr0dd_loyaltyid": f"{MARK}.id@example.com"}
    schema = {"type": "SCHEMA", "stream": "contacts", "key_properties": ["contactid"]}
    schema["schema"] = {"properties": {name: {"type": "string"} for name in row}}
    record = {"type": "RECORD", "stream": "contacts", "record": row}
    lines = "".join(json.dumps(each) + "\n" for each in (schema, record))
    done = runs.plugin("target_annex", config=target_config(runs.sandbox, runs.directory, ledger_url=url), stdin=lines)
    assert done.returncode == 1
    assert "`ledger_url`" in done.stderr
    runs.check()
