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
from annex_d365.singer.reader import Reader, Unencodable

KINDS = ("SCHEMA", "RECORD", "STATE")
LINES = '{"type": "SCHEMA", "a": 1}\n{"type": "RECORD", "a": 1.10}\n{"type": "STATE", "a": "ü"}\n'


def read(reader, text, **callbacks):
    seen = []
    kinds = dict.fromkeys(KINDS, seen.append) | callbacks
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
        ('{"type": ["marker"]}', "its type is not a text"),
        ('{"type": null}', "its type is not a text"),
        ('{"type": "STATE", "value": "marker\\ud800"}', "it is not a JSON object"),
        ('{"type": "RECORD", "record": {"marker": NaN, "b": "\\ud800"}}', "it is not a JSON object"),
        ('{"type": "STATE", "marker": ' + "[" * 100_000 + "]" * 100_000 + "}", "is nested too deeply"),
    ],
)
def test_errors_name_the_line_and_quote_nothing(line, problem, caplog):
    with pytest.raises(ConnectorError, match=problem) as error:
        read(Reader(), LINES + line)
    assert "Input line 4 " in str(error.value)
    assert "marker" not in str(error.value) + caplog.text


@pytest.mark.parametrize("line", ['{"type": "RECORD", "marker', '{"marker": 1}', '{"type": "marker"}'])
def test_errors_of_the_sdk_quote_the_line(line):
    with pytest.raises(Exception, match="marker"):
        read(MsgSpecReader(), line)


@pytest.mark.parametrize("bad", [b"\xff\xfe", "\ud800".encode("utf-8", "surrogatepass"), b"\xfc"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_input_that_is_not_utf_8_is_named_by_its_line(bad, errors):
    data = LINES.encode() + b'{"type": "RECORD", "a": "marker' + bad + b'"}\n'
    with pytest.raises(ConnectorError, match="Input line 4 is no Singer message") as error:
        Reader().process_lines(io.TextIOWrapper(io.BytesIO(data), "utf-8", errors), dict.fromkeys(KINDS, len))
    assert "marker" not in str(error.value)


def test_input_is_utf_8_in_any_locale():
    seen = []
    text = io.TextIOWrapper(io.BytesIO('{"type": "STATE", "a": "ü"}'.encode()), "latin-1")
    Reader().process_lines(text, {"STATE": seen.append})
    assert seen == [{"type": "STATE", "a": "ü"}]


def test_half_a_surrogate_pair_marks_the_record():
    line = '{"type": "RECORD", "a": 1.10, "b": "x\\ud800"}\n'
    seen, _ = read(Reader(), LINES + line + LINES)
    assert seen[3] == {"type": "RECORD", "a": Decimal("1.10"), "b": "x\ud800"}
    assert [isinstance(each, Unencodable) for each in seen] == [False] * 3 + [True] + [False] * 3


def test_what_is_nested_too_deeply_for_a_callback_is_named_by_its_line():
    def descend(message):
        return descend(message)

    with pytest.raises(ConnectorError, match="Input line 2 is nested too deeply"):
        read(Reader(), LINES, RECORD=descend)


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
