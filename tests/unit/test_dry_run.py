"""What a dry run tells, and to whom."""

from __future__ import annotations

import errno
import json
import os
import stat
from decimal import Decimal

import pytest

from annex_d365.errors import SettingError
from target_annex.dry_run import TOLD_ROWS, DryRun

GUID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dry.jsonl"


@pytest.fixture
def told(caplog):
    caplog.set_level("INFO")
    return caplog


def test_the_log_names_rows_and_fields_but_no_values(told):
    dry_run = DryRun(None)
    dry_run.add("contacts", GUID, action="update", target="TheMember", new={"b": "New", "a": "New"}, old={"a": "Old"})
    dry_run.add("contacts", "person@example.org", action="delete", target="TheMember")
    dry_run.close()
    assert told.messages == [
        f"contacts: would update the target of row {GUID}: a, b",
        "contacts: would delete the target of row (key not shown)",
        "contacts: fields that would be written: update a 1, update b 1",
    ]


def test_of_many_rows_the_log_tells_the_first_and_the_sums(told, path):
    dry_run = DryRun(path)
    for number in range(TOLD_ROWS + 5):
        dry_run.add("contacts", GUID, action="create", target=f"M{number}", new={"a": "x"})
    dry_run.add("others", GUID, action="create", target="M", new={"b": "x"})
    dry_run.close()
    assert sum("would create" in message for message in told.messages) == TOLD_ROWS + 1
    assert told.messages[-2:] == [
        f"contacts: fields that would be written: create a {TOLD_ROWS + 5}",
        "others: fields that would be written: create b 1",
    ]
    assert len(path.read_text().splitlines()) == TOLD_ROWS + 6


def test_the_file_has_old_and_new_values(path):
    dry_run = DryRun(path)
    new = {"a": "Zoë", "amount": Decimal("1.50")}
    dry_run.add("s", "k", action="update", target="M1", new=new, old={"a": "Zoe", "other": "x"})
    dry_run.add("s", "k", action="delete", target="M1")
    dry_run.close()
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == {
        "stream": "s",
        "key": "k",
        "action": "update",
        "target": "M1",
        "fields": {"a": {"old": "Zoe", "new": "Zoë"}, "amount": {"old": None, "new": "1.50"}},
    }
    assert (second["action"], second["fields"]) == ("delete", {})


def test_the_file_is_its_owners_and_begins_anew(path):
    path.write_text("of yesterday\n")
    path.chmod(0o644)
    DryRun(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == ""


def test_closing_twice_tells_once(told):
    dry_run = DryRun(None)
    dry_run.add("s", GUID, action="create", target="M1", new={"a": "x"})
    dry_run.close()
    dry_run.close()
    assert sum("would be written" in message for message in told.messages) == 1


@pytest.mark.parametrize("name", ["", "missing/dry.jsonl"])
def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path, name):
    with pytest.raises(SettingError, match=r"Setting `dry_run_path`: .* cannot be written"):
        DryRun(tmp_path / name)


class FullDisk:
    """A file that takes nothing more."""

    def write(self, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self):
        self.write(b"")


FULL = r"Setting `dry_run_path`: .* cannot be written \(No space left on device\)"


@pytest.fixture
def full(path, monkeypatch):
    monkeypatch.setattr("os.fdopen", lambda descriptor, _mode: (os.close(descriptor), FullDisk())[1])
    return DryRun(path)


def test_a_disk_that_is_full_is_told(full):
    with pytest.raises(SettingError, match=FULL):
        full.add("s", GUID, action="create", target="M1", new={"a": "x"})


def test_a_disk_that_is_full_at_the_end_is_told(full):
    with pytest.raises(SettingError, match=FULL):
        full.close()
