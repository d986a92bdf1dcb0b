"""Writing rows into tables of Dataverse (Dataverse pages 2.5, 4, 5)."""

from annex_d365.dataverse.writes.definition import (
    AlternateKeyDefinition,
    ColumnDefinition,
    Lookup,
    TableDefinition,
)
from annex_d365.dataverse.writes.discovery import read_definition
from annex_d365.dataverse.writes.document import return_representation
from annex_d365.dataverse.writes.operations import (
    AlternateKey,
    Effect,
    Guid,
    Key,
    Kind,
    Operation,
    Reference,
    Way,
    WriteOptions,
    Written,
    guid_for,
)
from annex_d365.dataverse.writes.values import alternate_key, encode, reference
from annex_d365.dataverse.writes.writer import TableWriter

__all__ = [
    "AlternateKey",
    "AlternateKeyDefinition",
    "ColumnDefinition",
    "Effect",
    "Guid",
    "Key",
    "Kind",
    "Lookup",
    "Operation",
    "Reference",
    "TableDefinition",
    "TableWriter",
    "Way",
    "WriteOptions",
    "Written",
    "alternate_key",
    "encode",
    "guid_for",
    "read_definition",
    "reference",
    "return_representation",
]
