"""Catalogs of both kinds.

A deletion is a record with the column ``_ab_cdc_deleted_at``, by which Airbyte's destinations delete rows when they
deduplicate. They let the record with the latest cursor win, and a deletion has no change time: so these streams have
``_ab_cdc_updated_at`` for a cursor, the time when a record was read. In Singer the column is ``_sdc_deleted_at``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

from annex_d365.errors import SettingError
from annex_d365_airbyte.protocol import Catalog, ConfiguredCatalog, Stream, SyncMode

SDC_DELETED_AT, DELETED_AT, UPDATED_AT = "_sdc_deleted_at", "_ab_cdc_deleted_at", "_ab_cdc_updated_at"
_TIME = {"type": ["null", "string"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"}
_BY_STATE = ("INCREMENTAL", "LOG_BASED")


def airbyte_catalog(
    singer: Mapping[str, Any], *, incremental: Collection[str] = (), resumable: Collection[str] = ()
) -> Catalog:
    """What ``discover`` answers.

    Args:
        singer: the tap's catalog.
        incremental: streams that go on where their state is, whatever the catalog says.
        resumable: streams without it whose full load goes on where it broke off.
    """
    return Catalog([_stream(entry, incremental, resumable) for entry in singer["streams"]])


def _stream(entry: Mapping[str, Any], incremental: Collection[str], resumable: Collection[str]) -> Stream:
    name = entry["tap_stream_id"]
    by_state = entry.get("replication_method") in _BY_STATE or name in incremental
    properties = dict(entry["schema"]["properties"])
    for column in _unwanted(entry):
        del properties[column]
    cursor = entry.get("replication_key")
    if SDC_DELETED_AT in properties:
        del properties[SDC_DELETED_AT]
        properties |= {DELETED_AT: _TIME, UPDATED_AT: _TIME}
        cursor = UPDATED_AT
    modes: list[SyncMode] = ["full_refresh", "incremental"] if by_state else ["full_refresh"]
    return Stream(
        name=name,
        json_schema={"type": "object", "properties": properties},
        supported_sync_modes=modes,
        source_defined_cursor=by_state or None,
        default_cursor_field=[cursor] if by_state and cursor else None,
        source_defined_primary_key=[[key] for key in entry.get("key_properties") or ()],
        is_resumable=name in resumable,
    )


def _unwanted(entry: Mapping[str, Any]) -> list[str]:
    """Columns that nobody should get unasked: images and files. Airbyte would select them all."""
    return [
        each["breadcrumb"][-1]
        for each in entry["metadata"]
        if each["breadcrumb"] and each["metadata"].get("selected-by-default") is False
    ]


def singer_catalog(found: Mapping[str, Any], configured: ConfiguredCatalog) -> dict[str, Any]:
    """The tap's catalog with the streams and columns selected that Airbyte wants.

    Raises:
        SettingError: it wants a stream that there is not.
    """
    wanted = {each.stream.name: set(each.stream.json_schema.get("properties", ())) for each in configured.streams}
    catalog: dict[str, Any] = deepcopy(dict(found))
    missing = set(wanted) - {entry["tap_stream_id"] for entry in catalog["streams"]}
    if missing:
        raise SettingError("catalog", f"there is no stream {', '.join(sorted(missing))} any more; refresh the schema.")
    for entry in catalog["streams"]:
        columns = wanted.get(entry["tap_stream_id"])
        for each in entry["metadata"]:
            metadata = each["metadata"]
            if not each["breadcrumb"]:
                metadata["selected"] = columns is not None
            elif metadata.get("inclusion") != "automatic":
                metadata["selected"] = columns is not None and each["breadcrumb"][-1] in columns
    return catalog


def singer_state(states: Mapping[str, Any], configured: ConfiguredCatalog) -> dict[str, Any]:
    """The state for the tap, of the states by stream.

    A full refresh of a stream that could be read incrementally begins anew, whatever state it is given: Airbyte may
    replace all rows by what comes.
    """
    kept = {
        each.stream.name
        for each in configured.streams
        if each.sync_mode == "incremental" or "incremental" not in each.stream.supported_sync_modes
    }
    bookmarks = {name: state for name, state in states.items() if name in kept and NO_STATE.keys().isdisjoint(state)}
    return {"bookmarks": bookmarks} if bookmarks else {}


#: The state of a stream that has none: the platform wants one, to know that all records have come. As Airbyte's CDK.
NO_STATE = {"__ab_no_cursor_state_message": True}
