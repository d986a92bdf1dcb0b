"""What the ledger remembers, whatever happens to it.

Everything runs on SQLite, and on PostgreSQL where LEDGER_TEST_URL names a database of it (its tables are made there).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError, ResourceClosedError

from annex_d365.errors import ConnectorError, SettingError
from annex_d365.ledger import Claim, Entry, Ledger, State, changed, database, digest, faults, fold, merged, turns
from annex_d365.ledger.links import Link, Links
from annex_d365.ledger.store import Shelf
from annex_d365.ledger.tables import decode_text, encode_text

SERVER = os.environ.get("LEDGER_TEST_URL", "")
ROOT = Path(__file__).parents[2]

any_text = st.text(st.characters(exclude_categories=()))
fields = st.dictionaries(any_text, any_text, max_size=8)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    if not SERVER:
        pytest.skip("LEDGER_TEST_URL names no PostgreSQL database")
    return SERVER


@pytest.fixture
def ledger(url):
    """Opens a ledger; a site of its own keeps a test apart from others in the same database."""
    site, opened = uuid.uuid4().hex, []

    def open_ledger(**options):
        opened.append(Ledger(url, **{"site": site, "run": "run-1", **options}))
        return opened[-1]

    yield open_ledger
    for each in opened:
        each.close()


@pytest.fixture
def book(ledger):
    return ledger().book("members", "contacts")


# Entries


def test_an_entry_comes_back_as_it_was_saved_with_run_time_and_stream(book):
    before = time.time()
    saved = Entry("k", "T", State.PENDING, digest({"a": "b"}), "17")
    book.save([saved])
    (entry,) = book.entries(["k", "unknown"]).values()
    assert entry == replace(saved, run="run-1", stream="contacts", at=entry.at)
    assert before <= entry.at <= time.time()


def test_a_given_time_is_kept_but_not_a_given_run(book):
    book.save([Entry("k", "", at=12.5, run="another", stream="another")])
    assert book.entries(["k"])["k"] == Entry("k", "", at=12.5, run="run-1", stream="contacts")


def test_the_last_entry_of_a_key_counts(ledger, book):
    book.save([Entry("k", "first", version="1"), Entry("k", "second", version="2")])
    assert book.entries(["k"])["k"].target == "second"
    ledger(run="run-2").book("members", "contacts").save([Entry("k", "third", State.ERASED)])
    entry = book.entries(["k"])["k"]
    assert (entry.target, entry.state, entry.version, entry.run) == ("third", State.ERASED, "", "run-2")
    assert "third" in book.by_target(["third"])
    assert not book.by_target(["first", "second"])


def test_nothing_to_save_or_ask_is_fine(book):
    book.save([])
    book.release([])
    assert book.entries([]) == book.by_target([]) == book.claim([]) == {}


def test_more_keys_than_a_statement_takes(book):
    keys = [f"k{number}" for number in range(1234)]
    book.save(Entry(key, f"{key}@example.com") for key in keys)
    assert sorted(book.entries(keys)) == sorted(keys)
    assert len(book.by_target(f"{key}@example.com" for key in keys)) == len(keys)
    assert len(book.claim([Claim(key, key, by_id=False) for key in keys])) == len(keys)
    book.claim([Claim(key, f"new {key}", by_id=False) for key in keys])
    assert set(book.claim([Claim("other", key, by_id=False) for key in keys]).values()) == {"other", ""}


def test_entries_by_target_come_from_all_streams_of_the_object_and_from_no_other(ledger, book):
    book.save([Entry("1", "Ann@example.com"), Entry("2", "ANN@example.com", State.RIVAL), Entry("3", "")])
    ledger().book("members", "leads").save([Entry("1", "ann@example.com", State.DELETED)])
    ledger().book("orders", "contacts").save([Entry("1", "ann@example.com")])
    ledger(site="another").book("members", "contacts").save([Entry("1", "ann@example.com")])
    found = book.by_target(["aNN@example.com", "", "bob@example.com"])
    assert list(found) == ["ann@example.com"]
    assert sorted((each.stream, each.key, each.state.value) for each in found["ann@example.com"]) == [
        ("contacts", "1", "settled"),
        ("contacts", "2", "rival"),
        ("leads", "1", "deleted"),
    ]
    assert ledger().book("members", "leads").entries(["2"]) == {}


ODD = ["\0", "\x10", "\x100000", "\x10\x10", "a\0b", "\ud800", "\udfff", "\\u0000", "ä\U0001f600", "'; --", "%s"]


def test_texts_that_databases_refuse_are_kept_apart(ledger):
    book = ledger(run="r\0").book("m\0", "s\ud800")
    book.save(Entry(each, each, version=each) for each in ODD)
    found = book.entries(ODD)
    assert {key: (entry.target, entry.version, entry.run, entry.stream) for key, entry in found.items()} == {
        each: (each, each, "r\0", "s\ud800") for each in ODD
    }
    assert {target: [entry.key for entry in entries] for target, entries in book.by_target(ODD).items()} == {
        each: [each] for each in ODD
    }
    assert book.claim([Claim(each, each, by_id=True) for each in ODD]) == {each: each for each in ODD}


@given(any_text, any_text)
@example("\x10", "\x100010")
def test_escaping_texts_is_injective(one, other):
    assert decode_text(encode_text(one)) == one
    assert (encode_text(one) == encode_text(other)) == (one == other)
    assert "\0" not in encode_text(one)
    encode_text(one).encode()


# Targets


def test_the_first_claim_wins_and_targets_are_compared_without_case_if_they_are_addresses(book):
    claims = [Claim("a", "X@example.com", by_id=False), Claim("b", "x@EXAMPLE.com", by_id=False)]
    assert book.claim(claims) == {"X@example.com": "a", "x@EXAMPLE.com": "a"}
    assert book.claim([Claim("c", "ID", by_id=False), Claim("d", "id", by_id=False)]) == {"ID": "c", "id": "d"}


def test_an_id_outranks_another_match_but_not_an_id(book):
    book.claim([Claim("a", "t", by_id=False)])
    assert book.claim([Claim("b", "t", by_id=True), Claim("c", "t", by_id=True)]) == {"t": "b"}
    assert book.claim([Claim("c", "t", by_id=True)]) == {"t": "b"}
    assert book.claim([Claim("b", "t", by_id=False), Claim("c", "t", by_id=True)]) == {"t": "b"}, "still by id"


def test_a_row_gives_up_its_target_only_for_one_that_it_gets(book):
    book.claim([Claim("a", "1", by_id=False), Claim("b", "2", by_id=False)])
    assert book.claim([Claim("a", "2", by_id=False)]) == {"2": "b"}
    assert book.claim([Claim("c", "1", by_id=False)]) == {"1": "a"}, "kept"
    assert book.claim([Claim("a", "3", by_id=False)]) == {"3": "a"}
    assert book.claim([Claim("c", "1", by_id=False)]) == {"1": "c"}, "given up"


def test_a_target_that_is_given_up_can_be_had_by_a_later_claim_of_the_same_call(book):
    book.claim([Claim("a", "1", by_id=False)])
    assert book.claim([Claim("a", "2", by_id=False), Claim("b", "1", by_id=False)]) == {"2": "a", "1": "b"}
    assert book.claim([Claim("b", "3", by_id=False), Claim("b", "4", by_id=False)]) == {"3": "", "4": "b"}


def test_released_targets_are_free(book):
    book.claim([Claim("a", "1", by_id=True), Claim("b", "2", by_id=True)])
    book.release(["a", "unknown"])
    claims = [Claim("c", "1", by_id=False), Claim("d", "2", by_id=False)]
    assert book.claim(claims) == {"1": "c", "2": "b"}


def test_streams_objects_and_sites_claim_apart(ledger, book):
    book.claim([Claim("a", "t", by_id=True)])
    others = (
        ledger().book("members", "leads"),
        ledger().book("orders", "contacts"),
        ledger(site="another").book("members", "contacts"),
    )
    for other in others:
        assert other.claim([Claim("b", "t", by_id=False)]) == {"t": "b"}
        other.release(["a", "b"])
    assert book.claim([Claim("c", "t", by_id=True)]) == {"t": "a"}


def test_nobody_can_claim_no_target(book):
    with pytest.raises(ValueError):
        book.claim([Claim("a", "", by_id=False)])


claims = st.lists(st.builds(Claim, key=st.sampled_from("abcd"), target=st.sampled_from("1234"), by_id=st.booleans()))


@given(claims)
def test_a_target_has_one_holder_and_a_row_one_target(sequence):
    links = Links({"1": Link("a", by_id=False)})
    for claim in sequence:
        before = {target: links.holder(target) for target in "1234"}
        links.claim(claim.key, claim.target, by_id=claim.by_id)
        after = {target: links.holder(target) for target in "1234"}
        held = [key for key in after.values() if key]
        assert len(held) == len(set(held))
        if after[claim.target] == claim.key:
            others = {target: key for target, key in before.items() if target != claim.target}
            assert {t: k for t, k in after.items() if t != claim.target} == {
                target: "" if key == claim.key else key for target, key in others.items()
            }
        else:
            assert after == before


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


def test_processes_that_create_a_ledger_and_claim_the_same_agree_on_one_holder_each(url, ledger):
    site = uuid.uuid4().hex
    racers = [child(RACE, url, site, name) for name in ("one", "two", "three")]
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


def test_a_turn_ends_with_its_process(url, ledger, monkeypatch):
    site = uuid.uuid4().hex
    book = ledger(site=site).book("points", "a")
    taker = child(TAKER, url, site)
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


def test_a_turn_ends_with_its_connection(url, ledger):
    if url.startswith("sqlite"):
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


def test_what_was_saved_survives_a_kill_and_half_a_save_does_not(url, ledger):
    site = uuid.uuid4().hex
    saver = child(SAVER, url, site)
    for expected in range(15):
        assert saver.stdout.readline() == f"{expected}\n"
    saver.kill()
    last = [14, *map(int, saver.communicate()[0].split())][-1]
    book = ledger(site=site).book("members", "contacts")
    found = book.entries(f"{number}.{part}" for number in range(last + 2) for part in range(20))
    batches = [sum(key.startswith(f"{number}.") for key in found) for number in range(last + 2)]
    assert batches[: last + 1] == [20] * (last + 1)
    assert batches[-1] in {0, 20}
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
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


# Preview


def test_a_preview_creates_no_file_and_sees_itself(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="s", run="r", preview=True)
    book = ledger.book("members", "contacts")
    book.save([Entry("k", "t")])
    assert book.claim([Claim("k", "t", by_id=False), Claim("l", "t", by_id=False)]) == {"t": "k"}
    assert book.entries(["k"])["k"].run == "r"
    ledger.close()
    assert list(tmp_path.iterdir()) == []


def test_a_preview_changes_nothing(ledger, book):
    book.save([Entry("k", "t"), Entry("l", "u")])
    book.claim([Claim("k", "t", by_id=False)])
    preview = ledger(run="run-2", preview=True).book("members", "contacts")
    preview.save([Entry("k", "new")])
    preview.release(["k"])
    assert preview.claim([Claim("m", "t", by_id=False)]) == {"t": "m"}
    assert (preview.entries(["k"])["k"].target, preview.entries(["l"])["l"].target) == ("new", "u")
    assert set(preview.by_target(["t", "u", "new"])) == {"u", "new"}
    assert book.entries(["k"])["k"].target == "t"
    assert book.claim([Claim("n", "t", by_id=False)]) == {"t": "k"}


def test_a_preview_takes_another_database_for_an_empty_ledger(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as file:
        file.execute("CREATE TABLE other (x)")
    file.close()
    ledger = Ledger(f"sqlite:///{tmp_path}/other.db", site="s", run="r", preview=True)
    assert ledger.book("members", "contacts").entries(["k"]) == {}
    ledger.close()


keys, targets = st.sampled_from("abcd"), st.sampled_from(["1", "2", "x@example.com", "X@example.com"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.lists(st.builds(Entry, key=keys, target=targets, at=st.just(1.0)))),
        st.tuples(st.just("claim"), st.lists(st.builds(Claim, key=keys, target=targets, by_id=st.booleans()))),
        st.tuples(st.just("release"), st.lists(keys)),
        st.tuples(st.just("entries"), st.just("abcd")),
        st.tuples(st.just("by_target"), st.just(["1", "2", "x@example.com"])),
    ),
    max_size=8,
)


def perform(ledger, sequence):
    answers = []
    for stream, (method, argument) in sequence:
        answer = getattr(ledger.book("members", stream), method)(argument)
        if method == "by_target":
            answer = {target: {(each.stream, each.key) for each in found} for target, found in answer.items()}
        answers.append(answer)
    return answers


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_preview_answers_as_the_real_run_would(tmp_path, data):
    streams = st.sampled_from(["contacts", "leads"])
    before, after = (
        [(data.draw(streams), step) for step in [*data.draw(steps), ("by_target", ["1", "2", "x@example.com"])]]
        for _ in range(2)
    )
    real, kept = tmp_path / f"{uuid.uuid4()}.db", tmp_path / f"{uuid.uuid4()}.db"
    ledger = Ledger(f"sqlite:///{real}", site="s", run="r")
    perform(ledger, before)
    ledger.close()
    shutil.copy(real, kept)
    content = kept.read_bytes()
    ledger = Ledger(f"sqlite:///{real}", site="s", run="r")
    preview = Ledger(f"sqlite:///{kept}", site="s", run="r", preview=True)
    assert perform(preview, after) == perform(ledger, after)
    preview.close()
    ledger.close()
    assert kept.read_bytes() == content


# Errors


def refusal(url, **options):
    with pytest.raises(SettingError) as caught:
        Ledger(url, site="s", run="r", **options)
    assert caught.value.setting == "ledger_url"
    assert "hidden" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "not a URL"),
        ("no url", "not a URL"),
        ("postgresql://user:hidden@host:port/name", "not a URL"),
        ("mysql://user:hidden@host/name", "must begin with"),
        ("postgresql+psycopg2://user:hidden@host/name", "must begin with"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///ledger.db?mode=ro", "must name a file"),
        ("sqlite:///missing/ledger.db", "there is no directory missing"),
        ("sqlite:///folder", "folder is a directory"),
        ("sqlite:///text.txt", "text.txt is not a SQLite database"),
    ],
)
def test_what_is_no_ledger_is_refused(tmp_path, monkeypatch, url, problem, preview):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("text.txt").write_text("neither a database nor empty\n" * 99, encoding="utf-8")
    assert problem in refusal(url, preview=preview)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "text.txt"}


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'annexcloud-d365[postgres]'" in refusal("postgresql://user:hidden@127.0.0.1:1/name")


def test_a_server_that_is_not_there():
    pytest.importorskip("psycopg")
    assert "127.0.0.1/name cannot be reached" in refusal("postgresql://user:hidden@127.0.0.1:1/name")


@pytest.mark.parametrize("preview", [False, True])
def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path, preview):
    url = f"sqlite:///{tmp_path}/ledger.db"
    Ledger(url, site="s", run="r").close()
    with sqlite3.connect(tmp_path / "ledger.db") as file:
        assert file.execute("SELECT value FROM annex_d365_ledger WHERE name = 'version'").fetchone() == ("1",)
        file.execute("UPDATE annex_d365_ledger SET value = '2' WHERE name = 'version'")
    file.close()
    assert "newer version" in refusal(url, preview=preview)


def test_waiting_for_another_process_ends(ledger, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    one, other = ledger(), ledger()
    shelf = Shelf(one._site, "members", "contacts")
    with (
        one._store.relinking(shelf, (), ()),
        pytest.raises(ConnectorError, match="was locked by another process for a minute"),
    ):
        other.book("members", "contacts").claim([Claim("a", "t", by_id=False)])
    assert other.book("members", "contacts").claim([Claim("a", "t", by_id=False)]) == {"t": "a"}


def test_a_full_disk(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", site="s", run="r")
    with ledger._store.database.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 20")
    book = ledger.book("members", "contacts")
    with pytest.raises(ConnectorError, match=r"ledger\.db has no space left on its disk\.$"):
        book.save(Entry(f"hidden {number}", "hidden" * 9) for number in range(5000))
    assert book.entries(["hidden 1"]) == {}
    ledger.close()


def test_a_lost_connection_is_opened_anew_between_transactions_but_not_within(ledger, url):
    if url.startswith("sqlite"):
        pytest.skip("a file has no connection to lose")
    one, other = ledger(), ledger()
    book = one.book("members", "contacts")

    def cut():
        with one._store.database.reading() as connection:
            number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            with other._store.database.reading() as killer:
                killer.exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")
            return connection.exec_driver_sql("SELECT 1").scalar()

    book.save([Entry("k", "t")])
    with pytest.raises(ConnectorError, match="lost its connection"):
        cut()
    assert book.entries(["k"])["k"].target == "t"
    with one._store.database.reading() as connection:
        number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    with other._store.database.reading() as killer:
        killer.exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")
    book.save([Entry("k", "u")])
    assert book.entries(["k"])["k"].target == "u"


class ServerError(Exception):
    """As psycopg raises it."""

    def __init__(self, code):
        super().__init__("hidden")
        self.sqlstate = code


@pytest.mark.parametrize(
    ("original", "mend", "sentence"),
    [
        (sqlite3.OperationalError("unable to open database file"), True, "cannot be opened"),
        (sqlite3.DatabaseError("file is not a database"), True, "is not a SQLite database"),
        (sqlite3.DatabaseError("database disk image is malformed"), True, "is damaged"),
        (sqlite3.OperationalError("attempt to write a readonly database"), True, "may write it"),
        (sqlite3.OperationalError("database table is locked"), False, "was locked"),
        (sqlite3.OperationalError("disk I/O error"), False, "its disk reports errors"),
        (sqlite3.OperationalError("hidden"), False, "failed (OperationalError)"),
        (ServerError("42501"), True, "needs a user who may"),
        (ServerError("25006"), True, "may only be read"),
        (ServerError("22P05"), True, "encoding UTF8"),
        (ServerError("53100"), False, "no space left"),
        (ServerError("53300"), False, "out of connections"),
        (ServerError("57P01"), False, "lost its connection"),
        (ServerError("08006"), False, "lost its connection"),
        (ServerError(None), False, "lost its connection"),
        (ServerError("XX000"), False, "failed (XX000)"),
    ],
)
def test_failures_are_one_sentence_without_values(original, mend, sentence):
    error = faults.translate(OperationalError("SELECT hidden", {"x": "hidden"}, original), "host/name", opening=False)
    assert isinstance(error, SettingError) == mend
    assert "host/name " in str(error)
    assert sentence in str(error)
    assert "hidden" not in str(error)


def test_failures_of_the_library_are_named():
    error = faults.translate(ResourceClosedError("hidden"), "host/name", opening=False)
    assert str(error) == "The ledger host/name failed (ResourceClosedError)."


# Digests


@given(fields, st.randoms())
def test_digests_do_not_depend_on_order_and_take_12_bytes_a_field(some, random):
    shuffled = list(some.items())
    random.shuffle(shuffled)
    assert digest(dict(shuffled)) == digest(some)
    assert len(digest(some)) == 12 * len(some)


@given(fields, fields)
def test_changed_fields_are_those_that_are_new_or_have_another_value(new, old):
    expected = {name: value for name, value in new.items() if old.get(name) != value}
    assert changed(new, digest(old)) == expected
    assert changed(new, b"") == new


@given(fields, fields)
def test_merged_digests_are_those_of_the_merged_fields(old, new):
    assert merged(digest(old), digest(new)) == digest({**old, **new})


def test_digests_stay_the_same_between_versions():
    assert digest({}) == b""
    assert digest({"email": "a@example.com", "city": ""}).hex() == GOLDEN


GOLDEN = "6a0ba4ce6dddbfaafeb6144679634ae667b93d52c84c2305"


# Folding


@given(any_text)
def test_folding_is_done_once_and_only_for_addresses(text):
    assert fold(fold(text)) == fold(text)
    assert fold(text.replace("@", "")) == text.replace("@", "")


@given(st.text(st.characters(codec="ascii")))
def test_addresses_are_folded_without_case(text):
    assert fold(f"{text}@".upper()) == fold(f"{text}@".lower())
