"""The setting ``tables``: which tables are read, and what of them."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, REPLICATION_LOG_BASED

from annex_d365.dataverse.client import Dataverse
from annex_d365.dataverse.columns import expanded_columns
from annex_d365.dataverse.errors import UnknownColumnError
from annex_d365.dataverse.metadata import MODIFIED_ON, Table, read_tables, table_names
from annex_d365.errors import SettingError

logger = logging.getLogger(__name__)

DEFAULT_TABLES = ("contacts",)
#: In place of a name: all tables that can be read.
ALL_TABLES = "*"
REPLICATION_METHODS = (REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE, REPLICATION_LOG_BASED)


@dataclass(frozen=True)
class TableSettings:
    """One entry of the setting ``tables``.

    Attributes:
        name: entity set or logical name, as the user wrote it, or :data:`ALL_TABLES` for those without an own entry.
        select: columns, none for all; a lookup by its own name or as ``_<name>_value``.
        filter: an OData condition.
        top: at most so many rows per run.
        expand: an OData ``$expand``.
        replication: one of :data:`REPLICATION_METHODS`; None leaves it to the table.
        optional: it is there because all are wanted: one that may not be read is left out.
    """

    name: str
    select: Sequence[str] = ()
    filter: str = ""
    top: int | None = None
    expand: str = ""
    replication: str | None = None
    optional: bool = False

    def error(self, option: str, problem: str) -> SettingError:
        """What is wrong with one of the options."""
        return SettingError(f"tables.{self.name}.{option}", problem)

    def unknown_column(self, refused: UnknownColumnError) -> SettingError:
        """The same error, about the option that names the column."""
        given = {"expand": self.expand, "filter": self.filter}
        named = (option for option, text in given.items() if re.search(rf"\b{re.escape(refused.column)}\b", text))
        return self.error(next(named, "select"), refused.problem)

    def method(self, table: Table) -> str:
        """The replication method: the one that is set, where the table can do it."""
        if self.replication in {REPLICATION_FULL_TABLE, REPLICATION_LOG_BASED}:
            return self.replication
        return REPLICATION_INCREMENTAL if table.replication_key else REPLICATION_FULL_TABLE


def table_settings(config: Mapping[str, Any]) -> list[TableSettings]:
    """The entries of the setting ``tables``.

    Raises:
        SettingError: a table is named twice; an entry has an unknown option, or one that its replication excludes.
    """
    entries: dict[str, TableSettings] = {}
    for each in config.get("tables", DEFAULT_TABLES):
        entry = _entry(each)
        if entry.name in entries:
            raise _twice(entry.name)
        entries[entry.name] = entry
        if entry.replication == REPLICATION_LOG_BASED:
            # The service refuses them (Dataverse page 3); a shard is a filter.
            excluded = {"filter": entry.filter, "top": entry.top, "expand": entry.expand, "shard": config.get("shard")}
            for option in (name for name, value in excluded.items() if value):
                raise entry.error(option, "cannot be used with replication LOG_BASED.")
    return list(entries.values())


def read_configured(
    dataverse: Dataverse,
    entries: Sequence[TableSettings],
    *,
    catalog: Mapping[str, bool] | None = None,
    labels: bool = False,
    parallel: int = 1,
) -> list[tuple[Table, TableSettings]]:
    """The tables that a run reads, as their settings make them.

    Args:
        dataverse: the organisation.
        entries: what is set.
        catalog: whether each stream is selected; None without a catalog. Others are not asked for.
        labels: whether columns include labels.
        parallel: requests at a time.

    Raises:
        SettingError: there is no such table or column; a table is named twice; it cannot be replicated as it is set.
    """
    named = {entry.name: entry for entry in entries}
    others = named.pop(ALL_TABLES, None)
    # By its logical name a table is not to be found in the catalog: it may be selected.
    names = [name for name in named if catalog is None or catalog.get(name, True)]
    if others:
        every = table_names(dataverse) if catalog is None else [name for name, selected in catalog.items() if selected]
        names += [name for name in every if name not in named]
    tables = read_tables(dataverse, names, labels=labels, parallel=parallel)
    if unknown := [name for name in named if name in names and name not in tables]:
        raise SettingError("tables", f"there is no table `{unknown[0]}` in this organisation.")
    chosen: dict[str, tuple[Table, TableSettings]] = {}
    for name, table in tables.items():  # named ones come first
        if name in named and table.entity_set in chosen:
            raise _twice(name)
        if catalog is None or catalog.get(table.entity_set):
            entry = (
                replace(others, name=table.entity_set, optional=True) if others and name not in named else named[name]
            )
            chosen.setdefault(table.entity_set, (table, entry))
    possible = [(table, _as_possible(table, entry)) for table, entry in chosen.values()]
    _warn_of_full_tables(possible)
    return [(_as_set(table, entry), entry) for table, entry in possible]


def _entry(given: str | Mapping[str, Any]) -> TableSettings:
    options = {"name": given} if isinstance(given, str) else {key: value for key, value in given.items() if value}
    known = [field.name for field in fields(TableSettings) if field.name != "optional"]
    for option in options:
        if option not in known:
            similar = difflib.get_close_matches(option, known, n=1)
            hint = f"; did you mean `{similar[0]}`?" if similar else "."
            raise SettingError(f"tables.{options.get('name', '')}.{option}", f"is not known{hint}")
    return TableSettings(**options)


def _twice(name: str) -> SettingError:
    return SettingError("tables", f"names the table `{name}` twice.")


def _as_possible(table: Table, entry: TableSettings) -> TableSettings:
    """Of all tables some cannot do what is wanted of all."""
    if entry.optional and entry.replication == REPLICATION_LOG_BASED and not table.change_tracking:
        logger.warning("Table %s has no change tracking: it is read without.", table.entity_set)
        return replace(entry, replication=None)
    return entry


def _as_set(table: Table, entry: TableSettings) -> Table:
    """The table with what its entry selects and expands."""
    if entry.replication == REPLICATION_LOG_BASED and not table.change_tracking:
        raise entry.error(
            "replication", "change tracking is not enabled for this table; enable it there, or use INCREMENTAL."
        )
    if entry.select:
        table = table.narrowed([_column_name(table, entry, name) for name in entry.select])
    try:
        return table.with_columns(expanded_columns(entry.expand)) if entry.expand else table
    except ValueError as error:
        raise entry.error("expand", f"{error}.") from None


def _column_name(table: Table, entry: TableSettings, name: str) -> str:
    if found := table.column_name(name):
        return found
    similar = difflib.get_close_matches(name, table.columns, n=1)
    hint = f"; did you mean `{similar[0]}`?" if similar else "."
    raise entry.error("select", f"table {table.entity_set} has no column `{name}` that can be read{hint}")


def _warn_of_full_tables(chosen: Iterable[tuple[Table, TableSettings]]) -> None:
    """A whole table each time may be more than the user expects."""
    incremental = {None, REPLICATION_INCREMENTAL}
    full = [
        table.entity_set for table, entry in chosen if entry.replication in incremental and not table.replication_key
    ]
    if full:
        logger.warning("Read in full each time, having no column %s: %s.", MODIFIED_ON, ", ".join(full))
