"""STATE is emitted for what is written: beside what the SDK does."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout
from decimal import Decimal

import pytest
from singer_sdk import BatchSink, Target

from annex_d365.errors import ConnectorError
from annex_d365.singer import checkpoints
from annex_d365.singer.checkpoints import Checkpoints

written = []


class Sink(BatchSink):
    max_size = 3

    def process_batch(self, context):
        written.extend(record["id"] for record in context["records"])


class Ours(Checkpoints):
    name = "target-ours"
    default_sink_class = Sink
    secured = 0

    def secure(self):
        self.secured += 1


class Theirs(Target):
    name = "target-theirs"
    default_sink_class = Sink


@pytest.fixture(autouse=True)
def forget():
    written.clear()


SCHEMA = {"type": "SCHEMA", "stream": "s", "schema": {"properties": {"id": {"type": "integer"}}}, "key_properties": []}


def rows(*ids):
    return [{"type": "RECORD", "stream": "s", "record": {"id": each}} for each in ids]


def state(value):
    return {"type": "STATE", "value": {"at": value}}


class Output(io.StringIO):
    """Notes how much was written when a STATE left."""

    def __init__(self):
        super().__init__()
        self.states = []

    def write(self, text):
        self.states.append((json.loads(text), list(written)))
        return len(text)


def run(target, messages):
    out = Output()
    with redirect_stdout(out):
        target.listen(io.StringIO("".join(json.dumps(each) + "\n" for each in messages)))
    return out.states


MESSAGES = [SCHEMA, *rows(1, 2, 3), state(3), *rows(4), state(4), *rows(5, 6), state(6), *rows(7)]


def test_a_state_leaves_as_soon_as_its_rows_are_written_and_the_sdks_only_at_the_end():
    assert run(Ours(), MESSAGES) == [
        ({"at": 3}, [1, 2, 3]),
        ({"at": 6}, [1, 2, 3, 4, 5, 6]),
    ]
    assert written == [1, 2, 3, 4, 5, 6, 7]
    written.clear()
    assert run(Theirs(), MESSAGES) == [({"at": 6}, [1, 2, 3, 4, 5, 6, 7])]


@pytest.mark.parametrize(("name", "value"), [("CHECKPOINT_ROWS", 1), ("CHECKPOINT_SECONDS", 0)])
def test_a_state_drains_when_enough_rows_or_time_have_passed(monkeypatch, name, value):
    monkeypatch.setattr(checkpoints, name, value)
    assert [at for at, _ in run(Ours(), MESSAGES)] == [{"at": 3}, {"at": 4}, {"at": 6}]


def test_no_state_is_emitted_for_what_failed(monkeypatch):
    def fail(self, context):
        raise RuntimeError

    monkeypatch.setattr(Sink, "process_batch", fail)
    out = Output()
    with redirect_stdout(out), pytest.raises(RuntimeError):
        Ours().listen(io.StringIO("".join(json.dumps(each) + "\n" for each in [SCHEMA, *rows(1), state(1)])))
    assert out.states == []


def test_what_a_state_covers_is_secured_first():
    target = Ours()
    states = run(target, MESSAGES)
    assert target.secured == len(states)


@pytest.mark.parametrize("value", [{}, {"a": [1, None, True]}, {"bookmarks": {"s": {"key": "ü 世 \u2028"}}}])
def test_a_state_is_written_as_by_the_sdk(value, capsys):
    Ours()._write_state_message(value)
    ours = capsys.readouterr().out
    Theirs()._write_state_message(value)
    theirs = capsys.readouterr().out
    assert json.loads(ours) == json.loads(theirs) == value
    assert ours.count("\n") == theirs.count("\n") == 1


def test_exact_numbers_in_a_state_which_the_sdk_cannot_write(capsys):
    state_message = {"at": Decimal("1.10")}
    Ours()._write_state_message(state_message)
    assert capsys.readouterr().out == '{"at":1.10}\n'
    with pytest.raises(TypeError):
        Theirs()._write_state_message(state_message)


def test_a_state_that_nobody_takes_ends_the_run(monkeypatch):
    readable, writable = os.pipe()
    os.close(readable)
    closed = os.fdopen(writable, "w")
    monkeypatch.setattr("sys.stdout", closed)
    with pytest.raises(ConnectorError, match=r"STATE cannot be written to standard output \(Broken pipe\)"):
        Ours()._write_state_message({"at": 1})
    closed.close()  # would raise, had the text not gone elsewhere
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(ConnectorError, match="STATE cannot be written"):
        Ours()._write_state_message({"at": 1})


def test_a_state_that_repeats_is_emitted_once():
    messages = [SCHEMA, *rows(1, 2, 3), state(3), state(3), *rows(4), state(3)]
    assert [at for at, _ in run(Ours(), messages)] == [{"at": 3}]
    assert written == [1, 2, 3, 4]


def test_a_signal_ends_the_input_and_the_exit_code_says_so():
    target = Ours()
    lines = [json.dumps(each) + "\n" for each in [SCHEMA, *rows(1), state(1), *rows(2)]]

    def source():
        yield from lines
        target._handle_termination(15, None)
        yield json.dumps(rows(3)[0]) + "\n"

    out = Output()
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        target.listen(source())
    assert end.value.code == 143
    assert written == [1, 2], "the third was not read"
    assert out.states == [({"at": 1}, [1, 2])]


def test_a_second_signal_ends_at_once(monkeypatch):
    codes = []
    monkeypatch.setattr("os._exit", codes.append)
    target = Ours()
    target._handle_termination(15, None)
    target._handle_termination(2, None)
    assert codes == [130]
