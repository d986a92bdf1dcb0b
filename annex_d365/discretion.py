"""What a log may say, at any level, and of a bug: no address, no reply, no row, and no message that may quote one."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from annex_d365.errors import ConnectorError

#: From which level on the loggers of others are heard, by the beginning of their names; all else from WARNING on.
#: Below it they tell addresses, which hold member ids and conditions, replies, parameters and rows.
_HEARD_FROM: Mapping[str, int] = {
    "urllib3": logging.ERROR,  # "Failed to parse headers (url=...)" is a warning
    "msal": logging.CRITICAL,  # replies of the sign-in, with names of users
    "psycopg": logging.CRITICAL,  # where a connection goes, and as whom
    "singer_sdk": logging.INFO,  # the mapper tells values that it computes
    # Ours, by package and by plugin: written to hold no value.
    "annex_d365": logging.NOTSET,
    "tap_annex": logging.NOTSET,
    "tap_d365": logging.NOTSET,
    "target_annex": logging.NOTSET,
    "tap-annex": logging.NOTSET,
    "tap-d365": logging.NOTSET,
    "target-annex": logging.NOTSET,
    "target-d365": logging.NOTSET,
}
_NOT_SHOWN = "its message is not shown, for it may hold data"


class Discretion(logging.Filter):
    """Keeps records of others out that tell too much, and takes the messages out of tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if record.levelno < _HEARD_FROM.get(record.name.partition(".")[0], logging.WARNING):
            return False
        if record.exc_info and record.exc_info[1] is not None:
            error = discreet(record.exc_info[1])
            record.exc_info, record.exc_text = (type(error), error, error.__traceback__), None
        return True


_discretion = Discretion()


def install() -> None:
    """Have all handlers that there are filtered, whatever levels a configuration sets; to be called once it is read.

    A bug that reaches the top of a thread is told in the same way.
    """
    for handler in _handlers():
        handler.addFilter(_discretion)  # once, however often it is called
    sys.excepthook = _tell
    threading.excepthook = lambda args: _tell(args.exc_type, args.exc_value, args.exc_traceback)


def discreet(error: BaseException) -> BaseException:
    """A stand-in for an error, of a class with its name: same traceback and causes, but messages only of our own."""
    kind = type(error)
    stand_in: BaseException = type(kind.__name__, (Exception,), {"__module__": kind.__module__})(
        str(error) if isinstance(error, ConnectorError) else _NOT_SHOWN
    )
    stand_in.__traceback__ = error.__traceback__
    if error.__cause__ is not None:
        stand_in.__cause__ = discreet(error.__cause__)
    elif error.__context__ is not None and not error.__suppress_context__:
        stand_in.__context__ = discreet(error.__context__)
    return stand_in


def _handlers() -> Iterator[logging.Handler]:
    loggers: list[Any] = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        yield from getattr(logger, "handlers", ())  # a place holder has none


def _tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, (KeyboardInterrupt, SystemExit)):
        sys.__excepthook__(kind, error or kind(), trace)
        return
    stand_in = discreet(error)
    sys.__excepthook__(type(stand_in), stand_in, trace)
