"""Each region and each call of the D365 Marketing integration document (15 April 2025), in its order."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner
from support import CONTACTS, ORGANISATION, discover, run_tap, select, target_config, token_requests

from annex_d365.cli import main
from tap_annex.tap import TapAnnex
from target_annex.target import TargetAnnex, TargetD365


@pytest.fixture
def document(rerouted, tmp_path, monkeypatch):
    """The six fields of the document, as settings; the API version of its calls."""
    monkeypatch.chdir(tmp_path)  # where the ledger is
    given = rerouted.info["credentials"]
    return {
        "organization_url": ORGANISATION,
        "client_id": given["client_id"],
        "client_secret": given["client_secret"],
        "auth_endpoint_url": "https://annex.crm.dynamics.com/common/oauth2/token",
        "username": given["username"],
        "password": given["password"],
        "resource": ORGANISATION,
        "api_version": "9.0",
    }


def calls(sandbox, method, path):
    """Queries of the calls that the sandbox saw at a path of the API."""
    return [
        {name: values[0] for name, values in parse_qs(entry["query"]).items()}
        for entry in sandbox.control.log.entries()
        if (entry["method"], entry["path"]) == (method, f"/api/data/v9.0/{path}")
    ]


def write(target, stream, *records, key):
    """Pipe records into a target."""
    schema = {"type": "object", "properties": {name: {} for record in records for name in record}}
    messages = [{"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": [key]}]
    messages += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    target.listen(io.StringIO("".join(json.dumps(message) + "\n" for message in messages)))


def write_d365(document, stream, *records, key):
    write(TargetD365(config=document), stream, *records, key=key)


# Regions


def region(rerouted, document, key):
    document = {**document, "organization_url": "", "organization": "annex", "region": key, "resource": ""}
    assert len(run_tap(document).records()) == CONTACTS
    return {entry["host"] for entry in rerouted.control.log.entries() if entry["path"].endswith("/contacts")}


def test_region_r1_europe(rerouted, document):
    assert region(rerouted, document, "r1") == {"annex.crm4.dynamics.com"}


def test_region_r2_north_america(rerouted, document):
    assert region(rerouted, document, "r2") == {"annex.crm.dynamics.com"}


def test_region_r3_asia_pacific(rerouted, document):
    assert region(rerouted, document, "r3") == {"annex.crm5.dynamics.com"}


# Access token


def test_get_token_api(rerouted, document):
    """POST https://annex.crm.dynamics.com/common/oauth2/token: where Entra ID really answers, it is this one."""
    run_tap(document)
    assert token_requests(rerouted) == ["/organizations/oauth2/v2.0/token"]


# Entity


def test_create_an_entity(rerouted, document, tmp_path):
    """By API instead of by hand; `annex-d365 provision` does it for the connector's own table and columns."""
    path = tmp_path / "target.json"
    path.write_text(json.dumps(document))
    done = CliRunner().invoke(main, ["provision", "--config", str(path), "--solution", "LoyaltySandbox", "--yes"])
    assert done.exit_code == 0, done.output
    assert calls(rerouted, "POST", "EntityDefinitions(LogicalName='cr0dd_loyaltyactivity')/Attributes")
    columns = {"id": "AC1", "currentTier": "Gold", "email": "gold@example.com"}
    write_d365(document, "members", columns, key="id")
    assert "Gold" in [contact["cr0dd_currenttier"] for contact in rerouted.organisation.rows("contact")]


def test_get_records_from_entity(rerouted, document):
    """GET cr0dd_loyaltyactivities?$select=cr0dd_loyaltyid,firstname,lastname,emailaddress1&$top=1000"""
    columns = ["cr0dd_loyaltyid", "firstname", "lastname", "emailaddress1"]
    run_tap({**document, "tables": [{"name": "cr0dd_loyaltyactivities", "select": columns, "top": 1000}]})
    (query,) = calls(rerouted, "GET", "cr0dd_loyaltyactivities")
    assert query["$top"] == "1000"
    assert set(columns) <= set(query["$select"].split(","))


def test_add_records_into_entity(rerouted, document):
    """POST cr0dd_loyaltyactivities, Prefer: return=representation"""
    write_d365(document, "cr0dd_loyaltyactivities", {"cr0dd_loyaltyid": "AC1"}, key="cr0dd_loyaltyid")
    assert calls(rerouted, "POST", "cr0dd_loyaltyactivities")
    assert "AC1" in [row["cr0dd_loyaltyid"] for row in rerouted.organisation.rows("cr0dd_loyaltyactivity")]


# Contacts


def test_add_contacts(rerouted, document):
    """POST contacts?$select=contactid,emailaddress1,createdon, Prefer: return=representation"""
    write_d365(document, "contacts", {"emailaddress1": "new@example.com"}, key="emailaddress1")
    (query,) = calls(rerouted, "POST", "contacts")
    assert query["$select"] == "contactid,emailaddress1,createdon"
    assert "new@example.com" in [contact["emailaddress1"] for contact in rerouted.organisation.rows("contact")]


def test_update_contacts(rerouted, document):
    """PATCH contacts(contactId)"""
    contact = next(rerouted.organisation.rows("contact"))["contactid"]
    write_d365(document, "contacts", {"contactid": contact, "lastname": "New"}, key="contactid")
    assert rerouted.organisation.get("contact", contact)["lastname"] == "New"
    assert len(calls(rerouted, "PATCH", f"contacts({contact})")) == 1


def test_get_all_contacts(rerouted, document):
    """GET contacts $select=cr0dd_loyaltyid,firstname,lastname,emailaddress1"""
    columns = ("cr0dd_loyaltyid", "firstname", "lastname", "emailaddress1")
    catalog = select(discover(document), *columns)
    messages = run_tap(document, catalog=catalog)
    queries = calls(rerouted, "GET", "contacts")
    assert {frozenset(query["$select"].split(",")) for query in queries} == {
        frozenset({*columns, "contactid", "modifiedon"})
    }
    assert len(messages.records()) == CONTACTS


def test_get_specific_contact(rerouted, document):
    """GET contacts?$filter=emailaddress1 eq 'annextest123@annex.com'; the document lacks the eq"""
    contact = next(row for row in rerouted.organisation.rows("contact") if row["cr0dd_loyaltyid"])
    condition = f"cr0dd_loyaltyid eq '{contact['cr0dd_loyaltyid']}'"
    messages = run_tap({**document, "tables": [{"name": "contacts", "filter": condition}]})
    assert [record["contactid"] for record in messages.records()] == [contact["contactid"]]


def test_sync_contacts_from_msd365_to_annexcloud(rerouted, document, tmp_path):
    stale = [member for member in rerouted.site.members() if member["lastName"] == "Formerly"]
    assert stale
    messages = run_tap(document)
    target = TargetAnnex(config=target_config(rerouted, tmp_path, max_reject_percent=100))
    target.listen(io.StringIO(messages.text()))
    contacts = {row["cr0dd_loyaltyid"]: row for row in rerouted.organisation.rows("contact")}
    for member in stale:
        assert rerouted.site.member(member["id"])["lastName"] == contacts[member["id"]]["lastname"]


# Segments


def segment(sandbox, name="Families"):
    """The row of a segment."""
    return sandbox.organisation.marketing.segment(name)


def write_segment(document, **record):
    record = {"segment_id": None, "name": None, "origin": "annexcloud", **record}
    write_d365({**document, "site_id": "90365", "segments_api": "outbound"}, "segments", record, key="segment_id")


def test_create_segment(rerouted, document):
    """POST msdyncrm_segments; a dynamic segment, as the document has them"""
    write_segment(document, segment_id="550", name="New", kind="dynamic", query="PROFILE(contact)")
    assert calls(rerouted, "POST", "msdyncrm_segments")
    made = segment(rerouted, "New")
    assert (made["msdyncrm_segmenttype"], made["msdyncrm_segmentquery"]) == (192350000, "PROFILE(contact)")
    assert made["statuscode"] == 192350006


def test_update_segment(rerouted, document):
    """PATCH msdyncrm_segments(segment id)"""
    segment_id = segment(rerouted)["msdyncrm_segmentid"]
    write_segment(document, segment_id=segment_id, name="New")
    assert calls(rerouted, "PATCH", f"msdyncrm_segments({segment_id})")
    assert segment(rerouted, "New")["msdyncrm_segmentid"] == segment_id


def test_delete_segment(rerouted, document):
    """DELETE msdyncrm_segments(segment id), where the settings ask for it"""
    segment_id = segment(rerouted)["msdyncrm_segmentid"]
    deleted = {"segment_id": segment_id, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    write_segment({**document, "on_segment_delete": "delete"}, **deleted)
    assert calls(rerouted, "DELETE", f"msdyncrm_segments({segment_id})")
    with pytest.raises(KeyError):
        segment(rerouted)


def test_get_segment_list(rerouted, document):
    """GET msdyncrm_segments with the fields that are wanted: those that are selected"""
    document = {**document, "segments_api": "outbound"}
    catalog = select(discover(document), "name", "status", stream="segments")
    rerouted.control.log.clear()
    segments = run_tap(document, catalog=catalog).records("segments")
    assert {each["name"] for each in segments} > {"Families"}
    # The keys of all tell which ones are gone.
    asked = [set(query["$select"].split(",")) for query in calls(rerouted, "GET", "msdyncrm_segments")]
    assert len(asked) == 2
    assert any({"msdyncrm_segmentname", "statuscode"} < columns for columns in asked)


def test_get_segment_details(rerouted, document):
    """GET msdyncrm_segments with a filter: msdyncrm_segmentname eq 'test'"""
    condition = "msdyncrm_segmentname eq 'Families'"
    messages = run_tap({**document, "segments_api": "outbound", "segments": {"filter": condition}})
    assert [each["name"] for each in messages.records("segments")] == ["Families"]
    assert any(query.get("$filter") == condition for query in calls(rerouted, "GET", "msdyncrm_segments"))


def test_get_members_of_the_segment(rerouted, document):
    """POST msdyncrm_FetchContactsByQuery"""
    condition = "msdyncrm_segmentname eq 'Families'"
    messages = run_tap({**document, "segments_api": "outbound", "segments": {"filter": condition}})
    marketing = rerouted.organisation.marketing
    expected = marketing.members(marketing.segment("Families")["msdyncrm_segmentid"])
    assert sorted(each["contact_id"] for each in messages.records("segment_members")) == sorted(expected)
    assert calls(rerouted, "POST", "msdyncrm_FetchContactsByQuery")


# The two syncs; the document has their headings swapped against their text.


def test_sync_segments_from_microsoft_d365_marketing_to_annex_cloud(rerouted, document, tmp_path):
    messages = run_tap({**document, "segments_api": "outbound", "tables": []})
    TargetAnnex(config=target_config(rerouted, tmp_path)).listen(io.StringIO(messages.text()))
    segments, contacts = (
        rerouted.site.segments,
        {row["contactid"]: row for row in rerouted.organisation.rows("contact")},
    )
    (copy,) = (each for each in segments.all() if each["externalName"] == "Families")
    members = rerouted.organisation.marketing.members(segment(rerouted)["msdyncrm_segmentid"])
    ids = {contacts[each]["cr0dd_loyaltyid"] for each in members} - {None}
    assert ids
    assert set(segments.members(copy)) == ids


def test_sync_segments_from_annex_cloud_to_microsoft_d365_marketing(rerouted, document):
    annex = {**rerouted.info["annex"], "ca_bundle": rerouted.info["ca_bundle"]}
    contacts = {row["cr0dd_loyaltyid"]: row["contactid"] for row in rerouted.organisation.rows("contact")}
    chosen = [member["id"] for member in rerouted.site.members() if member["id"] in contacts][:5]
    rerouted.site.segments.put([{"name": "Gold", "members": chosen}])
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    catalog = TapAnnex(config=dict(annex)).catalog_dict
    for entry in catalog["streams"]:
        (root,) = (each["metadata"] for each in entry["metadata"] if not each["breadcrumb"])
        root["selected"] = entry["tap_stream_id"] in {"segments", "segment_members", "segment_snapshots"}
    with redirect_stdout(out):
        TapAnnex(config=annex, catalog=catalog).sync_all()
    target = TargetD365(config={**document, "site_id": annex["site_id"], "segments_api": "outbound"})
    target.listen(io.StringIO(out.buffer.getvalue().decode()))
    rerouted.clock.advance(120)  # until it is live
    copy = segment(rerouted, "Gold")
    assert copy["msdyncrm_externalsegmenturl"].startswith(f"annexcloud:{annex['site_id']}/")
    members = rerouted.organisation.marketing.members(copy["msdyncrm_segmentid"])
    assert set(members) == {contacts[each] for each in chosen}
