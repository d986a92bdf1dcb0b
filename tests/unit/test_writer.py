"""Messages are gathered, and none is lost, late or out of order."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import ActivateVersionMessage, RecordMessage, SchemaMessage, StateMessage
from support import ROOT

from annex_d365.singer import writer
from annex_d365.singer.writer import Record, Writer

NOW = datetime(2026, 1, 31, 12, 30, 1, 5, tzinfo=timezone.utc)


class Pipe(io.TextIOWrapper):
    """Standard output that counts what is written to it at once."""

    def __init__(self):
        self.raw_output, self.writes = io.BytesIO(), 0
        super().__init__(self.raw_output, encoding="utf-8")

    @property
    def buffer(self):
        return self

    def write(self, data):
        self.writes += 1
        return self.raw_output.write(data)

    @property
    def lines(self):
        return [json.loads(line) for line in self.raw_output.getvalue().splitlines()]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=30)
@given(st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=8), st.none() | st.integers(1, 9))
def test_the_same_bytes_as_the_sdk_writes(records, version):
    theirs, ours, plain = Pipe(), Pipe(), Pipe()
    schema = SchemaMessage("people", {"properties": {}}, ["id"], ["at"])
    others = [schema, StateMessage({"bookmarks": {}}), ActivateVersionMessage("people", 5)]
    with redirect_stdout(theirs):
        for message in [*(RecordMessage("people", each, version, NOW) for each in records), *others]:
            MsgSpecWriter().write_message(message)
    with redirect_stdout(ours):
        made = Writer()
        for message in [*(RecordMessage("people", each, version, NOW) for each in records), *others]:
            made.write_message(message)
    with redirect_stdout(plain):
        made = Writer()
        more = {"time_extracted": NOW, **({} if version is None else {"version": version})}
        for some in (records[:3], records[3:]):
            made.write_records([Record("people", each, **more) for each in some])
        for message in others:
            made.write_message(message)
    assert ours.raw_output.getvalue() == theirs.raw_output.getvalue()
    assert plain.raw_output.getvalue() == theirs.raw_output.getvalue()


def test_records_wait_for_each_other_and_a_state_for_nobody():
    out = Pipe()
    with redirect_stdout(out):
        made = Writer()
        for number in range(100):
            made.write_records([Record("people", {"id": number})])
        assert out.writes == 0
        made.write_message(StateMessage({"seen": 99}))
        assert out.writes == 1
        for number in range(3):
            made.write_records([Record("people", {"id": number, "text": "x" * (writer.BUFFER_BYTES // 2)})])
        assert [each["type"] for each in out.lines] == ["RECORD"] * 100 + ["STATE"] + ["RECORD"] * 2
        made.flush()


def test_a_record_of_a_slow_stream_does_not_wait(monkeypatch):
    monkeypatch.setattr(writer, "PATIENCE_SECONDS", 0.05)
    out = Pipe()
    with redirect_stdout(out):
        made = Writer()
        for count in (1, 2):
            made.write_records([Record("people", {"id": 1})])
            end = time.monotonic() + 5
            while len(out.lines) < count and time.monotonic() < end:
                time.sleep(0.01)
            assert len(out.lines) == count
        while made._clock and time.monotonic() < end:
            time.sleep(0.01)
    assert not made._clock, "the clock stops when no records come"


def test_what_cannot_be_written_leaves_nothing():
    out = Pipe()
    with redirect_stdout(out):
        made = Writer()
        made.write_records([Record("people", {"id": 1})])
        with pytest.raises((UnicodeEncodeError, TypeError)):
            made.write_records([Record("people", {"id": 2}), Record("people", {"id": 3, "text": "\ud800"})])
        made.flush()
    assert [each["record"] for each in out.lines] == [{"id": 1}]


def test_a_handler_waits_for_a_whole_message(monkeypatch):
    monkeypatch.setattr(writer, "BUFFER_BYTES", 1)
    made, waits = Writer(), []

    class Interrupted(Pipe):
        def write(self, data):
            if not waits:
                waits.append(made.after_message(lambda: made.write_message(StateMessage({"last": True}))))
            return super().write(data)

    out = Interrupted()
    with redirect_stdout(out):
        made.write_records([Record("people", {"id": 1})])
        assert not made.after_message(lambda: None), "it is whole"
        made.write_records([Record("people", {"id": 2})])
    assert [each["type"] for each in out.lines] == ["RECORD", "STATE", "RECORD"]
    assert waits == [True]


PROGRAM = """
import sys
from annex_d365.singer.plugin import Plugin
from annex_d365.singer.writer import Writer
from annex_d365.singer.plain import PlainStream
from singer_sdk import Tap

class Endless(PlainStream):
    name = "numbers"
    schema = {"properties": {"id": {"type": "integer"}, "text": {"type": "string"}}}
    def get_records(self, context):
        return iter(())
    def plain_records(self):
        number = 0
        while True:
            number += 10
            yield [{"id": number - 9 + each, "text": "x" * 1000} for each in range(10)]
            self.stream_state["seen"] = number

class Source(Plugin, Tap):
    name = "tap-endless"
    message_writer_class = Writer
    config_jsonschema = {"properties": {}}
    def discover_streams(self):
        return [Endless(self)]

Source().sync_all()
"""


def test_sigterm_while_the_pipe_is_full():
    """The tap hangs in the middle of a write: what follows is its rest, and a state that is true."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    first = process.stdout.read(200_000)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    rest, said = process.communicate(timeout=30)
    lines = [json.loads(line) for line in (first + rest).splitlines()]
    ids = [each["record"]["id"] for each in lines if each["type"] == "RECORD"]
    assert process.returncode == 143, said.decode()
    assert ids == list(range(1, len(ids) + 1))
    assert lines[-1]["type"] == "STATE"
    assert ids[-1] - 10 <= lines[-1]["value"]["bookmarks"]["numbers"]["seen"] <= ids[-1]
