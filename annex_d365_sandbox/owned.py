"""What the service itself writes into a row that a user owns."""

from __future__ import annotations

from typing import Any

from annex_d365_sandbox.dataverse.models import BUSINESS_UNIT_ID, USER_ID


def owned(created: str, modified: str) -> dict[str, Any]:
    """The columns of an active row, by these times."""
    return {
        "createdon": created,
        "modifiedon": modified,
        "createdby": USER_ID,
        "modifiedby": USER_ID,
        "ownerid": USER_ID,
        "owninguser": USER_ID,
        "owningbusinessunit": BUSINESS_UNIT_ID,
        "statecode": 0,
        "statuscode": 1,
    }
