"""What could not be read is told, and taken for no difference; what cannot be compared is not begun."""

from __future__ import annotations

import pytest


def one_by_one(pair, *members):
    """Settings by which these members are read, each by a call of its own."""
    path = pair.directory / "ids.txt"
    path.write_text("".join(f"{member['id']}\n" for member in members))
    return {"members": {"by": "ids", "path": str(path)}}


def test_a_member_that_cannot_be_read_is_no_difference(pair):
    (_, refused), (_, wrong), *others = pair.linked()
    pair.edit_member(wrong, lastName="Wrong")
    settings = one_by_one(pair, refused, wrong, *(member for _, member in others))
    pair.sandbox.control.faults.add(kind="status", status=403, route="bulk", probability=1.0)
    pair.sandbox.control.faults.add(kind="status", status=400, route=f"/users/{refused['id']}", probability=1.0)
    assert pair.reconcile("--repair", "--yes", tap_annex=settings) == 2
    assert "Not all could be read: " in pair.result.output
    assert refused["id"] not in pair.result.output
    assert not pair.told["equal"]
    assert pair.drift() == {(wrong["id"], "lastName")}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target_annex": {"streams": {"contacts": {"object": "points"}}}}, "streams.contacts.object"),
        (
            {"target_d365": {"streams": {"members": {"object": "account", "fields": {"name": "lastName"}}}}},
            "streams.members.object",
        ),
    ],
)
def test_streams_that_become_something_else_cannot_be_compared(pair, more, words):
    assert pair.run(lambda: pair.reconcile(**more)) == []
    assert pair.result.exit_code == 2
    assert words in pair.result.output


@pytest.mark.parametrize("target", ["target_annex", "target_d365"])
def test_no_repair_while_nothing_may_be_written(pair, target):
    _, member = pair.linked()[0]
    pair.edit_member(member, firstName="Wrong")
    assert pair.run(lambda: pair.reconcile("--repair", "--yes", **{target: {"dry_run": True}})) == []
    assert pair.result.exit_code == 2
    assert "Setting `dry_run` is on" in pair.result.output
