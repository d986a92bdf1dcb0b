"""Files with personal data are for their owner's eyes only, and are where the settings say."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click
import pytest

from annex_d365 import private_file
from annex_d365.doctor import command as doctor
from annex_d365.errors import SettingError
from annex_d365.ledger import Ledger
from annex_d365.private_file import open_private
from annex_d365.singer.rejects import Reject, RejectsFile
from tap_d365.snapshot import Snapshot
from target_annex.dry_run import DryRun
from target_annex.reconcile.findings import write_json


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def reject(path):
    file = RejectsFile(path)
    message = {"type": "RECORD", "stream": "contacts", "record": {}}
    file.add(message, Reject("why"), schema={}, key_properties=None)
    file.close()


def dry_run(path):
    file = DryRun(path)
    file.add("contacts", "k", action="create", target="")
    file.close()


def ledger(path):
    book = Ledger(f"sqlite:///{path}", site="s", run="r", preview=False)
    book.forget("members", "contacts", ["k"])
    book.close()


def snapshot(path):
    with Snapshot(str(path.parent), path.name.partition(".")[0], "contacts") as keys:
        keys.add(["k"])


WRITERS = {
    "rejects": reject,
    "dry run": dry_run,
    "ledger": ledger,
    "snapshot": snapshot,
    "differences": lambda path: write_json(path, [], show_values=True),
    "doctor's report": lambda path: doctor._write(path, "{}"),
}
REFUSALS = (SettingError, click.ClickException)
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@pytest.fixture
def path(tmp_path):
    """Where all can write: a snapshot makes its own name."""
    directory = tmp_path / "d"
    directory.mkdir()
    return directory / "f.contacts.sqlite"


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@writers
def test_new_files(write, path, open_umask):
    write(path)
    assert {mode(each) for each in path.parent.iterdir()} == {0o600}


@writers
def test_files_that_others_could_read(write, path):
    path.touch()
    path.chmod(0o644)
    write(path)
    assert mode(path) == 0o600
    assert path.stat().st_size > 0


@writers
def test_a_link_of_our_own_is_followed(write, path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    write(path)
    assert mode(tmp_path / "elsewhere") == 0o600
    assert path.is_symlink()


class Elsewhere:
    """This process seems to be another user's, who did not put the files there."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(private_file.os, "geteuid", lambda: os.getuid() + 1)


@writers
def test_a_link_of_another_user_is_not(write, path, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious, without a newline")
    path.symlink_to(victim)
    Elsewhere(monkeypatch)
    with pytest.raises(REFUSALS):
        write(path)
    assert victim.read_text() == "precious, without a newline"


@writers
def test_a_file_of_another_user_gets_nothing(write, path, monkeypatch):
    """One that anybody may write, put there to be read."""
    path.write_text("")
    path.chmod(0o666)

    def refused(descriptor, wanted):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(private_file.os, "fchmod", refused)
    with pytest.raises(REFUSALS):
        write(path)
    assert path.read_bytes() == b""


def test_what_is_there_is_only_emptied_once_it_is_ours(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("precious")

    def refused(descriptor, wanted):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(private_file.os, "fchmod", refused)
    with pytest.raises(PermissionError):
        open_private(path, os.O_WRONLY | os.O_TRUNC)
    assert path.read_text() == "precious"


def test_a_device_stays_as_it_is():
    """A container runs as root: /dev/null must not become its own."""
    before = mode(Path("/dev/null"))
    os.close(open_private(Path("/dev/null"), os.O_WRONLY | os.O_TRUNC))
    assert mode(Path("/dev/null")) == before
