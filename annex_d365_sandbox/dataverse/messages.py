"""Which table has which bulk message, as the rows of ``sdkmessagefilters`` say it (Dataverse page 5.3)."""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

from annex_d365_sandbox.dataverse import bulk
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.tables.messages import MESSAGE, MESSAGE_FILTER

_TABLES = frozenset({MESSAGE.logical_name, MESSAGE_FILTER.logical_name})


def refresh(organisation: Organisation, table: Table) -> None:
    """Before these two tables are read: make their rows say what the tables and switches of this moment are."""
    if table.logical_name not in _TABLES:
        return
    wanted = {
        _id(message, name): (message, name)
        for name, each in organisation.tables.items()
        if name not in _TABLES and bulk.supports(organisation, each)
        for message in bulk.MESSAGES
    }
    with organisation.store.transaction() as db:
        held = {row[0] for row in db.execute("SELECT sdkmessagefilterid FROM sdkmessagefilter")}
        if organisation.count("sdkmessage") and held == wanted.keys():
            return
        db.execute("DELETE FROM sdkmessagefilter")
        organisation.put("sdkmessage", [{"sdkmessageid": _id(name), "name": name} for name in bulk.MESSAGES])
        organisation.put(
            "sdkmessagefilter",
            [
                {"sdkmessagefilterid": row_id, "sdkmessageid": _id(message), "primaryobjecttypecode": name}
                for row_id, (message, name) in wanted.items()
            ],
        )


def _id(*names: str) -> str:
    return str(uuid5(NAMESPACE_OID, "/".join(("sdkmessage", *names))))
