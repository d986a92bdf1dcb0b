"""What a log may say, and what is left of a bug."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest
from singer_sdk.logging import StructuredFormatter
from sqlalchemy.exc import IntegrityError

from annex_d365 import discretion
from annex_d365.errors import RowError, SettingError

VALUE = "ann@example.com"


@pytest.fixture
def heard():
    """What a handler says after :func:`discretion.install`, which looks at all loggers."""

    class Handler(logging.Handler):
        def emit(self, record):
            said.append(self.format(record))

    said, handler = [], Handler(level=1)
    logger = logging.getLogger("urllib3.connectionpool")
    before = logger.level
    for each in (logging.root, logger):
        each.addHandler(handler)
    discretion.install()
    yield said, handler
    for each in (logging.root, logger):
        each.removeHandler(handler)
    logger.setLevel(before)


@pytest.mark.parametrize(
    ("name", "level", "told"),
    [
        ("urllib3.connectionpool", logging.DEBUG, False),
        ("urllib3.connectionpool", logging.WARNING, False),
        ("urllib3.connectionpool", logging.ERROR, True),
        ("msal.application", logging.ERROR, False),
        ("psycopg.pool", logging.ERROR, False),
        ("sqlalchemy.engine.Engine", logging.INFO, False),
        ("sqlalchemy.pool", logging.ERROR, True),
        ("singer_sdk.mapper", logging.DEBUG, False),
        ("singer_sdk.metrics", logging.INFO, True),
        ("a library of tomorrow", logging.INFO, False),
        ("a library of tomorrow", logging.WARNING, True),
        ("annex_d365.http", logging.DEBUG, True),
        ("tap-d365.contacts", logging.DEBUG, True),
        ("target-annex", logging.DEBUG, True),
    ],
)
def test_others_are_heard_from_a_level_on(heard, name, level, told):
    said, _ = heard
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(1)  # as a user may have it
    logger.log(level, "GET /users/%s", VALUE)
    logger.setLevel(before)
    assert bool(said) is told


def fail():
    try:
        int(VALUE)
    except ValueError as error:
        raise KeyError(VALUE) from error


def fail_in_our_words():
    try:
        int(VALUE)
    except ValueError:
        raise RowError("It is no number.") from None


def fail_in_sql():
    raise IntegrityError("INSERT", {"email": VALUE}, Exception(VALUE))


@pytest.mark.parametrize("formatter", [logging.Formatter(), StructuredFormatter()])
@pytest.mark.parametrize("bug", [fail, fail_in_our_words, fail_in_sql])
def test_a_traceback_tells_where_but_no_value(heard, formatter, bug):
    """The SDK's structured format tells even the contexts that ``from None`` hides."""
    said, handler = heard
    handler.setFormatter(formatter)
    try:
        bug()
    except Exception:
        logging.getLogger("tap-d365").exception("A bug.")
    (text,) = said
    assert VALUE not in text
    assert bug.__name__ in text
    assert {fail: "KeyError", fail_in_our_words: "It is no number.", fail_in_sql: "IntegrityError"}[bug] in text
    if bug is fail:
        assert "ValueError" in text
    if isinstance(formatter, StructuredFormatter):
        assert json.loads(text)["exception"]["traceback"]


def test_a_stand_in_is_no_error_of_ours_by_chance():
    error = discretion.discreet(SettingError("client_id", "is wrong."))
    assert str(error) == "Setting `client_id`: is wrong."
    assert type(error).__name__ == "SettingError"


def test_the_error_that_nobody_caught(capsys):
    discretion.install()
    try:
        fail()
    except KeyError:
        sys.excepthook(*sys.exc_info())
    told = capsys.readouterr().err
    assert VALUE not in told
    assert told.count("Traceback") == 2
    assert "KeyError: its message is not shown" in told


def test_the_error_that_ends_a_thread(capsys):
    discretion.install()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    told = capsys.readouterr().err
    assert VALUE not in told
    assert "in fail" in told


def test_ctrl_c_is_none_of_its_business(capsys):
    discretion.install()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert "KeyboardInterrupt" in capsys.readouterr().err
