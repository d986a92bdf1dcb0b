"""Postings of points: each one is made once, whatever happens in between. Against the sandbox."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from loyalty import lines, load_and_count, record, schema
from support import run_cli

from annex_d365.annexcloud.points import Activity, Points, Posting
from annex_d365.errors import ConnectorError, OutageError, RowError
from annex_d365.ledger import Entry, State, digest
from annex_d365.singer.rows import Row
from annex_d365_sandbox.annexcloud import balances
from annex_d365_sandbox.annexcloud import points as sandbox_points
from target_annex.posting_history import History, Verdict, facts
from target_annex.posting_mapping import PostingMapping

COLUMNS = {
    "id": {"type": "string"},
    "member": {"type": ["string", "null"]},
    "points": {"type": ["number", "string", "null"]},
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


# Reading


def test_the_activities_of_a_member_are_read_once_in_a_run(member):
    member.forget_log()
    assert post(member, *(posting(number) for number in range(5)), batch_size_rows=1) == {"created": 5}
    assert len(member.log("GET")) == 1


def test_the_activities_are_read_again_when_too_many_are_kept(member, monkeypatch):
    monkeypatch.setattr("target_annex.points.KEPT_ACTIVITIES", 1)
    member.forget_log()
    assert post(member, *(posting(number) for number in range(3)), batch_size_rows=1) == {"created": 3}
    assert len(member.log("GET")) == 3
