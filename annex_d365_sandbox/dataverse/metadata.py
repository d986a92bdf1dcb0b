"""Queries of ``EntityDefinitions``: path, casts, $select, $filter, $expand (Dataverse page 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from odata_query import ast

from annex_d365_sandbox.dataverse import definitions, errors, query, syntax
from annex_d365_sandbox.dataverse.schema import Attribute, Table

_PATH = re.compile(
    r"\((?P<by>LogicalName='(?P<name>[^']*)'|(?P<id>[0-9a-fA-F-]{36}))\)"
    r"(?:/(?P<part>Attributes|Keys)(?:\(LogicalName='(?P<column>[^']*)'\))?"
    r"(?:/Microsoft\.Dynamics\.CRM\.(?P<cast>\w+)AttributeMetadata)?)?"
)
#: ``AttributeTypeCode'Picklist'``: an enumeration's value, which the filter grammar takes for a name and a text.
_ENUM = re.compile(r"Microsoft\.Dynamics\.CRM\.\w+('[^']*')")
_OPTIONS = frozenset({"$select", "$filter", "$expand"})


def answer(tables: Mapping[str, Table], rest: str, options: Mapping[str, str], root: str) -> dict[str, Any]:
    """The members of the reply.

    Args:
        tables: all tables by logical name.
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
        found = [shape for table in tables.values() if (shape := _table(table, options)) is not None]
        return {"@odata.context": context, "value": found}
    match = _PATH.fullmatch(rest)
    if not match:
        raise errors.unknown_segment(rest.strip("/"))
    table = _find(tables, match)
    if match["part"] is None:
        plain = {name: value for name, value in options.items() if name != "$filter"}
        return {"@odata.context": f"{context}/$entity", **(_table(table, plain) or {})}
    context = f"{context}('{table.logical_name}')/{match['part']}"
    if match["part"] == "Keys":
        return {"@odata.context": context, "value": list(_keys(table, options))}
    columns = list(_columns(table, options, match["cast"]))
    if match["column"] is None:
        return {"@odata.context": context, "value": [shape for _, shape in columns]}
    only = dict(columns).get(match["column"])
    if only is None:
        raise errors.DataverseError(
            404, "0x80060888", f"Could not find an attribute with specified name: {match['column']}"
        )
    return {"@odata.context": f"{context}/$entity", **only}


def _find(tables: Mapping[str, Table], match: re.Match[str]) -> Table:
    for table in tables.values():
        if table.logical_name == match["name"] or definitions.metadata_id(table.logical_name) == match["id"]:
            return table
    raise errors.DataverseError(404, "0x80060888", f"Could not find an entity with specified name: {match['name']}.")


def _table(table: Table, options: Mapping[str, str]) -> dict[str, Any] | None:
    body = definitions.table_definition(table)
    if not _matches(body, options.get("$filter", "")):
        return None
    result = _selected(body, options.get("$select", ""))
    for name, inner in _expands(options.get("$expand", "")):
        if name == "Attributes":
            result[name] = [shape for _, shape in _columns(table, inner, None)]
        elif name == "Keys":
            result[name] = list(_keys(table, inner))
        else:
            raise errors.bad_query(f"The sandbox cannot expand {name} of a table.")
    return result


def _keys(table: Table, options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for key in table.keys:
        yield _selected(definitions.key_definition(table, key), options.get("$select", ""))


def _columns(table: Table, options: Mapping[str, str], cast: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, attribute in enumerate(table.attributes, 1):
        if cast is not None and attribute.kind.metadata != cast:
            continue
        body = definitions.attribute_definition(table, attribute, number)
        if not _matches(body, options.get("$filter", "")):
            continue
        yield attribute.name, _column(table, attribute, body, options, cast)


def _column(
    table: Table, attribute: Attribute, body: dict[str, Any], options: Mapping[str, str], cast: str | None
) -> dict[str, Any]:
    select = options.get("$select", "")
    # The plain collection is of the base type: it knows no properties of a subtype until a cast (Dataverse page 4),
    # but without $select each item shows all that it has.
    full = body | definitions.subtype(attribute) if cast or not select else body
    result = _selected(full, select)
    if attribute.kind.metadata and cast is None:
        result = {"@odata.type": f"#Microsoft.Dynamics.CRM.{attribute.kind.metadata}AttributeMetadata", **result}
    sets = definitions.option_sets(table, attribute)
    for name, inner in _expands(options.get("$expand", "")):
        if name not in sets or cast is None:
            raise errors.bad_query(f"Could not find a property named '{name}' to expand.")
        value = sets[name]
        result[name] = value and _selected(value, inner.get("$select", ""))
    return result


def _selected(body: Mapping[str, Any], select: str) -> dict[str, Any]:
    """The members asked for, and the id always."""
    names = [name.strip() for name in select.split(",") if name.strip()]
    for name in names:
        if name not in body:
            raise errors.bad_query(f"Could not find a property named '{name}' on the metadata type.")
    return {name: value for name, value in body.items() if not names or name in names or name == "MetadataId"}


def _expands(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for part in query.split(text):
        name, _, rest = part.partition("(")
        inner = rest.rstrip().removesuffix(")") if rest else ""
        pairs: Iterable[tuple[str, str, str]] = (option.partition("=") for option in query.split(inner, ";"))
        yield name.strip(), {option.strip(): value for option, _, value in pairs}


def _matches(body: Mapping[str, Any], text: str) -> bool:
    return not text.strip() or bool(_evaluate(syntax.parse(_ENUM.sub(r"\1", text), {}), body))


def _evaluate(node: Any, body: Mapping[str, Any]) -> Any:
    """A filter over one definition: comparisons by eq and ne, joined by and, or, not."""
    if isinstance(node, ast.BoolOp):
        left, right = _evaluate(node.left, body), _evaluate(node.right, body)
        return left and right if isinstance(node.op, ast.And) else left or right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _evaluate(node.operand, body)
    if isinstance(node, ast.Compare) and isinstance(node.comparator, (ast.Eq, ast.NotEq)):
        return (_evaluate(node.left, body) == _evaluate(node.right, body)) == isinstance(node.comparator, ast.Eq)
    return _operand(node, body)


def _operand(node: Any, body: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Attribute):  # a managed property: CanCreateAttributes/Value
        return (_operand(node.owner, body) or {}).get(node.attr)
    name = syntax.name_of(node)
    if name is not None:
        if name not in body:
            raise errors.bad_query(f"Could not find a property named '{name}' on the metadata type.")
        return body[name]
    if isinstance(node, ast.GUID):
        return node.val.lower()
    if isinstance(node, (ast.String, ast.Integer, ast.Boolean, ast.Null)):
        return node.py_val
    raise errors.bad_query("The sandbox knows only eq, ne, and, or, not in $filter of metadata.")
