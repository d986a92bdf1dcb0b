"""The keys that make deletions exact, whatever becomes of file and state. Against the sandbox."""

from __future__ import annotations

import stat
from datetime import datetime, timezone
from pathlib import Path
from unittest.mock import patch

import pytest
from mirror import (
    DELETED_AT,
    KEYS,
    Mirror,
    bookmark,
    forget,
    gone,
    log_based,
    one_by_one,
    people,
    run,
    table,
)
from support import run_tap

from annex_d365.errors import SettingError
from tap_d365.snapshot import Snapshot
from tap_d365.tap import TapD365


def test_a_snapshot_that_comes_later(crm, tmp_path):
    """It begins with the keys of then, and is good from the next run on."""
    first = run_tap(log_based(crm))
    crm.organisation.delete("contact", KEYS[0])
    config = log_based(crm, snapshot_path=str(tmp_path))
    second = run_tap(config, state=first.states[-1])
    assert [record["contactid"] for record in second.records()] == [KEYS[0]]
    crm.organisation.delete("contact", KEYS[1])
    forget(crm)
    third = run_tap(config, state=second.states[-1])
    assert [each["contactid"] for each in third.records() if each[DELETED_AT]] == [KEYS[1]]
    assert third.of("ACTIVATE_VERSION") == []


@pytest.mark.parametrize("loading", [False, True])
def test_a_snapshot_that_is_lost(crm, tmp_path, loading):
    config = log_based(crm, snapshot_path=str(tmp_path))
    first, _ = run(config, record=2 if loading else None)
    (file,) = tmp_path.iterdir()
    file.unlink()
    crm.organisation.delete("contact", KEYS[0])
    if not loading:
        forget(crm)
    second = run_tap(config, state=first.states[-1])
    assert second.of("ACTIVATE_VERSION")
    assert Mirror().take(first).take(second) == table(crm)


def test_a_state_that_never_arrived(crm, tmp_path):
    """The deletion was sent, but neither it nor the state was kept by the target, and then the service forgot it."""
    config = log_based(crm, snapshot_path=str(tmp_path))
    first = run_tap(config)
    crm.organisation.delete("contact", KEYS[0])
    assert len(run_tap(config, state=first.states[-1]).records()) == 1
    forget(crm)
    again = run_tap(config, state=first.states[-1])
    assert [each["contactid"] for each in again.records() if each[DELETED_AT]] == [KEYS[0]]
    # This one did arrive: next time nobody needs to hear of it.
    assert run_tap(config, state=again.states[-1]).records() == []
    forget(crm)
    assert not [each for each in run_tap(config, state=again.states[-1]).records() if each[DELETED_AT]]


def test_a_row_that_came_as_a_change_is_known(crm, tmp_path):
    config = log_based(crm, snapshot_path=str(tmp_path))
    first = run_tap(config)
    people(crm, [KEYS[6]])
    second = run_tap(config, state=first.states[-1])
    crm.organisation.delete("contact", KEYS[6])
    forget(crm)
    assert gone(run_tap(config, state=second.states[-1])) == [KEYS[6]]


def test_a_row_made_after_the_sweep_is_known_when_it_was_sent(crm, tmp_path):
    """Read with all rows, and gone when its changes would have come, which then are forgotten."""
    config = log_based(crm, snapshot_path=str(tmp_path))
    killed, _ = run(config, record=6, meanwhile=one_by_one(lambda: people(crm, [KEYS[6]])))
    assert KEYS[6] in {record["contactid"] for record in killed.records()}
    crm.organisation.delete("contact", KEYS[6])
    forget(crm)
    resumed = run_tap(config, state=killed.states[-1])
    assert gone(resumed) == [KEYS[6]]
    assert Mirror().take(killed).take(resumed) == table(crm)


def test_a_state_of_the_load_does_not_prove_its_deletions(crm, tmp_path):
    """Nothing changed meanwhile, so that the token of the completed load is that of its sweep."""
    config = log_based(crm, snapshot_path=str(tmp_path))
    crm.clock.freeze(datetime.now(timezone.utc).replace(microsecond=0))
    first = run_tap(config)
    crm.organisation.delete("contact", KEYS[0])
    forget(crm)
    second, _ = run(config, first.states[-1])
    within, after = (bookmark(state)["delta"] for state in second.states[-2:])
    assert within["token"] == after["token"]
    assert gone(second) == [KEYS[0]]
    assert gone(run_tap(config, state=second.states[-2])) == [KEYS[0]]


def test_the_file_of_a_snapshot(crm, tmp_path):
    config = log_based(crm, snapshot_path=str(tmp_path / "new" / "keys"))

    def second_run():
        with pytest.raises(SettingError, match=r"snapshot_path.*in use by another run"):
            TapD365(config=config).sync_all()

    run(config, meanwhile=one_by_one(second_run))
    (file,) = (tmp_path / "new" / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"no database " * 100)
    with pytest.raises(SettingError, match="snapshot_path"):
        run_tap(config)


def test_a_full_disk_is_told_in_a_sentence(crm, tmp_path):
    real = Snapshot.__enter__

    def enter(self):
        real(self)
        self._db.execute(f"PRAGMA max_page_count = {self._db.execute('PRAGMA page_count').fetchone()[0]}")
        return self

    people(crm, [f"{number:08x}-0000-4000-8000-000000000001" for number in range(500)])
    config = log_based(crm, snapshot_path=str(tmp_path), page_size=500)
    with patch.object(Snapshot, "__enter__", enter), pytest.raises(SettingError, match=r"`snapshot_path`: .*full"):
        run_tap(config)


def test_directories_are_made_for_their_owner_only(crm, tmp_path):
    run_tap(log_based(crm, snapshot_path=str(tmp_path / "keys")))
    assert stat.S_IMODE(Path(tmp_path / "keys").stat().st_mode) == 0o700


def test_a_stream_that_was_incremental_before(crm, tmp_path):
    """The target may hold rows that no snapshot knows."""
    config = log_based(crm, snapshot_path=str(tmp_path / "keys"))
    first = run_tap({**config, "tables": ["contacts"]})
    crm.organisation.delete("contact", KEYS[0])
    second = run_tap(config, state=first.states[-1])
    assert len(second.of("ACTIVATE_VERSION")) == 1
