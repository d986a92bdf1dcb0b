"""The columns of a table's records, from the columns that metadata has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from annex_d365.dataverse.query import expanded_properties
from annex_d365.dataverse.types import TEXT, ColumnType, JsonSchema, column_type

logger = logging.getLogger(__name__)

#: Annotations of values (Dataverse page 2.4).
FORMATTED_VALUE = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"


@dataclass(frozen=True)
class Attribute:
    """A column as metadata has it (Dataverse page 4).

    Attributes:
        name: ``parentcustomerid``.
        type_name: ``CustomerType``, a key of :data:`~annex_d365.dataverse.types.COLUMN_TYPES`.
        readable: whether it can be read.
        attribute_of: the column that it belongs to, and with which it is read.
        date_behavior: of a date: ``DateOnly``, ``UserLocal``, ``TimeZoneIndependent``.
        max_length: of a text, in characters.
        targets: of a lookup, the tables it leads to.
        title: its name for people.
        description: what it is for.
    """

    name: str
    type_name: str
    readable: bool = True
    attribute_of: str | None = None
    date_behavior: str | None = None
    max_length: int | None = None
    targets: tuple[str, ...] = ()
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Column:
    """A column of records.

    Attributes:
        name: in records: ``firstname``, ``_ownerid_value``, ``_ownerid_value_table``, ``statuscode_label``.
        schema: JSON Schema, null allowed.
        source: in rows; of labels and tables, an annotation of another column.
        select: what to ask for in ``$select``; empty for expanded properties.
        annotation: name of the annotation that it is, if it is one.
        expand: what to ask for in ``$expand``, if it is an expanded property.
        convert: makes the record's value of the row's, where they differ; never called with null.
        on_demand: whether it is read only when it is selected by name.
    """

    name: str
    schema: JsonSchema
    source: str
    select: str = ""
    annotation: str = ""
    expand: str = ""
    convert: Callable[[Any], Any] | None = None
    on_demand: bool = False


def columns_of(attributes: Iterable[Attribute], *, labels: bool = False) -> dict[str, Column]:
    """The columns of records, by name; labels and tables stand behind the column that they belong to.

    Args:
        attributes: all columns of the table.
        labels: whether labels are wanted, too.
    """
    named = {each.name: each for each in attributes}
    kinds = {each.name: kind for each in named.values() if (kind := _kind(each))}
    for name, kind in [*kinds.items()]:
        for addition, companion in kind.companions.items():
            # Metadata may list them as columns of their own, or of the other column.
            own = named.setdefault(f"{name}{addition}", Attribute(f"{name}{addition}", ""))
            if own.readable:
                kinds[own.name] = replace(companion, on_demand=True)
    columns = {name: _column(named[name], kinds[name]) for name in sorted(kinds)}
    taken = {column.name for column in columns.values()}
    found = {}
    for name, column in columns.items():
        found[column.name] = column
        for each in _annotations(column, named[name], kinds[name], labels=labels):
            if each.name in taken:
                logger.warning("Column %s hides the annotation of %s.", each.name, column.name)
            else:
                found[each.name] = each
    return found


def expanded_columns(expand: str) -> dict[str, Column]:
    """The properties of an OData ``$expand`` as columns, as the service sends them.

    A lookup is an object or null; a collection is a list of objects, empty rather than null, of which the service sends
    no more than 5,000 (Dataverse page 2.2): where it has more, a warning says so.

    Raises:
        ValueError: it is no list of properties.
    """
    # What they hold depends on options that only the service understands, so that the schema promises nothing.
    schema = {"type": ["object", "array", "null"]}
    return {
        name: Column(name, schema, source=name, expand=item, convert=without_annotations)
        for name, item in expanded_properties(expand).items()
    }


def without_annotations(value: Any) -> Any:
    """An expanded property without its annotations, in all depths. No column has an ``@`` in its name."""
    if isinstance(value, dict):
        return {name: without_annotations(each) for name, each in value.items() if "@" not in name}
    if isinstance(value, list):
        return [without_annotations(each) for each in value]
    return value


def _kind(attribute: Attribute) -> ColumnType | None:
    # A column of another column (the name of a lookup, say) cannot be selected by itself.
    if not attribute.readable or attribute.attribute_of:
        return None
    return column_type(attribute.name, attribute.type_name, attribute.date_behavior)


def _column(attribute: Attribute, kind: ColumnType) -> Column:
    name = f"_{attribute.name}_value" if kind.lookup else attribute.name
    schema = kind.nullable
    if attribute.max_length and schema["type"][0] == "string":
        schema["maxLength"] = attribute.max_length
    # Many tools show nothing but the description.
    description = attribute.description or attribute.title
    schema.update({key: text for key, text in (("title", attribute.title), ("description", description)) if text})
    return Column(name, schema, source=name, select=name, convert=kind.convert, on_demand=kind.on_demand)


def _annotations(column: Column, attribute: Attribute, kind: ColumnType, *, labels: bool) -> Iterator[Column]:
    if kind.lookup and (kind.polymorphic or len(attribute.targets) > 1):
        # Not "type", which is what Dynamics calls something else; its values are names of tables.
        yield _annotation(column, "table", LOOKUP_TABLE, "Table of the row that this column leads to")
    if labels and kind.labelled:
        yield _annotation(column, "label", FORMATTED_VALUE, "Text of this column's value, in the user's language")


def _annotation(column: Column, suffix: str, annotation: str, meaning: str) -> Column:
    return Column(
        f"{column.name}_{suffix}",
        {**TEXT.nullable, "description": meaning},
        source=f"{column.name}@{annotation}",
        select=column.name,
        annotation=annotation,
    )
