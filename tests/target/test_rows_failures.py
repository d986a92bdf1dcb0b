"""Rows into Dynamics 365 when requests fail: what is written is known, what is not is written, and nobody else pays."""

from __future__ import annotations

import pytest
from crm import ACTIVITIES, ACTIVITY, Crm, member, members, rows_of

from annex_d365.dataverse.writes import guid_for
from annex_d365.errors import ConnectorError, OutageError
from annex_d365_sandbox.dataverse.errors import DataverseError
from annex_d365_sandbox.dataverse.writing import Writer

POISON = "poison"


@pytest.fixture
def crm(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.01)
    return Crm(sandbox, tmp_path)


def switch(crm, **switches):
    for name, value in switches.items():
        setattr(crm.organisation.switches, name, value)


def activities(*numbers, points=1, bad=()):
    rows = [
        {"cr0dd_loyaltyid": f"X{number}", "cr0dd_points": points, "cr0dd_name": POISON if number in bad else "n"}
        for number in numbers
    ]
    return rows_of(ACTIVITIES, *rows, key=["cr0dd_loyaltyid"])


def written(crm):
    return {key: row["cr0dd_points"] for key, row in crm.activities().items() if key.startswith("X")}


@pytest.fixture
def poison(monkeypatch):
    """A plug-in crashes on rows with this word; or on all."""

    def crash(code="0x80040216", word=POISON):
        for name in ("create", "update", "upsert", "new_row"):
            real = getattr(Writer, name)

            def crashing(self, at, body, *args, _real=real, **kwargs):
                if word in str(body):
                    raise DataverseError(500, code, "An unexpected error occurred.")
                return _real(self, at, body, *args, **kwargs)

            monkeypatch.setattr(Writer, name, crashing)

    return crash


@pytest.mark.parametrize("code", ["0x80040216", "0x80044151"])
@pytest.mark.parametrize("bulk", [True, False])
@pytest.mark.parametrize("count", [50, 5])
def test_a_row_on_which_the_service_fails_takes_no_other_with_it(crm, poison, code, bulk, count):
    poison(code)
    if not bulk:
        switch(crm, tables_without_bulk_messages=[ACTIVITY])
    counts = crm.load(activities(*range(count), bad=[3]), max_reject_percent=100)
    assert counts["rejected"] == 1
    assert len(written(crm)) == count - 1
    assert f"works otherwise (500, {code})" in crm.reasons()[0]
    assert len(crm.ledger()) == count - 1


@pytest.mark.parametrize("count", [5, 50])
def test_an_outage_rejects_no_row(crm, poison, count):
    poison(word="cr0dd_points")
    with pytest.raises(OutageError):
        crm.load(activities(*range(count)))
    assert crm.rejects() == []


def test_what_a_failed_call_has_written_is_in_the_ledger(crm):
    switch(crm, tables_without_bulk_messages=[ACTIVITY])
    crm.fault(kind="drop", method="POST", route="batch", after=1)
    with pytest.raises(ConnectorError):
        crm.load(activities(*range(300)))
    assert len(crm.ledger()) == len(written(crm)) > 0


def test_a_row_of_another_run_gets_the_values_of_this_one_though_replies_are_lost(crm):
    key = guid_for(ACTIVITIES, "X1")
    crm.put(ACTIVITY, cr0dd_loyaltyactivityid=key, cr0dd_loyaltyid="X1", cr0dd_points=1)
    crm.fault(kind="status", method="POST", route=f"{ACTIVITIES}|batch", status=503, count=2)
    assert crm.load(activities(1, points=7)) == {"upserted": 1}
    assert written(crm) == {"X1": 7}
    assert crm.load(activities(1, points=7)) == {"unchanged": 1}


@pytest.mark.parametrize("count", [1, 20])
def test_contacts_of_another_run_get_the_values_of_this_one_though_replies_are_lost(crm, count):
    streams = {"people": {"object": "contacts", "key": "id", "fields": {"lastname": "last"}}}

    def people(name):
        return rows_of("people", *({"id": str(each), "last": name} for each in range(count)), key=["id"])

    crm.load(people("Old"), streams=streams)
    crm.lose_ledger()
    crm.fault(kind="status", method="POST", route="contacts|batch", status=503, count=1)
    crm.load(people("New"), streams=streams)
    ids = [guid_for("people", str(each)) for each in range(count)]
    assert {crm.organisation.get("contact", each)["lastname"] for each in ids} == {"New"}


@pytest.mark.parametrize("count", [1, 20])
def test_new_rows_whose_reply_is_lost_count_as_created(crm, count):
    crm.fault(kind="lost_reply", method="POST", route="loyaltyact", count=1)
    assert crm.load(activities(*range(count)), streams={ACTIVITIES: {"mode": "create"}}) == {"created": count}


def test_a_guarded_update_whose_reply_is_lost_counts_as_updated(crm):
    options = {"skip_unchanged": "read", "etag_guard": True}
    crm.load(activities(1))
    crm.fault(kind="lost_reply", method="PATCH", count=1)
    assert crm.load(activities(1, points=5), **options) == {"updated": 1}
    assert written(crm) == {"X1": 5}


def test_a_contact_that_was_claimed_and_not_written_is_free(crm):
    crm.put(emailaddress1="a@example.org", lastname="L")
    streams = {
        "people": {"object": "contacts", "key": "id", "fields": {"emailaddress1": "email", "firstname": "first"}}
    }

    def person(key, **more):
        return rows_of("people", {"id": key, "email": "a@example.org", "first": "x", **more}, key=["id"])

    switch(crm, unwritable_tables=["contact"])
    with pytest.raises(ConnectorError):
        crm.load(person("A"), streams=streams)
    switch(crm, unwritable_tables=[])
    assert crm.load(person("B"), streams=streams) == {"updated": 1}


def test_a_contact_of_a_row_that_is_deleted_unwritten_is_free(crm):
    crm.put(emailaddress1="a@example.org", lastname="L")
    streams = {"people": {"object": "contacts", "key": "id", "fields": {"emailaddress1": "email", "birthdate": "born"}}}

    def person(key, **more):
        return rows_of("people", {"id": key, "email": "a@example.org", "born": "2000-01-01", **more}, key=["id"])

    crm.load(person("A"), streams=streams)
    assert crm.load(person("A", _sdc_deleted_at="2026-01-01T00:00:00Z"), streams=streams) == {
        "deleted at the source": 1
    }
    assert crm.load(person("B"), streams=streams) == {"updated": 1}


def test_who_may_not_read_which_bulk_messages_there_are_gets_batches(crm, caplog):
    switch(crm, unreadable_tables=["sdkmessagefilter"])
    assert crm.load(activities(*range(20))) == {"created": 20}
    assert "batches are sent instead" in caplog.text
    assert {path for _, path, _ in crm.writes()} == {"$batch"}


def test_a_contact_that_was_erased_and_made_anew_by_someone_is_found(crm):
    crm.load(members(member(1)))
    crm.organisation.delete("contact", crm.contact("M1")["contactid"])
    assert crm.load(members(member(1, firstName="Eva"))) == {"erased earlier": 1}
    crm.put(cr0dd_loyaltyid="M1", emailaddress1="member.1@example.org", lastname="Other")
    assert crm.load(members(member(1, firstName="Eva"))) == {"updated": 1}
    assert crm.contact("M1")["firstname"] == "Eva"
