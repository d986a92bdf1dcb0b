"""A row that is forgotten is gone: from the tables, from the bytes of the ledger's files, and from what was said."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support import ROOT

from annex_d365.errors import ConnectorError
from annex_d365.ledger import Claim, Entry, Ledger, database

#: What a row is known by, and what it is linked to: both may be addresses.
KEY, MEMBER = "Pl4nt.Key@example.com", "Pl4nt.Member@example.com"
#: So many others that rows move between pages, which keep copies of what moved.
OTHERS = 1500


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.json"
    service = {"site_id": "4711", "site_name": "shop", "secret_key": "Pl4ntSecret", "base_url": "https://127.0.0.1:1"}
    target = {"destination": "annex_cloud", **service, "ledger_url": f"sqlite:///{tmp_path}/ledger.db"}
    path.write_text(json.dumps(target))
    return path


def fill(directory):
    """As runs do it: in parts, and more than once."""
    book_keeper = Ledger(f"sqlite:///{directory}/ledger.db", site="https://127.0.0.1:1 4711", run="run-1")
    book = book_keeper.book("members", "contacts")
    keys = [f"other.{number * 7919 % OTHERS}@example.org" for number in range(OTHERS)]
    keys[OTHERS // 2] = KEY
    for version in ("1", "2"):
        for start in range(0, OTHERS, 250):
            part = {each: MEMBER if each == KEY else f"M.{each}" for each in keys[start : start + 250]}
            book.claim([Claim(key, target, by_id=True) for key, target in part.items()])
            book.save([Entry(key, target, version=version) for key, target in part.items()])
    book_keeper.close()


def left(directory):
    """The bytes of the ledger's files, in the case in which people are found again."""
    files = sorted(path for path in directory.iterdir() if path.name.startswith("ledger.db"))
    return {path.name: path.read_bytes().lower() for path in files}


def found(directory, text):
    return [name for name, content in left(directory).items() if text.lower().encode() in content]


def forget(settings, *keys, stream="contacts"):
    """The command, with every logger on."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "annex_d365", "ledger", "forget",
         "--config", str(settings), "--stream", stream, *keys],
        capture_output=True, text=True, check=False, timeout=120, cwd=settings.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LOGLEVEL": "DEBUG", "TARGET_ANNEX_LOGLEVEL": "DEBUG"},
    )  # fmt: skip


def test_a_forgotten_person_is_in_no_byte_and_no_word(settings, tmp_path):
    fill(tmp_path)
    assert found(tmp_path, KEY)
    assert found(tmp_path, MEMBER)
    # Somebody who looks into it keeps the log, which would else go with the last one who has it open.
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as looking:
        looking.execute("SELECT count(*) FROM annex_d365_rows").fetchall()
        done = forget(settings, KEY)
        assert "ledger.db-wal" in left(tmp_path)
        assert found(tmp_path, KEY) == found(tmp_path, MEMBER) == []
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Forgotten: 1 of 1 rows.\n"
    assert "pl4nt" not in (done.stdout + done.stderr).lower()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as kept:
        for table in ("rows", "links"):
            assert kept.execute(f"SELECT count(*) FROM annex_d365_{table}").fetchone() == (OTHERS - 1,)


def test_pages_are_written_anew_where_sqlite_leaves_what_was_deleted(tmp_path, monkeypatch):
    """Builds differ: Debian's overwrites what is deleted, that of python.org does not."""
    monkeypatch.setattr(database, "_WRITE_PRAGMAS", (*database._WRITE_PRAGMAS, "secure_delete = OFF"))
    fill(tmp_path)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="https://127.0.0.1:1 4711", run="run-2")
    try:
        assert ledger.forget("members", "contacts", [KEY]) == 1
    finally:
        ledger.close()
    assert found(tmp_path, KEY) == found(tmp_path, MEMBER) == []
    assert found(tmp_path, "other.1@example.org") == ["ledger.db"]


def test_a_ledger_that_cannot_be_written_anew_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0)
    fill(tmp_path)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="https://127.0.0.1:1 4711", run="run-2")
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConnectorError, match="was locked by another process") as error:
            ledger.forget("members", "contacts", [KEY])
    assert KEY not in str(error.value)
    assert ledger.forget("members", "contacts", [KEY]) == 1
    ledger.close()


def test_a_row_that_is_not_known_is_not_told(settings, tmp_path):
    fill(tmp_path)
    done = forget(settings, "Pl4nt.Nobody@example.com")
    assert done.stdout == "Forgotten: 0 of 1 rows.\n"
    assert "pl4nt" not in done.stderr.lower()
    assert found(tmp_path, KEY) == ["ledger.db"]


def test_a_dry_run_forgets_nothing(settings, tmp_path):
    fill(tmp_path)
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "dry_run": True}))
    done = forget(settings, KEY)
    assert "Error: Setting `dry_run`: is on: nothing is forgotten." in done.stderr
    assert "Traceback" not in done.stderr
    assert found(tmp_path, KEY) == ["ledger.db"]


@pytest.mark.parametrize("problem", ["stream", "ledger"])
def test_what_is_wrong_is_told_without_the_row(settings, tmp_path, problem):
    stream = "contacts"
    if problem == "ledger":
        (tmp_path / "ledger.db").write_text("no ledger at all, though long enough to be looked at as one" * 20)
    else:
        stream = "nosuch"
    done = forget(settings, KEY, stream=stream)
    assert done.returncode == 1
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "pl4nt" not in (done.stdout + done.stderr).lower()
