"""``$filter`` over definitions: comparisons by eq and ne, joined by and, or, not (Dataverse page 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from odata_query import ast

from annex_d365_sandbox.dataverse import errors, syntax

Predicate = Callable[[Mapping[str, Any]], bool]
_Term = Callable[[Mapping[str, Any]], Any]

#: ``AttributeTypeCode'Picklist'``: an enumeration's value, which the filter grammar takes for a name and a text.
_ENUM = re.compile(r"Microsoft\.Dynamics\.CRM\.\w+('[^']*')")


def predicate(text: str) -> Predicate | None:
    """The test that a filter stands for; ``None`` if there is no filter.

    Raises:
        DataverseError: the text is no filter; the test raises it for a property that a definition has not.
    """
    if not text.strip():
        return None
    term = _term(syntax.parse(_ENUM.sub(r"\1", text), {}))
    return lambda body: bool(term(body))


def _term(node: Any) -> _Term:
    if isinstance(node, ast.BoolOp):
        left, right = _term(node.left), _term(node.right)
        if isinstance(node.op, ast.And):
            return lambda body: left(body) and right(body)
        return lambda body: left(body) or right(body)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _term(node.operand)
        return lambda body: not inner(body)
    if isinstance(node, ast.Compare) and isinstance(node.comparator, (ast.Eq, ast.NotEq)):
        left, right, equal = _operand(node.left), _operand(node.right), isinstance(node.comparator, ast.Eq)
        return lambda body: (left(body) == right(body)) == equal
    return _operand(node)


def _operand(node: Any) -> _Term:
    if isinstance(node, ast.Attribute):  # a managed property: CanCreateAttributes/Value
        owner, member = _operand(node.owner), node.attr
        return lambda body: (owner(body) or {}).get(member)
    name = syntax.name_of(node)
    if name is not None:
        return lambda body: _property(body, name)
    if isinstance(node, ast.GUID):
        value: Any = node.val.lower()
    elif isinstance(node, (ast.String, ast.Integer, ast.Boolean, ast.Null)):
        value = node.py_val
    else:
        raise errors.bad_query("The sandbox knows only eq, ne, and, or, not in $filter of metadata.")
    return lambda _: value


def _property(body: Mapping[str, Any], name: str) -> Any:
    if name not in body:
        raise errors.bad_query(f"Could not find a property named '{name}' on the metadata type.")
    return body[name]
