"""Query functions ``Microsoft.Dynamics.CRM.*`` (Dataverse page 2.2): those that clients of contacts use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from odata_query import ast

from annex_d365_sandbox.dataverse import errors, literals, matching, schema, values
from annex_d365_sandbox.dataverse.schema import Attribute
from annex_d365_sandbox.dataverse.sql import Sql

NAMESPACE = "Microsoft.Dynamics.CRM."


class Functions:
    """Conditions of the functions, relative to a moment and a user."""

    def __init__(self, now: datetime, user_id: str) -> None:
        self._now, self._user_id = now, user_id
        self._known: dict[str, Callable[[Attribute, list[str]], Sql]] = {
            "In": _in,
            "NotIn": lambda a, v: _negated(_in(a, v)),
            "Between": _between,
            "NotBetween": lambda a, v: _negated(_between(a, v)),
            "ContainValues": _contain,
            "DoesNotContainValues": lambda a, v: _negated(_contain(a, v)),
            "On": _on,
            "OnOrAfter": lambda a, v: Sql(f"(t.{a.name} >= ?)", (_day(a, v),)),
            "OnOrBefore": lambda a, v: Sql(f"(t.{a.name} < ?)", (_next_day(a, v),)),
            "LastXDays": self._last_days,
            "LastXHours": self._last_hours,
            "EqualUserId": lambda a, _: Sql(f"(t.{a.name} IS ?)", (self._user_id,)),
            "NotEqualUserId": lambda a, _: Sql(f"(t.{a.name} IS NOT ?)", (self._user_id,)),
        }

    def compile(self, name: str, attribute: Attribute, arguments: Sequence[Any]) -> Sql:
        """The condition of one call; its arguments after ``PropertyName`` are syntax nodes. Raises DataverseError."""
        if name not in self._known:
            raise errors.bad_query(f"The query function {NAMESPACE}{name} is not one of those that the sandbox knows.")
        nodes: list[Any] = [n for a in arguments for n in (a.val if isinstance(a, ast.List) else [a])]
        found = [str(node.val) for node in nodes if literals.is_literal(node)]
        try:
            return self._known[name](attribute, found)
        except (IndexError, ValueError) as error:
            raise errors.bad_query(f"The arguments of {NAMESPACE}{name} are invalid.") from error

    def _last_days(self, attribute: Attribute, given: list[str]) -> Sql:
        start = (self._now - timedelta(days=int(given[0]))).replace(hour=0, minute=0, second=0)
        return _window(attribute, start, self._now)

    def _last_hours(self, attribute: Attribute, given: list[str]) -> Sql:
        start = (self._now - timedelta(hours=int(given[0]))).replace(minute=0, second=0)
        return _window(attribute, start, self._now)


def _negated(inner: Sql) -> Sql:
    return Sql(f"(NOT {inner.text})", inner.parameters)


def _in(attribute: Attribute, given: list[str]) -> Sql:
    """One of the values. A null is none of them, which ``NOT`` must see; ``ifnull`` would keep SQLite off the index."""
    column = f"t.{attribute.name}"
    if attribute.kind not in schema.TEXTS:
        held = tuple(literals.convert(attribute, text) for text in given)
        return Sql(f"({column} IS NOT NULL AND {column} IN ({_marks(held)}))", held)
    # Either comparison has its index (see ``layout``).
    plain = tuple(text for text in given if text.isascii())
    others = tuple(matching.fold(text) for text in given if not text.isascii())
    tests = [f"{column} COLLATE NOCASE IN ({_marks(plain)})"] if plain or not others else []
    tests += [f"d365_fold({column}) IN ({_marks(others)})"] if others else []
    return Sql(f"({column} IS NOT NULL AND ({' OR '.join(tests)}))", (*plain, *others))


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _between(attribute: Attribute, given: list[str]) -> Sql:
    low, high = given
    held = (literals.convert(attribute, low), literals.convert(attribute, high))
    collation = " COLLATE NOCASE" if attribute.kind in schema.TEXTS else ""
    return Sql(f"(t.{attribute.name}{collation} BETWEEN ? AND ?)", held)


def _contain(attribute: Attribute, given: list[str]) -> Sql:
    if attribute.kind is not schema.MULTISELECT:
        raise errors.bad_query("The condition operator ContainValues is for multi-select choice columns.")
    tests = " OR ".join(f"',' || t.{attribute.name} || ',' LIKE ?" for _ in given)
    return Sql(f"(ifnull({tests or '0'}, 0))", tuple(f"%,{int(value)},%" for value in given))


def _day(attribute: Attribute, given: list[str]) -> str:
    return _shape(attribute, datetime.fromisoformat(values.moment(given[0])[:10]))


def _next_day(attribute: Attribute, given: list[str]) -> str:
    return _shape(attribute, datetime.fromisoformat(values.moment(given[0])[:10]) + timedelta(days=1))


def _on(attribute: Attribute, given: list[str]) -> Sql:
    return Sql(
        f"(t.{attribute.name} >= ? AND t.{attribute.name} < ?)", (_day(attribute, given), _next_day(attribute, given))
    )


def _window(attribute: Attribute, start: datetime, end: datetime) -> Sql:
    return Sql(
        f"(t.{attribute.name} >= ? AND t.{attribute.name} <= ?)", (_shape(attribute, start), _shape(attribute, end))
    )


def _shape(attribute: Attribute, at: datetime) -> str:
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    return text[:10] if attribute.kind is schema.DATE else text
