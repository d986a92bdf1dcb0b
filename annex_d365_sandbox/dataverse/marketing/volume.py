"""Many segments with many members, for measurements."""

from __future__ import annotations

from collections.abc import Iterator
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from annex_d365_sandbox.dataverse import values
from annex_d365_sandbox.dataverse.derived import Rules
from annex_d365_sandbox.dataverse.marketing.journeys import DEFINITIONS, SEGMENTS, follows
from annex_d365_sandbox.dataverse.marketing.outbound import TABLE
from annex_d365_sandbox.dataverse.marketing.tables import journeys, outbound
from annex_d365_sandbox.dataverse.marketing.tables.journeys import Computation, DefinitionStatus
from annex_d365_sandbox.dataverse.marketing.tables.outbound import Status

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation


def plant(organisation: Organisation, segments: int, members: int) -> None:
    """Add live static segments ``Volume 00001`` and so on to each generation, with so many members each.

    Contacts that are lacking are added, with a name, an address and every second one with a member id. A segment begins
    with another contact than the one before. Its members are in no memo and no group: it cannot be edited.
    """
    with organisation.store.transaction() as db:
        lacking = members - organisation.count("contact")
        if lacking > 0:
            _contacts(organisation, db, lacking)
        names = [f"Volume {number:05d}" for number in range(1, segments + 1)]
        own = {
            TABLE: [(name, _id(TABLE, name)) for name in names],
            DEFINITIONS: [(name, _id(DEFINITIONS, name)) for name in names],
        }
        stamp = values.stamp(organisation.clock.now())
        for table, rows in own.items():
            if table not in organisation.tables:
                continue
            _members(db, [row_id for _, row_id in rows], members)
            if table == TABLE:
                _put(organisation, TABLE, (_outbound(name, row_id, members, stamp) for name, row_id in rows), stamp)
            else:
                _put(organisation, DEFINITIONS, (_definition(name, row_id) for name, row_id in rows), stamp)
                _put(organisation, SEGMENTS, (_segment(name, row_id, members, stamp) for name, row_id in rows), stamp)


def _id(table: str, name: str) -> str:
    return str(uuid5(NAMESPACE_OID, f"{table}/{name}"))


def _contacts(organisation: Organisation, db: Connection, count: int) -> None:
    first = organisation.next_versions(count) - count
    offset = db.execute("SELECT count(*) FROM contact WHERE contactid LIKE '________-0000-4000-9000-%'").fetchone()[0]
    stamp = values.stamp(organisation.clock.now())
    held = Rules(organisation.tables["contact"]).completed({"lastname": "Volume"}, "", stamp)
    computed = {
        "contactid": "printf('%08x-0000-4000-9000-000000000000', i)",
        "versionnumber": "? + i",
        "firstname": "'Contact ' || i",
        "fullname": "'Contact ' || i || ' Volume'",
        "emailaddress1": "'volume.' || i || '@example.com'",
        "cr0dd_loyaltyid": "CASE WHEN i % 2 THEN printf('VOL%09d', i) END",
    }
    fixed = {name: value for name, value in held.items() if name not in computed}
    db.execute(
        f"INSERT INTO contact ({','.join([*computed, *fixed])})"
        " WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        f" SELECT {','.join([*computed.values(), *('?' for _ in fixed)])} FROM n",
        [offset + 1, offset + count, first - offset, *fixed.values()],
    )


def _members(db: Connection, segment_ids: list[str], members: int) -> None:
    """Each segment has the next contacts after where the one before began; the circle closes at the last."""
    db.execute("CREATE TEMP TABLE numbered AS SELECT contactid AS id FROM contact ORDER BY contactid")
    total = db.execute("SELECT count(*) FROM numbered").fetchone()[0]
    shift = max(1, total // max(1, len(segment_ids)))
    for number, row_id in enumerate(segment_ids):
        start = number * shift % total if total else 0
        db.execute("DELETE FROM d365_segment_member WHERE segment_id = ?", [row_id])
        db.execute(
            "INSERT INTO d365_segment_member SELECT ?, id FROM numbered WHERE rowid > ? AND rowid <= ? OR rowid <= ?",
            [row_id, start, start + members, start + members - total],
        )
    db.execute("DROP TABLE numbered")


def _put(organisation: Organisation, table: str, rows: Iterator[dict[str, Any]], stamp: str) -> None:
    declared = organisation.tables[table]
    rules = Rules(declared)
    organisation.put(table, [rules.completed(row, row[declared.primary_id], stamp) for row in rows])


def _outbound(name: str, row_id: str, members: int, stamp: str) -> dict[str, Any]:
    return {
        "msdyncrm_segmentid": row_id,
        "msdyncrm_segmentname": name,
        "msdyncrm_segmenttype": outbound.STATIC,
        "msdyncrm_segmentqueryname": f"SEGMENT_CRM_ID_{row_id.replace('-', '')}",
        "msdyncrm_islive": 1,
        "msdyncrm_segmentsize": members,
        "msdyncrm_lastevaluationtime": stamp,
        "msdyncrm_segmenttargetprofiletypename": "contact",
        "statuscode": int(Status.LIVE),
    }


def _definition(name: str, row_id: str) -> dict[str, Any]:
    return {
        "msdynmkt_segmentdefinitionid": row_id,
        "msdynmkt_name": name,
        "msdynmkt_computationstatus": int(Computation.FINISHED),
        "statuscode": int(DefinitionStatus.LIVE),
    }


def _segment(name: str, definition_id: str, members: int, stamp: str) -> dict[str, Any]:
    return {
        "msdynmkt_segmentid": _id(SEGMENTS, name),
        "msdynmkt_displayname": name,
        "msdynmkt_type": journeys.STATIC,
        "msdynmkt_source": journeys.JOURNEYS,
        "msdynmkt_baseentitylogicalname": "contact",
        "msdynmkt_sourcesegmentuid": definition_id,
        "msdynmkt_membercount": members,
        "msdynmkt_membercount_date": stamp,
        "msdynmkt_lastevaluated": stamp,
        **follows(DefinitionStatus.LIVE),
    }
