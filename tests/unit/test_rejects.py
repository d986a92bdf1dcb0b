"""The file of rejected rows."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annex_d365.errors import ConnectorError, SettingError
from annex_d365.singer.rejects import Reject, RejectsFile, rejected_at

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}}


def message(number, **more):
    return {"type": "RECORD", "stream": "s", "record": {"id": number}, **more}


def add(file, number, schema=SCHEMA, **more):
    file.add(message(number, **more), Reject("why", "AC1004", 400), schema=schema, key_properties=["id"])


def content(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rejects.singer"


def test_a_file_appears_with_the_first_reject(path):
    file = RejectsFile(path)
    file.sync()
    file.close()
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "is a directory"), ("missing/rejects", "there is no directory"), ("file/rejects", "there is no directory")],
)
def test_a_path_that_cannot_be_written_is_told_beforehand(tmp_path, name, words):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=rf"Setting `rejects_path`: .*{words}"):
        RejectsFile(tmp_path / name).check()


@pytest.mark.parametrize("exists", [True, False])
def test_writing_must_be_allowed(path, monkeypatch, exists):
    if exists:
        path.touch()
    asked = []
    monkeypatch.setattr("os.access", lambda *each: asked.append(each))
    with pytest.raises(SettingError, match="cannot be written"):
        RejectsFile(path).check()
    assert asked == [(path if exists else path.parent, os.W_OK)]


def test_the_check_creates_no_file(path):
    RejectsFile(path).check()
    assert not path.exists()


def test_singer_messages_with_the_reason_beside_the_record(path):
    file = RejectsFile(path)
    add(file, 1, time_extracted="2026-01-01T00:00:00Z")
    add(file, 2)
    file.close()
    schema, first, second = content(path)
    assert schema == {"type": "SCHEMA", "stream": "s", "schema": SCHEMA, "key_properties": ["id"]}
    at = first["reject"].pop("at")
    assert at.endswith("Z")
    assert first == {
        **message(1, time_extracted="2026-01-01T00:00:00Z"),
        "reject": {"reason": "why", "code": "AC1004", "status": 400},
    }
    assert second["record"] == {"id": 2}


def test_a_new_schema_and_a_new_run_write_the_schema_again(path):
    file = RejectsFile(path)
    add(file, 1)
    add(file, 2, schema={"properties": {}})
    file.close()
    again = RejectsFile(path)
    add(again, 3)
    again.close()
    assert [each["type"] for each in content(path)] == ["SCHEMA", "RECORD"] * 3


@pytest.mark.parametrize("there_before", [False, True])
def test_only_its_owner_may_read_it(path, there_before):
    if there_before:
        path.touch(0o644)
    file = RejectsFile(path)
    add(file, 1)
    file.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sync_reaches_the_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    file = RejectsFile(path)
    add(file, 1)
    file.sync()
    file.sync()
    assert len(synced) == 1, "and only when there is something new"
    file.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(whole=st.binary(max_size=50), half=st.binary(max_size=50))
def test_half_a_line_of_a_killed_run_is_cut_off(path, whole, half):
    whole, half = (part.replace(b"\n", b" ") for part in (whole, half))
    path.write_bytes(whole + b"\n" + half)
    file = RejectsFile(path)
    add(file, 1)
    file.close()
    first, *added = path.read_bytes().split(b"\n", 1)
    assert first == whole
    assert len(added[0].splitlines()) == 2
    path.unlink()


def test_a_long_half_line_alone(path):
    path.write_bytes(b"x" * 200_000)
    file = RejectsFile(path)
    add(file, 1)
    file.close()
    assert [each["type"] for each in content(path)] == ["SCHEMA", "RECORD"]


def test_exact_numbers_and_any_sign_survive(path):
    file = RejectsFile(path)
    record = {"a": Decimal("12345678901234567890.10"), "b": "ü 世 \u2028 \n"}
    file.add({"type": "RECORD", "stream": "s", "record": record}, Reject("r"), schema={}, key_properties=None)
    file.close()
    line = path.read_text().split("\n")[1]
    assert json.loads(line, parse_float=Decimal)["record"] == record


@pytest.mark.parametrize("why", [{}, {"reject": None}, {"reject": {}}, {"reject": {"at": 1}}, {"reject": {"at": "x"}}])
def test_messages_that_were_not_rejected(why):
    assert rejected_at(message(1, **why)) is None


@pytest.mark.parametrize("where", ["missing/rejects.singer", "."])
def test_a_file_that_cannot_be_written_names_the_setting(tmp_path, where):
    with pytest.raises(SettingError) as error:
        add(RejectsFile(tmp_path / where), 1)
    assert error.value.setting == "rejects_path"


def test_a_run_knows_its_own_rejects_from_older_ones(path):
    older = RejectsFile(path)
    add(older, 1)
    older.close()
    file = RejectsFile(path)
    (_, old) = content(path)
    file.refuse_own_output(old)
    file.refuse_own_output(message(1))
    add(file, 2)
    file.close()
    own = content(path)[-1]
    assert abs(rejected_at(own) - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(seconds=5)
    with pytest.raises(ConnectorError, match="own file of rejects"):
        file.refuse_own_output(own)
