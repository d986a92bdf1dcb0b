"""Records that are sent as they are, and as the SDK sends them: the same messages."""

from __future__ import annotations

import pytest
from singer_sdk.contrib.msgspec import MsgSpecWriter
from support import discover, run_tap, select, tap_config

from annex_d365.singer.plain import PlainStream
from tap_d365.streams import TableStream


def both_ways(monkeypatch, config, **given):
    """The messages of two runs; the second one as the SDK does it."""
    plain = []
    known = TableStream._write_plain
    with monkeypatch.context() as patch:
        patch.setattr(TableStream, "_write_plain", lambda *arguments: (plain.append(1), known(*arguments)))
        ours = run_tap(config, **given)
        patch.setattr(PlainStream, "is_plain", False)
        theirs = run_tap(config, **given)
    return ours, theirs, bool(plain)


def comparable(messages):
    """Without what is another one in each run: of the STATEs there is the last one, as ours come after some records."""
    found = [each for each in messages if each["type"] != "STATE"]
    for bookmark in messages.states[-1]["bookmarks"].values():
        for name in ("replication_key_signpost", "delta"):
            bookmark.pop(name, None)
    found += messages.of("STATE")[-1:]
    return [
        {name: value for name, value in each.items() if name not in {"time_extracted", "version"}} for each in found
    ]


@pytest.mark.parametrize("replication", ["INCREMENTAL", "FULL_TABLE", "LOG_BASED"])
@pytest.mark.parametrize("labels", [True, False])
def test_the_same_messages(sandbox, monkeypatch, replication, labels):
    monkeypatch.setattr(TableStream, "STATE_MSG_FREQUENCY", 70)
    table = {"name": "contacts", "replication": replication}
    config = tap_config(
        sandbox, tables=[table], include_labels=labels, page_size=40, max_parallel_requests=1,
        emit_activate_version_messages=True,
    )  # fmt: skip
    ours, theirs, plain = both_ways(monkeypatch, config)
    assert plain
    assert comparable(ours) == comparable(theirs)
    assert replication == "FULL_TABLE" or len(ours.states) > 3
    assert [list(each["record"]) for each in ours.of("RECORD")] == [
        list(each["record"]) for each in theirs.of("RECORD")
    ]
    assert all("time_extracted" in each for each in ours.of("RECORD"))


def test_the_same_messages_with_some_columns_and_expanded_ones(sandbox, monkeypatch):
    table = {"name": "contacts", "expand": "ownerid($select=fullname)"}
    config = tap_config(sandbox, tables=[table], max_parallel_requests=1)
    catalog = select(discover(config), "firstname", "emailaddress1", "ownerid", "_ownerid_value_table")
    ours, theirs, plain = both_ways(monkeypatch, config, catalog=catalog)
    assert plain
    assert comparable(ours) == comparable(theirs)


@pytest.mark.parametrize(
    "more",
    [
        {"stream_maps": {"contacts": {"contactid": "contactid", "name": "firstname", "__else__": None}}},
        {"flattening_enabled": True, "flattening_max_depth": 1},
        {"stream_maps": {"contacts": None}},
    ],
)
def test_who_wants_more_of_the_sdk_gets_it(sandbox, monkeypatch, more):
    config = tap_config(sandbox, max_parallel_requests=1, **more)
    ours, theirs, plain = both_ways(monkeypatch, config)
    assert not plain
    assert comparable(ours) == comparable(theirs)


def test_another_writer_gets_what_it_knows(sandbox, monkeypatch):
    monkeypatch.setattr("tap_d365.tap.TapD365.message_writer_class", MsgSpecWriter)
    ours, theirs, plain = both_ways(monkeypatch, tap_config(sandbox, max_parallel_requests=1))
    assert not plain
    assert comparable(ours) == comparable(theirs)


def test_an_sdk_that_is_not_known_goes_its_own_way(sandbox, monkeypatch):
    monkeypatch.setattr("annex_d365.singer.plain._KNOWN_SDK", "0.1.")
    *_, plain = both_ways(monkeypatch, tap_config(sandbox))
    assert not plain
