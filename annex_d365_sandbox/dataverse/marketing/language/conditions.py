"""Conditions of the query language as SQL: each value has a type, and only equal types are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from annex_d365_sandbox.dataverse import schema, values
from annex_d365_sandbox.dataverse.marketing.language import tree
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.schema import Attribute, Table
from annex_d365_sandbox.dataverse.sql import Sql, joined

#: Types of values: a text counts without case, an id is compared as it is.
TEXT, ID, NUMBER, FLAG, MOMENT = "text", "id", "number", "truth value", "moment"
_TYPES: dict[schema.Kind, str] = {
    **dict.fromkeys((schema.STRING, schema.MEMO, schema.MULTISELECT, schema.ENTITY_NAME), TEXT),
    **dict.fromkeys((schema.LOOKUP, schema.CUSTOMER, schema.OWNER, schema.GUID), ID),
    **dict.fromkeys((schema.INTEGER, schema.BIGINT, schema.DECIMAL, schema.MONEY, schema.DOUBLE), NUMBER),
    **dict.fromkeys((schema.PICKLIST, schema.STATE, schema.STATUS), NUMBER),
    schema.BOOLEAN: FLAG,
    schema.DATETIME: MOMENT,
    schema.DATE: MOMENT,
}
_OPERATORS = {"==": "=", "!=": "<>"}


@dataclass(frozen=True)
class Typed:
    """A piece of SQL and the type of its value; ``literal`` where the query says it itself."""

    sql: Sql
    type: str
    literal: str | None = None


@dataclass(frozen=True)
class Scope:
    """What names mean behind a profile.

    Attributes:
        tables: tables by SQL alias.
        aliases: SQL aliases by the query's own.
        current: the SQL alias of the profile that the filter stands behind.
        now: the moment of the evaluation.
    """

    tables: Mapping[str, Table]
    aliases: Mapping[str, str]
    current: str
    now: datetime

    def condition(self, node: tree.Condition) -> Sql:
        """A condition as SQL; what compares with a null holds no more than its negation (assumed).

        Raises:
            QueryError: a name that is not there, or types that do not fit.
        """
        if isinstance(node, tree.Junction):
            return joined("AND" if node.operator == "&&" else "OR", [self.condition(each) for each in node.of])
        if isinstance(node, tree.Not):
            inner = self.condition(node.of)
            return Sql(f"(NOT {inner.text})", inner.parameters)
        if isinstance(node, tree.NullTest):
            return Sql(f"({self._place(node.column)[0]} IS {'NOT ' if node.negated else ''}NULL)")
        if isinstance(node, tree.TextTest):
            return self._text_test(node)
        return self._comparison(node)

    def _place(self, column: tree.Column) -> tuple[str, Attribute]:
        alias = self.current if column.alias is None else self.aliases.get(column.alias)
        if alias is None:
            raise QueryError(f"There is no profile with the alias '{column.alias}'.")
        table = self.tables[alias]
        attribute = table.by_name.get(column.name)
        if attribute is None:
            raise QueryError(f"The profile '{table.logical_name}' has no attribute '{column.name}'.")
        return f"{alias}.{attribute.name}", attribute

    def _comparison(self, node: tree.Comparison) -> Sql:
        left, right = self._value(node.left), self._value(node.right)
        left, right = _fitted(left, right.type), _fitted(right, left.type)
        if left.type != right.type:
            raise QueryError(f"A {left.type} cannot be compared with a {right.type}.")
        shape = "d365_fold({})" if left.type == TEXT else "{}"
        sides = [shape.format(side.sql.text) for side in (left, right)]
        operator = _OPERATORS.get(node.operator, node.operator)
        return Sql(f"({sides[0]} {operator} {sides[1]})", left.sql.parameters + right.sql.parameters)

    def _text_test(self, node: tree.TextTest) -> Sql:
        column, attribute = self._place(node.column)
        if _TYPES.get(attribute.kind) != TEXT:
            raise QueryError(f"{node.operator} needs a text, which '{attribute.name}' is not.")
        sought = node.text.lower()
        if not sought:
            return Sql(f"({column} IS NOT NULL)")
        if node.operator == "ENDSWITH":
            return Sql(f"(substr(d365_fold({column}), ?) = ?)", (-len(sought), sought))
        found = {"CONTAINS": "> 0", "STARTSWITH": "= 1"}[node.operator]
        return Sql(f"(instr(d365_fold({column}), ?) {found})", (sought,))

    def _value(self, node: tree.Value) -> Typed:
        return _READERS[type(node)](self, node)

    def _constant(self, node: tree.Constant) -> Typed:
        if isinstance(node.value, str):
            return Typed(Sql("?", (node.value,)), TEXT, node.value)
        if isinstance(node.value, bool):
            return Typed(Sql("?", (int(node.value),)), FLAG)
        value = float(node.value) if isinstance(node.value, Decimal) or abs(node.value) >= 2**63 else node.value
        return Typed(Sql("?", (value,)), NUMBER)

    def _column(self, node: tree.Column) -> Typed:
        text, attribute = self._place(node)
        if attribute.kind not in _TYPES:
            raise QueryError(f"The attribute '{attribute.name}' cannot be compared.")
        if attribute.kind in schema.SCALED:
            text = f"({text} / 1e{attribute.precision})"
        elif attribute.kind is schema.DATE:
            text = f"({text} || 'T00:00:00')"
        return Typed(Sql(text), _TYPES[attribute.kind])

    def _arithmetic(self, node: tree.Arithmetic) -> Typed:
        left, right = self._typed(node.left, NUMBER), self._typed(node.right, NUMBER)
        return Typed(
            Sql(f"({left.text} * 1.0 {node.operator} {right.text})", left.parameters + right.parameters), NUMBER
        )

    def _date_diff(self, node: tree.DateDiff) -> Typed:
        start, end = self._typed(node.start, MOMENT), self._typed(node.end, MOMENT)
        text = f"d365_date_difference('{node.part}', {start.text}, {end.text})"
        return Typed(Sql(text, start.parameters + end.parameters), NUMBER)

    def _date_add(self, node: tree.DateAdd) -> Typed:
        number, at = self._typed(node.number, NUMBER), self._typed(node.moment, MOMENT)
        text = f"d365_date_later('{node.part}', {number.text}, {at.text})"
        return Typed(Sql(text, number.parameters + at.parameters), MOMENT)

    def _date(self, node: tree.Date) -> Typed:
        parts = [self._typed(part, NUMBER) for part in node.parts]
        text = f"d365_date({', '.join(part.text for part in parts)})"
        return Typed(Sql(text, tuple(p for part in parts for p in part.parameters)), MOMENT)

    def _now(self, _node: tree.Now) -> Typed:
        minute = self.now.replace(second=0, microsecond=0)  # minute precision (Dataverse page 8.5)
        return Typed(Sql("?", (values.stamp(minute),)), MOMENT)

    def _typed(self, node: tree.Value, wanted: str) -> Sql:
        found = _fitted(self._value(node), wanted)
        if found.type != wanted:
            raise QueryError(f"A {found.type} stands where a {wanted} was expected.")
        return found.sql


_READERS: dict[type, Callable[[Scope, Any], Typed]] = {
    tree.Constant: Scope._constant,  # noqa: SLF001 - a table of the class's own methods
    tree.Column: Scope._column,  # noqa: SLF001
    tree.Arithmetic: Scope._arithmetic,  # noqa: SLF001
    tree.DateDiff: Scope._date_diff,  # noqa: SLF001
    tree.DateAdd: Scope._date_add,  # noqa: SLF001
    tree.Date: Scope._date,  # noqa: SLF001
    tree.Now: Scope._now,  # noqa: SLF001
}


def _fitted(value: Typed, other: str) -> Typed:
    """A text of the query read as what it is compared with: an id or a moment. Raises ``QueryError``."""
    if value.literal is None or other not in (ID, MOMENT):
        return value
    if other == ID:
        return Typed(Sql("?", (value.literal.lower(),)), ID)
    try:
        return Typed(Sql("?", (values.moment(value.literal),)), MOMENT)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"'{value.literal}' is no date.") from error
