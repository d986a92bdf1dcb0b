"""When a stream is read by change tracking: catalog, settings and bookmarks. Against the sandbox."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from mirror import (
    DELETED_AT,
    KEYS,
    bookmark,
    log_based,
    run,
)
from support import discover, run_tap, select

from annex_d365.errors import SettingError


def test_start_date_and_bookmarks(crm):
    """The start date counts for a full load; bookmarks of incremental runs do not, and go."""
    config = log_based(crm, tables=[{"name": "contacts", "select": ["lastname"]}])
    for minutes, key in enumerate(KEYS[:6]):
        crm.clock.freeze(datetime.now(timezone.utc) - timedelta(hours=1, minutes=-minutes))
        crm.organisation.update("contact", key, {"lastname": "Second"})
    crm.clock.reset()
    incremental = run_tap(config).states[-1]
    assert "replication_key_value" in bookmark(incremental)
    killed, _ = run(config, record=2)
    for state in (incremental, killed.states[-1]):
        messages = run_tap(log_based(crm, lookback_seconds=60), state=state)
        assert len(messages.records()) == 6
        assert set(bookmark(messages.states[-1])) == {"delta"}
    later = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert run_tap(log_based(crm, start_date=later)).records() == []


def in_catalog(catalog, method):
    for entry in catalog["streams"]:
        entry["replication_method"] = method
    return catalog


def test_a_catalog_can_ask_for_it(crm):
    config = log_based(crm, tables=[{"name": "contacts"}])
    catalog = in_catalog(select(discover(config), "lastname"), "LOG_BASED")
    first = run_tap(config, catalog=catalog)
    assert DELETED_AT in first.of("SCHEMA")[0]["schema"]["properties"]
    crm.organisation.delete("contact", KEYS[0])
    second = run_tap(config, catalog=catalog, state=first.states[-1])
    assert [set(record) for record in second.records()] == [{"contactid", DELETED_AT}]


def test_a_catalog_cannot_ask_for_it_with_a_filter(crm):
    config = log_based(crm, tables=[{"name": "contacts", "filter": "lastname ne null"}])
    with pytest.raises(SettingError, match=r"tables\.contacts\.replication.*LOG_BASED cannot be used with filter"):
        run_tap(config, catalog=in_catalog(discover(config), "LOG_BASED"))


def test_a_catalog_can_leave_it(crm):
    config = log_based(crm)
    catalog = in_catalog(discover(config), "INCREMENTAL")
    assert len(run_tap(config, catalog=catalog).records()) == 6


def test_a_catalog_cannot_leave_out_deletions(crm):
    config = log_based(crm)
    catalog = discover(config)
    state = run_tap(config, catalog=select(catalog)).states[-1]
    crm.organisation.delete("contact", KEYS[0])
    (record,) = run_tap(config, catalog=catalog, state=state).records()
    assert record[DELETED_AT]


def test_a_table_that_is_not_tracked_after_all(crm):
    config = log_based(crm, tables=[{"name": "contacts"}])
    catalog = in_catalog(discover(config), "LOG_BASED")
    crm.organisation.switches.change_tracking = {"contact": False}
    with pytest.raises(SettingError, match=r"tables\.contact\.replication.*not enabled"):
        run_tap(config, catalog=catalog)
