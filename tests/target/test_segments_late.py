"""People who are in a segment before the other side knows them: later runs add them to its copy."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loyalty import contact, guid, load, load_rows
from marketing import streams
from programme import FREELY, gone, member, segment, snapshot, whole

from target_annex.segments import late
from target_annex.segments.annex import AnnexSegments


@pytest.fixture
def nobody(programme):
    """A segment of three: M1, a contact without an id, and M999, who is no member."""
    programme.run(segment(), member(1), member(2, member_id=None), member(999), snapshot(3))
    assert programme.numbers() == {1}
    programme.site.forget_log()
    return programme


def enrol(programme, number=2):
    programme.site.put(id=f"M{number}", email=f"person.{number}@example.org")
    load_rows(programme.site.config(), [contact(number)])
    programme.site.forget_log()


def asked(programme):
    """Paths of requests, but for those about segments."""
    return [path for _, path, _ in programme.site.log() if path.startswith("/users/")]


def told(programme):
    report = programme.reports["segment_members"]
    return report.joined_later, report.waiting


def test_who_is_enrolled_later_joins(nobody):
    enrol(nobody)
    counts = nobody.run()
    assert nobody.numbers() == {1, 2}
    assert counts["segment_members"] == {}
    assert told(nobody) == (1, 1)
    assert "1 of earlier runs joined, 1 wait to become known" in nobody.reports["segment_members"].sentence("r")
    nobody.run()
    assert (told(nobody), len(nobody.patches())) == ((0, 1), 1)


def test_who_is_a_member_later_joins(nobody):
    nobody.site.put(id="M999", email="m999@example.org")
    nobody.run()
    assert nobody.numbers() == {1, 999}
    assert told(nobody) == (1, 1)


def test_with_nobody_new_a_run_writes_nothing_and_rejects_nothing(nobody):
    rejects = nobody.codes()
    for _ in range(3):
        nobody.site.forget_log()
        nobody.run()
        assert (nobody.patches(), asked(nobody), told(nobody)) == ([], ["/users/M999"], (0, 2))
    assert nobody.codes() == rejects == ["UNKNOWN_MEMBER"]


def test_what_a_run_has_looked_for_it_does_not_look_for_again(nobody):
    nobody.run(*whole([1, 999], at=2))
    assert asked(nobody) == ["/users/M999"]


def test_who_is_unknown_is_asked_for_not_added_each_time_that_a_segment_comes(nobody):
    for at in (2, 3):
        nobody.run(member(1, at=at), member(999, at=at), snapshot(3, at=at, complete=False))
        assert nobody.codes()[-1] == "UNKNOWN_MEMBER"
    assert nobody.patches() == []
    nobody.site.put(id="M999", email="m999@example.org")
    counts = nobody.run(member(999, at=4), snapshot(3, at=4, complete=False))
    assert counts["segment_members"] == {"created": 1}
    assert nobody.numbers() == {1, 999}


def test_a_run_asks_for_so_many_only_of_those_that_come_again(programme, monkeypatch):
    monkeypatch.setattr(AnnexSegments, "lookups", 2)
    unknown = [member(number) for number in range(990, 995)]
    programme.run(segment(), member(1), *unknown, snapshot(6, complete=False))
    programme.site.forget_log()
    programme.run(*(member(number, at=2) for number in range(990, 995)), snapshot(6, at=2, complete=False))
    assert sorted(asked(programme)) == ["/users/M990", "/users/M991"]
    assert len(programme.patches()) == 1


def test_a_link_outranks_an_id_that_is_not_known(nobody):
    nobody.site.put(id="NEW", email="person.999@example.org")
    load_rows(nobody.site.config(), [contact(999)])
    nobody.run()
    assert nobody.members() == {"M1", "NEW"}


def test_a_link_to_nobody_is_asked_for_from_then_on(nobody):
    enrol(nobody)
    nobody.site.sandbox.site.forget_member("M2")
    nobody.run()
    assert (nobody.numbers(), told(nobody)) == ({1}, (0, 2))
    nobody.site.forget_log()
    nobody.run()
    assert (nobody.patches(), sorted(asked(nobody))) == ([], ["/users/M2", "/users/M999"])


def test_who_has_left_the_segment_is_not_added(nobody):
    nobody.run(*whole([1], at=2))
    enrol(nobody)
    nobody.run()
    assert (nobody.numbers(), told(nobody)) == ({1}, (0, 0))


def test_who_was_not_shown_by_the_last_pass_is_not_added(nobody):
    nobody.run(member(1, at=2), snapshot(3, at=2, complete=False))
    enrol(nobody)
    nobody.run()
    assert nobody.numbers() == {1}


def test_who_was_added_late_leaves_as_others_do(nobody):
    enrol(nobody)
    nobody.run()
    nobody.run(*whole([1], at=2), **FREELY)
    assert nobody.numbers() == {1}


@pytest.mark.parametrize("how", ["retired", "vanished"])
def test_nobody_waits_for_a_copy_that_is_gone(nobody, how):
    if how == "retired":
        nobody.run(gone())
    else:
        nobody.site.sandbox.site.segments.reset()
    enrol(nobody)
    nobody.run()
    nobody.site.forget_log()
    nobody.run()
    assert (told(nobody), nobody.patches()) == ((0, 0), [])


def test_a_dry_run_tells_who_would_join(nobody):
    enrol(nobody)
    path, ledger = nobody.site.directory / "dry.jsonl", nobody.site.ledger()
    nobody.run(dry_run=True, dry_run_path=str(path))
    assert [(each["action"], each["key"]) for each in map(json.loads, path.read_text().splitlines())] == [("add", "M2")]
    assert (nobody.numbers(), nobody.site.ledger(), told(nobody)) == ({1}, ledger, (1, 1))


def test_a_run_looks_for_so_many_only_and_the_next_one_for_the_others(programme, monkeypatch):
    monkeypatch.setattr(AnnexSegments, "lookups", 3)
    monkeypatch.setattr(late, "LIMIT", 5)
    monkeypatch.setattr(late, "BATCH", 2)
    nameless = [member(number, of, member_id=None) for of in (1, 2) for number in range(1, 5)]
    strangers = [member(number, of) for of in (1, 2) for number in (997, 998, 999)]
    programme.run(segment(), segment(2), *nameless, *strangers, snapshot(7), snapshot(7, 2))
    for number in range(1, 5):
        enrol(programme, number)
    for joined in (5, 3, 0):
        programme.site.forget_log()
        programme.run()
        assert (told(programme)[0], len(asked(programme))) == (joined, 3)
    assert programme.numbers("Segment 1") == programme.numbers("Segment 2") == {1, 2, 3, 4}
    for number in (997, 998, 999):
        programme.site.put(id=f"M{number}", email=f"m{number}@example.org")
    for _ in range(2):
        programme.run()
    assert told(programme) == (3, 0)


def test_a_row_that_is_piped_in_again_waits_no_longer(nobody):
    nobody.site.put(id="M999", email="m999@example.org")
    load(nobody.site.config(), nobody.site.rejects())
    enrol(nobody)
    nobody.run()
    assert (nobody.numbers(), told(nobody)) == ({1, 2, 999}, (1, 0))


numbers = st.sets(st.integers(1, 6))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(rounds=st.lists(st.tuples(numbers, st.none() | numbers), min_size=1, max_size=4))
def test_copies_have_whoever_is_in_the_segment_and_known(programme, rounds):
    """People are enrolled, and the segment changes, at times."""
    programme.site.lose_ledger()
    programme.site.sandbox.site.segments.reset()
    wanted, enrolled = set(), set()
    programme.run(segment())
    for at, (joining, now) in enumerate(rounds, 1):
        for number in joining - enrolled:
            enrol(programme, number)
        enrolled |= joining
        rows = [] if now is None else [member(each, at=at, member_id=None) for each in sorted(now)]
        wanted = wanted if now is None else now
        programme.run(*rows, *([] if now is None else [snapshot(len(rows), at=at)]), **FREELY)
        assert programme.numbers() == wanted & enrolled


# Into Dynamics 365


def waiting(crm):
    """A segment of two, one of whom has no contact: what it has, and the contact that will be the other one's."""
    first, other = sorted(crm.contacts.items())[:2]
    crm.organisation.update("contact", other[1], {"cr0dd_loyaltyid": None})
    crm.write(*streams({"550": {first[0], other[0]}}, "1"), max_reject_percent=100)
    crm.wait()
    (target,) = crm.copies().values()
    assert crm.members(target) == {first[1]}
    return target, first, other


def late_run(crm):
    crm.sandbox.control.log.clear()
    crm.write(("segment_members", []), ("segment_snapshots", []))
    crm.wait()
    return {each["path"].rpartition("/")[2].partition("(")[0] for each in crm.sandbox.control.log.entries()}


def test_who_has_a_contact_later_joins(crm):
    target, first, other = waiting(crm)
    paths = late_run(crm)
    assert crm.members(target) == {first[1]}
    assert not [path for path in paths if "Members" in path]
    crm.organisation.update("contact", other[1], {"cr0dd_loyaltyid": other[0]})
    late_run(crm)
    assert crm.members(target) == {first[1], other[1]}
    assert not [path for path in late_run(crm) if "Members" in path or path == "contacts"]


def test_nobody_waits_for_another_sites_copy(crm):
    target, first, other = waiting(crm)
    crm.organisation.update("contact", other[1], {"cr0dd_loyaltyid": other[0]})
    crm.write(("segment_members", []), site_id="90366")
    assert crm.members(target) == {first[1]}


def test_ids_of_any_text_wait(programme):
    programme.run(segment(), member(1, member_id="x" * 300, contact_id=guid(1)), snapshot(1))
    programme.run()
    assert told(programme) == (0, 1)
