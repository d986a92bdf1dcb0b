"""Postings of points: each one is made once, whatever happens in between. Against the sandbox."""

from __future__ import annotations

import uuid

import pytest
from loyalty import load_and_count, record, schema

from annex_d365.errors import ConnectorError, OutageError
from annex_d365_sandbox.annexcloud import balances

COLUMNS = {
    "id": {"type": "string"},
    "member": {"type": ["string", "null"]},
    "points": {"type": ["number", "null"]},
    "debit": {"type": ["number", "null"]},
    "action": {"type": ["string", "null"]},
    "order": {"type": ["string", "null"]},
    "why": {"type": ["string", "null"]},
}
FIELDS = {"id": "member", "points": "points", "reason": "why", "orderId": "order"}


def posting(number, **columns):
    return {"id": f"P{number}", "member": "M1", "points": 10, "why": "Goodwill", "order": f"O-{number}", **columns}


def config_of(site, fields=None, **more):
    return site.config(streams={"postings": {"object": "points", "fields": fields or FIELDS}}, **more)


def messages_of(rows):
    return [schema("postings", COLUMNS, ["id"]), *(record(row, "postings") for row in rows)]


def post(site, *rows, **more):
    """Outcomes of postings."""
    return load_and_count(config_of(site, **more), messages_of(rows), "postings")


def codes(site):
    return [message["reject"]["code"] for message in site.rejects() if message["type"] == "RECORD"]


def sent(site):
    return [status for method, path, status in site.log("POST") if path == "/points"]


@pytest.fixture
def member(site, monkeypatch):
    """The site, with members M1 and M2 who have 100 points; nothing is waited for."""
    monkeypatch.setattr("target_annex.points.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.02)
    for member_id in ("M1", "M2"):
        site.put(id=member_id, email=f"{member_id}@example.org")
        start = {"memberId": member_id, "actionId": 101, "credit": 100, "createDate": "2026-01-01T00:00:00+0000"}
        site.sandbox.site.activities.put([start])
    return site


def made(site, member_id="M1"):
    """What was posted beyond the first 100 points."""
    return site.postings(member_id)[1:]


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
    ],
)
def test_a_row_that_posts_nothing_clear_is_rejected(member, columns, reason):
    post(member, posting(1, **columns), fields={**FIELDS, "debit": "debit"})
    assert member.reasons() == [reason]
    assert sent(member) == []


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


@pytest.mark.parametrize("numbers", ["number", "string"])
@pytest.mark.parametrize("envelope", ["flat", "Data"])
def test_the_list_is_understood_in_every_form(member, numbers, envelope):
    member.switch(numbers=numbers, envelope=envelope, lone_activity="object", missing_values="absent")
    post(member, posting(1))
    member.lose_ledger()
    assert post(member, posting(1)) == {"unchanged": 1}
    assert made(member) == [("O-1", 10, 0)]


def test_a_posting_is_settled_before_its_activities_are_believed(member, monkeypatch):
    """A request whose connection broke may still be on its way when the next run begins."""
    waited = []
    monkeypatch.setattr("target_annex.points.SETTLE_SECONDS", 30.0)
    monkeypatch.setattr("target_annex.points.time.sleep", waited.append)
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    member.fault(route="/points$", method="POST", kind="lost_reply", count=1)
    member.fault(route="/activity", kind="status", status=503, retry_after=0, after=1)
    with pytest.raises(OutageError):
        post(member, posting(1))
    member.sandbox.faults.clear()
    waited.clear()
    assert post(member, posting(1)) == {"created": 1}
    assert 25 < max(waited) <= 30
