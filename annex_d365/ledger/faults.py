"""What databases complain about, as sentences that hold no password, no value and no SQL."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from annex_d365.errors import ConnectorError, SettingError

SETTING = "ledger_url"

_FULL = "has no space left on its disk."
_LOCKED = "was locked by another process for a minute."
_LOST = "lost its connection to the server. What was saved is kept: run again."

# Sign -> whether the setting or the database has to be changed, and the sentence after the ledger's name.
# Parts of SQLite's messages (sqlite.org/rescode.html); Python 3.10 does not give its codes.
_SQLITE = {
    "unable to open": (True, "cannot be opened."),
    "not a database": (True, "is not a SQLite database."),
    "malformed": (True, "is damaged. Restore a copy, or move it away and begin a new one."),
    "readonly": (True, "can only be used by those who may write it and its directory."),
    "is locked": (False, _LOCKED),
    "is full": (False, _FULL),
    "disk I/O error": (False, "cannot be read or written: its disk reports errors."),
}
# Beginnings of SQLSTATE (PostgreSQL manual, appendix A).
_POSTGRES = {
    "22": (True, "is in a database that cannot keep all characters. Create it with the encoding UTF8."),
    "25006": (True, "is on a server that may only be read."),
    "42501": (True, "needs a user who may create tables, or who may read and write those of the ledger."),
    "08": (False, _LOST),
    "53100": (False, _FULL),
    "53": (False, "cannot be used: its server is out of connections or memory."),
    "55P03": (False, _LOCKED),
    "57": (False, _LOST),
}


class LockedError(ConnectorError):
    """Another process had it for longer than we wait."""


def translate(error: SQLAlchemyError, name: str, *, opening: bool) -> ConnectorError:
    """Say what is wrong.

    Args:
        error: as SQLAlchemy raised it.
        name: of the ledger, without a password.
        opening: it was being opened.

    Returns:
        A SettingError if the setting or the database has to be changed, else a ConnectorError.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    if hasattr(original, "sqlstate"):
        mend, sentence = _of_postgres(error, getattr(original, "sqlstate", None) or "", opening=opening)
    else:
        mend, sentence = _of_sqlite(str(original))
    sentence = sentence or f"failed ({type(original).__name__})."
    if mend:
        return SettingError(SETTING, f"{name} {sentence}")
    kind = LockedError if sentence == _LOCKED else ConnectorError
    return kind(f"The ledger {name} {sentence}")


def _of_sqlite(message: str) -> tuple[bool, str]:
    return next((fault for sign, fault in _SQLITE.items() if sign in message), (False, ""))


def _of_postgres(error: SQLAlchemyError, code: str, *, opening: bool) -> tuple[bool, str]:
    if code:
        return next((fault for sign, fault in _POSTGRES.items() if code.startswith(sign)), (False, f"failed ({code})."))
    if opening:  # libpq gives no code where it cannot connect
        return True, "cannot be reached. Check that its server runs; then host, port, database, user and password."
    return False, _LOST if isinstance(error, OperationalError) else ""
