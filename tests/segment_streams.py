"""What tests of the streams of segments share."""

from __future__ import annotations

import json

from support import discover

from annex_d365.dataverse.connect import connect
from annex_d365.dataverse.errors import explain

STREAMS = ("segments", "segment_members", "segment_snapshots")
GENERATIONS = {
    "outbound": ("msdyncrm_segment", "msdyncrm_segmentname"),
    "journeys": ("msdynmkt_segment", "msdynmkt_displayname"),
}


def snapshots(messages):
    return {record["segment_id"]: record for record in messages.records("segment_snapshots")}


def named(messages):
    return {record["name"]: record for record in messages.records("segments")}


def members(messages):
    """Ids of contacts by name of segment."""
    names = {record["segment_id"]: record["name"] for record in messages.records("segments")}
    found = {}
    for record in messages.records("segment_members"):
        found.setdefault(names[record["segment_id"]], []).append(record["contact_id"])
    return found


def act(config, action, **body):
    """Have the service do something."""
    dataverse = connect(config)
    headers = {"Content-Type": "application/json"}
    url, text = f"{dataverse.root}{action}", json.dumps(body).encode()
    dataverse.http.send("POST", url, auth=dataverse._sign_in, explain=explain, headers=headers, body=text)


def calls(sandbox, path):
    return [entry for entry in sandbox.control.log.entries() if entry["path"].endswith(path)]


def selecting(config, *streams):
    catalog = discover(config)
    for entry in catalog["streams"]:
        for each in entry["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return catalog


def live(sandbox, api):
    """Live segments of contacts and their members, as the organisation has them."""
    table, name = GENERATIONS[api]
    found = {}
    for row in sandbox.organisation.rows(table):
        is_live = row["msdyncrm_islive"] if api == "outbound" else row["statuscode"] == 1
        if is_live and row.get("msdynmkt_baseentitylogicalname") != "lead":
            found[row[name]] = sandbox.organisation.marketing.members(row[f"{table}id"])
    return found


def half_failing(marketing, status):
    names = ["Families", "Guests of honour"]
    marketing.switches.refused_segments = dict.fromkeys(names, status)
    return names
