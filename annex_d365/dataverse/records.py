"""From rows of the service to records: which columns to ask for, and what to make of each row."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from annex_d365.dataverse.client import Row
from annex_d365.dataverse.metadata import Table
from annex_d365.errors import SettingError

logger = logging.getLogger(__name__)


class Records:
    """The records of one table, with the columns that are selected.

    Args:
        table: whose rows they are.
        names: record columns, in the order of the records; keys of ``table.columns``.

    Attributes:
        names: record columns.
        select: names for ``$select``, each once; the table's key and bookmark are always there.
        expand: the OData ``$expand``, or "".
        annotations: value for ``odata.include-annotations``, or "" when no column needs one.
        columns: of the table, those of the names.
        next_links: in rows, what tells that an expanded collection is cut.

    Raises:
        SettingError: the table has no such column.
    """

    def __init__(self, table: Table, names: Iterable[str]) -> None:
        self.names = list(names)
        if unknown := [name for name in self.names if name not in table.columns]:
            raise SettingError(
                "catalog",
                f"table {table.entity_set} has no column {', '.join(f'`{name}`' for name in unknown)}; "
                "discover it anew.",
            )
        self.columns = columns = [table.columns[name] for name in self.names]
        asked = [*(column.select for column in columns), table.primary_id, table.replication_key]
        self.select = list(dict.fromkeys(name for name in asked if name))
        self.expand = ",".join(column.expand for column in columns if column.expand)
        self.annotations = ",".join(sorted({column.annotation for column in columns if column.annotation}))
        self._sources = [(column.name, column.source) for column in columns]
        self._conversions = [(column.name, column.convert) for column in columns if column.convert]
        self.next_links = [f"{column.source}@odata.nextLink" for column in columns if column.expand]
        self._has_warned = False

    def build(self, row: Row) -> Row:
        """The record of a row. What the row lacks is null (fetchXml omits nulls, Dataverse page 2.2)."""
        get = row.get
        record = {name: get(source) for name, source in self._sources}
        for name, convert in self._conversions:
            if (value := record[name]) is not None:
                record[name] = convert(value)
        if any(name in row for name in self.next_links):
            self.warn_of_cut()
        return record

    def warn_of_cut(self) -> None:
        """A collection of more than 5,000 rows is cut (Dataverse page 2.2); told once."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning("An expanded property has more rows than one reply holds; records have the first ones only.")
