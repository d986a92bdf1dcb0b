"""Postings of points: each one is made once, whatever happens in between. Against the sandbox."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loyalty import lines, load_and_count, record, schema
from postings import COLUMNS, FIELDS, codes, config_of, made, messages_of, post, posting, sent
from support import run_cli

from annex_d365.annexcloud.points import Points
from annex_d365.errors import ConnectorError, RowError
from annex_d365.singer.rows import Row
from target_annex.posting_mapping import PostingMapping


def test_points_are_credited_and_debited_by_their_sign(member):
    assert post(member, posting(1), posting(2, points=-30), posting(3, member="M2", points=5)) == {"created": 3}
    assert made(member) == [("O-1", 10, 0), ("O-2", 0, 30)]
    assert made(member, "M2") == [("O-3", 5, 0)]


@pytest.mark.parametrize(("column", "expected"), [("credit", (None, 7, 0)), ("debit", (None, 0, 7))])
def test_a_column_for_credits_or_for_debits(member, column, expected):
    fields = {"id": "member", column: "points", "reason": "why"}
    assert post(member, posting(1, points=7), posting(2, points=-7), fields=fields) == {"created": 1, "rejected": 1}
    ((_, *amounts),) = made(member)
    assert tuple(amounts) == expected[1:]
    assert member.reasons() == ["column `points` is negative"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"points": 0}, "it has no points"),
        ({"points": None}, "it has no points"),
        ({"debit": 4}, "it has both a credit and a debit"),
        ({"member": None}, "column `member`, the member id, is empty"),
        *(
            ({"points": text}, "column `points` is not a number")
            for text in ("NaN", "sNaN", "Infinity", "1_0", "1e7000000", "1e3", "--1", ".", "\u0661", "0x1f")
        ),
        ({"points": "1" * 41}, "column `points` is a number of more than 40 digits"),
        ({"points": "-0.0"}, "it has no points"),
    ],
)
def test_a_row_that_posts_nothing_clear_is_rejected(member, columns, reason):
    post(member, posting(1, **columns), fields={**FIELDS, "debit": "debit"})
    assert member.reasons() == [reason]
    assert sent(member) == []


@pytest.mark.parametrize(("text", "amount"), [("10.0", 10), (" 7 ", 7), ("+5", 5), ("008", 8)])
def test_an_amount_may_be_a_text(member, text, amount):
    assert post(member, posting(1, points="NaN"), posting(2, points=text)) == {"rejected": 1, "created": 1}
    assert made(member) == [("O-2", amount, 0)]


MAPPING = PostingMapping("postings", ["id"], {"id": "member", "points": "points"})


@given(st.one_of(st.text(), st.from_regex(r"[-+]?[0-9_]*\.?[0-9]*([eE][-+]?[0-9]+)?", fullmatch=True)))
@example("1e999999")
def test_any_text_is_an_amount_as_it_stands_or_no_amount(text):
    try:
        amount = MAPPING.posting(Row({"id": "1", "member": "M1", "points": text}, {})).amount
    except RowError:
        return
    assert amount > 0
    assert amount == abs(Fraction(text.strip()))


def test_an_action_says_its_own_amount(member):
    fields = {"id": "member", "actionId": "action", "orderId": "order"}
    assert post(member, posting(1, action="101"), fields=fields) == {"created": 1}
    action = member.sandbox.site.catalogue.actions[101]
    assert made(member) == [("O-1", action.points, 0)]


def test_the_same_row_again_posts_nothing(member):
    post(member, posting(1))
    member.forget_log()
    assert post(member, posting(1)) == {"unchanged": 1}
    assert member.log() == []


def test_the_same_row_twice_in_a_batch_is_posted_once(member):
    assert post(member, posting(1), posting(1)) == {"created": 1, "unchanged": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_an_order_id_of_ours_is_always_the_same(member):
    fields = {"id": "member", "points": "points", "reason": "why"}
    post(member, posting(1), posting(2), fields=fields)
    orders = [order for order, _, _ in made(member)]
    assert len({uuid.UUID(order) for order in orders}) == 2
    member.lose_ledger()
    assert post(member, posting(1), posting(2), posting(3), fields=fields) == {"unchanged": 2, "created": 1}
    assert [order for order, _, _ in made(member)][:2] == orders
    assert len(made(member)) == 3


def test_a_row_that_changed_after_it_was_posted_is_rejected(member):
    post(member, posting(1))
    assert post(member, posting(1, points=20)) == {"rejected": 1}
    assert codes(member) == ["POSTED"]
    assert made(member) == [("O-1", 10, 0)]


def test_a_refused_row_may_come_again_with_other_values(member):
    """An unknown member, and more points than there are: nothing was posted."""
    assert post(member, posting(1, member="M9"), posting(2, points=-1000)) == {"rejected": 2}
    assert [each["reject"]["status"] for each in member.rejects() if each["type"] == "RECORD"] == [404, 400]
    assert post(member, posting(1), posting(2, points=-50)) == {"created": 2}
    assert made(member) == [("O-1", 10, 0), ("O-2", 0, 50)]


def test_a_member_whose_activities_cannot_be_read_is_alone(member):
    member.fault(route="/users/M1/activity", kind="status", status=400, code="AC1007", count=1)
    assert post(member, posting(1), posting(2, member="M2")) == {"rejected": 1, "created": 1}
    assert made(member) == []
    assert load_and_count(config_of(member), member.rejects(), "postings") == {"created": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_two_rows_with_the_same_posting_are_told_apart_by_none(member):
    assert post(member, posting(1), posting(2, order="O-1")) == {"created": 1, "rejected": 1}
    assert codes(member) == ["POSTED"]
    assert post(member, posting(3, order="O-1")) == {"rejected": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_other_points_of_the_same_order_are_another_posting(member):
    assert post(member, posting(1), posting(2, order="O-1", points=-3)) == {"created": 2}
    assert made(member) == [("O-1", 10, 0), ("O-1", 0, 3)]


def test_points_are_not_taken_back_because_a_row_is_gone(member):
    post(member, posting(1))
    gone = {"id": "P1", "_sdc_deleted_at": "2026-03-01T00:00:00Z"}
    assert post(member, gone) == {"deleted at the source": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_members_of_the_same_batch_come_first(member):
    people = {"id": {"type": "string"}, "mail": {"type": "string"}, "in": {"type": "boolean"}}
    streams = {
        "people": {"object": "members", "fields": {"id": "id", "email": "mail", "optInStatus": "in"}},
        "postings": {"object": "points", "fields": FIELDS},
    }
    messages = [
        schema("postings", COLUMNS, ["id"]),
        schema("people", people, ["id"]),
        *(record(posting(number, member="N1"), "postings") for number in (1, 2)),
        record({"id": "N1", "mail": "n1@example.org", "in": True}, "people"),
    ]
    assert load_and_count(member.config(enrol="all", streams=streams), messages, "postings") == {"created": 2}
    assert member.postings("N1") == [("O-1", 10, 0), ("O-2", 10, 0)]


# Two runs at once


def test_a_run_does_not_post_what_another_one_is_posting(member, monkeypatch):
    monkeypatch.setattr("annex_d365.ledger.database.PATIENCE", 0.05)
    monkeypatch.setattr("annex_d365.ledger.turns.WAITS", 1)
    really_post = Points.post

    def post_meanwhile(self, one):
        monkeypatch.setattr(Points, "post", really_post)
        with pytest.raises(ConnectorError, match="Another run"):
            post(member, posting(1))
        really_post(self, one)

    monkeypatch.setattr(Points, "post", post_meanwhile)
    assert post(member, posting(1)) == {"created": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_of_two_processes_with_the_same_rows_one_posts_them(member):
    member.fault(route="/points$", method="POST", kind="latency", seconds=0.3)
    member.fault(route="/activity", kind="latency", seconds=0.5)
    text = lines(messages_of([posting(1), posting(2, member="M2"), posting(3)]))

    def run(name):
        directory = member.directory / name
        directory.mkdir()
        return run_cli("target_annex", config=config_of(member), directory=directory, stdin=text)

    with ThreadPoolExecutor(2) as executor:
        runs = list(executor.map(run, ("one", "other")))
    assert [each.returncode for each in runs] == [0, 0]
    assert made(member) == [("O-1", 10, 0), ("O-3", 10, 0)]
    assert made(member, "M2") == [("O-2", 10, 0)]


def test_who_lost_its_turn_posts_nothing_more(member, monkeypatch):
    really_post = Points.post

    def post_and_lose(self, one):
        really_post(self, one)
        monkeypatch.setattr("annex_d365.ledger.Turn.held", lambda _: False)

    monkeypatch.setattr(Points, "post", post_and_lose)
    with pytest.raises(ConnectorError, match="lost its lock"):
        post(member, posting(1), posting(2))
    assert made(member) == [("O-1", 10, 0)]
    # What was not posted is for the other run to say, which may have found it already.
    assert member.ledger() == {"P1": ["O-1", "settled"], "P2": ["O-2", "pending"]}
