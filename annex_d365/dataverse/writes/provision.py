"""Make the tables, columns and alternate keys that a destination lacks (Dataverse page 4).

New definitions need not be published: only changes of those that are there do. A run that ends in between leaves what
it has made; the next plan has the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from annex_d365.dataverse.client import Dataverse, Row
from annex_d365.dataverse.query import Query, text
from annex_d365.dataverse.writes.calls import Calls, Reply, encode_json
from annex_d365.dataverse.writes.operations import WriteOptions
from annex_d365.dataverse.writes.schemas import column_body, compatible, key_body, lookup_body, table_body
from annex_d365.dataverse.writes.specs import ColumnSpec, KeySpec, TableSpec
from annex_d365.errors import ServiceError, SettingError

__all__ = ["ColumnSpec", "KeySpec", "Step", "TableSpec", "apply", "plan"]

#: What has just been made may not be found for some seconds.
SETTLING_SECONDS = 60.0
#: The index of a key is built in the background, over all rows.
KEY_SECONDS = 1800.0
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Step:
    """One definition to make.

    Attributes:
        sentence: for people, what it does.
        url: relative to the API's root; "" if there is only something to wait for.
        body: what is sent there.
        solution: unique name of the one that it belongs to; "" for the default one.
        key_of: the table whose keys are waited for, if it makes one.
    """

    sentence: str
    url: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    solution: str = ""
    key_of: str = ""


def plan(dataverse: Dataverse, wanted: Sequence[TableSpec]) -> list[Step]:
    """What is missing, as steps in their order; none when all is there. Changes nothing.

    Raises:
        SettingError: something of that name is there, but of another type, or a key whose index has failed.
    """
    return [step for table in wanted for step in _steps(table, _definition(dataverse, table.logical_name))]


def apply(dataverse: Dataverse, steps: Sequence[Step]) -> None:
    """Carry out the steps, and wait until keys can be used.

    Raises:
        PrivilegeError: the user may not change definitions.
        SettingError: two rows have equal values of a new key.
        ServiceError: the service refused a step, or a reply is lost: plan anew to see what is left.
    """
    calls = Calls(dataverse, WriteOptions())
    made = False
    for step in steps:
        if step.url:
            _make(calls, step, settling=made)
            made = True
    for table in dict.fromkeys(step.key_of for step in steps if step.key_of):
        _wait_for_keys(dataverse, table)


def _definition(dataverse: Dataverse, logical_name: str) -> Row | None:
    query = Query(
        "EntityDefinitions",
        select=("LogicalName",),
        filter=f"LogicalName eq {text(logical_name)}",
        expand="Attributes($select=LogicalName,AttributeTypeName),"
        "Keys($select=LogicalName,KeyAttributes,EntityKeyIndexStatus)",
    )
    return next(iter(_rows(dataverse, query.url)), None)


def _steps(table: TableSpec, found: Row | None) -> Iterator[Step]:
    if found is None:
        yield Step(
            f"Create table {table.schema_name} ({table.label}).", "EntityDefinitions", table_body(table), table.solution
        )
    attributes = (found or {}).get("Attributes") or ()
    types = {each["LogicalName"]: each["AttributeTypeName"]["Value"] for each in attributes}
    path = f"EntityDefinitions(LogicalName={text(table.logical_name)})"
    for column in table.columns:
        there = types.get(column.logical_name)
        if there and not compatible(column, there):
            raise SettingError(
                "streams", f"table {table.logical_name} has a column `{column.logical_name}` of another type, {there}."
            )
        if there:
            continue
        sentence = f"Create column {column.schema_name} ({column.label}, {column.type}) in {table.logical_name}."
        if column.target:
            yield Step(sentence, "RelationshipDefinitions", lookup_body(table, column), table.solution)
        else:
            yield Step(sentence, f"{path}/Attributes", column_body(column, table.language), table.solution)
    statuses = {
        frozenset(each["KeyAttributes"]): each["EntityKeyIndexStatus"] for each in (found or {}).get("Keys") or ()
    }
    for key in table.keys:
        status = statuses.get(frozenset(key.columns))
        if status == "Failed":
            raise _failed(table.logical_name, key.columns)
        name = f"alternate key {key.schema_name} ({', '.join(key.columns)}) on {table.logical_name}"
        if not status:
            body = key_body(key, table.language)
            yield Step(f"Create {name}.", f"{path}/Keys", body, table.solution, table.logical_name)
        elif status != "Active":
            yield Step(f"Wait for {name}.", key_of=table.logical_name)


def _make(calls: Calls, step: Step, *, settling: bool) -> None:
    """Make one definition. While others of this run are ``settling``, what is not found may come."""
    headers = {"Consistency": "Strong"}
    if step.solution:
        headers["MSCRM.SolutionUniqueName"] = step.solution
    started = time.monotonic()
    while not (reply := _post(calls, step, headers)).ok:
        waits = settling and reply.status == requests.codes.not_found
        if not waits or time.monotonic() - started > SETTLING_SECONDS:
            raise _refused(step, reply)
        calls.gate.sleep(_PAUSE_SECONDS)


def _post(calls: Calls, step: Step, headers: Mapping[str, str]) -> Reply:
    # A second time would be refused, as the name is taken.
    return calls.send("POST", step.url, f"POST /{step.url}", encode_json(step.body), headers, repeatable=False)


def _refused(step: Step, reply: Reply) -> Exception:
    error = reply.error
    if not isinstance(error, ServiceError):
        return error
    hint = "Its name must have the prefix of the solution's publisher."
    if reply.status == requests.codes.not_found and step.solution:
        hint = f"Is there a solution of the unique name `{step.solution}`?"
    return ServiceError(
        f"{step.sentence} {error} {hint}",
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )


def _wait_for_keys(dataverse: Dataverse, table: str) -> None:
    url = f"EntityDefinitions(LogicalName={text(table)})/Keys?$select=LogicalName,KeyAttributes,EntityKeyIndexStatus"
    started = time.monotonic()
    while keys := [each for each in _rows(dataverse, url) if each["EntityKeyIndexStatus"] != "Active"]:
        for key in keys:
            if key["EntityKeyIndexStatus"] == "Failed":
                raise _failed(table, key["KeyAttributes"])
        if time.monotonic() - started > KEY_SECONDS:
            raise ServiceError(f"The index of an alternate key of {table} is not ready yet; look again later.")
        dataverse.http.gate.sleep(_PAUSE_SECONDS)


def _failed(table: str, columns: Sequence[str]) -> SettingError:
    return SettingError(
        "streams",
        f"the alternate key of {table} over {', '.join(columns)} has failed: two rows have equal values. Mend them, "
        "delete the key, and create it anew.",
    )


def _rows(dataverse: Dataverse, url: str) -> list[Row]:
    return [dataverse.row(raw) for raw in dataverse.page(url, page_size=None).value]
