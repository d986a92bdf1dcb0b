"""Segments of Annex Cloud into Dynamics 365: the adapter, and whole runs, against the sandbox, in both generations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marketing import ORIGIN, QUERY, Marketing, made, spec, streams

from annex_d365.dataverse.segments import writing, writing_groups
from annex_d365.dataverse.segments.generations import JOURNEYS, OUTBOUND
from annex_d365.errors import OutageError, PrivilegeError, RowError, SettingError
from annex_d365.ledger import Entry, Ledger
from target_annex.segments.dynamics import LoyaltyContacts
from target_annex.segments.side import CopyGoneError


def test_a_copy_is_made_with_its_members_and_found_again(crm):
    keys = [*crm.contacts.values()][:5]
    before = crm.count()
    target = made(crm, keys, description="Best ones")
    row = crm.row(target)
    columns = crm.generation.columns
    assert (row[columns["name"]], row[columns["description"]]) == ("Gold", "Best ones")
    assert row[crm.generation.origin] == ORIGIN
    assert crm.status(target) == "live"
    assert crm.members(target) == set(keys)
    assert crm.count() == before + 1
    with crm.run() as side:
        assert side.find(spec()) == target
        assert side.find(spec(origin=f"{ORIGIN}1")) is None
        assert not side.update(target, spec(description="Best ones"))
        assert set(side.members(target)) == set(keys)


def test_the_same_again_writes_nothing(crm):
    keys = [*crm.contacts.values()][:5]
    target = made(crm, keys)
    patches = len(crm.sent("PATCH"))
    with crm.run() as side:
        assert side.create(spec()) == target
        side.add(target, keys)
        side.finish(target)
    crm.wait(1)
    assert crm.members(target) == set(keys)
    with crm.run() as side:
        side.update(target, spec())
        side.finish(target)
    assert len(crm.sent("PATCH")) == patches


@pytest.mark.parametrize("path", ["segments$", "segmentdefinitions$", "Static|MembersUpdate", "Publish"])
def test_a_lost_reply_is_no_second_segment(crm, path):
    before = crm.count()
    crm.sandbox.control.faults.add(kind="lost_reply", method="POST", route=path, count=1)
    keys = [*crm.contacts.values()][:3]
    target = made(crm, keys)
    assert crm.count() == before + 1
    assert (crm.status(target), crm.members(target)) == ("live", set(keys))


def test_a_lost_stop_is_a_stop(crm):
    target = made(crm)
    path = "StopSegments" if crm.generation is JOURNEYS else target
    crm.sandbox.control.faults.add(kind="lost_reply", route=path, count=1, after=int(crm.generation is OUTBOUND) * 2)
    with crm.run() as side:
        side.retire(target, spec())
    crm.wait()
    assert crm.status(target) == "stopped"


def test_throttling_is_waited_for(crm):
    crm.sandbox.control.faults.add(kind="status", status=429, method="POST", route="Members", count=2)
    keys = [*crm.contacts.values()][:3]
    assert crm.members(made(crm, keys)) == set(keys)


def test_a_segment_is_changed(crm):
    target = made(crm)
    with crm.run() as side:
        assert side.update(target, spec(name="Platinum", description="x"))
        assert not side.update(target, spec(name="Platinum", description="x"))
    with crm.run() as side:
        assert side.update(target, spec(name="N" * 3000))
    name = crm.row(target)[crm.generation.columns["name"]]
    assert name == "N" * len(name)
    with crm.run() as side:
        assert not side.update(target, spec(name="N" * 3000))


def test_a_segment_that_is_stopped_goes_live_again(crm):
    keys = [*crm.contacts.values()][:3]
    target = made(crm, keys)
    with crm.run() as side:
        assert side.update(target, spec(status="inactive"))
    assert crm.status(target) == "stopping"
    with crm.run() as side:
        assert side.update(target, spec())
        side.finish(target)
    assert crm.status(target) == "going_live"
    crm.wait()
    assert crm.members(target) == set(keys)


def test_a_segment_that_is_stopped_on_its_way_is_waited_for(crm):
    with crm.run() as side:
        target = side.create(spec())
        side.finish(target)
        assert crm.status(target) == "going_live"
        side.retire(target, spec())
    crm.wait()
    assert crm.status(target) == "stopped"
    with crm.run() as side:
        side.retire(target, spec())
    assert crm.status(target) == "stopped"


def test_patience_ends(crm, monkeypatch):
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("annex_d365.gate.Gate.sleep", lambda *_: None)
    with crm.run() as side:
        target = side.create(spec())
        side.finish(target)
        with pytest.raises(RowError, match="has been going_live for more than"):
            side.retire(target, spec())


def test_a_segment_is_deleted_when_that_is_asked_for(crm):
    before = crm.count()
    target = made(crm)
    with crm.run(on_segment_delete="delete") as side:
        side.retire(target, spec())
        side.retire(target, spec())
        assert side.find(spec()) is None
    assert crm.count() == before
    keys = [*crm.contacts.values()][:2]
    assert made(crm, keys) == target
    assert crm.members(target) == set(keys)


def test_what_cannot_come_back_gets_a_successor(crm):
    target = made(crm)
    if crm.generation is OUTBOUND:
        with crm.run() as side:
            side.retire(target, spec())
        crm.wait()
        assert crm.status(target) == "stopped"
        crm.organisation.update("msdyncrm_segment", target, {"statecode": 1, "statuscode": 192350004})
    else:
        definition = crm.row(target)["msdynmkt_sourcesegmentuid"]
        crm.organisation.update("msdynmkt_segmentdefinition", definition, {"statecode": 1, "statuscode": 723270003})
    with crm.run() as side:
        assert side.find(spec()) is None
    successor = made(crm)
    assert successor != target
    assert crm.status(successor) == "live"
    with crm.run() as side:
        assert side.find(spec()) == successor


def test_a_dynamic_segment_has_its_members_by_its_query(crm):
    target = made(crm, query=QUERY, kind="dynamic")
    everybody = set(crm.contacts.values())
    assert crm.members(target) == everybody
    with crm.run() as side:
        side.add(target, ["00000000-0000-4000-8000-000000000000"])
        side.remove(target, [*everybody])
        assert list(side.members(target)) == []
        assert not side.update(target, spec(query=QUERY))
        other = f"{QUERY[:-1]} && lastname == 'Nobody')"
        assert side.update(target, spec(query=other))
    crm.wait(7200)
    assert crm.members(target) == set()


def test_what_an_earlier_try_left_is_taken_over(crm):
    route = f"{crm.generation.entity_set}$"
    crm.sandbox.control.faults.add(kind="status", status=403, code="0x80040220", method="POST", route=route, count=1)
    with crm.run() as side, pytest.raises(PrivilegeError):
        side.create(spec(query=f"{QUERY[:-1]} && lastname == 'Nobody')"))
    assert crm.members(made(crm, query=QUERY)) == set(crm.contacts.values())


def test_rules_of_annex_cloud_are_no_query(crm):
    target = made(crm, [*crm.contacts.values()][:2], query='{"pointsDetails": {"lifetimePointRangeFrom": 2000}}')
    assert len(crm.members(target)) == 2


def test_a_segment_does_not_change_its_kind(crm):
    target = made(crm)
    with crm.run() as side, pytest.raises(RowError, match="its copy is static"):
        side.update(target, spec(query=QUERY))


def test_a_query_that_is_refused_concerns_its_segment_alone(crm):
    with crm.run() as side:
        target = side.create(spec(query="PROFILE(contact).FILTER(nosuch == 1)"))
        with pytest.raises(RowError, match="refused"):
            side.finish(target)
        assert crm.status(target) == "draft"


def test_a_copy_that_somebody_deleted_is_gone(crm):
    target = made(crm)
    with crm.run(on_segment_delete="delete") as other, crm.run() as side:
        side.find(spec())
        other.retire(target, spec())
        for work in (
            lambda: side.update(target, spec(name="New")),
            lambda: side.add(target, [*crm.contacts.values()][:1]),
            lambda: side.finish(target),
            lambda: list(side.members(target)),
        ):
            with pytest.raises(CopyGoneError):
                work()
        side.retire(target, spec())


def test_a_segment_of_the_organisation_is_reached_by_its_guid(crm):
    own = next(
        row
        for row in crm.organisation.rows(crm.generation.logical_name)
        if crm.generation.statuses[row["statuscode"]] == "draft"
    )
    target = own[crm.generation.id]
    described = own[crm.generation.columns["description"]]
    with crm.run() as side:
        assert side.find(spec(key=target, origin=f"annexcloud:90365/{target}")) == target
        assert side.update(target, spec(key=target, origin="annexcloud:90365/x", name="New"))
        side.finish(target)
    row = crm.row(target)
    assert row[crm.generation.columns["name"]] == "New"
    assert row[crm.generation.columns["description"]] == described
    assert row["statuscode"] == own["statuscode"]


def test_another_column_for_the_origin(crm):
    outbound = crm.generation is OUTBOUND
    column = "msdyncrm_segmentevaluationtype" if outbound else "msdynmkt_cdmmanifestrelativepath"
    with crm.run(segment_origin_column=column) as side:
        target = side.create(spec())
        assert (crm.row(target)[column], crm.row(target)[crm.generation.origin]) == (ORIGIN, None)
    with crm.run(segment_origin_column=column) as side:
        assert side.find(spec()) == target


@pytest.mark.parametrize(("column", "problem"), [("nosuch", "no column `nosuch`"), (None, "holds something else")])
def test_a_column_that_cannot_hold_the_origin(crm, column, problem):
    column = column or crm.generation.columns["description"]
    with pytest.raises(SettingError, match=rf"segment_origin_column.*{problem}"), crm.run(segment_origin_column=column):
        pass


def test_an_origin_that_somebody_emptied_is_written_again(crm):
    target = made(crm)
    crm.organisation.update(crm.generation.logical_name, target, {crm.generation.origin: None})
    with crm.run() as side:
        assert side.find(spec()) is None
        assert side.create(spec()) == target
    assert crm.row(target)[crm.generation.origin] == ORIGIN


def test_members_are_known_by_ledger_and_by_loyalty_id(crm):
    members = crm.contacts
    some = [*members][:4]
    with crm.run() as side:
        assert side.known([*members, "nobody's", some[0].lower(), ""]) == members
    linked, inactive = [row["contactid"] for row in crm.organisation.rows("contact") if not row["cr0dd_loyaltyid"]][:2]
    crm.organisation.update("contact", inactive, {"statecode": 1, "statuscode": 2})
    links = {some[0]: linked, some[1]: str(uuid4()), some[3]: inactive}
    ledger = Ledger(f"sqlite:///{crm.directory}/ledger.db", site="test", run="x")
    ledger.book("contact", "members").save([Entry(*each) for each in links.items()])
    ledger.close()
    with crm.run() as side:
        # What the ledger links to nobody is found by its id.
        assert side.known(some) == {each: members[each] for each in some} | {some[0]: linked}
        crm.sandbox.control.log.clear()
        assert side.known([some[0]]) == {some[0]: linked}
        assert not crm.sent("GET", "contacts"), "each contact is read once"
    crm.organisation.update("contact", members[some[1]], {"cr0dd_loyaltyid": some[2]})
    with crm.run() as side:
        # Two contacts have the third one's id, none the second one's.
        assert side.known(some) == {some[0]: linked, some[3]: members[some[3]]}
    with pytest.raises(SettingError, match=r"member_id_column.*no column `nosuch`"), crm.run(member_id_column="nosuch"):
        pass


def test_what_is_left_of_a_merged_contact_is_nobody():
    found = [{"contactid": str(n), "id": "M1", "merged": n != 1} for n in range(3)]
    page = SimpleNamespace(value=found, next_link=None)
    dataverse = SimpleNamespace(page=lambda *_: page, row=lambda row: row)
    contacts = SimpleNamespace(columns={"id", "merged"})
    book = SimpleNamespace(entries=lambda _: {})
    with ThreadPoolExecutor(1) as executor:
        members = LoyaltyContacts(dataverse, contacts, id_column="id", book=book, executor=executor)
        assert members.of(["M1", "m1"]) == {"M1": "1"}


changes = st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 39), max_size=15)), max_size=5)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(changes, min_size=1, max_size=3))
def test_members_are_what_was_said_last(crm, monkeypatch, rounds):
    monkeypatch.setattr(writing_groups, "GROUP_MEMBERS", 16)
    crm.sandbox.control.reset()
    everybody = [*crm.contacts.values()]
    expected, before, target = set(), crm.count(), None
    for steps in rounds:
        with crm.run() as side:
            assert side.find(spec()) == target
            target = side.create(spec())
            for joined, numbers in steps:
                keys = {everybody[number] for number in numbers}
                (side.add if joined else side.remove)(target, sorted(keys))
                expected = expected | keys if joined else expected - keys
            side.finish(target)
        crm.wait()
        assert crm.members(target) == expected
        assert crm.count() == before + 1
        with crm.run() as side:
            assert set(side.members(target)) == expected


def test_an_organisation_without_segments(both, tmp_path):
    both.control.reset()
    both.organisation.have_segments("journeys")
    outbound = Marketing(both, OUTBOUND, tmp_path)
    with pytest.raises(SettingError, match=r"segments_api.*no table `msdyncrm_segment`"), outbound.run():
        pass
    both.organisation.have_segments("both")


def test_outbound_marketing_that_was_withdrawn(both, tmp_path):
    both.control.reset()
    both.organisation.marketing.switches.outbound_withdrawn = True
    crm = Marketing(both, OUTBOUND, tmp_path)
    before = crm.count()
    with crm.run() as side, pytest.raises(SettingError, match="outbound marketing was withdrawn"):
        side.find(spec())
    assert crm.count() == before
    static = (row for row in crm.organisation.rows("msdyncrm_segment") if row["msdyncrm_segmenttype"] == 192350001)
    target = next(static)["msdyncrm_segmentid"]
    with crm.run() as side, pytest.raises(SettingError, match="outbound marketing was withdrawn"):
        side.add(target, [str(uuid4())])


def test_groups_are_opened_as_they_are_needed(both, tmp_path, monkeypatch):
    both.control.reset()
    monkeypatch.setattr(writing_groups, "GROUP_MEMBERS", 20)
    crm = Marketing(both, JOURNEYS, tmp_path)
    everybody = [*crm.contacts.values()]
    with crm.run() as side:
        target = side.create(spec())
        side.add(target, everybody[:20])
        assert not crm.sent(path="ListGroupMembers")
    with crm.run() as side:
        for start in range(20, 100, 10):
            side.add(target, everybody[start : start + 10])
        side.remove(target, everybody[:50])
        side.finish(target)
    crm.wait()
    assert crm.members(target) == set(everybody[50:100])
    with crm.run() as side:
        side.add(target, everybody[:20])  # where there is room again
        side.add(target, everybody[20:40])
        assert set(side.members(target)) == {*everybody[:40], *everybody[50:100]}
        row = crm.organisation.get("msdynmkt_segmentdefinition", crm.row(target)["msdynmkt_sourcesegmentuid"])
        groups = writing_groups.decode(row["msdynmkt_staticlistmembers"])
        assert len(groups) == 5
        for _ in range(9):
            side.add(target, [str(uuid4()) for _ in range(10)])  # nobody's: they take no place
        side.add(target, everybody[100:110])


# Whole runs


memberships = st.dictionaries(st.sampled_from(["550", "551", "552"]), st.sets(st.integers(0, 29)), min_size=1)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(memberships, min_size=2, max_size=3))
def test_joins_and_leaves_arrive(crm, rounds):
    crm.sandbox.control.reset()
    crm.directory = crm.directory / uuid4().hex
    crm.directory.mkdir()
    before, contacts = crm.count(), crm.contacts
    members, said = [*contacts], {}
    for number, drawn in enumerate(rounds):
        said |= {key: {members[each] for each in numbers} for key, numbers in drawn.items()}
        crm.write(*streams(said, f"2026-01-0{number + 1}T00:00:00Z"))
        crm.wait()
        copies = crm.copies()
        assert {key: crm.members(target) for key, target in copies.items()} == {
            key: {contacts[each] for each in ids} for key, ids in said.items()
        }
        assert crm.count() == before + len(said)


def test_rounds_that_say_the_same_write_nothing(crm):
    said = {"550": {*[*crm.contacts][:5]}, "551": set()}
    crm.write(*streams(said, "1"))
    crm.wait()
    for number in range(2, 5):
        crm.sandbox.control.log.clear()
        crm.write(*streams(said, str(number)))
        assert not crm.sent("PATCH")
        assert {each["path"].rpartition("/")[2] for each in crm.sent("POST")} <= {"token"}


def test_an_outage_in_the_middle_removes_nobody(crm, monkeypatch):
    everybody = [*crm.contacts]
    said = {"550": {*everybody[:20]}}
    crm.write(*streams(said, "1"))
    crm.wait()
    route = "MembersUpdate" if crm.generation is OUTBOUND else "StaticMembers"
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 2)
    crm.sandbox.control.faults.add(kind="status", status=503, method="POST", route=route)
    later = {"550": {*everybody[10:40]}}
    with pytest.raises(OutageError):
        crm.write(*streams(later, "2"))
    crm.sandbox.control.faults.clear()
    (target,) = crm.copies().values()
    crm.wait()
    assert crm.members(target) == {crm.contacts[each] for each in said["550"]}
    crm.write(*streams(later, "3"))
    crm.wait()
    assert crm.members(target) == {crm.contacts[each] for each in later["550"]}


def test_a_lost_ledger_costs_reads_only(crm):
    said = {"550": {*[*crm.contacts][:5]}}
    crm.write(*streams(said, "1"))
    crm.wait()
    (crm.directory / "ledger.db").unlink()
    later = {"550": {*[*crm.contacts][3:8]}}
    before = crm.count()
    crm.write(*streams(later, "2"))
    crm.wait()
    (target,) = crm.copies().values()
    assert crm.members(target) == {crm.contacts[each] for each in later["550"]}
    assert crm.count() == before


def test_members_without_a_contact_are_rejects(crm):
    member = next(iter(crm.contacts))
    crm.write(*streams({"550": {member, "nobody's"}}, "1"), max_reject_percent=100)
    crm.wait()
    (target,) = crm.copies().values()
    assert crm.members(target) == {crm.contacts[member]}
    assert "nobody's" in (crm.directory / "rejects.singer").read_text()


def test_a_segment_that_is_gone_is_stopped(crm):
    crm.write(*streams({"550": {*[*crm.contacts][:5]}}, "1"))
    crm.wait()
    (target,) = crm.copies().values()
    crm.write(("segments", [{"segment_id": "550", "_sdc_deleted_at": "2026-01-02T00:00:00Z"}]))
    crm.wait()
    assert crm.status(target) == "stopped"


def test_segments_of_dynamics_are_not_sent_back(crm):
    before = crm.count()
    own = {"segment_id": "553", "name": "Copy", "origin": f"dynamics:{uuid4()}"}
    crm.write(("segments", [own]))
    assert crm.count() == before


def test_a_dry_run_makes_nothing(crm):
    before = crm.count()
    crm.write(*streams({"550": {*[*crm.contacts][:5]}}, "1"), dry_run=True)
    assert crm.count() == before
