"""A PostgreSQL cluster of its own: in a temporary directory, reached by a unix socket or a port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from socket import create_server
from types import TracebackType
from typing import TYPE_CHECKING

from platforms.result import Failure

if TYPE_CHECKING:
    from typing_extensions import Self

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "platforms"


class PostgreSQL:
    """A context manager.

    Attributes:
        socket: directory of the socket; to a client, the host. Nobody else may enter it, so it needs no password.
        port: of 127.0.0.1, for clients that know no sockets; needs the password.
        user: the only one.
        password: made up for each cluster.
        database: name of the database.
    """

    user, database = _USER, "postgres"

    def __init__(self) -> None:
        self._programs = _programs()
        # A path of a socket may have 107 characters: not below a long temporary directory.
        self.socket = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._data = self.socket / "data"
        self.password = secrets.token_hex()
        with closing(create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> Self:
        """Make it and start it. Raises ``Failure`` if that cannot be."""
        if os.geteuid() == 0:  # PostgreSQL does not run as root; Debian's package made a user for it
            shutil.chown(self.socket, _SERVICE)
        (self.socket / "password").write_text(self.password)
        auth = "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={self.socket / 'password'}"
        self._call("initdb", *auth, "--username", _USER, "--encoding", "UTF8", "--no-sync", "-D", str(self._data))
        places = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories='{self.socket}'"
        options = f"{places} -c fsync=off"
        self._call("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.socket / "log"), "-o", options, "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and remove it."""
        self._call("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")
        shutil.rmtree(self.socket)

    @property
    def url(self) -> str:
        """For SQLAlchemy, with psycopg."""
        return f"postgresql+psycopg://{self.user}@/{self.database}?host={self.socket}&port={self.port}"

    @property
    def loopback_url(self) -> str:
        """For SQLAlchemy, by port and password."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    @property
    def version(self) -> str:
        """``15.14``."""
        return self._call("postgres", "--version").split()[2]

    def query(self, sql: str) -> str:
        """What ``psql`` prints for a statement, bare. Raises ``Failure``."""
        words = (
            "psql",
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            str(self.socket),
            "-p",
            str(self.port),
            "-U",
            _USER,
        )
        return self._call(*words, "-d", self.database, "-c", sql)

    def _call(self, program: str, *words: str) -> str:
        """Run one of its programs. As root it is run as Debian's user, in its directory."""
        done = subprocess.run(  # noqa: S603 - our own command
            [str(self._programs / program), *words],
            # pg_ctl leaves the server with its output: a pipe would never end.
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            text=True,
            check=False,
            cwd=self.socket,
            user=_SERVICE if os.geteuid() == 0 else None,
        )
        if done.returncode:
            raise Failure(f"{program}: {(done.stderr or '').strip()[-300:]} (exit code {done.returncode})")
        return done.stdout or ""


_SERVICE = "postgres"


def _programs() -> Path:
    """Directory of the newest PostgreSQL's programs."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        directory = found[-1].parent
    elif there := shutil.which("initdb"):
        directory = Path(there).parent
    else:
        raise Failure("needs PostgreSQL: apt-get install postgresql")
    if os.geteuid() == 0 and _SERVICE not in {each.pw_name for each in pwd.getpwall()}:
        raise Failure("PostgreSQL does not run as root, and there is no user postgres to run it as")
    return directory
