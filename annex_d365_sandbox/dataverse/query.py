"""Query options of a request: what they may be (Dataverse page 2.2) and what they mean for a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from annex_d365_sandbox.dataverse import errors, schema, syntax
from annex_d365_sandbox.dataverse.filters import FilterCompiler
from annex_d365_sandbox.dataverse.schema import Attribute, Navigation, Table
from annex_d365_sandbox.dataverse.sql import Sql, path

KNOWN = frozenset(
    {"$select", "$expand", "$orderby", "$filter", "$top", "$count", "$skiptoken", "$deltatoken", "$apply"}
)
#: Real, but not in the sandbox yet.
MISSING = frozenset({"fetchXml", "savedQuery", "userQuery"})
MAX_EXPANDS = 15


@dataclass(frozen=True)
class Order:
    """One order column: how to compute it, which way it goes, what the paging cookie calls it."""

    sql: str
    attribute: Attribute
    name: str
    descending: bool = False
    #: The SQL function whose result is compared, where the values themselves are not.
    ranked_by: str = ""

    def compared(self, operand: str) -> str:
        """What is compared of the column or of a value: text without its case."""
        if self.ranked_by:
            return f"{self.ranked_by}({operand})"
        return f"{operand} COLLATE NOCASE" if self.attribute.kind in schema.TEXTS else operand


@dataclass(frozen=True)
class Expand:
    """A lookup whose row comes along."""

    navigation: Navigation
    table: Table
    select: tuple[Attribute, ...]


@dataclass(frozen=True)
class Query:
    """The options of one request."""

    table: Table
    select: tuple[Attribute, ...]
    #: ``$select`` as it stands in the context URL; empty if there was none.
    selected: tuple[str, ...] = ()
    where: Sql | None = None
    order: tuple[Order, ...] = ()
    expand: tuple[Expand, ...] = ()
    top: int | None = None
    count: bool = False
    skiptoken: str | None = None
    deltatoken: str | None = None
    #: ``$apply``, which stands alone.
    apply: str | None = None


def options(query: str) -> tuple[dict[str, str], dict[str, str]]:
    """The system query options and the parameter aliases of a query string. Raises ``DataverseError``."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name in given:
        if name in MISSING:
            raise errors.DataverseError(501, "0x80060888", f"The sandbox does not know the query option {name} yet.")
        if name.startswith("$") and name not in KNOWN:
            raise errors.bad_query(f"The query parameter {name} is not supported.")
    return (
        {name: value for name, value in given.items() if name in KNOWN},
        {name: value for name, value in given.items() if name.startswith("@")},
    )


def build(table: Table, tables: Mapping[str, Table], query: str, *, now: datetime, user_id: str) -> Query:
    """What a query string means for a table. Raises ``DataverseError``."""
    given, aliases = options(query)
    if "$apply" in given and len(given) > 1:
        raise errors.bad_query("The sandbox knows no query option beside $apply.")
    names = tuple(split(given.get("$select", "")))
    compiler = FilterCompiler(table, tables, now, user_id)
    return Query(
        table=table,
        select=selection(table, names),
        selected=names,
        where=compiler.compile(given["$filter"], aliases) if given.get("$filter", "").strip() else None,
        order=tuple(_orders(syntax.with_aliases(given.get("$orderby", ""), aliases), table, tables)),
        expand=tuple(_expands(given.get("$expand", ""), table, tables)),
        top=_top(given["$top"]) if "$top" in given else None,
        count=_boolean(given.get("$count", "false")),
        skiptoken=given.get("$skiptoken"),
        deltatoken=given.get("$deltatoken"),
        apply=given.get("$apply"),
    )


def selection(table: Table, names: tuple[str, ...]) -> tuple[Attribute, ...]:
    """The columns to return; the primary key always, a currency beside money (Dataverse page 2.2)."""
    for name in names:
        if name not in table.by_property:
            raise errors.unknown_property(name, table)
    if not names:
        return tuple(table.by_property.values())
    wanted = dict.fromkeys(names)
    chosen = [table.by_property[name] for name in wanted]
    if any(a.kind is schema.MONEY for a in chosen):
        wanted.setdefault("_transactioncurrencyid_value")
    wanted.setdefault(table.primary_id)
    return tuple(table.by_property[name] for name in wanted)


def split(text: str, separator: str = ",") -> Iterator[str]:
    """Parts of a list, without looking into parentheses and quoted text."""
    depth, start, quoted = 0, 0, False
    for at, char in enumerate(text + separator):
        quoted ^= char == "'"
        depth += 0 if quoted else (char == "(") - (char == ")")
        if char == separator and depth <= 0 and not quoted:
            if part := text[start:at].strip():
                yield part
            start = at + 1


def _orders(text: str, table: Table, tables: Mapping[str, Table]) -> Iterator[Order]:
    for part in split(text):
        match = re.fullmatch(r"([\w/]+)(?:\s+(asc|desc))?", part)
        if not match:
            raise errors.bad_query(f"Syntax error at position 0 in '{part}'.")
        name, descending = match[1], match[2] == "desc"
        navigation, _, column = name.partition("/")
        if column:
            end = path(navigation, table, tables)
            yield Order(
                end.column(column).text, end.attribute(column), f"{end.navigation.attribute}.{column}", descending
            )
            continue
        if name not in table.by_property:
            raise errors.unknown_property(name, table)
        yield _order(table.by_property[name], table, tables, descending=descending)


def _order(attribute: Attribute, table: Table, tables: Mapping[str, Table], *, descending: bool) -> Order:
    """A lookup sorts by the primary name of its row, all else by its value."""
    ends = [path(n.name, table, tables) for n in attribute.navigations if n.table in tables]
    if not ends:
        return Order(f"t.{attribute.name}", attribute, attribute.name, descending)
    names = [end.column(end.table.primary_name).text for end in ends]
    sql = f"coalesce({','.join(names)})" if len(names) > 1 else names[0]
    return Order(sql, ends[0].attribute(ends[0].table.primary_name), f"{attribute.name}name", descending)


def _expands(text: str, table: Table, tables: Mapping[str, Table]) -> Iterator[Expand]:
    parts = list(split(text))
    if len(parts) > MAX_EXPANDS:
        raise errors.bad_query(f"The query has more than {MAX_EXPANDS} $expand options.")
    for part in parts:
        match = re.fullmatch(r"(\w+)(?:\((.*)\))?", part, re.DOTALL)
        if not match:
            raise errors.bad_query(f"Syntax error at position 0 in '{part}'.")
        end = path(match[1], table, tables)
        select: tuple[str, ...] = ()
        for option in split(match[2] or "", ";"):
            name, _, value = option.partition("=")
            if name.strip() != "$select":
                raise errors.bad_query(f"The sandbox knows only $select within $expand, not {name.strip()}.")
            select = tuple(split(value))
        yield Expand(end.navigation, end.table, selection(end.table, select))


def _top(text: str) -> int:
    if not text.isdecimal():
        raise errors.bad_query(
            f"Invalid value '{text}' for $top query option found. The $top query option requires a non-negative integer"
            " value."
        )
    return int(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise errors.bad_query(f"Invalid value '{text}' for $count query option found.")
    return text == "true"
