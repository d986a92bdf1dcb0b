"""The ledger between processes: who has the turn, and what a kill leaves."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing

import pytest
from support import ROOT

from annex_d365.errors import ConnectorError
from annex_d365.ledger import Entry, Ledger, database, turns

RACE = """
import random, sys
from annex_d365.ledger import Claim, Entry, Ledger
url, site, me = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
ledger = Ledger(url, site=site, run=me)
book = ledger.book("members", "contacts")
for start in range(0, 60, 20):
    targets = [f"t{number}" for number in range(start, start + 20)]
    random.Random(me).shuffle(targets)
    book.claim([Claim(f"{me} {target}", target, by_id=False) for target in targets])
    book.save(Entry(target, me) for target in targets)
held = book.claim([Claim("nobody", f"t{number}", by_id=False) for number in range(60)])
print(";".join(sorted(held.values())))
"""


def child(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_processes_that_create_a_ledger_and_claim_the_same_agree_on_one_holder_each(ledger_url, ledger):
    site = uuid.uuid4().hex
    racers = [child(RACE, ledger_url, site, name) for name in ("one", "two", "three")]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert answers[0] == answers[1] == answers[2]
    assert sorted(each.split()[1] for each in answers[0].split(";")) == sorted(f"t{number}" for number in range(60))
    assert len(ledger(site=site).book("members", "contacts").entries(f"t{number}" for number in range(60))) == 60


# Turns


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    monkeypatch.setattr(turns, "WAITS", 2)


@pytest.mark.usefixtures("impatient")
def test_one_process_at_a_time_has_the_turn_of_an_object_whatever_its_stream(ledger):
    one, other = ledger().book("points", "a"), ledger().book("points", "b")
    with one.turn() as turn:
        assert turn.held()
        one.save([Entry("k", "t")])
        other.save([Entry("l", "u")])
        with pytest.raises(ConnectorError, match="Another run with this ledger has been writing points"), other.turn():
            pytest.fail("two have the turn")
    with other.turn() as again:
        assert again.held()
        assert not turn.held()


@pytest.mark.usefixtures("impatient")
def test_a_turn_ends_when_its_block_fails(ledger):
    book = ledger().book("points", "a")
    with pytest.raises(KeyError), book.turn() as turn:
        raise KeyError
    with pytest.raises(ConnectorError, match="lost its lock"):
        turn.check()
    with book.turn() as turn:
        turn.check()


@pytest.mark.usefixtures("impatient")
def test_a_preview_waits_for_no_turn_and_creates_no_file(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="s", run="r", preview=True)
    with ledger.book("points", "a").turn() as one, ledger.book("points", "a").turn() as other:
        assert one.held()
        assert other.held()
    ledger.close()
    assert list(tmp_path.iterdir()) == []


TAKER = """
import sys
from annex_d365.ledger import Ledger
with Ledger(sys.argv[1], site=sys.argv[2], run="killed").book("points", "a").turn() as turn:
    turn.check()
    print("taken", flush=True)
    sys.stdin.readline()
"""


def test_a_turn_ends_with_its_process(ledger_url, ledger, monkeypatch):
    site = uuid.uuid4().hex
    book = ledger(site=site).book("points", "a")
    taker = child(TAKER, ledger_url, site)
    assert taker.stdout.readline() == "taken\n"
    with monkeypatch.context() as patch:
        patch.setattr(database, "PATIENCE", 0.1)
        patch.setattr(turns, "WAITS", 1)
        with pytest.raises(ConnectorError, match="Another run"), book.turn():
            pytest.fail("two have the turn")
    taker.kill()
    taker.communicate()
    with book.turn() as turn:
        assert turn.held()


def test_a_turn_ends_with_its_connection(ledger_url, ledger):
    if ledger_url.startswith("sqlite"):
        pytest.skip("a file has no connection to lose")
    one = ledger()
    killer = one._store.database
    find = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
    with pytest.raises(ConnectorError), one.book("points", "a").turn() as turn:  # noqa: PT012 - the end raises it
        assert turn.held()
        with killer.reading() as connection:
            connection.exec_driver_sql(find)
        assert not turn.held()
    with one.book("points", "a").turn() as turn:
        assert turn.held()


# Durability


SAVER = """
import itertools, sys
from annex_d365.ledger import Claim, Entry, Ledger
book = Ledger(sys.argv[1], site=sys.argv[2], run="killed").book("members", "contacts")
for number in itertools.count():
    book.claim([Claim(f"{number}.{part}", f"t{number}.{part}", by_id=False) for part in range(20)])
    book.save(Entry(f"{number}.{part}", "t") for part in range(20))
    print(number, flush=True)
"""


def test_what_was_saved_survives_a_kill_and_half_a_save_does_not(ledger_url, ledger):
    site = uuid.uuid4().hex
    saver = child(SAVER, ledger_url, site)
    for expected in range(15):
        assert saver.stdout.readline() == f"{expected}\n"
    saver.kill()
    last = [14, *map(int, saver.communicate()[0].split())][-1]
    book = ledger(site=site).book("members", "contacts")
    found = book.entries(f"{number}.{part}" for number in range(last + 2) for part in range(20))
    batches = [sum(key.startswith(f"{number}.") for key in found) for number in range(last + 2)]
    assert batches[: last + 1] == [20] * (last + 1)
    assert batches[-1] in {0, 20}
    if ledger_url.startswith("sqlite"):
        with closing(sqlite3.connect(ledger_url.removeprefix("sqlite:///"))) as file, file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        file.close()


def test_a_save_that_fails_midway_saves_nothing(book):
    def entries():
        yield Entry("1", "t")
        yield Entry("2", "t", digests=None)

    with pytest.raises(ConnectorError, match="failed"):
        book.save(entries())
    assert book.entries(["1"]) == {}


def test_the_file_is_for_its_owner_only(tmp_path):
    old = os.umask(0)
    try:
        ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="s", run="r")
        ledger.book("members", "contacts").save([Entry("k", "t")])
    finally:
        os.umask(old)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    ledger.close()
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
