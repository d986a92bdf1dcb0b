"""The streams of segments, their members and their snapshots."""

from __future__ import annotations

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
STREAMS = {"segments": "all", "segment_members": "all", "segment_snapshots": "all"}


def put(programme, **segment):
    programme.sandbox.site.segments.put([segment])


def test_segments_say_where_they_come_from(programme):
    put(programme, name="Copy", externalId=GUID, externalName="Families")
    rows = {each["name"]: each for each in programme.run(programme.catalog(segments="all")).records("segments")}
    assert rows["Copy"]["origin"] == f"dynamics:{GUID}"
    assert rows["Big spenders"]["origin"] == "annexcloud"
    assert (rows["Big spenders"]["kind"], rows["Big spenders"]["status"]) == ("dynamic", "active")
    assert rows["Spring 2024"]["status"] == "inactive"


def test_each_segment_is_followed_by_its_snapshot(programme):
    programme.switch(page_size=4)
    messages = programme.run(programme.catalog(**STREAMS))
    counts: dict[str, int] = {}
    for message in messages.of("RECORD"):
        record = message["record"]
        if message["stream"] == "segment_members":
            assert counts.setdefault(record["segment_id"], 0) >= 0
            counts[record["segment_id"]] += 1
        elif message["stream"] == "segment_snapshots":
            assert record["complete"]
            assert record["member_count"] == counts.get(record["segment_id"], 0)
            counts[record["segment_id"]] = -1
    assert len(counts) == len(messages.records("segments")) == 3
    assert len([each for each in messages.of("SCHEMA") if each["stream"] == "segment_snapshots"]) == 1


def test_members_of_a_segment_are_those_that_the_site_has(programme):
    rows = programme.run(programme.catalog(segment_members="all")).records("segment_members")
    for segment_id in {each["segment_id"] for each in rows}:
        segment = programme.sandbox.site.segments.get(segment_id)
        expected = set(programme.sandbox.site.segments.members(segment))
        assert {each["member_id"] for each in rows if each["segment_id"] == segment_id} == expected
    assert all("@" in each["email"] for each in rows if each["email"])


def test_a_segment_that_cannot_be_read_is_not_complete(programme, caplog):
    programme.control("faults", kind="status", route="eligiblesegment/551", status=400, code="AC1007")
    rows = programme.run(programme.catalog(**STREAMS)).records("segment_snapshots")
    assert {each["segment_id"]: (each["complete"], each["reason"]) for each in rows} == {
        "550": (True, None),
        "551": (False, "failed"),
        "552": (True, None),
    }
    assert "Segment 551 is not complete" in caplog.text


def test_snapshots_alone(programme):
    messages = programme.run(programme.catalog(segment_snapshots="all"))
    assert len(messages.records("segment_snapshots")) == 3
    assert not messages.records("segment_members")
