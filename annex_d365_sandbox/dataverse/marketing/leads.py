"""Seeded leads, for segments that are not made of contacts."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from annex_d365_sandbox.dataverse import values
from annex_d365_sandbox.dataverse.derived import Rules
from annex_d365_sandbox.dataverse.marketing.tables import LEAD
from annex_d365_sandbox.names import pools

if TYPE_CHECKING:
    from annex_d365_sandbox.dataverse.models import Organisation

_YEAR = 365 * 24 * 3600


def plant(organisation: Organisation, rng: random.Random, count: int, latest: datetime) -> None:
    """Have so many leads of the year before a moment; a third of them is qualified already."""
    rules = Rules(LEAD)
    rows = [_lead(rng, number) for number in range(count)]
    stamps = [values.stamp(latest - timedelta(seconds=rng.randrange(_YEAR))) for _ in rows]
    organisation.put(
        LEAD.logical_name,
        [rules.completed(row, row["leadid"], stamp) for row, stamp in zip(rows, stamps, strict=True)],
    )


def _lead(rng: random.Random, number: int) -> dict[str, Any]:
    of, shares = pools()
    pool = rng.choices(of, shares)[0]
    first, last, qualified = rng.choice(pool.first), rng.choice(pool.last), rng.randrange(3) == 0
    return {
        "leadid": str(UUID(int=rng.getrandbits(128), version=4)),
        "statecode": int(qualified),
        "statuscode": 3 if qualified else rng.choice((1, 2)),
        "subject": f"Request {number}",
        "firstname": first,
        "lastname": last,
        "fullname": f"{first} {last}",
        "emailaddress1": f"lead.{number}@example.com",
        "address1_city": rng.choice(pool.cities),
        "address1_country": pool.country,
    }
