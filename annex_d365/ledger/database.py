"""The database of the ledger: how it is opened, and its transactions."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool, StaticPool

from annex_d365.errors import SettingError
from annex_d365.ledger.faults import SETTING, translate
from annex_d365.private_file import open_private

#: Seconds to wait for another process. The sentences in faults.py say "a minute".
PATIENCE = 60
_CONNECT_SECONDS = 30

_PRAGMAS = (
    # A million rows are 430 MB, of which memory is to hold a part that does not grow. With all of it mapped, lookups
    # of keys in no order take a tenth less time.
    "cache_size = -32768",  # KiB
    "mmap_size = 33554432",
)
_WRITE_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit is on the disk when it returns
    "wal_autocheckpoint = 8000",  # pages; a batch of 1,000 writes about 2,000
)

_POSTGRES_DRIVERS = ("postgres", "postgresql", "postgresql+psycopg")
_SQLITE_DRIVERS = ("sqlite", "sqlite+pysqlite")


class Database:
    """One database, with one connection, for one thread at a time. Made by the functions below.

    Args:
        engine: its connections.
        name: what messages call it; no password in it.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine
        self._opened = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads.

        Raises:
            SettingError: the database cannot be used until the setting or the database is changed.
            ConnectorError: it failed otherwise.
        """
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def writing(self, *lock: str) -> Iterator[Connection]:
        """A transaction that writes; it is committed, and on the disk, at the end of the block.

        Args:
            lock: names what only one process at a time may do.

        Raises:
            SettingError: the database cannot be used until the setting or the database is changed.
            ConnectorError: it failed otherwise.
        """
        with self._transaction(writes=True) as connection:
            if lock and connection.dialect.name == "postgresql":  # SQLite lets only one process write anyway
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _lock_number(lock)})
            yield connection

    def wipe(self) -> None:
        """Let nothing that was deleted stay in the file, nor in the log next to it; PostgreSQL does so by itself.

        Where others are reading, it stays in the log until they have ended.

        Raises:
            ConnectorError: the file could not be written anew.
        """
        try:
            with self._engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    # Pages keep what was on them, deleted or moved, unless SQLite was built not to.
                    connection.exec_driver_sql("VACUUM")
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        except SQLAlchemyError as error:
            raise translate(error, self.name, opening=False) from None

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                if connection.dialect.name == "sqlite":
                    # A transaction that reads first and then wants to write would not wait for its turn, but fail.
                    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
                yield connection
                connection.commit()
            self._opened = True
        except SQLAlchemyError as error:
            raise translate(error, self.name, opening=not self._opened) from None


def open_database(url: str) -> Database:
    """Open a database; a file that is not there is created, for its owner's eyes only.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/database``.

    Raises:
        SettingError: it is not such a URL, its driver is not installed, or the file cannot be created.
    """
    parsed = _parse(url)
    if parsed.drivername in _POSTGRES_DRIVERS:
        return _postgres(parsed, read_only=False)
    path = _create(_path(parsed))
    return _sqlite(str(path), str(path), writes=True)


def open_lock(url: str) -> Database:
    """Open what can be locked while the database of this URL is written: in SQLite, an empty file next to it.

    Raises:
        SettingError: as :func:`open_database`.
    """
    parsed = _parse(url)
    if parsed.drivername in _POSTGRES_DRIVERS:
        return _postgres(parsed, read_only=False)
    path = _path(parsed)
    return _sqlite(str(_create(path.with_name(f"{path.name}-turn"))), str(path), writes=False)


def open_for_reading(url: str) -> Database | None:
    """Open a database that will not be changed.

    Args:
        url: as for :func:`open_database`.

    Returns:
        The database, or None if its file is not there.

    Raises:
        SettingError: it is not such a URL, or its driver is not installed.
    """
    parsed = _parse(url)
    if parsed.drivername in _POSTGRES_DRIVERS:
        return _postgres(parsed, read_only=True)
    path = _path(parsed)
    return _sqlite(f"file:{quote(str(path.absolute()))}?mode=ro", str(path), writes=False) if path.exists() else None


def in_memory() -> Database:
    """A new database that nobody else sees. What does not fit into the cache is in a file that has no name."""
    return _sqlite("", "in memory", writes=True)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingError(SETTING, "is not a URL such as sqlite:///ledger.db.") from None
    if parsed.drivername not in (*_POSTGRES_DRIVERS, *_SQLITE_DRIVERS):
        raise SettingError(SETTING, "must begin with sqlite:/// or postgresql://.")
    return parsed


def _path(url: URL) -> Path:
    if not url.database or url.database == ":memory:" or url.host or url.query:
        raise SettingError(SETTING, "must name a file, such as sqlite:///ledger.db.")
    path = Path(url.database)
    if path.is_dir():
        raise SettingError(SETTING, f"{path} is a directory; name a file.")
    if not path.parent.is_dir():
        raise SettingError(SETTING, f"there is no directory {path.parent}.")
    return path


def _create(path: Path) -> Path:
    try:
        os.close(open_private(path, os.O_RDWR))  # SQLite gives -wal and -shm the mode of the file
    except OSError as error:
        raise SettingError(SETTING, f"{path} cannot be opened ({error.strerror}).") from None
    return path


def _sqlite(address: str, name: str, *, writes: bool) -> Database:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=address.startswith("file:")
        )
        try:
            for pragma in (*_PRAGMAS, *(_WRITE_PRAGMAS if writes else ())):
                _set(connection, pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    return Database(create_engine("sqlite://", creator=connect, poolclass=StaticPool, hide_parameters=True), name)


def _set(connection: sqlite3.Connection, pragma: str) -> None:
    """SQLite waits for no other process that sets `journal_mode`, too, because both have just created the file."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - the loop is what waits
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _postgres(url: URL, *, read_only: bool) -> Database:
    defaults = {"connect_timeout": str(_CONNECT_SECONDS), "application_name": "annexcloud-d365"}
    url = url.set(drivername="postgresql+psycopg", query={**defaults, **url.query})
    try:
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,  # a connection that was lost between two transactions is opened anew
            hide_parameters=True,
            isolation_level="READ COMMITTED",  # what is read under a lock must be from after it was taken
            execution_options={"postgresql_readonly": read_only},
        )
    except ImportError:
        problem = "needs a driver for PostgreSQL: pip install 'annexcloud-d365[postgres]'."
        raise SettingError(SETTING, problem) from None

    def be_patient(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"SET lock_timeout = '{PATIENCE}s'")
        connection.commit()

    event.listen(engine, "connect", be_patient)
    return Database(engine, f"{url.host or 'localhost'}/{url.database or ''}")


def _lock_number(names: tuple[str, ...]) -> int:
    """For an advisory lock, a number of 64 bits that these names get in every process."""
    data = "\0".join(("annex_d365", *names)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big", signed=True)
