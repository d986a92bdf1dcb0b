"""What lists of activities show of postings, in other forms or besides. Against the sandbox."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postings import codes, made, post, posting

from annex_d365.annexcloud.points import Activity, Posting
from annex_d365.errors import OutageError
from annex_d365.ledger import Entry, State, digest
from annex_d365_sandbox.annexcloud import balances
from annex_d365_sandbox.annexcloud import points as sandbox_points
from target_annex.posting_history import History, Verdict, facts


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


# Lists that show something else


def show(monkeypatch, change):
    """Let the list show activities with the fields that ``change`` returns for each."""
    told = balances.activity

    def view(*each):
        seen = told(*each)
        return {**seen, **change(seen)}

    monkeypatch.setattr(balances, "activity", view)


def double(monkeypatch):
    """The site has a campaign."""
    show(monkeypatch, lambda seen: {"credit": seen["credit"] * 2} if seen["actionId"] == 100 else {})


@pytest.fixture
def rounding(monkeypatch):
    """The site keeps whole points."""
    whole = sandbox_points._whole
    monkeypatch.setattr(sandbox_points, "_whole", lambda name, value: whole(name, int(float(str(value)))))


@pytest.mark.usefixtures("rounding")
def test_an_amount_that_the_site_rounds_is_found_all_the_same(member):
    member.fault(route="/points$", method="POST", kind="lost_reply", count=1)
    assert post(member, posting(1, points=10.5)) == {"created": 1}
    member.lose_ledger()
    assert post(member, posting(1, points=10.5)) == {"unchanged": 1}
    assert len(made(member)) == 1


def test_the_same_order_with_another_amount_is_in_doubt(member, monkeypatch):
    double(monkeypatch)
    member.fault(route="/points$", method="POST", kind="lost_reply", count=1)
    assert post(member, posting(1)) == {"rejected": 1}
    member.lose_ledger()
    assert post(member, posting(1)) == {"rejected": 1}
    assert codes(member) == ["IN_DOUBT", "IN_DOUBT"]
    assert len(made(member)) == 1


@pytest.mark.parametrize("doubled", [False, True])
def test_the_same_order_with_another_amount_may_be_another_row_of_ours(member, monkeypatch, doubled):
    if doubled:
        double(monkeypatch)
    post(member, posting(1))
    assert post(member, posting(2, order="O-1", points=3), posting(3, order="O-1", points=4)) == {"created": 2}
    assert made(member) == [("O-1", 10, 0), ("O-1", 3, 0), ("O-1", 4, 0)]


@pytest.mark.parametrize(("credit", "outcome"), [(10, "rejected"), (25, "created")])
def test_an_activity_without_an_order_may_be_the_posting(member, monkeypatch, credit, outcome):
    """The site shows orders of purchases only; somebody gave the member points by hand."""
    show(monkeypatch, lambda seen: {"orderId": None} if seen["orderId"] == "BY-HAND" else {})
    by_hand = {"memberId": "M1", "actionId": 100, "credit": credit, "orderId": "BY-HAND"}
    bought = {"memberId": "M1", "actionId": 109, "credit": 10, "orderId": "SHOP-1"}
    date = {"createDate": "2026-01-02T00:00:00+0000"}
    member.sandbox.site.activities.put([{**by_hand, **date}, {**bought, **date}])
    member.fault(route="/points$", method="POST", kind="drop", count=1)
    assert post(member, posting(1)) == {outcome: 1}
    assert len(made(member)) == (3 if outcome == "created" else 2)


amounts = st.decimals(min_value=1, max_value=10**6, places=2)
kinds = st.sampled_from(["CREDIT", "DEBIT"])


@given(st.lists(st.tuples(kinds, amounts), unique=True, max_size=5), st.randoms(), st.data())
def test_of_the_postings_of_one_order_exactly_those_that_were_made_are_found(rows, random, data):
    """The ledger knows those of the other rows."""
    made_of = [data.draw(st.booleans()) for _ in rows]
    postings = [Posting("M1", kind, amount, order_id="O") for kind, amount in rows]
    entries = [
        Entry(str(number), "O", State.SETTLED if made else State.PENDING, digest(facts(each)))
        for number, (each, made) in enumerate(zip(postings, made_of, strict=True))
    ]
    listed = [
        Activity("O", "100", each.activity, each.amount, None, {"orderId": "O"})
        for each, made in zip(postings, made_of, strict=True)
        if made
    ]
    random.shuffle(listed)
    history = History("M1", listed)
    for number, each in enumerate(postings):
        others = entries[:number] + entries[number + 1 :]
        expected = Verdict.THERE if made_of[number] else Verdict.ABSENT
        assert history.verdict(each, others, tried=True) is expected
        assert history.verdict_on_entry(entries[number], others) is expected


@pytest.mark.parametrize("amount", [None, Decimal("1e999999999")], ids=["none", "absurd"])
def test_an_activity_with_no_readable_amount_is_the_posting_of_its_order(amount):
    history = History("M1", [Activity("O", "100", "CREDIT", amount, None, {"orderId": "O"})])
    assert history.verdict(Posting("M1", "CREDIT", Decimal(5), order_id="O"), (), tried=False) is Verdict.THERE


# How often they are read


def test_the_activities_of_a_member_are_read_once_in_a_run(member):
    member.forget_log()
    assert post(member, *(posting(number) for number in range(5)), batch_size_rows=1) == {"created": 5}
    assert len(member.log("GET")) == 1


def test_the_activities_are_read_again_when_too_many_are_kept(member, monkeypatch):
    monkeypatch.setattr("target_annex.points.KEPT_ACTIVITIES", 1)
    member.forget_log()
    assert post(member, *(posting(number) for number in range(3)), batch_size_rows=1) == {"created": 3}
    assert len(member.log("GET")) == 3
