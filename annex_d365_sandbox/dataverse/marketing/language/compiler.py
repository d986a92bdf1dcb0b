"""Queries as SQL that finds the ids of their members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from annex_d365_sandbox.dataverse.marketing.language import tree
from annex_d365_sandbox.dataverse.marketing.language.conditions import Scope
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError
from annex_d365_sandbox.dataverse.schema import Table
from annex_d365_sandbox.dataverse.sql import Sql, joined


@dataclass(frozen=True)
class Found:
    """A ``SELECT`` of one column ``id``, without doubles, and the table whose ids they are."""

    sql: Sql
    table: Table


@dataclass(frozen=True)
class Compiler:
    """Compiles queries of one organisation at one moment.

    Attributes:
        tables: the organisation's tables by logical name.
        segment: members of a segment by its name; raises ``QueryError`` if there is none.
        now: what ``DATETIMEUTCNOW()`` is.
    """

    tables: Mapping[str, Table]
    segment: Callable[[str], Found]
    now: datetime

    def members(self, node: tree.Members) -> Found:
        """The members of a query. Raises ``QueryError`` for a name that is not there or types that do not fit."""
        if isinstance(node, tree.Segment):
            return self.segment(node.name)
        if isinstance(node, tree.Profile):
            return self._profile(node)
        left, right = self.members(node.left), self.members(node.right)
        if left.table is not right.table:
            raise QueryError(f"Both sides of {node.operator} must have the same target profile.")
        # SQLite joins sets from left to right, as the language does; only the right side needs brackets.
        text = f"{left.sql.text} {node.operator} SELECT id FROM ({right.sql.text})"
        return Found(Sql(text, left.sql.parameters + right.sql.parameters), left.table)

    def _profile(self, node: tree.Profile) -> Found:
        tables: dict[str, Table] = {}
        aliases: dict[str, str] = {}
        joins: list[str] = []
        conditions: list[Sql] = []
        for number, step in enumerate((node.start, *node.traversals)):
            alias = f"p{number}"
            if number:
                tables[alias], on = self._related(tables[f"p{number - 1}"], step.name, f"p{number - 1}", alias)
                joins.append(f" JOIN {tables[alias].logical_name} {alias} ON {on}")
            else:
                tables[alias] = self._table(step.name)
            if step.alias:
                aliases[step.alias] = alias
            scope = Scope(tables, aliases, alias, self.now)
            conditions += [scope.condition(condition) for condition in step.filters]
        last = f"p{len(node.traversals)}"
        where = joined("AND", conditions) if conditions else Sql("1")
        text = (
            f"SELECT {'DISTINCT ' if joins else ''}{last}.{tables[last].primary_id} AS id"
            f" FROM {tables['p0'].logical_name} p0{''.join(joins)} WHERE {where.text}"
        )
        return Found(Sql(text, where.parameters), tables[last])

    def _table(self, name: str) -> Table:
        if name not in self.tables:
            raise QueryError(f"There is no profile '{name}'.")
        return self.tables[name]

    def _related(self, here: Table, relation: str, alias: str, other: str) -> tuple[Table, str]:
        """The table at the other end of a relation, and the condition that joins both.

        A relation is named by its two tables and the lookup, as in ``contact_account_parentcustomerid``, in either
        order, and leads both ways (assumed from the examples of Dataverse page 8.5).
        """
        for there in self.tables.values():
            for referencing, referenced, forth in ((there, here, False), (here, there, True)):
                for navigation in referencing.navigations.values():
                    names = (referencing.logical_name, referenced.logical_name)
                    known = {f"{a}_{b}_{navigation.attribute}" for a, b in (names, names[::-1])}
                    if navigation.table != referenced.logical_name or relation not in known:
                        continue
                    many, one = (alias, other) if forth else (other, alias)
                    on = f"{many}.{navigation.attribute} = {one}.{referenced.primary_id}"
                    target = referencing.by_name[navigation.attribute].target_column
                    return there, f"{on} AND {many}.{target} = '{referenced.logical_name}'" if target else on
        raise QueryError(f"No relation '{relation}' leads from the profile '{here.logical_name}'.")
