"""How a table is declared: all that reading, writing and metadata need to know about it (Dataverse page 2.5, 4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property


@dataclass(frozen=True, eq=False)
class Kind:
    """A column type: its names in metadata, on the wire and in SQLite. Each is one object, known by its identity."""

    attribute_type: str
    type_name: str
    edm: str
    sql: str
    #: The metadata type, as in ``Microsoft.Dynamics.CRM.StringAttributeMetadata``.
    metadata: str


STRING = Kind("String", "StringType", "Edm.String", "TEXT", "String")
MEMO = Kind("Memo", "MemoType", "Edm.String", "TEXT", "Memo")
INTEGER = Kind("Integer", "IntegerType", "Edm.Int32", "INTEGER", "Integer")
BIGINT = Kind("BigInt", "BigIntType", "Edm.Int64", "INTEGER", "BigInt")
DECIMAL = Kind("Decimal", "DecimalType", "Edm.Decimal", "INTEGER", "Decimal")
DOUBLE = Kind("Double", "DoubleType", "Edm.Double", "REAL", "Double")
MONEY = Kind("Money", "MoneyType", "Edm.Decimal", "INTEGER", "Money")
BOOLEAN = Kind("Boolean", "BooleanType", "Edm.Boolean", "INTEGER", "Boolean")
DATETIME = Kind("DateTime", "DateTimeType", "Edm.DateTimeOffset", "TEXT", "DateTime")
DATE = Kind("DateTime", "DateTimeType", "Edm.Date", "TEXT", "DateTime")
PICKLIST = Kind("Picklist", "PicklistType", "Edm.Int32", "INTEGER", "Picklist")
STATE = Kind("State", "StateType", "Edm.Int32", "INTEGER", "State")
STATUS = Kind("Status", "StatusType", "Edm.Int32", "INTEGER", "Status")
MULTISELECT = Kind("Virtual", "MultiSelectPicklistType", "Edm.String", "TEXT", "MultiSelectPicklist")
LOOKUP = Kind("Lookup", "LookupType", "Edm.Guid", "TEXT", "Lookup")
CUSTOMER = Kind("Customer", "CustomerType", "Edm.Guid", "TEXT", "Lookup")
OWNER = Kind("Owner", "OwnerType", "Edm.Guid", "TEXT", "Lookup")
GUID = Kind("Uniqueidentifier", "UniqueidentifierType", "Edm.Guid", "TEXT", "UniqueIdentifier")
IMAGE = Kind("Virtual", "ImageType", "Edm.Binary", "BLOB", "Image")
FILE = Kind("Virtual", "FileType", "Edm.Guid", "TEXT", "File")
ENTITY_NAME = Kind("EntityName", "EntityNameType", "Edm.String", "TEXT", "EntityName")
SHADOW = Kind("Virtual", "VirtualType", "Edm.String", "TEXT", "")

#: A kind by its names, so that one that was written down comes back as itself.
KINDS = {
    (kind.type_name, kind.edm): kind
    for kind in (
        STRING, MEMO, INTEGER, BIGINT, DECIMAL, DOUBLE, MONEY, BOOLEAN, DATETIME, DATE, PICKLIST, STATE, STATUS,
        MULTISELECT, LOOKUP, CUSTOMER, OWNER, GUID, IMAGE, FILE, ENTITY_NAME, SHADOW,
    )
}  # fmt: skip
LOOKUPS = frozenset({LOOKUP, CUSTOMER, OWNER})
TEXTS = frozenset({STRING, MEMO})
SCALED = frozenset({DECIMAL, MONEY})
WHOLE = frozenset({INTEGER, BIGINT})


@dataclass(frozen=True)
class Option:
    """One value of a choice column; a status value belongs to a ``state``."""

    value: int
    label: str
    state: int | None = None


@dataclass(frozen=True)
class Navigation:
    """A single-valued navigation property: ``name`` leads from ``attribute`` to a row of ``table``."""

    name: str
    attribute: str
    table: str
    #: The schema name of the relationship, where it has one of its own.
    relationship: str = ""


@dataclass(frozen=True)
class Attribute:
    """One column."""

    name: str
    kind: Kind
    label: str = ""
    description: str = ""
    schema_name: str = ""
    max_length: int = 100
    precision: int = 2
    minimum: int | None = None
    maximum: int | None = None
    #: ``UserLocal``, ``DateOnly`` or ``TimeZoneIndependent``
    behavior: str = ""
    #: ``Format`` or ``FormatName`` in metadata, where it is not the usual one of the kind.
    format: str = ""
    #: Made by a client; the organisation's own columns are known by their prefix.
    custom: bool = False
    options: tuple[Option, ...] = ()
    navigations: tuple[Navigation, ...] = ()
    default: int | None = None
    required: str = "None"
    readable: bool = True
    creatable: bool = True
    updatable: bool = True
    #: Whole-number columns whose sum this one is; it is calculated, not written.
    sum_of: tuple[str, ...] = ()
    #: The column whose shadow this one is. Shadows are metadata only: the Web API neither selects nor stores them.
    attribute_of: str | None = None

    @property
    def property_name(self) -> str:
        """The name in rows and query options: ``_x_value`` for lookups (Dataverse page 2.5)."""
        return f"_{self.name}_value" if self.kind in LOOKUPS else self.name

    @property
    def stored(self) -> bool:
        """Has a column of its own."""
        return self.attribute_of is None

    @property
    def target_column(self) -> str | None:
        """The SQLite column with the table that a lookup of several targets points to."""
        return f"{self.name}__table" if len(self.navigations) > 1 else None

    def option(self, value: int) -> Option | None:
        """The option with this value."""
        return next((option for option in self.options if option.value == value), None)

    def but(self, **changes: object) -> Attribute:
        """A copy with changes."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Key:
    """An alternate key. Its index takes time to be built (Dataverse page 4): until then it is of no use."""

    logical_name: str
    attributes: tuple[str, ...]
    schema_name: str = ""
    label: str = ""
    #: ``EntityKeyIndexStatus``: ``Pending``, ``Active`` or ``Failed``.
    status: str = "Active"
    #: When a pending index will be built, as SQLite holds moments.
    ready_at: str = ""


@dataclass(frozen=True)
class Table:
    """One table with all its columns."""

    logical_name: str
    set_name: str
    schema_name: str
    label: str
    object_type_code: int
    primary_name: str
    attributes: tuple[Attribute, ...]
    keys: tuple[Key, ...] = ()
    custom: bool = False
    change_tracking: bool = True
    #: Flags of metadata that are true: ``IsPrivate``, ``IsIntersect``, ``IsLogicalEntity``.
    flags: frozenset[str] = frozenset()
    ownership: str = "UserOwned"
    #: Names of columns that are joined, in this order, when the primary name is not written but computed.
    computed_name: tuple[str, ...] = field(default=())
    #: Names of columns in other editions of the documentation that a body may use: (name, column).
    synonyms: tuple[tuple[str, str], ...] = ()
    collection_label: str = ""
    description: str = ""

    @property
    def intersect(self) -> bool:
        """Holds the pairs of an N:N relation."""
        return "IsIntersect" in self.flags

    @property
    def primary_id(self) -> str:
        """The primary key column."""
        return f"{self.logical_name}id"

    @cached_property
    def by_name(self) -> dict[str, Attribute]:
        """Stored columns by logical name."""
        return {attribute.name: attribute for attribute in self.attributes if attribute.stored}

    @cached_property
    def sql_columns(self) -> dict[str, str]:
        """SQLite columns with their types."""
        result: dict[str, str] = {}
        for attribute in self.by_name.values():
            result[attribute.name] = attribute.kind.sql
            if attribute.target_column:
                result[attribute.target_column] = "TEXT"
        return result

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Columns that the Web API does not let be empty (Dataverse page 4)."""
        return tuple(name for name, attribute in self.by_name.items() if attribute.required == "SystemRequired")

    @cached_property
    def by_property(self) -> dict[str, Attribute]:
        """Readable columns by the name that rows and query options use."""
        return {a.property_name: a for a in self.attributes if a.stored and a.readable}

    @cached_property
    def navigations(self) -> dict[str, Navigation]:
        """Navigation properties by name."""
        return {nav.name: nav for attribute in self.attributes for nav in attribute.navigations}
