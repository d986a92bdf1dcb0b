"""The streams of segments, their members and their snapshots."""

from __future__ import annotations

from annex_d365.annexcloud.segments import Segments

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


def only(*kept):
    """The list, without the others: as if they had been deleted."""
    listed = Segments.all
    return lambda self, *status: [each for each in listed(self, *status) if each.segment_id in kept]


def test_a_segment_that_is_listed_no_more_is_deleted(programme, monkeypatch):
    catalog = programme.catalog(segments="all")
    first = programme.run(catalog)
    assert {each["_sdc_deleted_at"] for each in first.records("segments")} == {None}
    monkeypatch.setattr(Segments, "all", only("550", "552"))
    second = programme.run(catalog, state=first.states[-1])
    gone = [each for each in second.records("segments") if each.get("_sdc_deleted_at")]
    assert [each["segment_id"] for each in gone] == ["551"]
    third = programme.run(catalog, state=second.states[-1])
    assert len(third.records("segments")) == 2


def test_an_empty_list_deletes_nothing(programme, monkeypatch, caplog):
    catalog = programme.catalog(segments="all")
    first = programme.run(catalog)
    with monkeypatch.context() as patch:
        patch.setattr(Segments, "all", only())
        second = programme.run(catalog, state=first.states[-1])
    assert second.records("segments") == []
    assert "none is taken for deleted" in caplog.text
    monkeypatch.setattr(Segments, "all", only("550"))
    assert len(programme.run(catalog, state=second.states[-1]).records("segments")) == 3


def test_too_many_segments_to_keep(programme, monkeypatch):
    monkeypatch.setattr("tap_annex.segments.MAX_KNOWN", 2)
    catalog = programme.catalog(segments="all")
    state = programme.run(catalog).states[-1]
    monkeypatch.setattr(Segments, "all", only("550"))
    messages = programme.run(catalog, state=state)
    assert len(messages.records("segments")) == 1
    assert messages.states[-1]["bookmarks"]["segments"] == {"overfull": True}


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
