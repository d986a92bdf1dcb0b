"""Features of the Singer SDK with our plugins: each example of docs/platforms/singer-sdk.md, as it stands there."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from platforms.environments import ROOT, ours
from platforms.result import Failure, Result, expect, same
from platforms.world import Row, World

PAGE = ROOT / "docs" / "platforms" / "singer-sdk.md"
_EXAMPLE = re.compile(r"<!-- (?P<name>[\w ]+) -->\n```json\n(?P<settings>.*?)```", re.DOTALL)


def examples() -> dict[str, Row]:
    """The settings of the page, by the mark before them."""
    return {each["name"]: json.loads(each["settings"]) for each in _EXAMPLE.finditer(PAGE.read_text(encoding="utf-8"))}


def run(world: World) -> Result:
    """Each example, and ``--about`` and the environment."""
    given = examples()
    rows = _stream_maps(world, given["stream maps"]) + _flattening(world, given["flattening"])
    rows += _batch(world, given["batch"]) + _by_environment(world)
    for name in ("tap-d365", "tap-annex", "target-annex", "target-d365"):
        about = json.loads(_run(world, name, "--about", "--format=json"))
        expect(about["name"] == name and about["settings"]["properties"], f"{name} --about says nothing")
        expect(_run(world, name, "--about", "--format=markdown").startswith(f"# `{name}`"), f"{name} --about: no page")
    shown = ("deletion", "stream maps", "flattening", "BATCH", "--about", "environment")
    return Result({"singer-sdk": version("singer-sdk")}, rows, shown)


def _stream_maps(world: World, settings: Row) -> int:
    salt = settings["stream_map_config"]["salt"]
    source = world.rows("contacts", "contactid", "address1_country", "emailaddress1", where="statecode eq 0")
    wanted = {
        key: {
            "country": row["address1_country"],
            "email_hash": _digest(salt + row["emailaddress1"]) if row["emailaddress1"] else None,
        }
        for key, row in source.items()
    }
    messages = _read(world, settings)
    expect({each["stream"] for each in messages if "stream" in each} == {"people"}, "the stream keeps its name")
    got = _records(messages)
    columns = {"contactid", "country", "email_hash", "_sdc_deleted_at"}
    expect(all(set(row) == columns for row in got.values()), "there are other columns")
    gone = next(iter(wanted))
    world.dataverse("DELETE", f"contacts({gone})")
    state = world.file("state.json", messages[-1]["value"])
    (deletion,) = _records(_read(world, settings, "--state", str(state))).values()
    expect(deletion["contactid"] == gone and deletion["_sdc_deleted_at"], "the deletion is not told")
    return same(got, wanted, "mapped contacts")


def _flattening(world: World, settings: Row) -> int:
    (table,) = settings["tables"]
    source = world.dataverse("GET", f"contacts?$select=fullname,cr0dd_interests&$expand={table['expand']}")["value"]
    wanted = {row["contactid"]: {"fullname": row["fullname"]} for row in source}
    got = _records(_read(world, settings))
    accounts = {row["contactid"]: (row["parentcustomerid_account"] or {}).get("name") for row in source}
    for key, row in got.items():
        values = [value for value in row.values() if not isinstance(value, (str, int, float, type(None)))]
        expect(not values, f"{key} has {values}")
        account = json.loads(row["parentcustomerid_account"] or "{}")
        expect(account.get("name") == accounts[key], f"{key} has another account")
    return same(got, wanted, "flat contacts")


def _batch(world: World, settings: Row) -> int:
    directory = world.directory / "batches"
    directory.mkdir()
    settings["batch_config"]["storage"]["root"] = directory.as_uri()
    messages = _read(world, settings)
    expect([each["type"] for each in messages] == ["SCHEMA", "BATCH", "STATE"], "there are other messages")
    got: dict[str, Row] = {}
    for name in messages[1]["manifest"]:
        with gzip.open(Path(urlsplit(name).path), "rt", encoding="utf-8") as lines:
            got |= {row["contactid"]: row for row in map(json.loads, lines)}
    return same(
        got, world.rows("contacts", "contactid", "fullname", "birthdate", "statecode", "donotemail"), "the batch"
    )


def _by_environment(world: World) -> int:
    settings = world.tap_d365(tables=["accounts"])
    variables = {
        f"TAP_D365_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    messages = _messages(_run(world, "tap-d365", "--config=ENV", **variables))
    return same(_records(messages, "accountid"), world.rows("accounts", "accountid", "name"), "accounts")


def _read(world: World, settings: Row, *words: str) -> list[Row]:
    config = world.file("tap.json", world.tap_d365(**settings))
    return _messages(_run(world, "tap-d365", "--config", str(config), *words))


def _messages(text: str) -> list[Row]:
    return [json.loads(line) for line in text.splitlines()]


def _records(messages: list[Row], key: str = "contactid") -> dict[str, Row]:
    return {each["record"][key]: each["record"] for each in messages if each["type"] == "RECORD"}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _run(world: World, program: str, *words: str, **variables: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [ours(program), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=world.directory,
        env={**world.environment(), **variables},
    )
    if done.returncode:
        raise Failure(f"{program} {' '.join(words)}: {done.stderr.strip()[-400:]}")
    return done.stdout
