"""Segments into Annex Cloud when something is not as it was left, or not as it should be. Against the sandbox."""

from __future__ import annotations

import pytest
from loyalty import contact, guid, load_rows, record
from programme import FREELY, gone, member, segment, snapshot, version, whole

from annex_d365.errors import ConnectorError, SettingError
from target_annex.segments.definitions import Definitions, names
from target_annex.segments.side import SegmentSpec


@pytest.fixture
def all_rejects():
    return {"max_reject_percent": 100}


def change(programme, name="Segment 1", **columns):
    """As somebody does it at the service's own page."""
    segment = programme.segments[name]
    mandatory = {column: segment[column] for column in ("name", "fromDate", "toDate")}
    programme.site.sandbox.site.segments.update(str(segment["id"]), {**mandatory, **columns})


# Words of the service


def test_a_word_that_replaces_shows_in_one_chunk_per_run(programme):
    """The ledger remembers members of earlier runs."""
    words = {"segment_member_update": {"add": "REPLACE", "remove": "REMOVE"}}
    programme.run(segment(), *whole(range(1, 11)), **words)
    with pytest.raises(ConnectorError, match=r"`segment_member_update`.*replaces"):
        programme.run(*whole(range(1, 12), at=2), **words)
    programme.run(*whole(range(1, 12), at=3))
    assert programme.numbers() == set(range(1, 12))


def test_members_who_went_otherwise_are_no_proof(programme):
    programme.run(segment(), *whole([1]))
    programme.site.sandbox.site.segments.forget("M1")
    programme.run(*whole([1, 2], at=2))
    assert programme.numbers() == {1, 2}


def test_a_word_that_the_service_does_not_know_ends_the_run_at_once(programme):
    programme.run(segment())
    programme.site.forget_log()
    with pytest.raises(SettingError, match=r"`segment_member_update`.*does not know the word"):
        programme.run(*whole(range(1, 251)), segment_member_update={"add": "APPEND"})
    assert len(programme.patches()) == 3, "the chunk, the word alone, and neither"


@pytest.mark.parametrize("switches", [{}, {"unknown_segment_members": "refused"}])
def test_good_members_after_a_chunk_of_nobody_are_taken(programme, all_rejects, switches):
    programme.site.switch(**switches)
    nobody = [member(1000 + number, member_id=f"X{number}") for number in range(100)]
    one_bad = member(2000, member_id="A,B")
    programme.run(segment(), *nobody, *(member(number) for number in range(1, 100)), one_bad, **all_rejects)
    assert programme.numbers() == set(range(1, 100))


# Who is removed


def test_a_member_who_comes_twice_hides_nobody(programme):
    programme.run(segment(), *whole(range(1, 11)))
    rows = [*(member(number, at=2) for number in range(1, 10)), member(1, at=2)]
    counts = programme.run(*rows, snapshot(10, at=2))
    assert (counts["segment_snapshots"], programme.numbers()) == ({"not complete": 1}, set(range(1, 11)))


def test_two_contacts_of_one_member_are_two_rows(programme):
    programme.run(segment(), *whole(range(1, 7)))
    programme.run(*(member(n, at=2) for n in range(1, 6)), member(9, at=2, member_id="M1"), snapshot(6, at=2))
    assert programme.numbers() == set(range(1, 6))


def test_a_lost_ledger_removes_nobody_whom_only_it_knew(programme, caplog):
    programme.site.put(id="M1", email="person.1@example.org")
    load_rows(programme.site.config(), [contact(1)])
    programme.run(segment(), member(1, member_id=None), *(member(n) for n in range(2, 11)), snapshot(10))
    assert programme.numbers() == set(range(1, 11))
    programme.site.lose_ledger()
    rows = [member(1, at=2, member_id=None), *(member(n, at=2) for n in range(2, 11))]
    programme.run(segment(), *rows, snapshot(10, at=2))
    assert programme.numbers() == set(range(1, 11))
    assert "1 members stay that may have left" in caplog.text


def test_a_contact_that_does_not_tell_its_member_any_more_stays(programme):
    programme.run(segment(), *whole(range(1, 11)))
    rows = [*(member(number, at=2) for number in range(1, 9)), member(10, at=2, member_id=None)]
    programme.run(*rows, snapshot(9, at=2))
    assert programme.numbers() == {*range(1, 9), 10}


def test_strangers_do_not_keep_those_who_leave(programme):
    programme.run(segment(), *whole(range(1, 11)), member(99, member_id=None))
    rows = [*(member(number, at=2) for number in range(1, 10)), member(99, at=2, member_id=None)]
    programme.run(*rows, snapshot(10, at=2))
    assert programme.numbers() == set(range(1, 10))


def test_an_older_version_after_a_newer_one_is_refused(programme):
    programme.run(segment(), *whole(range(1, 11), at=3))
    counts = programme.run(*whole(range(1, 10), at=2), max_reject_percent=100)
    assert (counts["segment_members"], counts["segment_snapshots"]) == ({"rejected": 9}, {"rejected": 1})
    assert programme.numbers() == set(range(1, 11))
    assert programme.site.reasons()[0] == "newer members of this segment have come before"


def test_a_snapshot_without_a_count_is_not_complete(programme):
    programme.run(segment(), *whole(range(1, 11)))
    counts = programme.run(snapshot(None, at=2), **FREELY)
    assert (counts["segment_snapshots"], programme.numbers()) == ({"not complete": 1}, set(range(1, 11)))


def test_several_snapshots_in_one_run_do_not_add_up(programme):
    programme.run(segment(), *whole(range(1, 11)))
    with pytest.raises(ConnectorError, match="More than 20 %"):
        programme.run(*whole(range(1, 9), at=2), *whole(range(1, 8), at=3), *whole(range(1, 7), at=4))
    assert programme.numbers() == set(range(1, 9))


def test_rows_from_before_a_run_was_killed_are_not_seen(programme):
    programme.run(segment(), *whole(range(1, 11)))
    programme.run(*(member(number, at=2) for number in range(1, 11)))
    programme.run(*whole(range(2, 11), at=2))
    assert programme.numbers() == set(range(2, 11))


def test_a_new_segment_without_members(programme):
    counts = programme.run(segment(), snapshot(0))
    assert (counts["segments"], programme.codes()) == ({"created": 1}, [])


# What becomes of copies at the service


def test_a_copy_that_vanished_is_made_anew_though_its_segment_is_unchanged(programme):
    messages = [segment(), *whole([1, 2])]
    programme.run(*messages)
    programme.site.sandbox.site.segments.reset()
    counts = programme.run(*messages)
    assert (counts["segments"], programme.numbers()) == ({"created": 1}, {1, 2})


def test_a_mark_that_somebody_changed_is_restored(programme):
    programme.run(segment())
    change(programme, externalId="mine")
    counts = programme.run(segment())
    assert counts["segments"] == {"updated": 1}
    assert programme.segments["Segment 1"]["externalId"] == f"dynamics:{guid(901)}"


def test_a_mark_in_another_form_stays(programme):
    programme.run(segment())
    change(programme, externalId=guid(901).upper())
    assert programme.run(segment())["segments"] == {"unchanged": 1}
    assert programme.segments["Segment 1"]["externalId"] == guid(901).upper()


@pytest.mark.parametrize(
    "messages", [[segment()], [segment(2)], whole([1, 2], at=2)], ids=["itself", "other", "members"]
)
def test_a_copy_whose_days_are_over_is_valid_anew(programme, messages):
    programme.run(segment(), *whole([1]))
    change(programme, fromDate="2020-01-01", toDate="2020-02-01")
    programme.run(*messages)
    assert programme.segments["Segment 1"]["toDate"] > "2026"


def test_days_that_the_owner_tells_are_left(programme):
    days = {"from_date": "2020-01-01", "to_date": "2020-02-01"}
    row = record({"segment_id": guid(901), "name": "Old", "origin": "dynamics", **days}, "segments")
    programme.run(row, *whole([1]))
    assert programme.run(row, *whole([1, 2], at=2))["segments"] == {"unchanged": 1}
    assert programme.segments["Old"]["toDate"] == "2020-02-01"


def test_segments_of_others_are_not_prolonged(programme):
    own = {"name": "Mine", "externalId": f"dynamics:{guid(7)}", "fromDate": "2020-01-01", "toDate": "2020-02-01"}
    programme.site.sandbox.site.segments.put([own])
    programme.run(segment())
    assert programme.segments["Mine"]["toDate"] == "2020-02-01"


def test_a_day_that_is_near():
    definitions = Definitions(30)
    spec = SegmentSpec("x", "dynamics:x", "Name")
    definition = definitions.wanted(spec, None)
    assert (definition.last - definitions.today).days == 30
    assert definitions.prolonged(definition) == definition
    assert [*names(spec)] == ["Name", "Name (x)", "Name (x)"]


def test_the_third_of_one_name(programme):
    programme.run(*(segment(number, name="Same") for number in (1, 2, 3)))
    assert programme.counts["segments"] == {"created": 3}
    assert set(programme.segments) == {"Same", "Same (00000000)", f"Same ({guid(903)})"}
    for number in (1, 2, 3):
        programme.run(segment(number, name="Other", modified_on=version(2)))
    assert set(programme.segments) == {"Other", "Other (00000000)", f"Other ({guid(903)})"}


def test_a_segment_that_is_gone_does_not_come_back_by_itself(programme):
    programme.run(segment(), *whole([1]))
    programme.run(gone())
    change(programme, fromDate="2020-01-01", toDate="2020-02-01")
    programme.run(segment(2))
    assert (programme.segments["Segment 1"]["status"], programme.segments["Segment 1"]["toDate"]) == (
        "INACTIVE",
        "2020-02-01",
    )
