"""Segments into Dynamics 365 when something is not as it was left, or not as it should be; in both generations."""

from __future__ import annotations

import json
from contextlib import closing
from uuid import uuid4

import pytest
from marketing import GENERATIONS, QUERY, spec, streams

from annex_d365.dataverse.segments.generations import JOURNEYS, OUTBOUND
from annex_d365.errors import ConnectorError
from annex_d365.ledger import Entry, Ledger
from target_annex.segments.engine import Engine

BROKEN = "PROFILE(contact).FILTER(nosuch == 1)"
NOBODY = f"{QUERY[:-1]} && lastname == 'Nobody')"
GONE = ("segments", [{"segment_id": "550", "_sdc_deleted_at": "2026-03-09T00:00:00Z"}])
LOOSE = {"max_reject_percent": 100}


def said(members, number, **segment):
    """Segment 550 with these members, in a version."""
    (name, rows), *others = streams({"550": members}, str(number))
    return (name, [{**row, **segment} for row in rows]), *others


def status(crm, key="550"):
    return crm.status(crm.copies()[key])


def members(crm, key="550"):
    return crm.members(crm.copies()[key])


def some(crm, count):
    """Ids of members, and the GUIDs of their contacts."""
    chosen = sorted(crm.contacts)[:count]
    return chosen, {crm.contacts[each] for each in chosen}


def killed(_):
    raise ConnectorError("killed")


# What was never wanted live


@pytest.mark.parametrize("later", [1, 5], ids=["a member leaves", "a member joins"])
def test_an_inactive_segment_stays_a_draft(crm, later):
    ids, _ = some(crm, 5)
    crm.write(*said(ids[:3], 1, status="inactive"))
    crm.write(*said(ids[:later], 2, status="inactive"))
    assert status(crm) == "draft"
    crm.write(*said(ids[:later], 3))
    crm.wait()
    assert (status(crm), len(members(crm))) == ("live", later)


def test_a_segment_that_went_before_it_was_published_is_not_published(crm, monkeypatch):
    journeys = crm.generation is JOURNEYS
    route = {"route": "Publish", "method": "POST"} if journeys else {"route": "msdyncrm_segments", "method": "PATCH"}
    crm.sandbox.control.faults.add(kind="status", status=400, **route)
    with pytest.raises(ConnectorError, match="could not be made live: 550"):
        crm.write(*said([], 1))
    crm.sandbox.control.faults.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "finish", killed)
        with pytest.raises(ConnectorError, match="killed"):
            crm.write(GONE)
    crm.write(*streams({"551": []}, "2"))
    assert status(crm) == "draft"
    crm.write(*said([], 3))
    crm.wait()
    assert status(crm) == "live"


def test_a_copy_that_somebody_stopped_stays_stopped(crm):
    ids, _ = some(crm, 3)
    crm.write(*said(ids[:2], 1))
    crm.wait()
    with crm.run() as side:
        side.retire(crm.copies()["550"], spec())
    crm.wait()
    crm.write(*said(ids, 2))
    crm.wait()
    assert status(crm) == "stopped"
    crm.write(*said(ids, 3, description="Changed"))
    crm.wait()
    assert (status(crm), len(members(crm))) == ("live", 3)


def test_a_copy_that_is_a_draft_again_is_published(crm):
    crm.write(*said([], 1))
    crm.organisation.delete(crm.generation.logical_name, crm.copies()["550"])
    with crm.run() as side:
        side.create(spec(name="S550"))
    crm.write(*said([], 2))
    crm.wait()
    assert status(crm) == "live"


# What does not go live


def test_one_copy_that_does_not_go_live_fails_the_run_after_its_state(crm, capsys):
    ids, contacts = some(crm, 3)
    (name, rows), *others = streams({"550": [], "551": ids}, "1")
    rows[0].update(kind="dynamic", query=BROKEN)
    with pytest.raises(ConnectorError, match=r"could not be made live: 550\..*All else is written"):
        crm.write((name, rows), *others, state=7)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"at": 7}
    crm.wait()
    assert (status(crm, "551"), members(crm, "551")) == ("live", contacts)


def test_a_copy_that_is_gone_before_it_went_live_is_forgotten(crm):
    with pytest.raises(ConnectorError, match="could not be made live"):
        crm.write(*said([], 1, kind="dynamic", query=BROKEN))
    crm.organisation.delete(crm.generation.logical_name, crm.copies()["550"])
    crm.write(*streams({"551": []}, "2"))
    assert [*crm.copies()] == ["551"]
    crm.write(*said([], 3))
    crm.wait()
    assert status(crm) == "live"


def test_a_copy_that_was_deleted_with_its_segment_is_forgotten(crm):
    with pytest.raises(ConnectorError, match="could not be made live"):
        crm.write(*said([], 1, kind="dynamic", query=BROKEN))
    for _ in range(2):
        crm.write(GONE, on_segment_delete="delete")
    assert crm.copies() == {}


def test_a_copy_that_has_expired_gets_a_successor(crm):
    ids, contacts = some(crm, 5)
    crm.write(*said(ids[:3], 1))
    crm.wait()
    target = crm.copies()["550"]
    with crm.run() as side:
        side.retire(target, spec())
    crm.wait()
    assert status(crm) == "stopped"
    if crm.generation is OUTBOUND:
        crm.organisation.update("msdyncrm_segment", target, {"statecode": 1, "statuscode": 192350004})
    else:
        definition = crm.row(target)["msdynmkt_sourcesegmentuid"]
        crm.organisation.update("msdynmkt_segmentdefinition", definition, {"statecode": 1, "statuscode": 723270003})
    crm.write(*said(ids, 2))
    crm.wait()
    live = [key for key in crm.copies_of("550") if crm.status(key) == "live"]
    assert len(live) == 1
    assert live != [target]
    assert crm.members(live[0]) == contacts


def test_a_segment_without_a_name_has_its_id_for_one(crm):
    crm.write(*said([], 1, name=None))
    crm.wait()
    row = crm.row(crm.copies()["550"])
    assert (row[crm.generation.columns["name"]], status(crm)) == ("550", "live")


# What is left of copies


@pytest.mark.parametrize("static_first", [True, False])
def test_a_definition_that_is_left_over_is_made_fit(crm, static_first):
    ids, contacts = some(crm, 3)
    static, dynamic = said(ids, 1), said([], 1, kind="dynamic", query=NOBODY if static_first else QUERY)
    first, second = (static, dynamic) if static_first else (dynamic, static)
    crm.write(*first)
    crm.wait()
    crm.organisation.delete(crm.generation.logical_name, crm.copies()["550"])
    crm.write(*second)
    crm.wait(7200)
    assert (status(crm), members(crm)) == ("live", set() if static_first else contacts)


def test_a_copy_that_somebody_deleted_is_made_anew_though_its_segment_is_unchanged(crm):
    ids, contacts = some(crm, 3)
    crm.write(*said(ids, 1))
    crm.wait()
    crm.organisation.delete(crm.generation.logical_name, crm.copies()["550"])
    crm.write(*said(ids, 2))
    crm.wait()
    assert (status(crm), members(crm)) == ("live", contacts)


def test_a_mark_that_somebody_emptied_is_restored(crm):
    crm.write(*said([], 1))
    target, before = crm.copies()["550"], crm.count()
    crm.organisation.update(crm.generation.logical_name, target, {crm.generation.origin: None})
    crm.write(*said([], 2))
    assert (crm.copies(), crm.count()) == ({"550": target}, before)


# Whose copy it is


def test_two_sites_have_their_own_copies_in_one_organisation(crm):
    ids, _ = some(crm, 6)
    crm.write(*said(ids[:3], 1, name="One"))
    crm.write(*said(ids[3:], 1, name="Other"), site_id="90366")
    crm.write(*said(ids[:2], 2, name="One"))
    crm.wait()
    rows = [crm.row(key) for key in crm.copies_of("550")]
    found = {row[crm.generation.columns["name"]]: len(crm.members(row[crm.generation.id])) for row in rows}
    assert found == {"One": 2, "Other": 3}


def test_copies_appear_in_another_generation(crm):
    ids, contacts = some(crm, 3)
    crm.write(*said(ids, 1))
    (other,) = (each for each in GENERATIONS.values() if each is not crm.generation)
    crm.write(*said(ids, 2), segments_api=other.name)
    crm.generation = other
    crm.wait()
    assert (status(crm), members(crm)) == ("live", contacts)


# Who is whose contact


def test_a_link_to_a_contact_that_is_gone_is_no_member(crm):
    ids, contacts = some(crm, 3)
    ledger = Ledger(f"sqlite:///{crm.directory}/ledger.db", site=crm.sandbox.info["url"], run="x")
    with closing(ledger):
        ledger.book("contact", "members").save([Entry(ids[0], str(uuid4()))])
    crm.write(*said(ids, 1))
    crm.wait()
    assert members(crm) == contacts


def test_a_member_who_gets_a_second_contact_stays(crm):
    ids, contacts = some(crm, 5)
    crm.write(*said(ids, 1))
    crm.wait()
    double = next(row["contactid"] for row in crm.organisation.rows("contact") if not row["cr0dd_loyaltyid"])
    crm.organisation.update("contact", double, {"cr0dd_loyaltyid": ids[0]})
    crm.write(*said(ids[:4], 2), **LOOSE)
    crm.wait()
    assert members(crm) == contacts - {crm.contacts[ids[4]]}
