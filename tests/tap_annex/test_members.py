"""The stream of members: how they are found, which calls are made, and what a killed run leaves."""

from __future__ import annotations

import csv
import json

import jsonschema_rs
import pytest
from singer_sdk.exceptions import ConfigValidationError
from support import Messages, run_cli

from annex_d365.annexcloud import name_split
from annex_d365.annexcloud.enumeration import Candidate, EnumerationIncompleteError
from annex_d365.annexcloud.name_split import Answer
from annex_d365.annexcloud.search import Search
from annex_d365.errors import OutageError, SettingError
from tap_annex import tap
from tap_annex.tap import TapAnnex

SEARCH = {"by": "search", "from": "2023-01-01T00:00:00Z"}
#: The days with the crowded second of some tests.
LATE = {"by": "search", "from": "2025-05-05T00:00:00Z", "opted_out": False}
PROFILE = ("email", "firstName", "optInStatus", "updateDate")


def members(messages):
    return {each["id"]: each for each in messages.records("members")}


def test_search_finds_everybody_once(programme):
    messages = programme.run(programme.catalog(members=PROFILE), members=SEARCH)
    assert set(members(messages)) == programme.ids()
    assert len(messages.records("members")) == len(programme.ids())


def test_segments_find_those_who_are_in_one(programme):
    messages = programme.run(programme.catalog(members=PROFILE, segment_members="all"))
    in_one = {each["member_id"] for each in messages.records("segment_members")}
    assert set(members(messages)) == in_one
    assert 0 < len(in_one) < len(programme.ids())


def test_some_segments_only(programme):
    settings = {"by": "segments", "segments": ["550"]}
    messages = programme.run(programme.catalog(members=PROFILE, segment_members="all"), members=settings)
    in_it = {each["member_id"] for each in messages.records("segment_members") if each["segment_id"] == "550"}
    assert set(members(messages)) == in_it


def test_ids_from_the_output_of_another_tap(programme, tmp_path):
    path = tmp_path / "contacts.singer"
    known, other = sorted(programme.ids())[:2]
    rows = [{"type": "RECORD", "stream": "contacts", "record": {"cr0dd_loyaltyid": each}} for each in (known, "gone")]
    rows.append({"type": "RECORD", "stream": "accounts", "record": {"cr0dd_loyaltyid": other}})
    path.write_text("\n".join(map(json.dumps, [*rows, rows[0]])))
    settings = {"by": "ids", "path": str(path), "stream": "contacts", "columns": {"id": "cr0dd_loyaltyid"}}
    assert set(members(programme.run(programme.catalog(members="all"), members=settings))) == {known}


def test_changed_ids_from_webhooks(programme, tmp_path):
    path = tmp_path / "events.jsonl"
    known = min(programme.ids())
    events = [{"eventId": str(n), "siteId": "90365", "data": {"id": known}} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, events)))
    messages = programme.run(programme.catalog(members=PROFILE), members={"by": "webhooks", "path": str(path)})
    assert [each["id"] for each in messages.records("members")] == [known]


def test_a_feed_is_read_without_a_call(programme, tmp_path):
    path = tmp_path / "feed.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("No", "email", "Balance"), ("M1", "ana@example.org", "12"), ("M1", "", "12")])
    programme.forget_log()
    settings = {"by": "feed", "path": str(path), "columns": {"id": "No", "availablePoints": "Balance"}}
    messages = programme.run(programme.catalog(members="all"), members=settings)
    assert messages.records("members") == [{"id": "M1", "email": "ana@example.org", "availablePoints": 12}]
    assert not programme.calls()


@pytest.mark.parametrize("by", ["ids", "feed", "webhooks"])
def test_a_file_has_to_be_named_and_there(programme, by, tmp_path):
    with pytest.raises(SettingError, match=r"members\.path"):
        programme.run(programme.catalog(members="all"), members={"by": by})
    with pytest.raises(SettingError, match=r"members\.path"):
        programme.run(programme.catalog(members="all"), members={"by": by, "path": str(tmp_path / "none")})


# Which calls are made


@pytest.mark.parametrize(
    ("columns", "kinds"),
    [
        ((), {"search"}),
        (("email", "firstName"), {"search"}),
        (("optOutDate",), {"search", "GET users"}),
        (("availablePoints",), {"search", "POST getbulkpoints"}),
        (("currentTier",), {"search", "POST bulktiers"}),
        (("availableRewards",), {"search", "GET users/reward"}),
        (("email", "availablePoints", "nextTier"), {"search", "POST getbulkpoints", "POST bulktiers"}),
    ],
)
def test_the_selected_columns_decide_which_calls_are_made(programme, columns, kinds):
    catalog = programme.catalog(members=columns)
    programme.forget_log()
    messages = programme.run(catalog, members=SEARCH)
    assert set(programme.calls()) == kinds
    assert set(messages.records("members")[0]) == {"id", *columns}
    if "POST getbulkpoints" in kinds:
        assert programme.calls()["POST getbulkpoints"] == 2  # 150 members


def test_single_calls_where_bulk_calls_are_refused(programme):
    catalog = programme.catalog(members=("availablePoints", "currentTier"))
    expected = members(programme.run(catalog, members=SEARCH))
    programme.switch(refused_endpoints=["POST /getbulkpoints", "POST /bulktiers"])
    programme.forget_log()
    assert members(programme.run(catalog, members=SEARCH)) == expected
    assert programme.calls()["GET points"] == len(expected)
    assert programme.calls()["GET users/tiers"] == len(expected)


VARIANTS = [
    {"envelope": "Data", "numbers": "string"},
    {"missing_values": "absent", "total_spent_key": "totalSpend"},
    {"bulk_form": "array", "paging_key": "current_page"},
    {"page_size": 4, "page_count": False, "page_beyond": "empty"},
    {"page_size": 4, "bulk_reads_limit": 20},
    {"eligible_members": "ids", "bulk_form": "map"},
]


def check_variant(programme, variant, catalog, **settings):
    before = programme.run(catalog, members=settings)
    programme.switch(**variant)
    after = programme.run(catalog, members=settings)
    assert members(after) == members(before)
    return before, after


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_variants_of_the_service_make_no_difference(programme, variant):
    catalog = programme.catalog(members="all", segment_members="all", segment_snapshots="all")
    messages = check_variant(programme, variant, catalog, by="segments", segments=["550"])
    keys = [{(each["segment_id"], each["member_id"]) for each in m.records("segment_members")} for m in messages]
    assert keys[0] == keys[1]
    assert all(each["complete"] for each in messages[1].records("segment_snapshots"))


@pytest.mark.parametrize("variant", VARIANTS[:3], ids=str)
def test_variants_of_the_service_make_no_difference_to_a_search(programme, variant):
    check_variant(programme, variant, programme.catalog(members=("email", "totalSpent", "pointsToNextTier")), **SEARCH)


def test_records_fit_their_schema(programme):
    programme.switch(numbers="string")
    settings = {"by": "segments", "segments": ["550"]}
    messages = programme.run(programme.catalog(**dict.fromkeys(tap._STREAMS, "all")), members=settings)
    schemas = {each["stream"]: each["schema"] for each in messages.of("SCHEMA")}
    assert set(schemas) == set(tap._STREAMS)
    for stream, schema in schemas.items():
        validator = jsonschema_rs.validator_for(schema, validate_formats=True)
        assert messages.records(stream)
        assert all(validator.is_valid(each) for each in messages.records(stream)), stream


# What cannot be found, or read


@pytest.fixture
def few_letters(monkeypatch):
    """Only letters that were seen are tried, for quick tests."""
    monkeypatch.setattr(name_split, "_BASE_FIRST", "A")
    monkeypatch.setattr(name_split, "_BASE_NEXT", "a")


def crowd(count, **fields):
    stamp = "2025-05-05T05:05:05+0000"
    return [
        {"id": f"C{n}", "email": f"c{n}@example.org", "optInDate": stamp, "createDate": stamp}
        | {name: value(n) if callable(value) else value for name, value in fields.items()}
        for n in range(count)
    ]


def letters(number):
    return chr(65 + number % 26) + chr(97 + number // 26)


def late_ids(programme):
    return {each["id"] for each in programme.sandbox.site.members() if each["optInDate"] >= "2025-05-05"}


@pytest.mark.usefixtures("few_letters")
def test_a_crowded_second_is_divided_by_names(programme, caplog):
    programme.put(*crowd(70, firstName=letters, lastName=lambda n: letters(69 - n)))
    messages = programme.run(programme.catalog(members=PROFILE), members=LATE)
    assert set(members(messages)) == late_ids(programme)
    assert "divided by names" in caplog.text


@pytest.mark.usefixtures("few_letters")
def test_who_has_no_first_name_is_found_by_the_last_one(programme):
    programme.put(*crowd(70, firstName=lambda n: letters(n) if n < 60 else None, lastName=lambda n: letters(69 - n)))
    messages = programme.run(programme.catalog(members=PROFILE), members=LATE)
    assert set(members(messages)) == late_ids(programme)


@pytest.mark.usefixtures("few_letters")
@pytest.mark.parametrize("shown", [True, False])
def test_who_is_found_by_one_name_only_may_not_be_the_only_one(programme, monkeypatch, shown):
    """A last name that no search can begin with; and answers that do not tell names excuse nobody."""
    if not shown:
        asked = Search.__call__

        def nameless(self, criteria):
            answer = asked(self, criteria)
            fields = [{"id": each.id, "email": each.fields["email"]} for each in answer.candidates]
            found = [Candidate(each["id"], each, proven=True) for each in fields]
            return Answer(found, full=answer.full)

        monkeypatch.setattr(Search, "__call__", nameless)
    programme.put(*crowd(70, firstName=letters, lastName=lambda n: letters(69 - n) if n else "_"))
    programme.run(programme.catalog(members=PROFILE), error=EnumerationIncompleteError, members=LATE)


@pytest.mark.usefixtures("few_letters")
def test_namesakes_of_one_second_end_the_run_as_incomplete(programme):
    programme.put(*crowd(52, firstName="A", lastName="B"))
    catalog = programme.catalog(members=PROFILE, activities="all")
    messages = programme.run(catalog, error=EnumerationIncompleteError, members=LATE)
    # All others are sent, other streams go on, and the bookmark stays where it was.
    assert {each for each in late_ids(programme) if not each.startswith("C")} < set(members(messages))
    assert messages.records("activities")
    assert messages.states[-1]["bookmarks"] == {"members": {}, "activities": {}}


def test_the_command_says_what_is_missing(programme, tmp_path):
    programme.put(*crowd(52))
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(programme.catalog(members=PROFILE)))
    done = run_cli("tap_annex", "--catalog", path, config=programme.config(members=LATE), directory=tmp_path)
    assert done.returncode == 1
    assert "enumeration incomplete" in done.stderr
    assert "2025-05-05 05:05:0" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(members(Messages.read(done.stdout))) >= 50


def test_who_is_gone_is_counted_and_not_sent(programme, tmp_path, caplog):
    path = tmp_path / "ids"
    path.write_text("\n".join([*sorted(programme.ids())[:3], "nobody", "."]))
    with caplog.at_level("INFO"):
        messages = programme.run(programme.catalog(members="all"), members={"by": "ids", "path": str(path)})
    assert len(messages.records("members")) == 3
    assert "not any more: 2" in caplog.text


def test_throttling_is_waited_out(programme):
    programme.control("faults", kind="status", route="search", status=429, retry_after=1, count=2)
    programme.control("faults", kind="status", route="getbulkpoints", status=503, count=1)
    messages = programme.run(programme.catalog(members=("availablePoints",)), members=SEARCH)
    assert set(members(messages)) == programme.ids()


# Runs that are taken up again


def killed(programme, catalog, monkeypatch, route, after, **settings):
    """The messages of a run during which the service fails for good."""
    monkeypatch.setattr("annex_d365.http.MAX_TRIES", 1)
    monkeypatch.setattr("tap_annex.member_stream.MemberStream.STATE_MSG_FREQUENCY", 1)
    programme.control("faults", kind="status", route=route, status=503, after=after)
    messages = programme.run(catalog, error=OutageError, **settings)
    programme.sandbox.control.faults.clear()
    return messages, messages.states[-1] if messages.states else None


@pytest.mark.parametrize("after", [0, 9])
def test_a_killed_search_goes_on(programme, monkeypatch, after):
    catalog = programme.catalog(members=("phone",))
    first, state = killed(programme, catalog, monkeypatch, "search", after, members=SEARCH)
    second = programme.run(catalog, state=state, members=SEARCH)
    assert set(members(first)) | set(members(second)) == programme.ids()
    if after:
        assert len(members(second)) < len(programme.ids())
        assert "enumeration" in state["bookmarks"]["members"]
    assert second.states[-1]["bookmarks"]["members"] == {}


def test_a_killed_list_of_ids_goes_on(programme, monkeypatch, tmp_path):
    path = tmp_path / "ids"
    path.write_text("\n".join(sorted(programme.ids())))
    settings = {"by": "ids", "path": str(path)}
    catalog = programme.catalog(members=PROFILE)
    first, state = killed(programme, catalog, monkeypatch, "/users/", 130, members=settings, max_parallel_requests=2)
    second = programme.run(catalog, state=state, members=settings)
    assert len(first.records("members")) + len(second.records("members")) < 2 * len(programme.ids())
    assert set(members(first)) | set(members(second)) == programme.ids()
    # Another file is another list.
    path.write_text("\n".join(sorted(programme.ids(), reverse=True)))
    assert set(members(programme.run(catalog, state=state, members=settings))) == programme.ids()


def test_another_selection_begins_anew(programme, monkeypatch):
    _, state = killed(programme, programme.catalog(members=("phone",)), monkeypatch, "search", 9, members=SEARCH)
    messages = programme.run(programme.catalog(members=("phone", "email")), state=state, members=SEARCH)
    assert set(members(messages)) == programme.ids()


def test_a_state_that_cannot_be_read_begins_anew(programme):
    state = {"bookmarks": {"members": {"enumeration": {"of": 7}}, "activities": {"until": "soon"}}}
    messages = programme.run(programme.catalog(members=PROFILE), state=state, members=SEARCH)
    assert set(members(messages)) == programme.ids()


# ACTIVATE_VERSION


def versions(messages):
    return [each["version"] for each in messages.of("ACTIVATE_VERSION")]


def test_all_members_in_one_run_are_all_there_are(programme):
    catalog = programme.catalog(members=PROFILE)
    messages = programme.run(catalog, members=SEARCH, emit_activate_version_messages=True)
    (version,) = versions(messages)
    assert {each["version"] for each in messages.of("RECORD")} == {version}
    assert messages.of("ACTIVATE_VERSION")[0] == [each for each in messages if each["type"] != "STATE"][-1]


def test_a_run_that_was_taken_up_has_the_version_of_the_first(programme, monkeypatch):
    catalog = programme.catalog(members=("phone",))
    settings = {"members": SEARCH, "emit_activate_version_messages": True}
    first, state = killed(programme, catalog, monkeypatch, "search", 9, **settings)
    second = programme.run(catalog, state=state, **settings)
    assert versions(first) == []
    assert {each["version"] for each in [*first.of("RECORD"), *second.of("RECORD")]} == set(versions(second))


@pytest.mark.usefixtures("few_letters")
@pytest.mark.parametrize("case", ["segments", "crowd", "namesakes"])
def test_no_version_is_activated_unless_all_are_known(programme, case):
    settings = {"by": "segments"} if case == "segments" else LATE
    if case != "segments":
        name = letters if case == "crowd" else "A"
        programme.put(*crowd(60, firstName=name, lastName=name))
    error = EnumerationIncompleteError if case == "namesakes" else None
    messages = programme.run(
        programme.catalog(members=PROFILE), error=error, members=settings, emit_activate_version_messages=True
    )
    assert messages.records("members")
    assert versions(messages) == []


def test_segments_may_be_said_to_hold_everybody(programme):
    settings = {"by": "segments", "whole": True}
    messages = programme.run(programme.catalog(members=PROFILE), members=settings, emit_activate_version_messages=True)
    assert len(versions(messages)) == 1


# Settings


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"members": {"by": "magic"}}, "Setting `members.by`: must be one of"),
        ({"members": {}}, "Setting `members.by`: is required"),
        ({"max_parallel_requests": 0}, "Setting `max_parallel_requests`:"),
    ],
)
def test_settings_are_checked(programme, settings, sentence):
    with pytest.raises(ConfigValidationError) as error:
        TapAnnex(config=programme.config(**settings))
    assert any(each.startswith(sentence) for each in error.value.errors)


def test_a_secret_that_is_refused_is_told_without_it(programme, tmp_path):
    config = programme.config(secret_key="secret-marker-123456789012345678901234")
    done = run_cli("tap_annex", config=config, directory=tmp_path)
    assert done.returncode == 1
    assert "Setting `secret_key`" in done.stderr
    assert "secret-marker" not in done.stderr + done.stdout


def test_discovery_needs_no_service(programme):
    programme.forget_log()
    catalog = TapAnnex(config=programme.config()).catalog_dict
    off = {
        entry["tap_stream_id"]
        for entry in catalog["streams"]
        for each in entry["metadata"]
        if not each["breadcrumb"] and not each["metadata"].get("selected-by-default", True)
    }
    assert off == {"rewards"}
    assert not programme.calls()
