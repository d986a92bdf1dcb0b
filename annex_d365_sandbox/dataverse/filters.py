"""``$filter`` to SQL (Dataverse page 2.2).

Null rows: ``ne`` finds them, as does ``not contains(...)``; ``gt`` and the like do not. The page is silent on it; this
is OData's rule and what SQL of the platform is known to do (ASSUMPTION).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from odata_query import ast

from annex_d365_sandbox.dataverse import errors, functions, literals, schema, syntax
from annex_d365_sandbox.dataverse.schema import Attribute, Table
from annex_d365_sandbox.dataverse.sql import Sql, joined, path

#: How deep conditions may lie in one another (the figure is made up); SQLite takes 1,000 levels, Python no more.
_MOST_LEVELS = 150


@dataclass(frozen=True)
class Column:
    """A column of the row, or of a row that it points to."""

    sql: str
    attribute: Attribute


class FilterCompiler:
    """Turns syntax trees over one table into conditions on its alias ``t``."""

    def __init__(self, table: Table, tables: Mapping[str, Table], now: datetime, user_id: str) -> None:
        self._table, self._tables = table, tables
        self._functions = functions.Functions(now, user_id)
        self._level = 0
        self._visitors: dict[type, Callable[[Any], Sql]] = {
            ast.BoolOp: self._bool_op,
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare,
            ast.Call: self._call,
            ast.Identifier: self._flag,
            ast.Attribute: self._flag,
        }

    def compile(self, text: str, aliases: Mapping[str, str]) -> Sql:
        """The condition for the value of ``$filter``. Raises ``DataverseError``."""
        self._level = 0
        return self._visit(syntax.parse(text, aliases))

    def _visit(self, node: Any) -> Sql:
        visitor = self._visitors.get(type(node))
        if visitor is None:
            raise errors.bad_query("The $filter expression must evaluate to a single boolean value.")
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise errors.bad_query("The recursion limit of the $filter expression has been exceeded.")
        found = visitor(node)
        self._level -= 1
        return found

    def _bool_op(self, node: ast.BoolOp) -> Sql:
        # A list of ids is a chain of hundreds, deep on the left.
        chain: list[Any] = []
        left: Any = node
        while isinstance(left, ast.BoolOp) and type(left.op) is type(node.op):
            chain.append(left.right)
            left = left.left
        conditions = [self._visit(each) for each in (left, *reversed(chain))]
        return joined("AND" if isinstance(node.op, ast.And) else "OR", conditions)

    def _unary(self, node: ast.UnaryOp) -> Sql:
        if not isinstance(node.op, ast.Not):
            raise errors.bad_query("The $filter expression must evaluate to a single boolean value.")
        inner = self._visit(node.operand)
        return Sql(f"(NOT {inner.text})", inner.parameters)

    def _flag(self, node: Any) -> Sql:
        column = self._column(node)
        if column.attribute.kind is not schema.BOOLEAN:
            raise errors.bad_query("The $filter expression must evaluate to a single boolean value.")
        return Sql(f"({column.sql} IS 1)")

    def _column(self, node: Any) -> Column:
        if isinstance(node, ast.Attribute) and (name := syntax.name_of(node.owner)):
            target = path(name, self._table, self._tables)
            return Column(target.column(node.attr).text, target.attribute(node.attr))
        name = syntax.name_of(node)
        if name is None:
            raise errors.bad_query("Only columns and paths over one lookup can be compared.")
        attribute = self._table.by_property.get(name)
        if attribute is None:
            raise errors.unknown_property(name, self._table)
        return Column(f"t.{attribute.name}", attribute)

    def _compare(self, node: ast.Compare) -> Sql:
        operator = type(node.comparator)
        if operator not in literals.OPERATORS:
            raise errors.bad_query("The operator 'in' is not supported.")
        if isinstance(node.left, (ast.Call, ast.BoolOp)) and isinstance(node.right, ast.Boolean):
            return self._compare_condition(node.left, operator, node.right)
        if isinstance(node.left, ast.Null) or literals.is_literal(node.left):
            return self._compare_values(node.right, _MIRRORED[operator], node.left)
        return self._compare_values(node.left, operator, node.right)

    def _compare_condition(self, condition: Any, operator: type, literal: ast.Boolean) -> Sql:
        inner = self._visit(condition)
        if operator not in (ast.Eq, ast.NotEq):
            raise literals.mismatch("Edm.Boolean", "Edm.Boolean", operator)
        wanted = literal.py_val == (operator is ast.Eq)
        return inner if wanted else Sql(f"(NOT {inner.text})", inner.parameters)

    def _compare_values(self, left: Any, operator: type, right: Any) -> Sql:
        column, sign = self._column(left), literals.OPERATORS[operator][0]
        if isinstance(right, ast.Null):
            # Nothing is greater or less than null.
            return Sql(f"({column.sql} {sign} NULL)" if sign.startswith("IS") else "(0)")
        if not literals.is_literal(right):
            return self._compare_columns(column, operator, self._column(right))
        value = literals.held(column.attribute, right, operator)
        if column.attribute.kind in schema.TEXTS:
            return text_comparison(column.sql, sign, value)
        return Sql(f"({column.sql} {sign} ?)", (value,))

    def _compare_columns(self, left: Column, operator: type, right: Column) -> Sql:
        sign = literals.OPERATORS[operator][0]
        if left.attribute.kind.edm != right.attribute.kind.edm:
            raise literals.mismatch(left.attribute.kind.edm, right.attribute.kind.edm, operator)
        if left.attribute.kind in schema.TEXTS:
            return Sql(f"(d365_fold({left.sql}) {sign} d365_fold({right.sql}))")
        if left.attribute.kind in schema.SCALED:
            power = 10 ** abs(left.attribute.precision - right.attribute.precision)
            less_precise_left = left.attribute.precision < right.attribute.precision
            a, b = (f"{left.sql} * {power}", right.sql) if less_precise_left else (left.sql, f"{right.sql} * {power}")
            return Sql(f"({a} {sign} {b})")
        return Sql(f"({left.sql} {sign} {right.sql})")

    def _call(self, node: ast.Call) -> Sql:
        name = ".".join((*node.func.namespace, node.func.name))
        if name.startswith(functions.NAMESPACE):
            property_name = str(getattr(node.args[0], "val", ""))
            attribute = self._table.by_property.get(property_name) or self._table.by_name.get(property_name)
            if attribute is None:
                raise errors.unknown_property(property_name, self._table)
            return self._functions.compile(name.removeprefix(functions.NAMESPACE), attribute, node.args[1:])
        if name not in _LIKE:
            raise errors.bad_query(f"An unknown function with name '{name}' was found.")
        column, pattern = self._column(node.args[0]), node.args[1]
        if not isinstance(pattern, ast.String) or column.attribute.kind.edm != "Edm.String":
            raise errors.bad_query(f"No function signature for the function with name '{name}' matches the arguments.")
        before, after = _LIKE[name]
        if not pattern.val.isascii() or set(pattern.val) & set("%_[]"):
            return Sql(f"(d365_like(?, {column.sql}) = 1)", (f"{before}{pattern.val}{after}",))
        return Sql(f"(ifnull({column.sql} LIKE ?, 0))", (f"{before}{pattern.val}{after}",))


_LIKE = {"contains": ("%", "%"), "startswith": ("", "%"), "endswith": ("%", "")}
_MIRRORED: dict[type, type] = {
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
}


def text_comparison(column: str, sign: str, value: str) -> Sql:
    """Compare text without case; SQLite's NOCASE, which has indexes, does where the value is ASCII."""
    if value.isascii():
        return Sql(f"({column} {sign} ? COLLATE NOCASE)", (value,))
    return Sql(f"(d365_fold({column}) {sign} d365_fold(?))", (value,))
