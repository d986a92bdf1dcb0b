from __future__ import annotations

import json
import random
from datetime import datetime, timezone
from urllib.parse import quote
from uuid import UUID

import pytest
from dataverse_client import ORIGIN

from annex_d365_sandbox.control.faults import Fault
from annex_d365_sandbox.wire import Request

TRACK = {"prefer": "odata.track-changes"}
ROOT = f"{ORIGIN}/api/data/v9.2"
NOW = datetime(2026, 3, 1, 8, 10, 44, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def _frozen(dataverse):
    dataverse.clock.freeze(NOW)


def contacts(dataverse, count):
    return [
        dataverse.organisation.create(
            "contact", {"contactid": f"{n:08x}-0000-4000-8000-000000000000", "lastname": f"N{n}"}
        )
        for n in range(count)
    ]


def follow(dataverse, query, **headers):
    """(rows, deleted ids, delta link) of a load or a delta, over all its pages; only the last has a delta link."""
    bodies = list(dataverse.pages("contacts", query, **headers))
    assert all("@odata.deltaLink" not in body for body in bodies[:-1])
    entries = [entry for body in bodies for entry in body["value"]]
    rows = [entry for entry in entries if "reason" not in entry]
    assert entries[: len(rows)] == rows, "deletions come after changes"
    return rows, [entry["id"] for entry in entries[len(rows) :]], bodies[-1]["@odata.deltaLink"]


def query_of(link):
    return link.partition("?")[2]


def test_the_documented_load_and_delta(dataverse):
    first, second = contacts(dataverse, 2)
    reply = dataverse.call("GET", "contacts", "$select=lastname", **TRACK)
    body = json.loads(reply.body)
    assert reply.headers["Preference-Applied"] == "odata.track-changes"
    assert [row["lastname"] for row in body["value"]] == ["N0", "N1"]
    assert body["@odata.deltaLink"] == (
        f"{ROOT}/contacts?$select=lastname&$deltatoken=2%2103%2f01%2f2026%2008%3a10%3a44"
    )
    dataverse.organisation.update("contact", second, {"lastname": "New"})
    dataverse.organisation.delete("contact", first)
    dataverse.clock.advance(60)
    delta = dataverse.get("contacts", query_of(body["@odata.deltaLink"]))
    assert delta == {
        "@odata.context": f"{ROOT}/$metadata#contacts(lastname)/$delta",
        "value": [
            {"@odata.etag": 'W/"3"', "lastname": "New", "contactid": second},
            {"@odata.context": f"{ROOT}/$metadata#contacts/$deletedEntity", "id": first, "reason": "deleted"},
        ],
        "@odata.deltaLink": f"{ROOT}/contacts?$select=lastname&$deltatoken=4%2103%2f01%2f2026%2008%3a11%3a44",
    }
    assert dataverse.get("contacts", query_of(delta["@odata.deltaLink"]))["value"] == []


def test_the_pages_of_a_tracked_load(dataverse):
    wanted = contacts(dataverse, 5)
    page = dataverse.get("contacts", "$select=lastname", prefer="odata.track-changes,odata.maxpagesize=2")
    assert "istracking=%22True%22" in page["@odata.nextLink"]
    assert "@odata.deltaLink" not in page
    rows, _, link = follow(dataverse, query_of(page["@odata.nextLink"]), prefer="odata.maxpagesize=2")
    assert [row["contactid"] for row in page["value"] + rows] == wanted
    assert link.startswith(f"{ROOT}/contacts?$select=lastname&$deltatoken=5%21")


def test_what_changes_between_the_pages_comes_with_the_next_delta(dataverse):
    wanted = contacts(dataverse, 4)
    page = dataverse.get("contacts", "$select=lastname", prefer="odata.track-changes,odata.maxpagesize=2")
    dataverse.organisation.update("contact", wanted[0], {"lastname": "Changed"})
    dataverse.organisation.delete("contact", wanted[1])
    _, _, link = follow(dataverse, query_of(page["@odata.nextLink"]), prefer="odata.maxpagesize=2")
    rows, gone, _ = follow(dataverse, query_of(link))
    assert [row["contactid"] for row in rows] == [wanted[0]]
    assert gone == [wanted[1]]


def test_changes_come_by_version_over_pages_then_deletions(dataverse):
    ids = contacts(dataverse, 6)
    _, _, link = follow(dataverse, "$select=lastname", **TRACK)
    for at in (3, 1, 2):
        dataverse.organisation.update("contact", ids[at], {"lastname": "x"})
    for at in (5, 4):
        dataverse.organisation.delete("contact", ids[at])
    for size in (1, 2, 3, 4):
        rows, gone, _ = follow(dataverse, query_of(link), prefer=f"odata.maxpagesize={size}")
        assert [row["contactid"] for row in rows] == [ids[3], ids[1], ids[2]]
        assert gone == [ids[5], ids[4]]


def test_created_and_deleted_in_between_shows_as_deleted(dataverse):
    _, _, link = follow(dataverse, "$select=lastname", **TRACK)
    (row_id,) = contacts(dataverse, 1)
    dataverse.organisation.delete("contact", row_id)
    assert follow(dataverse, query_of(link))[:2] == ([], [row_id])
    contacts(dataverse, 1)
    rows, gone, _ = follow(dataverse, query_of(link))
    assert ([row["contactid"] for row in rows], gone) == ([row_id], []), "made again: not deleted"


def test_other_tables_do_not_show(dataverse):
    _, _, link = follow(dataverse, "$select=lastname", **TRACK)
    dataverse.organisation.delete("account", dataverse.organisation.create("account", {"name": "A"}))
    assert follow(dataverse, query_of(link))[:2] == ([], [])


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_kept_by_deltas_is_the_table(dataverse, seed):
    chance, copy, deletions = random.Random(seed), {}, 0
    query = "$select=lastname"
    for turn in range(12):
        bodies = dataverse.pages(
            "contacts", query, prefer=f"odata.track-changes,odata.maxpagesize={chance.randint(1, 4)}"
        )
        for body in bodies:
            for entry in body["value"]:
                if "reason" in entry:
                    copy.pop(entry["id"], None)
                    deletions += 1
                else:
                    copy[entry["contactid"]] = entry["lastname"]
            link = body.get("@odata.deltaLink")
            alive = [row["contactid"] for row in dataverse.organisation.rows("contact")]
            for _ in range(chance.randint(0, 3) if turn < 11 else 0):  # while the client reads
                if alive and chance.random() < 0.3:
                    dataverse.organisation.delete("contact", alive.pop(chance.randrange(len(alive))))
                elif alive and chance.random() < 0.5:
                    dataverse.organisation.update("contact", chance.choice(alive), {"lastname": str(turn)})
                else:
                    row_id = str(UUID(int=chance.getrandbits(128)))
                    alive.append(dataverse.organisation.create("contact", {"contactid": row_id, "lastname": "new"}))
        query = query_of(link)
    assert copy == {row["contactid"]: row["lastname"] for row in dataverse.organisation.rows("contact")}
    assert copy
    assert deletions


@pytest.mark.parametrize("option", ["$filter=lastname%20eq%20'x'", "$orderby=lastname", "$expand=ownerid", "$top=3"])
def test_options_that_tracking_does_not_take(dataverse, option):
    name = option.partition("=")[0]
    message = f'The "{name}" query parameter isn\'t supported when Change Tracking is enabled.'
    assert dataverse.error("GET", "contacts", option, **TRACK) == (400, "0x80060888", message)
    token = quote("0!03/01/2026 00:00:00")
    assert dataverse.error("GET", "contacts", f"{option}&$deltatoken={token}")[2] == message


def test_a_table_without_tracking_and_the_switch(dataverse):
    refused = (400, "0x80072491", "Entity businessunit isn't enabled for change tracking.")
    assert dataverse.error("GET", "businessunits", **TRACK) == refused

    def shown(table):
        return dataverse.get(f"EntityDefinitions(LogicalName='{table}')")["ChangeTrackingEnabled"]

    assert [shown(table) for table in ("contact", "account", "cr0dd_loyaltyactivity", "businessunit")] == [
        True, True, True, False,
    ]  # fmt: skip
    dataverse.organisation.switches.change_tracking = {"businessunit": True, "contact": False}
    assert "@odata.deltaLink" in dataverse.get("businessunits", **TRACK)
    assert dataverse.error("GET", "contacts", **TRACK)[1] == "0x80072491"
    assert (shown("contact"), shown("businessunit")) == (False, True)


def test_tracking_needs_to_read_the_whole_organisation(dataverse):
    dataverse.organisation.switches.partly_readable_tables = ["contact"]
    assert dataverse.error("GET", "contacts", **TRACK)[:2] == (403, "0x80040220")
    assert dataverse.call("GET", "contacts").status == 200


def test_an_old_token_expires_by_the_clock(dataverse):
    contacts(dataverse, 3)
    _, _, link = follow(dataverse, "$select=lastname", **TRACK)
    page = dataverse.get("contacts", "$select=lastname", prefer="odata.track-changes,odata.maxpagesize=1")
    dataverse.clock.advance(7 * 86400)
    assert dataverse.call("GET", "contacts", query_of(link)).status == 200
    dataverse.clock.advance(1)
    message = "Version stamp associated with the client has expired. Please perform a full sync."
    for old in (link, page["@odata.nextLink"]):
        assert dataverse.error("GET", "contacts", query_of(old)) == (400, "0x80044352", message)
    dataverse.organisation.switches.expire_change_tracking_in_days = 30
    assert dataverse.call("GET", "contacts", query_of(link)).status == 200


@pytest.mark.parametrize(
    "token",
    ["", "x", "1", "!", "x!03/01/2026 00:00:00", "-1!03/01/2026 00:00:00", "1!2026-03-01T00:00:00Z",
     "1!13/41/2026 00:00:00", "99!03/01/2026 00:00:00"],
)  # fmt: skip
def test_a_malformed_or_foreign_token(dataverse, token):
    assert dataverse.error("GET", "contacts", f"$deltatoken={quote(token)}")[:2] == (400, "0x80044183")
    assert dataverse.error("GET", "contacts/$count", f"$deltatoken={quote(token)}")[:2] == (400, "0x80044183")


def test_counting_changes(dataverse):
    ids = contacts(dataverse, 3)
    _, _, link = follow(dataverse, "$select=lastname", **TRACK)
    token = query_of(link).partition("&")[2]
    assert dataverse.call("GET", "contacts/$count", token).body == b"0"
    dataverse.organisation.update("contact", ids[0], {"lastname": "x"})
    dataverse.organisation.delete("contact", ids[1])
    assert dataverse.call("GET", "contacts/$count", token).body == b"2"


def test_deletions_outlive_the_process_and_go_with_a_reset(dataverse):
    (row_id,) = contacts(dataverse, 1)
    dataverse.organisation.delete("contact", row_id)
    with dataverse.store.transaction() as db:
        assert db.execute("SELECT count(*) FROM d365_deleted").fetchone()[0] == 1
    dataverse.organisation.reset()
    assert follow(dataverse, "$deltatoken=" + quote("0!03/01/2026 00:00:00"))[:2] == ([], [])


def test_the_fault_hits_only_requests_with_a_token(dataverse):
    fault = Fault("expired_delta_token", route="contacts")
    path = "/api/data/v9.2/contacts"
    assert not fault.fits(Request("GET", path, "$select=lastname"))
    tokened = Request("GET", path, "$select=lastname&$deltatoken=5%2103&x=1")
    assert fault.fits(tokened)
    query = fault.disguised(tokened).query
    assert query.startswith("$select=lastname&")
    assert query.endswith("&x=1")
    assert dataverse.error("GET", "contacts", query.removesuffix("&x=1"))[1] == "0x80044352"


def test_a_table_of_a_relation_keeps_no_changes(dataverse):
    dataverse.organisation.have_extra_tables(27)
    assert dataverse.error("GET", "cr0dd_extra0027s", **TRACK)[:2] == (400, "0x80072492")
