"""Checks of Dynamics 365: tables, columns, keys, bulk messages (Dataverse pages 4, 5)."""

from __future__ import annotations

from annex_d365.dataverse.query import Query, text
from annex_d365.dataverse.writes import provision
from annex_d365.dataverse.writes.discovery import BULK_MESSAGES, read_definition
from annex_d365.doctor.d365_access import USER
from annex_d365.doctor.d365_organisation import CONTACT, Organisation
from annex_d365.doctor.model import Checks, Finding, differs, failed, ok
from annex_d365.fields import CONTACT_COLUMNS, MEMBER_ID
from annex_d365.provision import loyalty_tables

TABLES = "d365.tables"
_PROVISION = "Run `annex-d365 provision`."
_ID = MEMBER_ID.name

CHECKS: Checks[Organisation] = Checks(needs=TABLES)


@CHECKS(TABLES, "The tables that the settings name are there", page="4", how="GET EntityDefinitions", needs=USER)
def _tables(organisation: Organisation) -> Finding:
    missing = [each for each in organisation.names if each not in organisation.tables]
    if CONTACT in missing:
        return failed(
            "The definition of contacts cannot be read.", todo="Add prvReadEntity to the user's security role."
        )
    if missing:
        left = [
            each
            for each in organisation.setting_tables
            if (each if isinstance(each, str) else each["name"]) not in missing
        ]
        return failed(f"Not there: {', '.join(missing)}.", organisation.change("tables", left))
    return ok(f"All {len(organisation.names)} of them.")


@CHECKS(
    "d365.member_id_column",
    "Contacts have the column with the loyalty id",
    page="4",
    how="GET EntityDefinitions, columns of contact",
)
def _member_id_column(organisation: Organisation) -> Finding:
    column, columns = organisation.member_id_column, organisation.contact.columns
    if column in columns:
        return ok(f"`{column}`.")
    similar = [name for name in columns if name.endswith(_ID)]
    if len(similar) != 1:
        return failed(f"There is no column `{column}`.", todo=_PROVISION)
    changes = organisation.change("member_id_column", similar[0])
    return failed(f"There is no column `{column}`, but `{similar[0]}`.", changes)


@CHECKS(
    "d365.columns",
    "The table and the columns that loyalty data fills are there",
    page="4",
    how="GET EntityDefinitions; what `annex-d365 provision` would make",
)
def _columns(organisation: Organisation) -> Finding:
    organisation.check_target()
    wanted = loyalty_tables(organisation.prefix)
    steps = [step for step in provision.plan(organisation.dataverse, wanted) if not step.key_of]
    if not steps:
        return ok("They are.")
    other = _other_prefix(organisation)
    if other:
        changes = organisation.change("column_prefix", other)
        return differs(f"{len(steps)} are missing, but most of them are there with the prefix `{other}`.", changes)
    return differs(f"{len(steps)} are missing.", todo=_PROVISION)


def _other_prefix(organisation: Organisation) -> str:
    """A publisher's prefix that most of the loyalty columns have; empty for none."""
    own = [each.name for each in CONTACT_COLUMNS if each.type]
    counts: dict[str, int] = {}
    for column in organisation.contact.columns:
        prefix, sign, name = column.partition("_")
        if sign and name in own:
            counts[f"{prefix}_"] = counts.get(f"{prefix}_", 0) + 1
    best = max(counts, key=lambda prefix: counts[prefix], default="")
    return best if best != organisation.prefix and counts.get(best, 0) * 2 > len(own) else ""


@CHECKS("d365.keys", "The alternate keys that find rows are Active", page="4", how="GET EntityDefinitions, keys")
def _keys(organisation: Organisation) -> Finding:
    organisation.check_target()
    missing, pending = [], []
    for table in loyalty_tables(organisation.prefix):
        found = _key_states(organisation, table.logical_name)
        for key in table.keys:
            state = found.get(frozenset(key.columns), "")
            if state == "Failed":
                return failed(
                    f"The index of the key over {', '.join(key.columns)} of {table.logical_name} has failed: rows have "
                    "equal values.",
                    todo="Make these values unique, then delete the key and run `annex-d365 provision`.",
                )
            if not state:
                missing.append(f"{', '.join(key.columns)} of {table.logical_name}")
            elif state != "Active":
                pending.append(table.logical_name)
    if missing:
        return differs(f"Not there: {'; '.join(missing)}.", todo=_PROVISION)
    if pending:
        return differs(f"The index is still being built: {', '.join(pending)}.", todo="Wait until it is Active.")
    return ok("They are.")


def _key_states(organisation: Organisation, table: str) -> dict[frozenset[str], str]:
    query = Query(
        "EntityDefinitions",
        select=("LogicalName",),
        filter=f"LogicalName eq {text(table)}",
        expand="Keys($select=LogicalName,KeyAttributes,EntityKeyIndexStatus)",
    )
    keys = [key for row in organisation.rows(query) for key in row.get("Keys") or ()]
    return {frozenset(each["KeyAttributes"]): str(each["EntityKeyIndexStatus"]) for each in keys}


@CHECKS("d365.bulk", "Tables that are written take the bulk messages", page="5.3, 11", how="GET sdkmessagefilters")
def _bulk(organisation: Organisation) -> Finding:
    organisation.check_target()
    wanted = frozenset(BULK_MESSAGES)
    without = [
        name for name in organisation.used if not wanted <= read_definition(organisation.dataverse, name).messages
    ]
    if without:
        return differs(f"Not so {', '.join(without)}: rows are sent in batches instead, which takes longer.")
    return ok(f"All {len(organisation.used)} of them.")


@CHECKS(
    "d365.typed_columns",
    "One request tells the types of all columns",
    page="4",
    how="GET EntityDefinitions with $expand=Attributes",
)
def _typed_columns(organisation: Organisation) -> Finding:
    query = Query(
        "EntityDefinitions", select=("LogicalName",), filter=f"LogicalName eq {text(CONTACT)}", expand="Attributes"
    )
    attributes = [each for row in organisation.rows(query) for each in row.get("Attributes") or ()]
    if any("DateTimeBehavior" in each for each in attributes):
        return ok("It does.")
    return differs("It leaves out the kinds of dates; the connector asks for them once more.")
