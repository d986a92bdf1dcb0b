"""How a stream becomes rows of a table, from settings, presets and metadata."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.writes import ColumnDefinition, Kind, TableDefinition, read_definition
from annex_d365.dataverse.writes.values import TooLong
from annex_d365.errors import SettingError
from target_annex.dynamics.contacts import TABLE
from target_annex.dynamics.mapping import Field, RowMapping
from target_annex.mapping import key_columns, require
from target_annex.ownership import Ownership, Sides
from target_annex.presets import D365, row_preset

logger = logging.getLogger(__name__)

#: Columns that the Singer SDK adds to streams.
_SDK_PREFIX = "_sdc_"


def row_mapping(
    dataverse: Dataverse,
    stream: str,
    entry: Mapping[str, Any],
    *,
    columns: Collection[str],
    key_properties: Sequence[str],
    prefix: str,
    too_long: TooLong,
    ownership: Ownership | None = None,
) -> RowMapping:
    """The mapping of one stream.

    Args:
        dataverse: the organisation.
        stream: its name.
        entry: its part of the setting `streams`.
        columns: of its schema.
        key_properties: of its schema.
        prefix: the setting `column_prefix`.
        too_long: the setting.
        ownership: which side the columns of contacts follow; the default one if not given.

    Raises:
        SettingError: there is no such table or column, or nothing that could be written.
    """
    preset = row_preset(stream, prefix, columns)
    definition = _definition(dataverse, stream, entry.get("object") or (preset.object if preset else stream))
    if preset and definition.logical_name != preset.object:
        preset = None  # its fields are another table's
    key = key_columns(stream, entry, columns, key_properties)
    mode = Kind(entry.get("mode") or Kind.UPSERT.value)
    ownership, sides = ownership or Ownership(D365), Sides()
    if "fields" in entry:
        fields = _named(dataverse, stream, definition, entry["fields"], columns)
        if preset:
            ownership.check_named(stream, entry["fields"], preset.shared)
    else:
        sources = preset.fields if preset else {name: name for name in columns if not name.startswith(_SDK_PREFIX)}
        fields = _known(stream, definition, sources, columns)
        sides = ownership.sides(preset.shared if preset else {})
    address = _address(stream, definition, key, fields)
    writable = _writable(stream, definition, mode, fields)
    if mode is not Kind.DELETE and not writable:
        raise SettingError(
            f"streams.{stream}.fields", f"stream {stream} has no column that can be written to {definition.entity_set}."
        )
    return RowMapping(
        stream=stream,
        definition=definition,
        mode=mode,
        key=key,
        fields=writable,
        address=address,
        clear_nulls=bool(entry.get("clear_nulls")),
        too_long=too_long,
        sides=sides,
    )


def _definition(dataverse: Dataverse, stream: str, table: str) -> TableDefinition:
    try:
        return read_definition(dataverse, table)
    except SettingError as error:
        if type(error) is not SettingError:
            raise
        raise SettingError(
            f"streams.{stream}.object",
            f"there is no table `{table}` for stream {stream}; name one, leave the stream out in the tap, or make the "
            "tables of the presets with `annex-d365 provision`.",
        ) from None


def _named(
    dataverse: Dataverse,
    stream: str,
    definition: TableDefinition,
    fields: Mapping[str, str | Mapping[str, str]],
    columns: Collection[str],
) -> list[Field]:
    """The fields that the settings name: all of them have to be there."""
    setting = f"streams.{stream}.fields"
    if unknown := definition.unknown(fields):
        names = ", ".join(f"`{name}`" for name in unknown)
        raise SettingError(setting, f"table {definition.entity_set} has no column {names}.")
    found = []
    for name, value in fields.items():
        source = value if isinstance(value, str) else value["column"]
        require(source, columns, setting, stream)
        column = definition.column(name)
        assert column
        if isinstance(value, str):
            found.append(Field(column, source, table_source=_table_source(column, source, columns)))
        else:
            found.append(_lookup(dataverse, setting, column, value))
    return found


def _lookup(dataverse: Dataverse, setting: str, column: ColumnDefinition, value: Mapping[str, str]) -> Field:
    """A lookup by an alternate key of the table that it leads to."""
    table = value.get("table") or (next(iter(column.lookups)) if len(column.lookups) == 1 else "")
    leads_to = column.lookups.get(table) or next(
        (each for each in column.lookups.values() if each.entity_set == table), None
    )
    if leads_to is None:
        known = ", ".join(column.lookups) or "none"
        raise SettingError(f"{setting}.{column.name}.table", f"is not a table that it leads to (known: {known}).")
    target = read_definition(dataverse, leads_to.table)
    key = target.key([value["key"]])
    if key is None or not key.active:
        problem = f"`{value['key']}` is no alternate key of table {target.entity_set} that can be used."
        raise SettingError(f"{setting}.{column.name}.key", problem)
    return Field(column, value["column"], target=target, target_key=value["key"])


def _known(
    stream: str, definition: TableDefinition, sources: Mapping[str, str], columns: Collection[str]
) -> list[Field]:
    """The fields of a preset, or of a stream whose columns are named like the table's, as far as they are there."""
    companions = {f"{name}_table" for name in columns}  # of tap-d365's own streams
    found: dict[str, Field] = {}
    unknown = []
    for name, source in sources.items():
        if column := definition.column(name):
            new = Field(column, source, table_source=_table_source(column, source, columns))
            if found.setdefault(column.name, new) is not new:
                logger.warning(
                    "Stream %s: `%s` and `%s` are one column of table %s; the former is written.",
                    stream, found[column.name].source, source, definition.entity_set,
                )  # fmt: skip
        elif name not in companions:
            unknown.append(name)
    if unknown:
        logger.warning(
            "Stream %s: table %s has no column %s; left out. `annex-d365 provision` makes those of the presets.",
            stream,
            definition.entity_set,
            ", ".join(f"`{name}`" for name in unknown),
        )
    return list(found.values())


def _table_source(column: ColumnDefinition, source: str, columns: Collection[str]) -> str:
    return f"{source}_table" if column.lookups and f"{source}_table" in columns else ""


def _address(stream: str, definition: TableDefinition, key: Sequence[str], fields: Sequence[Field]) -> dict[str, str]:
    """The columns of the table that stand for the stream's key: its primary key, or those of an alternate key.

    Raises:
        SettingError: there is such a key, but it cannot be used yet.
    """
    # One column of the stream may be written into several of the table.
    columns: dict[str, list[str]] = {source: [source] if source in definition.columns else [] for source in key}
    for each in fields:
        if each.source in columns and not each.target and each.column.name not in columns[each.source]:
            columns[each.source].append(each.column.name)
    addresses = [
        dict(zip(names, key, strict=True)) for names in product(*columns.values()) if len({*names}) == len(key)
    ]
    for address in addresses:
        if list(address) == [definition.primary_id]:
            return address
    unusable = ""
    for address in addresses:
        if found := definition.key(address):
            if found.active:
                return address
            unusable = found.name
    # Contacts are found without a key, too.
    if unusable and definition.logical_name != TABLE:
        raise SettingError(
            f"streams.{stream}.key",
            f"the alternate key `{unusable}` of {definition.entity_set} cannot be used: its index is not built yet, or "
            "has failed; without it rows that are there would be made a second time.",
        )
    return {}


def _writable(stream: str, definition: TableDefinition, mode: Kind, fields: Sequence[Field]) -> list[Field]:
    """Without the key, and without columns that only the service writes: it would ignore them silently."""
    fields = [each for each in fields if each.column.name != definition.primary_id]
    ignored = definition.read_only([each.column.name for each in fields], mode) if mode is not Kind.DELETE else []
    if ignored:
        logger.warning(
            "Stream %s: %s cannot be written in table %s; left out.",
            stream,
            ", ".join(f"`{name}`" for name in ignored),
            definition.entity_set,
        )
    return [each for each in fields if each.column.name not in ignored]
