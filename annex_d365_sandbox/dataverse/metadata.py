"""Queries of ``EntityDefinitions``: path, casts, $select, $filter, $expand (Dataverse page 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from annex_d365_sandbox.dataverse import definition_filters, definitions, errors, query, relationships
from annex_d365_sandbox.dataverse.definition_filters import Predicate
from annex_d365_sandbox.dataverse.models import Organisation
from annex_d365_sandbox.dataverse.schema import Attribute, Table

#: How one definition is named: ``(LogicalName='contact')`` or ``(<MetadataId>)``.
ONE = r"\((?:LogicalName='[^']*'|[0-9a-fA-F-]{36})\)"
_PATH = re.compile(
    rf"(?P<table>{ONE})"
    rf"(?:/(?P<part>Attributes|Keys|{'|'.join(relationships.PARTS)})(?P<item>(?<!Relationships){ONE})?"
    r"(?:/Microsoft\.Dynamics\.CRM\.(?P<cast>\w+)AttributeMetadata)?)?"
)
_OPTIONS = frozenset({"$select", "$filter", "$expand"})


def answer(organisation: Organisation, rest: str, options: Mapping[str, str], root: str) -> dict[str, Any]:
    """The members of the reply.

    Args:
        organisation: whose tables.
        rest: the path behind ``EntityDefinitions``.
        options: query options, decoded.
        root: ``<origin>/api/data/v9.2``.

    Raises:
        DataverseError: no such table or column, or an option that metadata does not take.
    """
    for name in options:
        if name.startswith("$") and name not in _OPTIONS:
            raise errors.bad_query(f"The query parameter {name} is not supported.")
    context = f"{root}/$metadata#EntityDefinitions"
    if not rest or rest == "/":
        return {"@odata.context": context, "value": list(_tables(organisation, options))}
    match = _PATH.fullmatch(rest)
    if not match:
        raise errors.unknown_segment(rest.strip("/"))
    table = definitions.table_by(organisation.tables, match["table"])
    if table is None:
        raise errors.unknown_table(definitions.named_in(match["table"]))
    if match["part"] is None:
        return {"@odata.context": f"{context}/$entity", **_table(organisation, table, options)}
    context = f"{context}('{table.logical_name}')/{match['part']}"
    if match["item"] is None:
        return {"@odata.context": context, "value": list(_collection(organisation, table, match, options))}
    one = _column_at if match["part"] == "Attributes" else _key_at
    return {"@odata.context": f"{context}/$entity", **one(table, match, options)}


def _collection(
    organisation: Organisation, table: Table, match: re.Match[str], options: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The definitions that a table has of one part."""
    if match["part"] == "Keys":
        return _keys(table, options)
    if match["part"] in relationships.PARTS:
        return _chosen(relationships.of_table(table, match["part"], organisation.tables), options)
    fits = definition_filters.predicate(options.get("$filter", ""))
    return (shape for _, shape in _columns(table, options, match["cast"], fits))


def _column_at(table: Table, match: re.Match[str], options: Mapping[str, str]) -> dict[str, Any]:
    wanted = definitions.column_by(table, match["item"])
    found = dict(_columns(table, options, match["cast"], None))
    if wanted is None or wanted.name not in found:
        raise errors.unknown_attribute(definitions.named_in(match["item"]))
    return found[wanted.name]


def _key_at(table: Table, match: re.Match[str], options: Mapping[str, str]) -> dict[str, Any]:
    key = definitions.key_by(table, match["item"])
    if key is None:
        raise errors.unknown_definition("key", definitions.named_in(match["item"]))
    return _selected(definitions.key_definition(table, key), options.get("$select", ""))


def relationship_definitions(organisation: Organisation, options: Mapping[str, str], root: str) -> dict[str, Any]:
    """The members of the reply to ``RelationshipDefinitions``. Raises ``DataverseError``."""
    found = ({"@odata.type": relationships.TYPE, **each} for each in relationships.all_of(organisation.tables))
    return {"@odata.context": f"{root}/$metadata#RelationshipDefinitions", "value": list(_chosen(found, options))}


def _definition(organisation: Organisation, table: Table) -> dict[str, Any]:
    return definitions.table_definition(table, change_tracking=organisation.tracks_changes(table))


def _tables(organisation: Organisation, options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    fits = definition_filters.predicate(options.get("$filter", ""))
    for table in organisation.tables.values():
        if fits is None or fits(_definition(organisation, table)):
            yield _table(organisation, table, options)


def _table(organisation: Organisation, table: Table, options: Mapping[str, str]) -> dict[str, Any]:
    result = _selected(_definition(organisation, table), options.get("$select", ""))
    for name, inner in _expands(options.get("$expand", "")):
        if name == "Attributes":
            fits = definition_filters.predicate(inner.get("$filter", ""))
            result[name] = [shape for _, shape in _columns(table, inner, None, fits)]
        elif name == "Keys":
            result[name] = list(_keys(table, inner))
        elif name in relationships.PARTS:
            result[name] = list(_chosen(relationships.of_table(table, name, organisation.tables), inner))
        else:
            raise errors.bad_query(f"The sandbox cannot expand {name} of a table.")
    return result


def _chosen(found: Iterable[dict[str, Any]], options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The definitions that a filter finds, with the members asked for."""
    fits = definition_filters.predicate(options.get("$filter", ""))
    for body in found:
        if fits is None or fits(body):
            yield _selected(body, options.get("$select", ""))


def _keys(table: Table, options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    return _chosen((definitions.key_definition(table, key) for key in table.keys), options)


def _columns(
    table: Table, options: Mapping[str, str], cast: str | None, fits: Predicate | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, attribute in enumerate(table.attributes, 1):
        if cast is not None and attribute.kind.metadata != cast:
            continue
        body = definitions.attribute_definition(table, attribute, number)
        if fits is None or fits(body):
            yield attribute.name, _column(table, attribute, body, options, cast)


def _column(
    table: Table, attribute: Attribute, body: dict[str, Any], options: Mapping[str, str], cast: str | None
) -> dict[str, Any]:
    select = options.get("$select", "")
    # The plain collection is of the base type: it knows no properties of a subtype until a cast (Dataverse page 4),
    # but without $select each item shows all that it has.
    full = body | definitions.subtype(attribute) if cast or not select else body
    result = _selected(full, select)
    if cast is None:
        result = {"@odata.type": f"#Microsoft.Dynamics.CRM.{attribute.kind.metadata}AttributeMetadata", **result}
    expands = options.get("$expand", "")
    sets = definitions.option_sets(table, attribute) if expands else {}
    for name, inner in _expands(expands):
        if name not in sets or cast is None:
            raise errors.bad_query(f"Could not find a property named '{name}' to expand.")
        value = sets[name]
        result[name] = value and _selected(value, inner.get("$select", ""))
    return result


def _selected(body: Mapping[str, Any], select: str) -> dict[str, Any]:
    """The members asked for, and the id always."""
    names = [name.strip() for name in select.split(",") if name.strip()]
    if not names:
        return dict(body)
    for name in names:
        if name not in body:
            raise errors.bad_query(f"Could not find a property named '{name}' on the metadata type.")
    typed = ["@odata.type"] if "@odata.type" in body else []
    return {name: body[name] for name in dict.fromkeys((*typed, "MetadataId", *names))}


def _expands(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for part in query.split(text):
        name, _, rest = part.partition("(")
        inner = rest.rstrip().removesuffix(")") if rest else ""
        pairs: Iterable[tuple[str, str, str]] = (option.partition("=") for option in query.split(inner, ";"))
        yield name.strip(), {option.strip(): value for option, _, value in pairs}
