"""The stream contacts, against the sandbox."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

import pytest
from support import CONTACTS, ROOT, Messages, discover, run_cli, run_tap, select, tap_config

from annex_d365.dataverse.budget import PROBE_ROWS
from annex_d365.errors import SettingError
from tap_d365.segment_choice import SEGMENT_STREAMS

#: tap-d365, with a STATE after every 25 records.
OFTEN = """
from tap_d365.__main__ import main
from tap_d365.streams import TableStream
TableStream.STATE_MSG_FREQUENCY = 25
main()
"""
FIVE = ("firstname", "lastname", "emailaddress1", "mobilephone", "birthdate")


def queries(sandbox):
    """The query of each request for contacts, as a dict."""
    return [
        {name: values[0] for name, values in parse_qs(entry["query"]).items()}
        for entry in sandbox.control.log.entries()
        if entry["path"].endswith("/contacts")
    ]


def test_every_contact_once(sandbox):
    messages = run_tap(tap_config(sandbox))
    ids = [record["contactid"] for record in messages.records()]
    assert len(ids) == len(set(ids)) == CONTACTS == sandbox.organisation.count("contact")


def test_records_hold_what_the_organisation_holds(sandbox):
    records = {record["contactid"]: record for record in run_tap(tap_config(sandbox)).records()}
    for row in sandbox.organisation.rows("contact"):
        record = records[row["contactid"]]
        for column in ("firstname", "lastname", "emailaddress1", "birthdate", "statecode", "donotemail"):
            assert record[column] == row[column], column
        assert record["modifiedon"] == row["modifiedon"] + "Z"


def test_people_of_all_languages_arrive_unharmed(sandbox):
    records = run_tap(tap_config(sandbox)).records()
    names = "".join(record["lastname"] or "" for record in records)
    assert any("\u0590" <= sign <= "\u06ff" for sign in names), "right to left"
    assert any("\u4e00" <= sign <= "\u9fff" for sign in names), "Chinese, Japanese"


def test_the_schema_fits_the_records(sandbox):
    messages = run_tap(tap_config(sandbox))
    (schema,) = messages.of("SCHEMA")
    assert schema["key_properties"] == ["contactid"]
    assert schema["bookmark_properties"] == ["modifiedon"]
    properties = schema["schema"]["properties"]
    assert properties["birthdate"]["format"] == "date"
    assert properties["modifiedon"]["format"] == "date-time"
    assert properties["creditlimit"]["type"] == ["number", "null"]
    assert properties["_parentcustomerid_value"]["format"] == "uuid"
    assert "parentcustomeridname" not in properties
    assert "entityimage" not in properties
    assert all(set(record) == set(properties) for record in messages.records())


def test_only_selected_columns_are_asked_for(sandbox):
    config = tap_config(sandbox)
    catalog = select(discover(config), *FIVE)
    sandbox.control.log.clear()
    messages = run_tap(config, catalog=catalog)
    for query in queries(sandbox):
        assert set(query["$select"].split(",")) == {*FIVE, "contactid", "modifiedon"}
        assert query["$orderby"] == "modifiedon,contactid"
    assert all(set(record) == {*FIVE, "contactid", "modifiedon"} for record in messages.records())


@pytest.mark.parametrize("page_size", [1, 7, CONTACTS, 5000])
def test_pages_of_any_size(sandbox, page_size):
    config = tap_config(sandbox, page_size=page_size, max_parallel_requests=1)
    catalog = select(discover(config), "firstname")
    sandbox.control.log.clear()
    assert len(run_tap(config, catalog=catalog).records()) == CONTACTS
    first_page = page_size > PROBE_ROWS
    assert CONTACTS / page_size <= len(queries(sandbox)) <= CONTACTS / page_size + 1 + first_page


@pytest.mark.parametrize("parallel", [2, 8])
@pytest.mark.parametrize("page_size", [5, 20])
def test_ranges_in_parallel(sandbox, parallel, page_size):
    config = tap_config(sandbox, page_size=page_size, max_parallel_requests=parallel)
    catalog = select(discover(config), "firstname")
    sandbox.control.log.clear()
    sandbox.faults.add(route="/contacts", kind="latency", seconds=0.02)
    messages = run_tap(config, catalog=catalog)
    ids = [record["contactid"] for record in messages.records()]
    assert len(ids) == len(set(ids)) == CONTACTS
    assert set(messages.states[-1]["bookmarks"]["contacts"]) == {
        "at_bookmark",
        "replication_key",
        "replication_key_value",
    }
    asked = [query.get("$filter", "") for query in queries(sandbox)]
    assert len(set(asked)) > parallel
    # What is cut in vain is little beside the pages.
    assert len(asked) <= 2 * CONTACTS / page_size + 20


def test_a_second_run_asks_from_the_bookmark(sandbox):
    config = tap_config(sandbox)
    first = run_tap(config)
    latest = max(record["modifiedon"] for record in first.records())
    bookmark = first.states[-1]["bookmarks"]["contacts"]
    assert (bookmark["replication_key"], bookmark["replication_key_value"]) == ("modifiedon", latest)
    assert set(bookmark) == {"replication_key", "replication_key_value", "at_bookmark"}
    edited = sandbox.organisation.rows("contact")
    edited = [next(edited)["contactid"] for _ in range(5)]
    for contact in edited:
        sandbox.organisation.update("contact", contact, {"mobilephone": "+49 30 555 0001"})
    sandbox.control.log.clear()
    second = run_tap(config, state=first.states[-1])
    (query,) = queries(sandbox)
    assert query["$filter"] == f"modifiedon ge {latest}"
    assert {record["contactid"] for record in second.records()} == set(edited)
    third = run_tap(config, state=second.states[-1])
    assert third.records() == []
    fourth = run_tap(config, state=third.states[-1])
    assert fourth.records() == []
    assert fourth.states[-1] == second.states[-1]


def frozen(sandbox, seconds=3600):
    """The sandbox's clock stands still, an hour ago."""
    moment = (datetime.now(timezone.utc) - timedelta(seconds=seconds)).replace(microsecond=0)
    sandbox.clock.freeze(moment)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def edit(sandbox, contacts, **values):
    for contact in contacts:
        sandbox.organisation.update("contact", contact, values)


def test_what_changes_in_the_bookmarks_own_second_is_read(sandbox):
    """Times have whole seconds: one row is changed again, and another one, after they were read in that second."""
    ids = [row["contactid"] for row in sandbox.organisation.rows("contact")]
    config = tap_config(sandbox)
    moment = frozen(sandbox)
    edit(sandbox, ids[:3], mobilephone="+49 30 555 0001")
    first = run_tap(config)
    assert first.states[-1]["bookmarks"]["contacts"]["replication_key_value"] == moment
    edit(sandbox, ids[2:4], mobilephone="+49 30 555 0002")
    second = run_tap(config, state=first.states[-1])
    assert {record["contactid"] for record in second.records()} == set(ids[2:4])
    assert second.states[-1]["bookmarks"]["contacts"]["replication_key_value"] == moment
    assert run_tap(config, state=second.states[-1]).records() == []


def test_all_rows_in_the_bookmarks_second_are_sent_once(sandbox):
    ids = [row["contactid"] for row in sandbox.organisation.rows("contact")]
    config = tap_config(sandbox, page_size=50)
    frozen(sandbox)
    edit(sandbox, ids, mobilephone="+49 30 555 0001")
    first = run_tap(config)
    assert len(json.dumps(first.states[-1])) < 1000
    assert run_tap(config, state=first.states[-1]).records() == []
    edit(sandbox, ids[:1], mobilephone="+49 30 555 0002")
    assert [record["contactid"] for record in run_tap(config, state=first.states[-1]).records()] == ids[:1]


def test_start_date(sandbox):
    moments = sorted(row["modifiedon"] + "Z" for row in sandbox.organisation.rows("contact"))
    start = moments[CONTACTS // 2]
    records = run_tap(tap_config(sandbox, start_date=start)).records()
    assert len(records) == sum(1 for moment in moments if moment >= start)


def test_a_date_in_the_future_does_not_move_the_bookmark_there(sandbox):
    far = (datetime.now(timezone.utc) + timedelta(days=400)).strftime("%Y-%m-%dT%H:%M:%SZ")
    row = next(sandbox.organisation.rows("contact"))
    sandbox.clock.freeze(datetime.fromisoformat(far.replace("Z", "+00:00")))
    sandbox.organisation.update("contact", row["contactid"], {"mobilephone": "+49 30 555 0001"})
    sandbox.clock.reset()
    messages = run_tap(tap_config(sandbox))
    assert far in {record["modifiedon"] for record in messages.records()}
    for state in messages.states:
        assert far not in json.dumps(state.get("ranges", []))
    bookmark = messages.states[-1]["bookmarks"]["contacts"]["replication_key_value"]
    assert bookmark == max(record["modifiedon"] for record in messages.records() if record["modifiedon"] != far)
    again = run_tap(tap_config(sandbox), state=messages.states[-1])
    assert again.records() == []
    assert again.states[-1] == messages.states[-1]


def test_a_run_that_is_killed_goes_on_from_its_last_state(sandbox, tmp_path):
    """Killed for real, in the middle of the pages: what came until its last STATE and what comes then is everything."""
    config = tap_config(sandbox, page_size=20)
    (tmp_path / "config.json").write_text(json.dumps(config))
    sandbox.faults.add(route="/contacts", kind="latency", seconds=0.05)
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OFTEN,
            "--config",
            str(tmp_path / "config.json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) > 150:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    sandbox.faults.clear()
    time.sleep(0.3)  # for the log of the request that it died with
    seen = Messages.read("".join(line for line in lines if line.endswith("\n")))
    last_state = max(number for number, message in enumerate(seen) if message["type"] == "STATE")
    state = seen[last_state]["value"]
    assert any(each["pos"] for each in state["bookmarks"]["contacts"]["ranges"])
    assert "replication_key_value" not in state["bookmarks"]["contacts"]
    kept = {record["contactid"] for record in Messages(seen[:last_state]).records()}
    assert 0 < len(kept) < CONTACTS
    sandbox.control.log.clear()
    resumed = run_tap(config, state=state)
    rest = {record["contactid"] for record in resumed.records()}
    assert kept | rest == {row["contactid"] for row in sandbox.organisation.rows("contact")}
    assert len(rest) < CONTACTS
    assert all("modifiedon ge " in query["$filter"] for query in queries(sandbox))
    assert "ranges" not in resumed.states[-1]["bookmarks"]["contacts"]


def test_command_line(sandbox, tmp_path):
    config = tap_config(sandbox)
    found = run_cli("tap_d365", "--discover", config=config, directory=tmp_path)
    assert found.returncode == 0, found.stderr
    catalog = json.loads(found.stdout)
    assert [entry["tap_stream_id"] for entry in catalog["streams"]] == ["contacts", *SEGMENT_STREAMS]
    (tmp_path / "catalog.json").write_text(found.stdout)
    (tmp_path / "state.json").write_text("{}")
    tested = run_cli("tap_d365", "--test", config=config, directory=tmp_path)
    assert tested.returncode == 0, tested.stderr
    run = run_cli("tap_d365", "--catalog", "catalog.json", "--state", "state.json", config=config, directory=tmp_path)
    assert run.returncode == 0, run.stderr
    assert len(Messages.read(run.stdout).records()) == CONTACTS
    about = run_cli("tap_d365", "--about", "--format", "json", directory=tmp_path)
    assert json.loads(about.stdout)["name"] == "tap-d365"
    assert "could not be detected" not in about.stdout


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_pauses(sandbox, status):
    sandbox.faults.add(route="/contacts", kind="status", status=status, retry_after=1, count=2)
    started = time.monotonic()
    assert len(run_tap(tap_config(sandbox)).records()) == CONTACTS
    assert time.monotonic() - started >= 2


@pytest.mark.parametrize(("kind", "times"), [("drop", 2), ("truncate", 2), ("html", 2), ("expired_token", 1)])
def test_answers_that_break(sandbox, monkeypatch, kind, times):
    monkeypatch.setattr("annex_d365.retry.MAX_PAUSE_SECONDS", 0.05)
    sandbox.faults.add(route="/contacts", kind=kind, status=200, count=times, after=1)
    records = run_tap(tap_config(sandbox, page_size=50)).records()
    assert len({record["contactid"] for record in records}) == len(records) == CONTACTS


@pytest.mark.parametrize("page_size", [7, 5000])
def test_top_goes_on_where_many_rows_have_one_time(sandbox, page_size):
    """Rows with older and newer times around them; one changes again on the way."""
    ids = [row["contactid"] for row in sandbox.organisation.rows("contact")][:50]
    moment = frozen(sandbox, 3700)
    edit(sandbox, ids[:5], mobilephone="+49 30 555 0001")
    frozen(sandbox, 3600)
    edit(sandbox, ids[5:45], mobilephone="+49 30 555 0001")
    frozen(sandbox, 3500)
    edit(sandbox, ids[45:], mobilephone="+49 30 555 0001")
    sandbox.clock.reset()
    table = {"name": "contacts", "top": 10, "filter": f"modifiedon ge {moment}"}
    config = tap_config(sandbox, tables=[table], page_size=page_size)
    state, seen = None, []
    for _ in range(5):
        messages = run_tap(config, state=state)
        assert len(messages.records()) == 10
        state = messages.states[-1]
        seen += [record["contactid"] for record in messages.records()]
    assert sorted(seen) == sorted(ids)
    assert run_tap(config, state=state).records() == []


@pytest.mark.parametrize(("replication", "after"), [("INCREMENTAL", 4), ("FULL_TABLE", 4), ("LOG_BASED", 19)])
def test_a_signal_ends_a_pause(sandbox, tmp_path, replication, after):
    """The service wants five minutes of silence; nobody has to wait for them."""
    config = tap_config(sandbox, page_size=20, tables=[{"name": "contacts", "replication": replication}])
    (tmp_path / "config.json").write_text(json.dumps(config))
    sandbox.faults.add(route="/contacts", kind="status", status=429, retry_after=300, after=after)
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", OFTEN, "--config", str(tmp_path / "config.json")],
            stdout=out,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
    told = []
    for line in process.stderr:
        told.append(line)
        if "Trying again in 300.0 s" in line:
            break
    time.sleep(0.2)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    told += process.stderr.readlines()
    process.stderr.close()
    assert process.wait(10) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 2
    assert "Traceback" not in "".join(told)
    assert "Closing" not in "".join(told)
    messages = Messages.read((tmp_path / "out").read_text())
    assert 0 < len(messages.records()) < CONTACTS
    sandbox.faults.clear()
    rest = run_tap(config, state=messages.states[-1])
    assert {record["contactid"] for record in [*messages.records(), *rest.records()]} == {
        row["contactid"] for row in sandbox.organisation.rows("contact")
    }


def test_a_key_that_is_not_selected_is_there_all_the_same(sandbox):
    config = tap_config(sandbox)
    catalog = select(discover(config), "firstname")
    entry = catalog["streams"][0]
    for each in entry["metadata"]:
        if each["breadcrumb"][-1:] in (["contactid"], ["modifiedon"]):
            each["metadata"] = {"selected": False, "inclusion": "available"}
    del entry["schema"]["properties"]["modifiedon"]
    messages = run_tap(config, catalog=catalog)
    assert {frozenset(record) for record in messages.records()} == {frozenset({"contactid", "modifiedon", "firstname"})}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"start_date": "foo"}, "start_date"),
        ({"start_date": "0001-01-01T00:00:00+05:00"}, "start_date"),
        ({"shard": {"from": "foo"}}, "shard.from"),
        ({"shard": {"from": "2026-02-01T01:00:00+01:00", "to": "2026-02-01"}}, "shard"),
    ],
)
def test_times_that_are_none(sandbox, wrong, named):
    with pytest.raises(SettingError, match=f"`{named}`"):
        run_tap(tap_config(sandbox, **wrong))


@pytest.mark.parametrize("bookmark", ["garbage", 5])
def test_a_bookmark_that_is_no_time(sandbox, bookmark):
    state = {"bookmarks": {"contacts": {"replication_key": "modifiedon", "replication_key_value": bookmark}}}
    with pytest.raises(SettingError, match="`state`"):
        run_tap(tap_config(sandbox), state=state)
