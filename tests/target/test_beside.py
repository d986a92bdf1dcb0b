"""Two batches in flight: the second is sent while the first is answered, unless they may touch each other."""

from __future__ import annotations

import io
import random
import threading
import time
from contextlib import redirect_stdout
from uuid import uuid4

import pytest
from crm import ACTIVITIES, ACTIVITY, Crm, rows_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loyalty import contact, deletion, guid, lines, load, load_and_count, record, schema, state

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.writes.provision import apply, plan
from annex_d365.dataverse.writes.specs import KeySpec, TableSpec
from annex_d365.errors import ConnectorError
from annex_d365.http import Session
from annex_d365.singer import behind
from target_annex.target import TargetAnnex

SOON, NOT_YET = 10, 0.2
KEY = ["cr0dd_loyaltyid"]
FIRST, SECOND = "First-batch", "Second-batch"


@pytest.fixture
def crm(sandbox, tmp_path):
    return Crm(sandbox, tmp_path)


def carries(request, text):
    body = request.body or b""
    return text.encode() in (body if isinstance(body, bytes) else body.encode())


class Held:
    """Holds back the answer to what carries one text until a request carries another, or for some seconds."""

    def __init__(self, monkeypatch, seconds=SOON, second=SECOND):
        self.second, self.seen, self.seconds = threading.Event(), None, seconds
        send = Session.send

        def sent(session, request, **options):
            if carries(request, second):
                self.second.set()
            answer = send(session, request, **options)
            if carries(request, FIRST) and self.seen is None:
                self.seen = self.second.wait(self.seconds)
            return answer

        monkeypatch.setattr(Session, "send", sent)


def people(*rows):
    return [schema(), *map(record, rows), state(len(rows))]


def person(number, name, member=None, **columns):
    return contact(number, cr0dd_loyaltyid=member or f"A{number}", firstname=name, **columns)


def activity(key, name, **columns):
    return {"cr0dd_loyaltyid": key, "cr0dd_name": name, **columns}


def test_members_of_the_next_batch_are_sent_before_the_first_is_answered(site, monkeypatch):
    held = Held(monkeypatch)
    load(site.config(batch_size_rows=1), people(person(0, FIRST), person(1, SECOND)))
    assert held.seen


def test_rows_of_the_next_batch_are_sent_before_the_first_is_answered(crm, monkeypatch):
    rows = rows_of(ACTIVITIES, activity("X1", FIRST), activity("X2", SECOND), key=KEY)
    held = Held(monkeypatch)
    load(crm.config(batch_size_rows=1), rows)
    assert held.seen
    assert {"X1", "X2"} <= {row["cr0dd_loyaltyid"] for row in crm.rows(ACTIVITY)}


@pytest.mark.parametrize(
    "rows",
    [
        [person(0, FIRST), person(0, SECOND)],
        [person(0, FIRST), person(1, SECOND, member="A0")],
        [person(0, FIRST), person(1, SECOND, emailaddress1="PERSON.0@example.org")],
        [person(0, FIRST), contact(1, firstname=SECOND, emailaddress1="a1@example.net")],
        [contact(0, firstname=FIRST, emailaddress1="a0@example.net"), person(1, SECOND)],
    ],
    ids=["key", "member", "address", "second is looked for", "first is looked for"],
)
def test_members_that_may_be_the_same_wait(site, monkeypatch, rows):
    held = Held(monkeypatch, NOT_YET)
    load(site.config(batch_size_rows=1), people(*rows))
    assert held.seen is False


def test_the_address_that_the_ledger_knows_counts(site, monkeypatch):
    load(site.config(), people(person(0, "Ana", emailaddress1="old@example.org")))
    moved = [person(0, FIRST, emailaddress1="new@example.org"), person(1, SECOND, emailaddress1="old@example.org")]
    held = Held(monkeypatch, NOT_YET)
    load(site.config(batch_size_rows=1), people(*moved))
    assert held.seen is False


def test_a_deletion_waits(site, monkeypatch):
    load(site.config(), people(person(0, "Ana"), person(1, "Bo")))
    held = Held(monkeypatch, NOT_YET, second="optInStatus")
    load(site.config(batch_size_rows=1), people(person(0, FIRST), deletion(1)))
    assert held.seen is False
    assert site.member("A1")["optInStatus"] == "NO"


def test_who_may_become_a_member_waits(site, monkeypatch):
    held = Held(monkeypatch, NOT_YET)
    rows = [person(7, FIRST, member="N7"), person(8, SECOND, member="N8")]
    load(site.config(batch_size_rows=1, enrol="all"), people(*rows))
    assert held.seen is False
    assert {"N7", "N8"} <= site.ids()


@pytest.mark.parametrize(("keys", "alternate_key"), [(("X1", "X1"), False), (("X1", "x1"), True)])
def test_rows_by_the_same_key_wait(crm, monkeypatch, keys, alternate_key):
    if alternate_key:
        dataverse = connect(crm.config())
        key = KeySpec("cr0dd_SomeKey", "Key", ("cr0dd_loyaltyid",))
        apply(dataverse, plan(dataverse, [TableSpec("cr0dd_LoyaltyActivity", keys=[key])]))
    rows = rows_of(ACTIVITIES, activity(keys[0], FIRST), activity(keys[1], SECOND), key=KEY)
    held = Held(monkeypatch, NOT_YET)
    load(crm.config(batch_size_rows=1), rows)
    assert held.seen is False
    assert [row["cr0dd_name"] for row in crm.rows(ACTIVITY) if row["cr0dd_loyaltyid"].upper() == "X1"] == [SECOND]


def test_a_row_waits_for_the_one_of_its_own_table_that_it_refers_to(crm, monkeypatch):
    parent = {"contactid": guid(901), "firstname": FIRST, "parentcustomerid": None, "parentcustomerid_table": None}
    child = {**parent, "contactid": guid(902), "firstname": SECOND}
    child |= {"parentcustomerid": guid(901), "parentcustomerid_table": "contact"}
    held = Held(monkeypatch, NOT_YET)
    load(crm.config(batch_size_rows=1), rows_of("contacts", parent, child, key=["contactid"]))
    assert held.seen is False
    assert {FIRST, SECOND} <= {row["firstname"] for row in crm.rows()}


def test_what_the_second_batch_has_written_is_known_after_the_first_has_failed(site, monkeypatch):
    """The service refuses the first batch, once it has taken the second one."""
    taken = threading.Event()
    send = Session.send

    def sent(session, request, **options):
        if carries(request, FIRST):
            assert taken.wait(SOON)
            raise ConnectorError("refused")
        answer = send(session, request, **options)
        if carries(request, SECOND):
            taken.set()
        return answer

    rows = people(person(0, FIRST), person(1, SECOND), person(2, "Third"))
    messages = [rows[0], rows[1], state(1), rows[2], state(2), rows[3], state(3)]
    monkeypatch.setattr(Session, "send", sent)
    target = TargetAnnex(config=site.config(batch_size_rows=1))
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(ConnectorError, match="refused"):
        target.listen(io.StringIO(lines(messages)))
    target.let_go()
    assert out.getvalue() == ""
    monkeypatch.undo()
    entries = load_and_count(site.config(), people(person(1, SECOND)))
    assert entries == {"unchanged": 1}


def delay(patch, seed):
    """Answers come in any order."""
    chance, send = random.Random(seed), Session.send

    def late(session, request, **options):
        answer = send(session, request, **options)
        time.sleep(chance.choice([0, 0, 0.002, 0.01]))
        return answer

    patch.setattr(Session, "send", late)


ROWS = st.lists(
    st.one_of(
        st.builds(
            lambda key, member, address, name: contact(
                key, cr0dd_loyaltyid=member, emailaddress1=address and f"{address}@example.org", firstname=name
            ),
            st.integers(0, 7),
            st.sampled_from(["A0", "A1", "A2", "A3", "A4", "A5", "X", None]),
            st.sampled_from(["p", "q", "r", "s", "t", "u", None]),
            st.sampled_from(["Ana", "Bo", "Eva"]),
        ),
        st.builds(deletion, st.integers(0, 7)),
    ),
    min_size=4,
    max_size=24,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, seed=st.integers(0, 99), size=st.integers(1, 3), enrol=st.sampled_from(["existing", "all"]))
def test_it_ends_as_one_batch_after_the_other(site, rows, seed, size, enrol):
    def run(in_work):
        site.reset()
        site.lose_ledger()
        (site.directory / "rejects.singer").unlink(missing_ok=True)
        for number in range(3, 6):
            site.put(id=f"A{number}", email=f"a{number}@example.net")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(behind, "IN_WORK", in_work)
            delay(patch, seed)
            config = site.config(batch_size_rows=size, enrol=enrol, max_reject_percent=100)
            counts = load_and_count(config, people(*rows))
        names = ("id", "email", "firstName", "optInStatus")
        members = sorted(tuple(each[name] or "" for name in names) for each in site.sandbox.site.members())
        rejects = sorted(
            str((each["record"]["contactid"], each["reject"]["reason"]))
            for each in site.rejects()
            if each["type"] == "RECORD"
        )
        return members, counts, rejects

    assert run(2) == run(1)


ACTIVITY_ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), min_size=4, max_size=24)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), min_size=4, max_size=24), seed=st.integers(0, 99)
)
def test_rows_of_a_table_end_as_one_batch_after_the_other(crm, rows, seed):
    def run(in_work):
        crm.lose_ledger()
        prefix = f"{uuid4().hex}-"
        messages = rows_of(ACTIVITIES, *(activity(f"{prefix}{key}", f"{name}") for key, name in rows), key=KEY)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(behind, "IN_WORK", in_work)
            delay(patch, seed)
            counts = crm.load(messages, batch_size_rows=2)
        names = {
            row["cr0dd_loyaltyid"].removeprefix(prefix): row["cr0dd_name"]
            for row in crm.rows(ACTIVITY)
            if row["cr0dd_loyaltyid"].startswith(prefix)
        }
        return names, counts

    assert run(2) == run(1)
