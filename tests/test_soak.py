"""A minute of the soak (docs/trust.md), or SOAK_SECONDS, and whether its judge would have seen what it looks for."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from soak.judge import LostError, judged
from soak.run import MOST_ROUNDS, Soak

SEED = 7
LOST = ("contacts-to-annex", "contacts", {"contactid": "somebody"}, {"reason": "no reason", "code": ""})


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """What is left of one that was survived."""
    seconds = float(os.environ.get("SOAK_SECONDS", "60"))
    soak = Soak(tmp_path_factory.mktemp("soak") / "soak", SEED, seconds)
    soak.line = soak()
    return soak


def test_it_survives(soak):
    assert soak.line.startswith("survived")
    counts = {kind: count for kind, count in soak.services.hits.items() if count}
    assert len(counts) > 1
    assert judged(soak.services.directory, soak.world, soak.rejects)[0] == []


#: What a judge must see: a statement that breaks a promise -> a word of what it says.
TAMPERING = {
    "UPDATE annex_members SET firstName = 'Other' WHERE id = :member": "firstName is 'Other'",
    "UPDATE contact SET cr0dd_loyaltystatus = 'Other' WHERE contactid = :contact": "cr0dd_loyaltystatus is 'Other'",
    "UPDATE contact SET cr0dd_availablepoints = 17 WHERE contactid = :contact": "cr0dd_availablepoints is",
    "UPDATE annex_members SET optInStatus = 'YES'": "and is in again",
    "DELETE FROM annex_members WHERE id = :member": "is lost",
    "DELETE FROM contact WHERE contactid = :contact": "is lost",
    "UPDATE annex_members SET id = 'X' || id WHERE id = :member": "was enrolled by accident",
    "INSERT INTO annex_activities SELECT NULL, memberId, actionId, credit, debit, remaining, status, pointType,"
    " displayText, reason, rewardId, orderId, createDate, releaseDate, expireDate, due FROM annex_activities"
    " WHERE reason LIKE 'Goodwill %' LIMIT 1": "was made 2 times",
    "DELETE FROM annex_activities WHERE reason LIKE 'Goodwill %' AND memberId NOT IN (SELECT id FROM annex_members"
    " WHERE optInStatus = 'NO')": "neither made nor rejected",
    "DELETE FROM cr0dd_loyaltyactivity WHERE cr0dd_activityid IS NOT NULL": "is not in Dynamics 365",
    "DELETE FROM annex_segment_members WHERE memberId = :member": "is missing",
    "DELETE FROM d365_segment_member WHERE member_id = :contact": "is missing",
    "INSERT INTO annex_segment_members SELECT id, :member FROM annex_segments WHERE externalId IS NOT NULL"
    " ON CONFLICT DO NOTHING": "has not left",
}


@pytest.mark.parametrize("statement", TAMPERING)
def test_the_judge_sees(soak, tmp_path, statement):
    directory = tmp_path / "services"
    shutil.copytree(soak.services.directory, directory)
    contact, member = next(iter(soak.world.steady.items()))
    with closing(sqlite3.connect(directory / "sandbox.sqlite")) as database, database:
        database.create_function("d365_fold", 1, lambda text: text and text.casefold(), deterministic=True)
        changed = database.execute(statement, {"contact": contact, "member": member}).rowcount
    assert changed
    differences, _ = judged(directory, soak.world, soak.rejects)
    assert any(TAMPERING[statement] in each for each in differences), differences


def test_what_does_not_settle_is_told(soak, monkeypatch):
    jobs = SimpleNamespace(rejects=lambda: [*soak.rejects, LOST], last_lines=lambda name: [f"the end of {name}"])
    rounds = []
    monkeypatch.setattr(soak, "_round", lambda _: rounds.append(1) or (["postings"], ["postings: POST /points"]))
    with pytest.raises(LostError) as lost:
        soak._settle(jobs)
    assert len(rounds) == MOST_ROUNDS
    for part in ("failed: postings", "postings: POST /points", "the end of postings", "differences: 1", "no reason"):
        assert part in str(lost.value)


def test_a_replaced_reject_hides_no_difference(soak, tmp_path):
    contact = next(iter(soak.world.steady))
    directory = tmp_path / "services"
    shutil.copytree(soak.services.directory, directory)
    with closing(sqlite3.connect(directory / "sandbox.sqlite")) as database, database:
        database.create_function("d365_fold", 1, lambda text: text and text.casefold(), deterministic=True)
        database.execute("UPDATE annex_members SET firstName = 'Other' WHERE id = ?", (soak.world.steady[contact],))
    reason = "a newer version of this row has come since it was rejected"
    reject = ("contacts-to-annex", "contacts", {"contactid": contact}, {"reason": reason, "code": ""})
    assert judged(soak.services.directory, soak.world, [*soak.rejects, reject])[0] == []
    differences, _ = judged(directory, soak.world, [*soak.rejects, reject])
    assert any("firstName is 'Other'" in each for each in differences), differences


def test_the_judge_wants_a_reason_for_each_reject(soak):
    differences, _ = judged(soak.services.directory, soak.world, [*soak.rejects, LOST])
    assert len(differences) == 1
    assert "no reason" in differences[0]
