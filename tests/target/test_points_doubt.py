"""Postings of points of which it is not known whether they were made. Against the sandbox."""

from __future__ import annotations

import pytest
from loyalty import load_and_count
from postings import codes, config_of, made, post, posting, sent

from annex_d365.errors import ConnectorError, OutageError
from annex_d365_sandbox.annexcloud import balances


def test_a_lost_reply_is_found_in_the_list(member):
    member.fault(route="/points$", method="POST", kind="lost_reply", count=1)
    assert post(member, posting(1)) == {"created": 1}
    assert made(member) == [("O-1", 10, 0)]
    assert post(member, posting(1)) == {"unchanged": 1}


@pytest.mark.parametrize("fault", [{"kind": "drop"}, {"kind": "html", "status": 502}], ids=["drop", "gateway"])
def test_what_never_arrived_is_sent_again_once(member, fault):
    member.fault(route="/points$", method="POST", count=1, **fault)
    assert post(member, posting(1)) == {"created": 1}
    assert made(member) == [("O-1", 10, 0)]
    assert sent(member)[1:] == [200]


@pytest.mark.parametrize("kind", ["lost_reply", "drop"])
def test_what_the_list_does_not_tell_is_rejected_and_never_sent_twice(member, monkeypatch, kind):
    told = balances.activity
    monkeypatch.setattr(
        balances, "activity", lambda *each: {key: value for key, value in told(*each).items() if key != "orderId"}
    )
    member.fault(route="/points$", method="POST", kind=kind, count=1)
    assert post(member, posting(1)) == {"rejected": 1}
    assert codes(member) == ["IN_DOUBT"]
    rejects = member.rejects()
    assert load_and_count(config_of(member), rejects, "postings") == {"rejected": 1}
    assert len(sent(member)) == 1
    # The site has learnt to tell.
    monkeypatch.setattr(balances, "activity", told)
    assert load_and_count(config_of(member), rejects, "postings") == {"created": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_a_list_that_fails_after_a_lost_reply_leaves_it_to_the_next_run(member, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    member.fault(route="/points$", method="POST", kind="lost_reply", count=1)
    member.fault(route="/activity", kind="status", status=503, retry_after=0, after=1)
    with pytest.raises(OutageError):
        post(member, posting(1))
    assert member.ledger()["P1"] == ["O-1", "pending"]
    member.sandbox.faults.clear()
    assert post(member, posting(1)) == {"created": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_a_pending_posting_that_changed_meanwhile_is_not_sent(member):
    member.fault(route="/points$", method="POST", kind="lost_reply", count=1)
    member.fault(route="/activity", kind="status", status=418, after=1)
    with pytest.raises(ConnectorError):
        post(member, posting(1))
    member.sandbox.faults.clear()
    assert post(member, posting(1, points=20)) == {"rejected": 1}
    assert codes(member) == ["POSTED"]
    assert made(member) == [("O-1", 10, 0)]


def test_without_its_ledger_the_list_decides(member):
    post(member, posting(1), posting(2, points=-5))
    member.lose_ledger()
    assert post(member, posting(1), posting(2, points=-5), posting(3)) == {"unchanged": 2, "created": 1}
    assert made(member) == [("O-1", 10, 0), ("O-2", 0, 5), ("O-3", 10, 0)]


def test_a_posting_beyond_the_first_page_of_the_list_is_found(member):
    member.switch(page_size=2)
    rows = [posting(number) for number in range(1, 8)]
    assert post(member, *rows) == {"created": 7}
    member.lose_ledger()
    assert post(member, *rows) == {"unchanged": 7}
    assert len(made(member)) == 7


# Intents of which nothing was posted


def test_what_an_outage_kept_from_being_sent_may_change(member, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    member.fault(route="/activity", kind="status", status=503, retry_after=0)
    with pytest.raises(OutageError):
        post(member, posting(1))
    member.sandbox.faults.clear()
    assert post(member, posting(1, points=11)) == {"created": 1}
    assert made(member) == [("O-1", 11, 0)]


def test_what_was_not_begun_when_the_run_failed_may_change(member, monkeypatch):
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 1)
    member.fault(route="/points$", method="POST", kind="drop", count=1)
    member.fault(route="/activity", kind="status", status=503, after=1)
    with pytest.raises(OutageError):
        post(member, posting(1), posting(2))
    assert member.ledger() == {"P1": ["O-1", "pending"], "P2": ["", "pending"]}


def interrupt(member, monkeypatch, kind):
    """A run that ends while nobody knows what became of posting 1."""
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 1)
    member.fault(route="/points$", method="POST", kind=kind, count=1)
    member.fault(route="/activity", kind="status", status=503, after=1)
    with pytest.raises(OutageError):
        post(member, posting(1))
    assert member.ledger() == {"P1": ["O-1", "pending"]}
    member.sandbox.faults.clear()


@pytest.mark.parametrize("changes", [{"points": 11}, {"order": "O-9"}], ids=["amount", "order"])
def test_a_pending_posting_that_the_list_does_not_have_may_change(member, monkeypatch, changes):
    interrupt(member, monkeypatch, "drop")
    assert post(member, posting(1, **changes)) == {"created": 1}
    assert len(made(member)) == 1
    assert post(member, posting(1, **changes)) == {"unchanged": 1}


@pytest.mark.parametrize("changes", [{"points": 11}, {"order": "O-9"}], ids=["amount", "order"])
def test_a_pending_posting_that_the_list_has_is_settled_though_its_row_changed(member, monkeypatch, changes):
    interrupt(member, monkeypatch, "lost_reply")
    assert post(member, posting(1, **changes)) == {"rejected": 1}
    assert codes(member) == ["POSTED"]
    assert post(member, posting(1)) == {"unchanged": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_a_pending_posting_that_changed_its_member_stays_in_doubt(member, monkeypatch):
    interrupt(member, monkeypatch, "lost_reply")
    assert post(member, posting(1, member="M2")) == {"rejected": 1}
    assert codes(member) == ["IN_DOUBT"]
    assert made(member, "M2") == []


def test_a_pending_posting_that_is_refused_when_it_is_sent_again_may_change(member, monkeypatch):
    interrupt(member, monkeypatch, "drop")
    member.fault(route="/points$", method="POST", kind="status", status=400, count=1)
    assert post(member, posting(1)) == {"rejected": 1}
    assert post(member, posting(1, points=11)) == {"created": 1}
    assert made(member) == [("O-1", 11, 0)]


def test_of_two_equal_postings_the_second_is_made_if_the_first_is_refused(member):
    member.fault(route="/points$", method="POST", kind="status", status=400, count=1)
    assert post(member, posting(1), posting(2, order="O-1")) == {"rejected": 1, "created": 1}
    assert made(member) == [("O-1", 10, 0)]
