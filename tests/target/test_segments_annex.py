"""Segments of Dynamics 365 and their members into Annex Cloud. Against the sandbox."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from annexcloud_stub import Service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loyalty import contact, guid, load, load_rows, schema
from programme import FREELY, TEXT, gone, member, segment, snapshot, version, whole

from annex_d365.annexcloud.segment_writing import Dialect, SegmentWriting
from annex_d365.annexcloud.segments import Segment
from annex_d365.errors import ConnectorError, OutageError, RowError, SettingError
from target_annex.segments.annex import AnnexSegments
from target_annex.segments.definitions import Definitions
from target_annex.segments.side import CopyGoneError, SegmentSpec


def test_a_segment_appears_with_its_members(programme):
    counts = programme.run(segment(), *whole([1, 2, 3]))
    made = programme.segments["Segment 1"]
    assert (made["externalId"], made["externalName"]) == (f"dynamics:{guid(901)}", "Segment 1")
    assert (made["status"], made["type"]) == ("ACTIVE", "static")
    assert programme.numbers() == {1, 2, 3}
    assert counts["segments"] == {"created": 1}
    assert counts["segment_members"] == {"created": 3}


def test_the_same_again_writes_nothing(programme):
    messages = [segment(), *whole(range(1, 6))]
    programme.run(*messages)
    programme.site.forget_log()
    counts = programme.run(*messages)
    assert {path.partition("?")[0] for _, path, _ in programme.site.log()} == {"/segmentlist/all"}
    assert counts["segments"] == {"unchanged": 1}
    assert counts["segment_members"] == {"unchanged": 5}


def test_who_joins_and_who_leaves(programme):
    programme.run(segment(), *whole(range(1, 11)))
    programme.run(*whole(range(3, 13), at=2))
    assert programme.numbers() == set(range(3, 13))
    assert programme.counts["segment_members"] == {"unchanged": 8, "created": 2}
    report = programme.reports["segment_snapshots"]
    assert report.members_removed == 2
    assert "2 members removed" in report.sentence("rejects.singer")


def test_members_of_a_version_that_is_sent_twice(programme):
    """Versions are times in whole seconds: two may be alike though the members differ."""
    programme.run(segment(), *whole(range(1, 11)))
    programme.run(*whole(range(2, 11)))
    assert programme.numbers() == set(range(2, 11))


@pytest.mark.parametrize("columns", [{"complete": False}, {"member_count": 11}], ids=["not complete", "in part"])
def test_nobody_is_removed_without_all_members(programme, columns):
    programme.run(segment(), *whole(range(1, 11)))
    counts = programme.run(*whole(range(2, 11), at=2)[:-1], snapshot(9, at=2, **columns))
    assert programme.numbers() == set(range(1, 11))
    assert counts["segment_snapshots"] == {"not complete": 1}


def test_too_many_removals_are_none(programme):
    programme.run(segment(), *whole(range(1, 11)), segment(2), *whole([1, 2], 2))
    with pytest.raises(ConnectorError, match=r"More than 20 % .* from segments 0.*901: nobody was"):
        programme.run(*whole(range(1, 8), at=2), *whole([1, 2, 3], 2, at=2))
    assert programme.numbers() == set(range(1, 11))
    assert programme.numbers("Segment 2") == {1, 2, 3}
    assert json.loads(programme.states.splitlines()[-1]) == {"at": 1}
    assert programme.codes() == ["TOO_MANY_REMOVALS"]
    # The rejected snapshot, once the user agrees.
    load(programme.site.config(max_removal_percent=30), programme.site.rejects())
    assert programme.numbers() == set(range(1, 8))


def test_the_next_run_looks_again(programme):
    programme.run(segment(), *whole(range(1, 11)))
    with pytest.raises(ConnectorError):
        programme.run(*whole(range(1, 8), at=2))
    programme.run(*whole(range(1, 10), at=3))
    assert programme.numbers() == set(range(1, 10))


def test_an_old_snapshot_that_is_piped_in_again_removes_nobody(programme):
    programme.run(segment(), *whole(range(1, 11)))
    with pytest.raises(ConnectorError):
        programme.run(*whole([1], at=2))
    programme.run(*whole(range(1, 11), at=3))
    rejects = programme.site.rejects()
    load(programme.site.config(**FREELY), rejects)
    assert programme.numbers() == set(range(1, 11))
    assert programme.site.reasons()[-1] == "newer members of this segment have come since it was rejected"


def test_copies_of_our_own_are_never_sent_back(programme):
    own = segment(2, origin="annexcloud:90365/550")
    counts = programme.run(own, *whole([1, 2], 2))
    assert programme.segments == {}
    assert [*counts.values()] == [{"copies of our own": 1}, {"copies of our own": 2}, {"copies of our own": 1}]
    # Also in a run without the segment itself, which comes only when it changes.
    assert programme.run(*whole([1, 2], 2))["segment_members"] == {"copies of our own": 2}


def test_members_of_a_segment_that_is_not_known_are_rejected(programme):
    programme.run(*whole([1, 2], 7))
    assert programme.codes() == ["UNKNOWN_SEGMENT"] * 3


def test_a_segment_of_leads_is_left_alone(programme):
    counts = programme.run(segment(base_table="lead"), snapshot(0, complete=False))
    assert (counts["segments"], programme.segments) == ({"not of contacts": 1}, {})
    assert programme.codes() == []


@pytest.mark.parametrize("switches", [{}, {"unknown_segment_members": "refused"}])
def test_unknown_members_are_rejected_alone_and_tried_again(programme, switches):
    programme.site.switch(**switches)
    counts = programme.run(segment(), member(1), member(999), member(2), snapshot(3))
    assert counts["segment_members"] == {"created": 2, "rejected": 1}
    assert programme.numbers() == {1, 2}
    if not switches:
        assert programme.codes() == ["UNKNOWN_MEMBER"]
    programme.site.put(id="M999", email="m999@example.org")
    load(programme.site.config(), programme.site.rejects())
    assert programme.numbers() == {1, 2, 999}


def test_a_contact_without_an_id_is_the_member_that_the_ledger_knows(programme):
    programme.site.put(id="M1", email="person.1@example.org")
    load_rows(programme.site.config(), [contact(1)])
    counts = programme.run(segment(), member(1, member_id=None), member(2, member_id=None), snapshot(2))
    assert programme.numbers() == {1}
    assert counts["segment_members"] == {"created": 1, "not enrolled": 1}
    assert programme.codes() == []


def test_two_contacts_may_be_one_member(programme):
    programme.run(segment(), member(1), member(2, member_id="M1"), snapshot(2))
    programme.run(member(2, member_id="M1", at=2), snapshot(1, at=2))
    assert programme.numbers() == {1}


def test_changes_of_the_segment(programme):
    programme.run(segment(), *whole([1, 2]))
    target = programme.segments["Segment 1"]["id"]
    assert programme.run(segment(name="Gold", modified_on=version(2)))["segments"] == {"updated": 1}
    assert programme.segments["Gold"]["id"] == target
    programme.run(segment(name="Gold", status="stopped", modified_on=version(3)))
    assert programme.segments["Gold"]["status"] == "INACTIVE"
    assert programme.numbers("Gold") == {1, 2}


def test_a_segment_that_is_gone_becomes_inactive_and_may_come_back(programme):
    programme.run(segment(), *whole([1, 2]))
    assert programme.run(gone())["segments"] == {"deleted": 1}
    assert programme.segments["Segment 1"]["status"] == "INACTIVE"
    assert programme.run(gone())["segments"] == {"deleted at the source": 1}
    programme.run(segment(modified_on=version(10)))
    assert programme.segments["Segment 1"]["status"] == "ACTIVE"
    assert len(programme.segments) == 1


def test_a_name_that_is_taken_is_told_apart(programme):
    programme.site.sandbox.site.segments.put([{"name": "Segment 1"}])
    programme.run(segment(), *whole([1]))
    assert programme.numbers("Segment 1 (00000000)") == {1}
    programme.site.lose_ledger()
    counts = programme.run(segment(), *whole([1]))
    assert counts["segments"] == {"unchanged": 1}
    assert len(programme.segments) == 2


@pytest.mark.parametrize("kind", ["lost_reply", "drop"])
def test_a_creation_whose_reply_got_lost_is_found(programme, kind):
    programme.site.fault(route="/segment$", method="POST", kind=kind, count=1)
    assert programme.run(segment(), *whole([1]))["segments"] == {"created": 1}
    assert len(programme.segments) == 1
    assert programme.numbers() == {1}


def test_without_the_ledger_the_members_are_asked_for(programme):
    programme.run(segment(), *whole(range(1, 11)))
    programme.site.lose_ledger()
    programme.site.forget_log()
    counts = programme.run(segment(), *whole(range(2, 12), at=2))
    assert programme.numbers() == set(range(2, 12))
    assert counts["segments"] == {"unchanged": 1}
    assert counts["segment_members"] == {"unchanged": 9, "created": 1}
    assert len(programme.patches()) == 2


def test_members_find_their_segment_without_its_row(programme):
    programme.run(segment(), *whole(range(1, 11)))
    programme.site.lose_ledger()
    programme.run(*whole(range(2, 11), at=2))
    assert programme.numbers() == set(range(2, 11))


def test_chunks_of_a_hundred_and_one_look_at_the_first(programme):
    programme.run(segment(), *whole(range(1, 251)))
    assert len(programme.patches()) == 3
    assert len(programme.reads()) == 2, "what the new segment holds, and the first hundred"
    assert programme.numbers() == set(range(1, 251))


@pytest.mark.parametrize("words", [{"add": "REPLACE"}, {"remove": "ADD"}], ids=["replaced", "not removed"])
def test_a_word_that_means_something_else_stops_the_run(programme, words):
    wrong = {"segment_member_update": {"add": "ADD", "remove": "REMOVE", **words}}
    with pytest.raises(ConnectorError, match="`segment_member_update`"):
        programme.run(segment(), *whole(range(1, 251)), *whole(range(11, 251), at=2), **wrong)
    assert json.loads(programme.states or "null") is None
    programme.run(segment(), *whole(range(1, 251), at=3))
    assert programme.numbers() == set(range(1, 251))


@pytest.mark.parametrize("form", ["text", "list"])
@pytest.mark.parametrize("dates", ["date", "datetime", "iso"])
def test_what_the_documents_leave_open(programme, form, dates):
    programme.site.switch(segment_member_form="text" if form == "text" else "array")
    chosen = {"segment_member_form": form, "segment_date_form": dates, "segment_validity_days": 30}
    programme.run(segment(), *whole([1, 2]), **chosen)
    assert programme.numbers() == {1, 2}


def test_an_id_with_a_comma_needs_the_list(programme):
    programme.site.put(id="M,7", email="m7@example.org")
    programme.run(segment(), member(1), member(7, member_id="M,7"), snapshot(2))
    assert programme.site.reasons() == ["A member id with a comma needs `segment_member_form: list`."]
    load(programme.site.config(segment_member_form="list"), programme.site.rejects())
    assert programme.members() == {"M1", "M,7"}


def test_an_outage_in_the_middle_removes_nobody_and_loses_nothing(programme, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    programme.run(segment(), *whole(range(1, 11)))
    programme.site.fault(route="/segment/", method="PATCH", kind="status", status=503, after=1)
    messages = whole(range(2, 251), at=2)
    with pytest.raises(OutageError):
        programme.run(*messages)
    assert programme.numbers() >= set(range(1, 11))
    programme.site.sandbox.faults.clear()
    programme.site.forget_log()
    programme.run(*messages)
    assert programme.numbers() == set(range(2, 251))
    assert len(programme.patches()) == 3, "the first hundred are not sent again"


def test_a_service_that_takes_nobody_is_not_asked_for_each_one(programme):
    programme.run(segment())
    programme.site.fault(route="/segment/", method="PATCH", kind="status", status=400, code="AC1007")
    counts = programme.run(*whole(range(1, 251)), max_reject_percent=100)
    assert counts["segment_members"] == {"rejected": 250}
    calls = 199 + 2 + 2 * (1 + 3)
    assert len(programme.patches()) == calls, "the first hundred in halves, the word, then two calls and three members"
    programme.site.sandbox.faults.clear()
    programme.run(*programme.site.rejects()[1:], **FREELY)
    assert programme.numbers() == set(range(1, 251))


def test_what_does_not_go_live_is_tried_again_by_the_next_run(programme, monkeypatch):
    asked = []

    def refuse(_, target):
        asked.append(target)
        raise RowError("not now")

    with monkeypatch.context() as patch:
        patch.setattr(AnnexSegments, "finish", refuse)
        with pytest.raises(ConnectorError, match=rf"could not be made live: {guid(901)}\..*not now"):
            programme.run(segment(), *whole([1]))
    assert len(asked) == 2
    assert (programme.codes(), bool(programme.states)) == ([], True)
    monkeypatch.setattr(AnnexSegments, "finish", lambda _, target: asked.append(target))
    programme.run(segment(2))
    assert len(asked) == 4, "the old one, and the new one"


def test_a_copy_that_vanished_is_made_anew(programme):
    programme.run(segment(), *whole([1, 2]))
    programme.site.sandbox.site.segments.reset()
    counts = programme.run(member(3, at=2), snapshot(1, at=2))
    assert counts["segment_members"] == {"rejected": 1}
    programme.run(segment(), *whole([1, 2, 3], at=3))
    assert programme.numbers() == {1, 2, 3}


def test_a_dry_run_tells_and_changes_nothing(programme):
    path = programme.site.directory / "dry.jsonl"
    programme.run(segment(), *whole(range(1, 11)))
    before, ledger = (programme.segments, programme.numbers()), programme.site.ledger()
    messages = [*whole(range(2, 12), at=2), segment(2), *whole([5], 2)]
    counts = programme.run(*messages, dry_run=True, dry_run_path=str(path))
    assert (programme.segments, programme.numbers(), programme.site.ledger()) == (*before, ledger)
    assert programme.states == ""
    told = [(each["action"], each["key"]) for each in map(json.loads, path.read_text().splitlines())]
    assert told == [("add", "M11"), ("remove", "M1"), ("create", guid(902)), ("add", "M5")]
    assert counts == programme.run(*messages)


def test_rows_of_many_segments_in_any_order(programme):
    rows = [member(number, of) for number in range(1, 60) for of in (1, 2, 3)]
    ends = [snapshot(59, of) for of in (3, 1, 2)]
    programme.run(segment(1), segment(2), segment(3), *rows, *ends)
    assert [programme.numbers(f"Segment {of}") for of in (1, 2, 3)] == [set(range(1, 60))] * 3
    assert len(programme.patches()) == 3


def test_small_batches_are_as_good(programme):
    programme.run(segment(), *whole(range(1, 31)), batch_size_rows=4)
    programme.run(*whole(range(6, 31), at=2), batch_size_rows=4)
    assert programme.numbers() == set(range(6, 31))


def test_a_stream_that_is_none_of_segments_is_refused(programme):
    streams = {"others": {"object": "segment_members"}}
    with pytest.raises(SettingError, match="has no column `segment_id`"):
        load(programme.site.config(streams=streams), [schema("others", {"id": TEXT}, ["id"])])


def test_many_copies_are_listed_once(programme):
    programme.run(*(segment(number) for number in range(1, 31)))
    programme.site.lose_ledger()
    programme.site.forget_log()
    programme.run(*(segment(number) for number in range(1, 31)))
    assert len([path for _, path, _ in programme.site.log() if "segmentlist" in path]) == 2, "pages of 25"


TODAY = dt.date(2026, 3, 1)


@pytest.fixture
def side(monkeypatch):
    """The adapter, for a site with one copy that was valid in January."""
    monkeypatch.setattr(Definitions, "today", TODAY)
    january = {"from_date": "2026-01-01", "to_date": "2026-01-31"}
    copy = Segment("550", "Old", status="active", external_id="dynamics:x", external_name="Old", **january)
    service = Service()
    return AnnexSegments(SegmentWriting(service.client(), Dialect()), lambda: [copy], 30, list), service


def test_a_segment_whose_days_are_over_is_valid_anew(side):
    adapter, service = side
    assert adapter.update("550", SegmentSpec("x", "dynamics:x", "Old"))
    assert (service.bodies[0]["fromDate"], service.bodies[0]["toDate"]) == ("2026-01-01", "2026-03-31")
    assert not adapter.update("550", SegmentSpec("x", "dynamics:x", "Old"))


def test_the_days_that_a_segment_has_are_taken(side):
    adapter, service = side
    days = {"valid_from": dt.date(2026, 5, 1), "valid_to": dt.date(2026, 5, 31)}
    service.replies = [(200, {"segmentId": "551"})]
    assert adapter.create(SegmentSpec("y", "dynamics:y", "New", **days)) == "551"
    assert (service.bodies[0]["fromDate"], service.bodies[0]["toDate"]) == ("2026-05-01", "2026-05-31")
    assert adapter.find(SegmentSpec("y", "dynamics:Y", "")) == "551"


def test_a_copy_that_is_gone_is_told(side):
    adapter, service = side
    service.replies = [(404, {"errorCode": "AC1005"})]
    calls = [
        lambda: adapter.update("550", SegmentSpec("x", "dynamics:x", "New")),
        lambda: adapter.add("550", ["M1"]),
        lambda: adapter.remove("550", ["M1"]),
        lambda: adapter.members("550"),
        lambda: adapter.add("551", ["M1"]),
    ]
    for call in calls:
        with pytest.raises(CopyGoneError, match="no segment 55"):
            call()
    adapter.retire("550", SegmentSpec("x", "dynamics:x", ""))


def test_members_that_are_not_told_are_not_taken_for_lost(side, caplog):
    adapter, service = side
    service.replies = [(200, {})]
    for key in ("M1", "M2", "M3"):
        adapter.add("550", [key])
    adapter.remove("550", ["M1"])
    assert list(adapter.members("550")) == []
    assert caplog.text.count("whether they add up") == 1


membership = st.dictionaries(st.sampled_from([1, 2]), st.sets(st.integers(1, 8)), min_size=1)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.lists(membership, min_size=1, max_size=5))
def test_after_each_round_the_members_are_equal(programme, rounds):
    programme.site.lose_ledger()
    programme.site.sandbox.site.segments.reset()
    for at, wanted in enumerate(rounds, 1):
        rows = [each for of, numbers in wanted.items() for each in whole(sorted(numbers), of, at)]
        programme.run(segment(1), segment(2), *rows, **FREELY)
        for of, numbers in wanted.items():
            assert programme.numbers(f"Segment {of}") == numbers
        assert len(programme.segments) == 2
