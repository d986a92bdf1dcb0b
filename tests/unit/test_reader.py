"""The reader: as the SDK's, but it can be stopped, and it quotes nothing."""

from __future__ import annotations

import io
import os
import signal
import threading
from decimal import Decimal

import pytest
from singer_sdk.contrib.msgspec import MsgSpecReader

from annex_d365.errors import ConnectorError
from annex_d365.singer.reader import Reader

LINES = '{"type": "SCHEMA", "a": 1}\n{"type": "RECORD", "a": 1.10}\n{"type": "STATE", "a": "ü"}\n'


def read(reader, text, **callbacks):
    seen = []
    kinds = dict.fromkeys(("SCHEMA", "RECORD", "STATE"), seen.append) | callbacks
    return seen, reader.process_lines(io.StringIO(text), kinds)


def test_reads_what_the_sdk_reads():
    ours, theirs = read(Reader(), LINES), read(MsgSpecReader(), LINES)
    assert ours == theirs
    assert ours[0][1]["a"] == Decimal("1.10")


def test_empty_lines_are_passed_over():
    assert read(Reader(), "\n" + LINES + "\n \n") == read(Reader(), LINES)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"type": "RECORD", "marker', "it is not a JSON object"),
        ('["marker"]', "it is not a JSON object"),
        ('{"marker": 1}', "it has no type"),
        ('{"type": "marker"}', "of a known type"),
    ],
)
def test_errors_name_the_line_and_quote_nothing(line, problem, caplog):
    with pytest.raises(ConnectorError, match=problem) as error:
        read(Reader(), LINES + line)
    assert "Input line 4 " in str(error.value)
    assert "marker" not in str(error.value) + caplog.text
    with pytest.raises(Exception, match="marker"):
        read(MsgSpecReader(), LINES + line if line.startswith("{") else '{"marker": 1}')


def test_a_stop_lets_the_message_at_hand_finish():
    reader, done = Reader(), []

    def work(message):
        reader.stop()
        done.append(message)

    _, counts = read(reader, LINES, RECORD=work)
    assert len(done) == 1
    assert counts == {"SCHEMA": 1, "RECORD": 1}


def test_a_stop_breaks_off_the_wait_for_input():
    reader = Reader()
    before = signal.signal(signal.SIGUSR1, lambda *_: reader.stop())
    readable, writable = os.pipe()
    try:
        os.write(writable, b'{"type": "RECORD"}\n')
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        with open(readable, encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor
            counts = reader.process_lines(pipe, {"RECORD": lambda _: None})
        timer.join()
    finally:
        os.close(writable)
        signal.signal(signal.SIGUSR1, before)
    assert counts == {"RECORD": 1}
