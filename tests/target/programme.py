"""What tests of segments into Annex Cloud share: messages as a tap sends them, and runs of the target."""

from __future__ import annotations

import io

from loyalty import guid, lines, listened, record, schema, state

from target_annex.target import TargetAnnex

TEXT = {"type": ["string", "null"]}
SEGMENTS = {
    **dict.fromkeys(("segment_id", "name", "description", "kind", "query", "status", "origin", "base_table"), TEXT),
    "modified_on": TEXT,
}
MEMBERS = dict.fromkeys(("segment_id", "contact_id", "member_id", "email", "version"), TEXT)
SNAPSHOTS = {
    "segment_id": TEXT,
    "version": TEXT,
    "member_count": {"type": ["integer", "null"]},
    "complete": {"type": ["boolean", "null"]},
}
SCHEMAS = [
    schema("segments", SEGMENTS, ["segment_id"], "modified_on"),
    schema("segment_members", MEMBERS, ["segment_id", "contact_id"]),
    schema("segment_snapshots", SNAPSHOTS, ["segment_id", "version"]),
]
#: Few members, of whom many leave.
FREELY = {"max_removal_percent": 100}


def version(number):
    return f"2026-03-{number:02d}T00:00:00Z"


def segment(number=1, **columns):
    row = {"segment_id": guid(900 + number), "name": f"Segment {number}", "status": "live", "origin": "dynamics"}
    return record({**row, "modified_on": version(1), **columns}, "segments")


def member(number, of=1, at=1, **columns):
    row = {"segment_id": guid(900 + of), "contact_id": guid(number), "member_id": f"M{number}", "version": version(at)}
    return record({**row, **columns}, "segment_members")


def snapshot(count, of=1, at=1, **columns):
    row = {"segment_id": guid(900 + of), "version": version(at), "member_count": count, "complete": True}
    return record({**row, **columns}, "segment_snapshots")


def whole(numbers, of=1, at=1):
    """All members of a segment, as a tap sends them."""
    numbers = list(numbers)
    return [*(member(number, of, at) for number in numbers), snapshot(len(numbers), of, at)]


def gone(number=1):
    row = {"segment_id": guid(900 + number), "modified_on": version(9), "_sdc_deleted_at": version(9)}
    return record(row, "segments")


class Programme:
    """The site, and runs of the target."""

    def __init__(self, site):
        self.site = site
        site.sandbox.site.segments.reset()
        site.sandbox.site.put_members([{"id": f"M{n}", "email": f"m{n}@example.org"} for n in range(1, 261)])

    def run(self, *messages, **config):
        """Outcomes by stream."""
        target = TargetAnnex(config=self.site.config(**config))
        out = io.StringIO()
        try:
            listened(target, lines([*SCHEMAS, *messages, state(1)]), out)
        finally:
            self.reports, self.states = target._reports, out.getvalue()
            self.counts = {
                name: {outcome.value: count for outcome, count in each.counts.items()}
                for name, each in target._reports.items()
            }
        return self.counts

    @property
    def segments(self):
        """By name."""
        return {each["name"]: each for each in self.site.sandbox.site.segments.all()}

    def members(self, name="Segment 1"):
        return set(self.site.sandbox.site.segments.members(self.segments[name]))

    def numbers(self, name="Segment 1"):
        return {int(each[1:]) for each in self.members(name)}

    def codes(self):
        return [each["reject"]["code"] for each in self.site.rejects() if each["type"] == "RECORD"]

    def patches(self):
        return [path for method, path, _ in self.site.log("PATCH") if path.startswith("/segment/")]

    def reads(self):
        return [path for method, path, _ in self.site.log("GET") if path.startswith("/segment/")]
