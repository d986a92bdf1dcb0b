from __future__ import annotations

import pytest

from annex_d365_sandbox.dataverse.marketing import volume
from annex_d365_sandbox.dataverse.marketing.seed import PLANNED
from annex_d365_sandbox.sandbox import Sandbox


@pytest.fixture(scope="module")
def both():
    with Sandbox(contacts=200, segments_api="both", http_port=0) as sandbox:
        yield sandbox


@pytest.fixture
def organisation(both):
    both.control.reset()
    return both.organisation


def test_both_generations_have_the_same_members(organisation):
    marketing = organisation.marketing
    sizes = {}
    for planned in PLANNED:
        old, new = (marketing.segment(planned.name, generation) for generation in ("outbound", "journeys"))
        members = marketing.members(new["msdynmkt_segmentid"])
        sizes[planned.name] = len(members)
        if planned.base == "contact":
            assert marketing.members(old["msdyncrm_segmentid"]) == members
            assert old["msdyncrm_segmentsize"] == new["msdynmkt_membercount"]
        if planned.state == "live":
            assert new["msdynmkt_membercount"] == len(members)
    assert sizes["Loyalty members"] == 100
    assert sizes["Nobody"] == sizes["Spring campaign"] == sizes["Autumn campaign"] == sizes["Broken"] == 0
    assert 0 < sizes["Members who take e-mail"] < 100
    assert sizes["Guests of honour"] == 5
    assert 0 < sizes["New leads"] < 10


def test_the_same_seed_gives_the_same_rows(both, organisation):
    before = [list(organisation.rows(table)) for table in ("msdyncrm_segment", "msdynmkt_segment", "lead")]
    organisation.marketing.switches.refresh_minutes = 5
    both.clock.advance(3600 * 24)
    organisation.marketing.tick()
    assert organisation.marketing.segment("Families")["modifiedon"] > "2026-01-02"
    both.control.reset()
    assert before == [list(organisation.rows(table)) for table in ("msdyncrm_segment", "msdynmkt_segment", "lead")]
    assert organisation.marketing.switches.refresh_minutes == 60


@pytest.fixture
def call(both, session):
    session.verify = both.info["ca_bundle"]

    def send(name, body):
        reply = session.post(f"{both.url}/_sandbox/{name}", json=body)
        return reply.status_code, reply.json()

    return send


def test_volume(both, organisation, call):
    status, stats = call("seed", {"volume": {"segments": 3, "members": 250}})
    assert (status, stats["rows"]["contact"]) == (200, 250)
    first, last = (organisation.marketing.segment(f"Volume 0000{n}", "journeys") for n in (1, 3))
    members = [organisation.marketing.members(row["msdynmkt_segmentid"]) for row in (first, last)]
    assert [len(each) for each in members] == [250, 250]
    volume.plant(organisation, 2, 100)
    first, last = (organisation.marketing.segment(f"Volume 0000{n}") for n in (1, 2))
    members = [organisation.marketing.members(row["msdyncrm_segmentid"]) for row in (first, last)]
    assert [len(set(each)) for each in members] == [100, 100]
    assert members[0] != members[1]
    assert first["msdyncrm_segmentsize"] == 100
    assert organisation.count("contact") == 250


def test_switches_by_the_control_plane(organisation, call):
    assert call("switches", {"marketing": {"fetch_reply": "text"}})[1]["marketing"]["fetch_reply"] == "text"
    assert organisation.marketing.switches.fetch_reply == "text"
    for wrong in ({"fetch_reply": "xml"}, {"refresh_minutes": -1}, {"refresh_minutes": True}, {"nosuch": 1}):
        assert call("switches", {"marketing": wrong})[0] == 400


def test_a_generation_by_the_control_plane(organisation, call):
    assert call("seed", {"segments_api": "new"})[0] == 400
    assert "msdynmkt_segment" not in call("seed", {"segments_api": "outbound"})[1]["rows"]
    rows = call("seed", {"segments_api": "both"})[1]["rows"]
    assert rows["msdynmkt_segment"] == rows["msdyncrm_segment"] == len(PLANNED)


def test_a_restart_keeps_members_and_what_is_due(tmp_path):
    with Sandbox(tmp_path, contacts=100, segments_api="journeys") as sandbox:
        first = sandbox.organisation.marketing.segment("Families", "journeys")
        members = sandbox.organisation.marketing.members(first["msdynmkt_segmentid"])
        sandbox.organisation.create("contact", {"lastname": "New", "numberofchildren": 5})
    with Sandbox(tmp_path, contacts=5, segments_api="outbound") as sandbox:
        marketing = sandbox.organisation.marketing
        assert marketing.members(first["msdynmkt_segmentid"]) == members
        sandbox.clock.advance(3600)
        assert len(marketing.members(first["msdynmkt_segmentid"])) == len(members) + 1
        assert "msdyncrm_segment" not in sandbox.organisation.tables
