"""What tests of points share."""

from __future__ import annotations

from loyalty import load_and_count, record, schema

COLUMNS = {
    "id": {"type": "string"},
    "member": {"type": ["string", "null"]},
    "points": {"type": ["number", "string", "null"]},
    "debit": {"type": ["number", "null"]},
    "action": {"type": ["string", "null"]},
    "order": {"type": ["string", "null"]},
    "why": {"type": ["string", "null"]},
}
FIELDS = {"id": "member", "points": "points", "reason": "why", "orderId": "order"}


def posting(number, **columns):
    return {"id": f"P{number}", "member": "M1", "points": 10, "why": "Goodwill", "order": f"O-{number}", **columns}


def config_of(site, fields=None, **more):
    return site.config(streams={"postings": {"object": "points", "fields": fields or FIELDS}}, **more)


def messages_of(rows):
    return [schema("postings", COLUMNS, ["id"]), *(record(row, "postings") for row in rows)]


def post(site, *rows, **more):
    """Outcomes of postings."""
    return load_and_count(config_of(site, **more), messages_of(rows), "postings")


def codes(site):
    return [message["reject"]["code"] for message in site.rejects() if message["type"] == "RECORD"]


def sent(site):
    return [status for method, path, status in site.log("POST") if path == "/points"]


def made(site, member_id="M1"):
    """What was posted beyond the first 100 points."""
    return site.postings(member_id)[1:]
