"""kill -9 while two batches are in flight: what is resumed ends as if nothing had happened."""

from __future__ import annotations

import random

import pytest
from crm import ACTIVITIES, Crm, rows_of
from killed import runner
from loyalty import contact, lines, record, schema, state

CHUNKS, SIZE, KILLS = 24, 5, 6
KEY = ["cr0dd_loyaltyid"]


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


def numbers(number):
    """Of the rows of a chunk: most are its own, one comes again in the next chunk but one."""
    first = number * (SIZE - 1)
    return [*range(first, first + SIZE - 1), max(0, first - 2 * (SIZE - 1))]


def kill_again_and_again(directory, config, head, chunk, seed):
    """Run in pieces that are killed, each later and behind the last STATE of the one before, then to the end."""
    chance, progress = random.Random(seed), [0]
    with runner(directory, settle_seconds=0) as process:
        for kill in range(1, KILLS + 2):
            messages = [*head, *(message for number in range(progress[-1], CHUNKS) for message in chunk(number))]
            status, states = process.run(
                config, lines(messages), chance.uniform(0.1, 0.2) * kill if kill <= KILLS else None
            )
            progress.append(states[-1]["at"] if states else progress[-1])
    assert (status, progress[-1]) == (0, CHUNKS)
    assert set(progress) - {0, CHUNKS}, "it was killed in the middle of its work"


def test_members(site):
    for each in range(CHUNKS * SIZE):
        site.put(id=f"B{each}", email=f"old.{each}@example.net", firstName="Old")

    def chunk(number):
        people = (contact(each, cr0dd_loyaltyid=f"B{each}", firstname=f"F{number}") for each in numbers(number))
        return [*map(record, people), state(number + 1)]

    site.fault(route="/api/3.0", kind="latency", seconds=0.02)
    kill_again_and_again(site.directory, site.config(batch_size_rows=SIZE), [schema()], chunk, seed=7)
    for number in range(CHUNKS):
        for each in numbers(number):
            last = max(later for later in range(CHUNKS) if each in numbers(later))
            assert site.member(f"B{each}")["firstName"] == f"F{last}"
    assert site.rejects() == []
    assert len(site.ledger()) == CHUNKS * (SIZE - 1)


def test_rows(crm):
    def chunk(number):
        rows = ({"cr0dd_loyaltyid": f"K{each}", "cr0dd_name": f"F{number}"} for each in numbers(number))
        return [*rows_of(ACTIVITIES, *rows, key=KEY)[1:], state(number + 1)]

    head = rows_of(ACTIVITIES, {"cr0dd_loyaltyid": "", "cr0dd_name": ""}, key=KEY)[:1]
    crm.fault(route=f"/{ACTIVITIES}\\b|batch", kind="latency", seconds=0.02)
    kill_again_and_again(crm.directory, crm.config(batch_size_rows=SIZE), head, chunk, seed=7)
    found = {row["cr0dd_loyaltyid"]: row["cr0dd_name"] for row in crm.rows("cr0dd_loyaltyactivity")}
    for number in range(CHUNKS):
        for each in numbers(number):
            last = max(later for later in range(CHUNKS) if each in numbers(later))
            assert found[f"K{each}"] == f"F{last}"
    assert crm.rejects() == []
