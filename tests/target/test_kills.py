"""kill -9 at any moment: what is resumed ends as if nothing had happened. Against the sandbox."""

from __future__ import annotations

import random

import pytest
from killed import runner
from loyalty import contact, guid, lines, record, schema, state

POSTING = {
    "id": {"type": "string"},
    "member": {"type": "string"},
    "points": {"type": "integer"},
    "why": {"type": "string"},
}
STREAMS = {
    "postings": {"object": "points", "fields": {"id": "member", "points": "points", "reason": "why"}},
}
CHUNKS, SIZE, KILLS = 12, 5, 20
POISONED = 23


def chunk(number):
    """Contacts, the last ones once more with another name, postings, STATE."""
    rows = [contact(each, cr0dd_loyaltyid=f"N{each}") for each in range(number * SIZE, (number + 1) * SIZE)]
    for row in rows:
        if row["contactid"] == guid(POISONED):
            row["emailaddress1"] = "no address"
    again = [contact(each, cr0dd_loyaltyid=f"N{each}", firstname="New") for each in range((number - 1) * SIZE, 0, -1)]
    postings = [
        {"id": f"P{number}-{each}", "member": f"M{each % 3}", "points": 10 + each, "why": "Goodwill"}
        for each in range(SIZE)
    ]
    return [
        *map(record, rows),
        *map(record, again[:SIZE]),
        *(record(each, "postings") for each in postings),
        state(number + 1),
    ]


def outcome(site):
    """Members without times, and postings."""
    names = ("id", "email", "firstName", "lastName", "optInStatus")
    members = [tuple(each[name] for name in names) for each in site.sandbox.site.members()]
    return members, {member_id: sorted(site.postings(member_id)) for member_id in ("M0", "M1", "M2")}


def prepare(site):
    site.reset()
    site.lose_ledger()
    for number in range(3):
        site.put(id=f"M{number}", email=f"member.{number}@example.org")


@pytest.mark.parametrize("seed", [7])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(site, seed):
    chance = random.Random(seed)
    config = site.config(enrol="all", streams=STREAMS, batch_size_rows=SIZE)
    head = [schema(), schema("postings", POSTING, ["id"])]
    with runner(site.directory, settle_seconds=0.2) as process:

        def run(done, seconds=None):
            """Resume behind the last STATE; its status, and the STATE."""
            messages = [*head, *(message for number in range(done, CHUNKS) for message in chunk(number))]
            status, states = process.run(config, lines(messages), seconds)
            return status, states[-1]["at"] if states else done

        prepare(site)
        assert run(0) == (0, CHUNKS)
        expected = outcome(site)
        assert len(expected[1]["M0"]) == 2 * CHUNKS
        prepare(site)
        site.fault(route="/api/3.0", kind="latency", seconds=0.015)
        done, progress = 0, set()
        for _ in range(KILLS):
            _, done = run(done, chance.uniform(0.1, 0.5))
            progress.add(done)
        assert len(progress) > 2, "it was killed in the middle of its work"
        assert done > 0
        site.sandbox.faults.clear()
        assert run(done) == (0, CHUNKS)
    assert outcome(site) == expected
    rejected = {message["record"]["contactid"] for message in site.rejects() if message["type"] == "RECORD"}
    assert rejected == {guid(POISONED)}
