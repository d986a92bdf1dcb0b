"""kill -9 while rows are written into Dynamics 365: what is resumed ends as if nothing had happened."""

from __future__ import annotations

import random
import time

import pytest
from crm import ACTIVITIES, Crm, member, members, rows_of
from killed import runner
from loyalty import lines, state

CHUNKS, SIZE, KILLS = 8, 10, 7
POISONED = 13


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


def chunk(number):
    """A batch of activities, two of them once more, a batch of members, STATE."""
    first = number * (SIZE - 2)
    rows = [
        {"cr0dd_loyaltyid": f"X{each}", "cr0dd_points": "bad" if each == POISONED else each}
        for each in range(first, first + SIZE - 2)
    ]
    changed = [{**row, "cr0dd_points": number + 1000} for row in rows[:2]]
    people = [member(each, firstName=f"F{number}") for each in range(number * 5, number * 5 + SIZE)]
    return [
        *rows_of(ACTIVITIES, *rows, *changed, key=["cr0dd_loyaltyid"])[1:],
        *members(*people)[1:],
        state(number + 1),
    ]


def outcome(crm):
    rows = sorted((row["cr0dd_loyaltyid"], row["cr0dd_points"]) for row in crm.rows("cr0dd_loyaltyactivity"))
    return rows, sorted((row["cr0dd_loyaltyid"] or "", row["firstname"] or "") for row in crm.rows())


def start_over(crm):
    crm.sandbox.control.reset()
    crm.lose_ledger()
    crm.fault(route=f"/({ACTIVITIES}|contacts)\\b|batch", kind="latency", seconds=0.01)


@pytest.mark.parametrize("way", ["bulk", "batch", "single"])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(crm, way):
    chance = random.Random(way)
    config = crm.config(batch_size_rows=SIZE, write_with=way, max_reject_percent=100)
    head = [rows_of(ACTIVITIES, {"cr0dd_loyaltyid": "", "cr0dd_points": 0}, key=["cr0dd_loyaltyid"])[0], members()[0]]
    with runner(crm.directory, settle_seconds=0) as process:

        def run(done, seconds=None):
            """Resume behind the last STATE; its status, and the STATE."""
            messages = [*head, *(message for number in range(done, CHUNKS) for message in chunk(number))]
            status, states = process.run(config, lines(messages), seconds)
            return status, states[-1]["at"] if states else done

        assert run(0) == (0, CHUNKS)
        expected = outcome(crm)
        assert len(expected[0]) > CHUNKS * (SIZE - 2)
        start_over(crm)
        started = time.monotonic()
        assert run(0) == (0, CHUNKS)
        whole = time.monotonic() - started
        start_over(crm)
        done, progress = 0, set[int]()
        kills = 0
        while kills < KILLS:
            status, done = run(done, whole * chance.uniform(0.2, 0.7))
            if status == 0:  # the machine has got faster: once more, with less time
                start_over(crm)
                done, whole = 0, whole * 0.7
                continue
            kills += 1
            progress.add(done)
        assert progress - {0, CHUNKS}, "it was killed in the middle of its work"
        crm.sandbox.faults.clear()
        assert run(done) == (0, CHUNKS)
    assert outcome(crm) == expected
    assert {message["record"]["cr0dd_loyaltyid"] for message in crm.rejects() if message["type"] == "RECORD"} == {
        f"X{POISONED}"
    }
