"""Custom tables with a column of every kind (Dataverse page 2.5, but no party lists): one, and more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from annex_d365_sandbox.dataverse import columns as col
from annex_d365_sandbox.dataverse import schema
from annex_d365_sandbox.dataverse.schema import Attribute, Table

_SIZES = {100_000_000: "Small", 100_000_001: "Medium", 100_000_002: "Large"}
_COLUMNS: tuple[Attribute, ...] = (
    col.text("cr0dd_name", 100, schema_name="cr0dd_Name", required="ApplicationRequired"),
    col.text("cr0dd_text", 4000, schema_name="cr0dd_Text", description="One line of text."),
    col.memo("cr0dd_memo", 1_048_576, schema_name="cr0dd_Memo", description="Many lines of text."),
    col.integer("cr0dd_whole", schema_name="cr0dd_Whole", description="A whole number."),
    col.bigint("cr0dd_big", schema_name="cr0dd_Big", description="A whole number of 64 bits."),
    col.decimal("cr0dd_decimal", 5, schema_name="cr0dd_Decimal", description="A number of five decimals."),
    col.double("cr0dd_double", schema_name="cr0dd_Double", description="A floating-point number."),
    *col.money("cr0dd_money", schema_name="cr0dd_Money", description="An amount."),
    col.decimal("exchangerate", 10, schema_name="ExchangeRate", **col.READ_ONLY),
    col.lookup("transactioncurrencyid", {"transactioncurrency": "transactioncurrencyid"}),
    col.total("cr0dd_total", ("cr0dd_whole", "importsequencenumber"), schema_name="cr0dd_Total"),
    col.boolean("cr0dd_flag", schema_name="cr0dd_Flag"),
    col.choice("cr0dd_size", _SIZES, schema_name="cr0dd_Size"),
    col.choices("cr0dd_sizes", _SIZES, schema_name="cr0dd_Sizes"),
    col.datetime("cr0dd_moment", schema_name="cr0dd_Moment", description="A moment, shown in the user's zone."),
    col.datetime("cr0dd_wallclock", "TimeZoneIndependent", schema_name="cr0dd_WallClock"),
    col.date("cr0dd_day", schema_name="cr0dd_Day", description="A day."),
    col.guid("cr0dd_guid", schema_name="cr0dd_Guid"),
    col.entity_name("cr0dd_tablename", schema_name="cr0dd_TableName"),
    col.lookup("cr0dd_contact", {"contact": "cr0dd_Contact"}, schema_name="cr0dd_Contact"),
    col.lookup(
        "cr0dd_regarding",
        {table: f"cr0dd_Regarding_{table}" for table in ("account", "contact", "systemuser")},
        schema_name="cr0dd_Regarding",
    ),
    col.lookup(
        "cr0dd_customer",
        {"account": "cr0dd_Customer_account", "contact": "cr0dd_Customer_contact"},
        schema.CUSTOMER,
        schema_name="cr0dd_Customer",
    ),
    *col.image("cr0dd_image", schema_name="cr0dd_Image"),
    *col.file("cr0dd_file", schema_name="cr0dd_File"),
    *col.standard(),
)
_WITH_SHADOWS = col.with_shadows(_COLUMNS)
_WITHOUT_MODIFIED_ON = tuple(attribute for attribute in _WITH_SHADOWS if attribute.name != "modifiedon")


def _key(table: str) -> tuple[Attribute, ...]:
    return (col.primary_id(f"{table}id"),)


SPECIMEN = Table(
    logical_name="cr0dd_specimen",
    set_name="cr0dd_specimens",
    schema_name="cr0dd_Specimen",
    label="Specimen",
    object_type_code=10202,
    primary_name="cr0dd_name",
    custom=True,
    attributes=(*_key("cr0dd_specimen"), *_WITH_SHADOWS),
)
EXTRA = "cr0dd_extra"
#: Tables of these numbers, modulo 50, have a flag that connectors look at.
_FLAGS = {17: "IsPrivate", 27: "IsIntersect", 37: "IsLogicalEntity"}


def extra_tables(count: int) -> Iterator[Table]:
    """``cr0dd_extra0001`` and so on: every tenth has no ``modifiedon``, every third no change tracking."""
    for number in range(1, count + 1):
        name = f"{EXTRA}{number:04d}"
        flag = _FLAGS.get(number % 50)
        yield replace(
            SPECIMEN,
            logical_name=name,
            set_name=f"{name}s",
            schema_name=f"cr0dd_Extra{number:04d}",
            label=f"Extra {number:04d}",
            object_type_code=11_000 + number,
            change_tracking=number % 3 > 0 and flag != "IsIntersect",
            flags=frozenset({flag} if flag else ()),
            attributes=(*_key(name), *(_WITH_SHADOWS if number % 10 else _WITHOUT_MODIFIED_ON)),
        )
