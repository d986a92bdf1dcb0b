"""What the ledger says when its database cannot be used."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError, ResourceClosedError

from annex_d365.errors import ConnectorError, SettingError
from annex_d365.ledger import Claim, Entry, Ledger, database, faults
from annex_d365.ledger.store import Shelf


def refusal(ledger_url, **options):
    with pytest.raises(SettingError) as caught:
        Ledger(ledger_url, site="s", run="r", **options)
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
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file, file:
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


def test_a_lost_connection_is_opened_anew_between_transactions_but_not_within(ledger, ledger_url):
    if ledger_url.startswith("sqlite"):
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
