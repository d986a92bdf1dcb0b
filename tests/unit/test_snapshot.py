"""The known keys: what is said to be gone is gone, and nothing that a target has is forgotten."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from annex_d365.errors import SettingError
from tap_d365.snapshot import CHUNK, NoSnapshot, Snapshot

HOST = "contoso.crm4.dynamics.com"


def opened(directory):
    return Snapshot(str(directory), HOST, "contacts")


def missing(snapshot):
    return [key for keys in snapshot.missing() for key in keys]


def full_load(snapshot, token, keys):
    snapshot.begin_sweep()
    snapshot.add(keys)
    snapshot.end_sweep(token)


def test_files_are_told_apart(tmp_path):
    names = {
        Snapshot(str(tmp_path), host, stream).path.name
        for host in ("127.0.0.1:8365", "127.0.0.1:8366")
        for stream in ("contacts", "accounts")
    }
    assert len(names) == 4
    assert "127.0.0.1_8365.contacts.sqlite" in names


def test_many_missing_keys(tmp_path):
    keys = [f"{number:06}" for number in range(2 * CHUNK + 1)]
    with opened(tmp_path) as snapshot:
        full_load(snapshot, "a", keys)
        snapshot.end_run("a")
        full_load(snapshot, "b", keys[:1])
        assert missing(snapshot) == keys[1:]
        assert [len(part) for part in snapshot.missing()] == [CHUNK, CHUNK]


def test_a_deletion_counts_only_when_its_state_comes_back(tmp_path):
    with opened(tmp_path) as snapshot:
        full_load(snapshot, "a", "123")
        snapshot.end_run("b")
    for token, known in [("b", True), ("b", True)]:
        with opened(tmp_path) as snapshot:
            assert snapshot.begin(token, completed=True) is known
            snapshot.add("4")
            snapshot.remove("12")
            snapshot.end_run("c")
    with opened(tmp_path) as snapshot:
        assert snapshot.begin("c", completed=True)
        full_load(snapshot, "d", "")
        assert missing(snapshot) == ["3", "4"]
    with opened(tmp_path) as snapshot:
        assert not snapshot.begin("b", completed=True), "an older state than the one that came back"


def test_a_row_that_comes_back_is_known_again(tmp_path):
    with opened(tmp_path) as snapshot:
        full_load(snapshot, "a", "12")
        snapshot.remove("1")
        snapshot.add("1")
        snapshot.end_run("b")
        snapshot.begin("b", completed=True)
        full_load(snapshot, "c", "")
        assert missing(snapshot) == ["1", "2"]


def test_the_state_within_a_load_proves_no_deletion(tmp_path):
    with opened(tmp_path) as snapshot:
        full_load(snapshot, "a", "12")
        snapshot.end_run("a")
        full_load(snapshot, "b", "1")
        snapshot.remove(missing(snapshot))
        snapshot.end_run("b")  # nothing changed meanwhile: the same token
    with opened(tmp_path) as snapshot:
        assert snapshot.begin("b", completed=False)
        assert not snapshot.sweeps("b")
        full_load(snapshot, "c", "1")
        assert missing(snapshot) == ["2"]


def test_without_a_snapshot_nothing_is_known():
    with NoSnapshot() as snapshot:
        assert not snapshot.begin(None, completed=True)
        full_load(snapshot, "a", "12")
        snapshot.remove("1")
        assert missing(snapshot) == []
        assert not snapshot.sweeps("a")


@pytest.mark.parametrize("what", ["a directory", "no database", "below a file"])
def test_what_cannot_be_a_snapshot(tmp_path, what):
    directory, path = tmp_path, opened(tmp_path).path
    if what == "a directory":
        path.mkdir()
    elif what == "no database":
        path.write_bytes(b"no database " * 100)
    else:
        directory = path / "below"
        path.touch()
    with pytest.raises(SettingError, match="snapshot_path"), opened(directory):
        pass


def test_a_full_disk(tmp_path):
    def fill():
        with opened(tmp_path) as snapshot:
            snapshot._db.execute("PRAGMA max_page_count = 12")
            full_load(snapshot, "a", (f"{number:036}" for number in range(5000)))

    with pytest.raises(SettingError, match=r"`snapshot_path`: .*sqlite cannot be read or written: .*full"):
        fill()


def test_errors_of_others_pass_through(tmp_path):
    with pytest.raises(KeyError), opened(tmp_path):
        raise KeyError


class Lives(RuleBasedStateMachine):
    """A target and a snapshot, each of which may be behind the other.

    ``target``: keys that it may have, by the token of its state.
    """

    keys = st.sets(st.sampled_from("abcdef"), max_size=4)

    @initialize()
    def start(self):
        self.directory = tempfile.TemporaryDirectory()
        self.source, self.version, self.token = set(), 0, None
        self.target = {None: set()}
        self.snapshot = None

    def teardown(self):
        self.directory.cleanup()

    @rule(made=keys, gone=keys)
    def life(self, made, gone):
        self.source = (self.source | made) - gone

    @rule(made=keys, gone=keys, forgotten=st.booleans(), arrives=st.booleans(), back=st.booleans())
    def run(self, made, gone, forgotten, arrives, back):
        """A run; between its load or delta and its start the source changes; its state may be lost, or an old one."""
        if back:
            self.token = min(self.target, key=str)
        held = set(self.target[self.token])
        before = self.source
        self.source = (before | made) - gone
        with opened(self.directory.name) as snapshot:
            known = snapshot.begin(self.token, completed=True)
            token = str(self.version)
            if self.token is None or forgotten:
                full_load(snapshot, token, sorted(before))
                held |= before
                lost = set(missing(snapshot))
                assert not lost & before
                if known:
                    assert held - before <= lost, "an exact load finds every row that the target has and nobody else"
                snapshot.remove(sorted(lost))
                held -= lost
                if not known:
                    held = set(before)  # by ACTIVATE_VERSION
            elif not known:
                snapshot.begin_sweep()
                snapshot.add(sorted(before))
            snapshot.add(sorted(self.source))
            snapshot.remove(sorted(held - self.source))
            self.version += 1
            snapshot.end_run(str(self.version))
        if arrives:
            self.token = str(self.version)
            self.target[self.token] = set(self.source)
        else:  # all came, but for the state
            self.target[self.token] = held | self.source | self.target[self.token]

    @invariant()
    def one_state_at_least(self):
        assert self.token in self.target


Lives.TestCase.settings = settings(max_examples=30, stateful_step_count=10)
TestLives = Lives.TestCase
