"""Both sides as rows that can be compared with what a loader has: read by HTTP, column by column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from platforms.world import Row, World

Rows = dict[Any, Row]
_LOOKUP = "@Microsoft.Dynamics.CRM.lookuplogicalname"
_CLASS = re.compile(r"^.*\.|AttributeMetadata$")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d*?)?0*(Z|\+00(?::?00)?)?")
#: Columns of a member that its own endpoint shows, and those of its points (Annex page 5, 7).
_MEMBER = (
    "id",
    "email",
    "firstName",
    "lastName",
    "zipCode",
    "optInStatus",
    "status",
    "phone",
    "birthDate",
    "optInDate",
)
_POINTS = ("availablePoints", "usedPoints", "expiredPoints", "lifetimePoints", "creditsToCurrencyValue")
_ACTIVITY = ("activityId", "activity", "credit", "debit", "displayText", "orderId", "createDate", "expireDate")


def plain(value: Any) -> Any:
    """A value in one form: moments as ``2026-01-31T00:00:00`` in UTC, however they are written."""
    if isinstance(value, str) and (found := _MOMENT.fullmatch(value)):
        return f"{found[1]}T{found[2]}{(found[3] or '').rstrip('.')}"
    return value


def kinds(world: World, table: str) -> dict[str, str]:
    """Column -> ``AttributeType`` of a table, as its metadata says (Dataverse page 4)."""
    path = f"EntityDefinitions(LogicalName='{table}')/Attributes?$select=LogicalName,AttributeType"
    found = {}
    for each in world.dataverse("GET", path)["value"]:
        # Images, files and multiple choices are all Virtual.
        kind = each["AttributeType"]
        found[each["LogicalName"]] = _CLASS.sub("", each["@odata.type"]) if kind == "Virtual" else kind
    return found


def table(world: World, entity_set: str, logical_name: str) -> Rows:
    """Rows of a table by primary key. A lookup's table is ``<column>_table``; multiple choices are lists of numbers."""
    known = kinds(world, logical_name)
    several = [name for name, kind in known.items() if kind == "MultiSelectPicklist"]
    heavy = tuple(name for name, kind in known.items() if kind in ("Image", "File"))
    found: Rows = {}
    path = entity_set
    while path:
        page = world.dataverse("GET", path, Prefer="odata.include-annotations=*")
        for row in page["value"]:
            own = {name: plain(value) for name, value in row.items() if "@" not in name}
            own |= {f"{n.removesuffix(_LOOKUP)}_table": value for n, value in row.items() if n.endswith(_LOOKUP)}
            own |= {name: [int(n) for n in own[name].split(",")] for name in several if own[name]}
            # tap-d365 reads images and files only where they are selected by name.
            own = {name: value for name, value in own.items() if not name.startswith(heavy)}
            found[row[f"{logical_name}id"]] = own
        path = page.get("@odata.nextLink", "")
    return found


def segments(world: World) -> Rows:
    """Segments of real-time journeys by id, named as the stream names them."""
    names = {"msdynmkt_segmentid": "segment_id", "msdynmkt_displayname": "name", "modifiedon": "modified_on"}
    found = world.rows("msdynmkt_segments", "msdynmkt_segmentid")
    return {key: {ours: plain(row[theirs]) for theirs, ours in names.items()} for key, row in found.items()}


def segment_members(world: World) -> Rows:
    """Members of all live segments of contacts, by segment and contact."""
    found: Rows = {}
    for segment in world.rows("msdynmkt_segments", "msdynmkt_segmentid"):
        reply = world.dataverse("POST", "msdynmkt_MembersList", {"SegmentId": segment})
        if reply["StatusCode"] == 200:  # noqa: PLR2004 - in the body; else it is not live
            listed = json.loads(reply["ResultText"])
            if listed["baseEntityLogicalName"] == "contact":
                found |= {(segment, each): {"segment_id": segment, "contact_id": each} for each in listed["members"]}
    return found


def members(world: World, ids: Iterable[str]) -> Rows:
    """Members with their points, by id."""
    found = {}
    for member in ids:
        shown = world.member(member)
        points = world.annex("GET", f"points/{quote(member, safe='')}", signs=member)
        found[member] = {name: plain(shown[name]) for name in _MEMBER} | {name: points[name] for name in _POINTS}
    return found


def activities(world: World, ids: Iterable[str]) -> Rows:
    """What all members did, by id of the activity."""
    found: Rows = {}
    for member in ids:
        path, page, pages = f"users/{quote(member, safe='')}/activity?page=", 1, 1
        while page <= pages:
            reply = world.annex("GET", f"{path}{page}", signs=member)
            page, pages = page + 1, reply["pages"]
            for each in reply["activityDetail"]:
                own = {name: plain(each[name]) for name in _ACTIVITY if name in each}
                found[each["activityId"]] = {**own, "member_id": member}
    return found
