"""Rows of the custom tables with a column of every kind: usual values, the largest ones, the smallest, and none."""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from annex_d365_sandbox.dataverse.models import CURRENCY_ID, USER_ID, Organisation
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.tables import EXTRA
from annex_d365_sandbox.dataverse.tables.specimen import SPECIMEN
from annex_d365_sandbox.owned import owned

_ROWS, _EXTRA_ROWS = 20, 3
_MOMENT = "2025-12-31T23:59:59"
_TICKS = 638_900_000_000_000_000
#: An image of one pixel.
_PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")
_LARGEST: dict[str, Any] = {
    "cr0dd_text": "ẞ🎉" * 1000,
    "cr0dd_memo": "Line\r\n" * 100,
    "cr0dd_whole": 2**31 - 1,
    "cr0dd_big": 2**63 - 1,
    "cr0dd_decimal": 10**16,
    "cr0dd_double": 1e11,
    "cr0dd_money": 922_337_203_685_477 * 10**4,
    "cr0dd_moment": "9999-12-31T23:59:59",
    "cr0dd_day": "9999-12-31",
}
_SMALLEST: dict[str, Any] = {
    "cr0dd_text": " ",
    "cr0dd_whole": -(2**31),
    "cr0dd_big": -(2**63),
    "cr0dd_decimal": -1,
    "cr0dd_double": -0.1,
    "cr0dd_money": -1,
    "cr0dd_moment": "1753-01-01T00:00:00",
    "cr0dd_day": "1753-01-01",
}


def plant_specimens(rng: random.Random, organisation: Organisation) -> None:
    """Fill the tables; lookups point to rows that are there already. An organisation without contacts stays empty."""
    ends = {table: [row[f"{table}id"] for row in organisation.rows(table)] for table in ("account", "contact")}
    if not ends["contact"]:
        return
    for table in organisation.tables.values():
        if table.logical_name.startswith(EXTRA):
            organisation.put(table.logical_name, _rows(rng, table, _EXTRA_ROWS, ends))
    organisation.put(SPECIMEN.logical_name, _rows(rng, SPECIMEN, _ROWS, ends))


def _rows(rng: random.Random, table: Table, count: int, ends: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
    variants: tuple[dict[str, Any], ...] = ({}, _LARGEST, _SMALLEST)
    for number in range(count):
        row_id = str(UUID(int=rng.getrandbits(128), version=4))
        row = {
            **_usual(rng, table, row_id, ends),
            **(variants[number] if number < len(variants) else {}),
            **_kept(table, row_id, number),
        }
        row["cr0dd_money_base"] = row["cr0dd_money"]
        row["cr0dd_total"] = (row["cr0dd_whole"] or 0) + (row.get("importsequencenumber") or 0)
        yield row
    if count > len(variants):
        yield _kept(table, str(UUID(int=rng.getrandbits(128), version=4)), count)


def _kept(table: Table, row_id: str, number: int) -> dict[str, Any]:
    """What no row lacks."""
    return {
        table.primary_id: row_id,
        "cr0dd_name": f"{table.label} {number}",
        **owned(_MOMENT, _MOMENT),
    }


def _usual(rng: random.Random, table: Table, row_id: str, ends: dict[str, list[str]]) -> dict[str, Any]:
    at = datetime.fromtimestamp(rng.randrange(10**9, 17 * 10**8), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    regarding = rng.choice(("account", "contact", "systemuser"))
    customer = rng.choice(("account", "contact"))
    return {
        "cr0dd_text": rng.choice(("Red", "Größe 38", "naïve — “quoted”", "{not json}")),
        "cr0dd_memo": "First line\nsecond line\ttabbed",
        "cr0dd_whole": rng.randrange(10**6),
        "cr0dd_big": rng.getrandbits(60),
        "cr0dd_decimal": rng.randrange(10**9),
        "cr0dd_double": rng.random() * 1000,
        "cr0dd_money": rng.randrange(10**8) * 100,
        "exchangerate": 10**10,
        "transactioncurrencyid": CURRENCY_ID,
        "cr0dd_flag": rng.randrange(2),
        "cr0dd_size": 100_000_000 + rng.randrange(3),
        "cr0dd_sizes": rng.choice((None, "100000000", "100000000,100000002")),
        "cr0dd_moment": at,
        "cr0dd_wallclock": at,
        "cr0dd_day": at[:10],
        "cr0dd_guid": row_id,
        "cr0dd_tablename": regarding,
        "cr0dd_contact": rng.choice(ends["contact"]),
        "cr0dd_regarding": USER_ID if regarding == "systemuser" else rng.choice(ends[regarding]),
        "cr0dd_regarding__table": regarding,
        "cr0dd_customer": rng.choice(ends[customer]),
        "cr0dd_customer__table": customer,
        "cr0dd_image": _PIXEL,
        "cr0dd_imageid": row_id,
        "cr0dd_image_timestamp": _TICKS,
        "cr0dd_image_url": (
            f"/Image/download.aspx?Entity={table.logical_name}&Attribute=cr0dd_image&Id={row_id}&Timestamp={_TICKS}"
        ),
        "cr0dd_file": row_id,
        "cr0dd_file_name": "receipt.pdf",
        "importsequencenumber": rng.randrange(100),
    }
