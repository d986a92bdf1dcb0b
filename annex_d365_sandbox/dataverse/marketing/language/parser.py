"""Texts of the segment query language as trees (Dataverse page 8.5)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast, get_args

from annex_d365_sandbox.dataverse.marketing.language import tree
from annex_d365_sandbox.dataverse.marketing.language.tokens import Tokens, unquoted
from annex_d365_sandbox.dataverse.marketing.language.tree import QueryError

_MOST_LEVELS, _MOST_SETS = 40, 200
_COMPARISONS = ("==", "!=", ">=", "<=", ">", "<")
_TEXT_TESTS = ("CONTAINS", "STARTSWITH", "ENDSWITH")
#: The text has ``MINUS`` once, the grammar ``EXCEPT``.
_SETS = {"UNION": "UNION", "INTERSECT": "INTERSECT", "EXCEPT": "EXCEPT", "MINUS": "EXCEPT"}
_DATE_PARTS = (3, 7)


def members(text: str, *, any_case: bool = True) -> tree.Members:
    """A segment's query; keywords in any case or in capitals only. Raises ``QueryError``."""
    parser = _Parser(text, any_case=any_case)
    result = parser.members()
    parser.end()
    return result


def listing(text: str, *, any_case: bool = True) -> tree.Listing:
    """Members with ``ORDERBY``, ``SKIP``, ``TAKE`` and ``SELECT``, each at most once. Raises ``QueryError``."""
    parser = _Parser(text, any_case=any_case)
    result = parser.listing()
    parser.end()
    return result


class _Parser:
    """Recursive descent; an expression is read as one and its types are looked at afterwards."""

    def __init__(self, text: str, *, any_case: bool) -> None:
        self._tokens = Tokens(text, any_case=any_case)
        self._level = 0

    def end(self) -> None:
        if self._tokens.next.kind != "end":
            raise self._tokens.error("the end")

    def listing(self) -> tree.Listing:
        of = self.members()
        facts: dict[str, Any] = {}
        readers: dict[str, Callable[[], Any]] = {
            "ORDERBY": lambda: self._many(self._order),
            "SKIP": self._tokens.whole,
            "TAKE": self._tokens.whole,
            "SELECT": lambda: self._many(lambda: self._column().name),
        }
        while self._tokens.took("."):
            option = self._tokens.took(*readers)
            if not option or option in facts:
                raise self._tokens.error("each of ORDERBY, SKIP, TAKE, SELECT once")
            facts[option] = self._in_brackets(readers[option])
        return tree.Listing(of, facts.get("ORDERBY", ()), facts.get("SKIP"), facts.get("TAKE"), facts.get("SELECT", ()))

    def members(self) -> tree.Members:
        result = self._operand()
        length = 0
        while operator := self._tokens.took(*_SETS):
            length += 1
            if length > _MOST_SETS:
                raise QueryError("The query joins too many segments.")
            result = tree.SetOperation(_SETS[operator], result, self._operand())
        return result

    def _operand(self) -> tree.Members:
        if self._tokens.sees("("):
            return cast("tree.Members", self._deeper(lambda: self._in_brackets(self.members)))
        if self._tokens.took("SEGMENT"):
            return tree.Segment(self._in_brackets(self._segment_name))
        if self._tokens.sees("INTERACTION"):
            raise QueryError("INTERACTION needs data of events, which the sandbox has not.")
        self._tokens.need("PROFILE")
        start = self._filtered(*self._in_brackets(self._named))
        steps: list[tree.Step] = []
        while self._tokens.sees(".") and self._dotted("TRAVERSE"):
            steps.append(self._traversal())
        return tree.Profile(start, tuple(steps))

    def _dotted(self, keyword: str) -> bool:
        """Take ``.keyword``, or nothing."""
        mark = self._tokens.mark()
        if self._tokens.took(".") and self._tokens.took(keyword):
            return True
        self._tokens.back(mark)
        return False

    def _segment_name(self) -> str:
        return self._tokens.text() if self._tokens.next.kind == "text" else self._tokens.name()

    def _named(self) -> tuple[str, str | None]:
        name = self._tokens.name()
        return name, self._tokens.name() if self._tokens.took(",") else None

    def _traversal(self) -> tree.Step:
        self._tokens.need("(")
        name, alias = self._tokens.name(), None
        inner: tuple[tree.Condition, ...] = ()
        while self._tokens.took(","):
            if inner or (alias and not self._tokens.sees_call("FILTER")):
                raise self._tokens.error("')'")
            if self._tokens.sees_call("FILTER"):
                self._tokens.take()
                inner = (self._in_brackets(self._condition),)
            else:
                alias = self._tokens.name()
        self._tokens.need(")")
        step = self._filtered(name, alias)
        return tree.Step(name, alias, inner + step.filters)

    def _filtered(self, name: str, alias: str | None) -> tree.Step:
        filters: list[tree.Condition] = []
        while self._dotted("FILTER"):
            filters.append(self._in_brackets(self._condition))
        return tree.Step(name, alias, tuple(filters))

    def _order(self) -> tree.Order:
        name = self._column().name
        return tree.Order(name, descending=self._tokens.took("ASC", "DESC") == "DESC")

    # Expressions: || over && over comparisons over + - over * /

    def _condition(self) -> tree.Condition:
        return _as_condition(self._any())

    def _any(self) -> Any:
        return self._junction("||", ("||", "OR"), lambda: self._junction("&&", ("&&",), self._comparison))

    def _junction(self, operator: str, words: tuple[str, ...], inner: Callable[[], Any]) -> Any:
        parts = [inner()]
        while self._tokens.took(*words):
            parts.append(inner())
        return parts[0] if len(parts) == 1 else tree.Junction(operator, tuple(map(_as_condition, parts)))

    def _comparison(self) -> Any:
        left = self._sum()
        if operator := self._tokens.took(*_COMPARISONS):
            return tree.Comparison(operator, _as_value(left), _as_value(self._sum()))
        if operator := self._tokens.took(*_TEXT_TESTS):
            if not isinstance(left, tree.Column):
                raise QueryError(f"{operator} needs a column on its left.")
            return tree.TextTest(operator, left, self._tokens.text())
        return left

    def _sum(self) -> Any:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._primary))

    def _chain(self, operators: tuple[str, ...], inner: Callable[[], Any]) -> Any:
        result = inner()
        length = 0
        while operator := self._tokens.took(*operators):
            length += 1
            if length > _MOST_LEVELS:  # each link is one level of the tree
                raise QueryError("The query is nested too deeply.")
            result = tree.Arithmetic(operator, _as_value(result), _as_value(inner()))
        return result

    def _primary(self) -> Any:
        kind = self._tokens.next.kind
        if kind == "text":
            return tree.Constant(unquoted(self._tokens.take().value))
        if kind == "number" or self._tokens.sees("-"):
            return tree.Constant(self._number())
        if self._tokens.sees("("):
            return self._deeper(lambda: self._in_brackets(self._any))
        if function := self._tokens.sees_call(*_FUNCTIONS):
            self._tokens.take()
            return self._deeper(lambda: self._in_brackets(lambda: _FUNCTIONS[function](self)))
        if word := self._tokens.took("TRUE", "FALSE"):
            return tree.Constant(word == "TRUE")
        return self._column()

    def _number(self) -> int | Decimal:
        sign = -1 if self._tokens.took("-") else 1
        if self._tokens.next.kind != "number":
            raise self._tokens.error("a number")
        text = self._tokens.take().value
        return sign * (Decimal(text) if "." in text else int(text))

    def _column(self) -> tree.Column:
        first = self._tokens.name()
        return tree.Column(self._tokens.name(), first) if self._tokens.took(".") else tree.Column(first)

    def _date_diff(self) -> tree.DateDiff:
        part, start, end = self._part(), self._argument(), self._argument()
        return tree.DateDiff(part, start, end)

    def _date_add(self) -> tree.DateAdd:
        part, number, moment = self._part(), self._argument(), self._argument()
        return tree.DateAdd(part, number, moment)

    def _date(self) -> tree.Date:
        parts = self._many(lambda: _as_value(self._sum()))
        if not _DATE_PARTS[0] <= len(parts) <= _DATE_PARTS[1]:
            raise QueryError("DATE has three to seven parts.")
        return tree.Date(parts)

    def _part(self) -> tree.Part:
        found = self._tokens.took(*get_args(tree.Part))
        if not found:
            raise self._tokens.error("a part of a date")
        return cast("tree.Part", found)

    def _argument(self) -> tree.Value:
        self._tokens.need(",")
        return _as_value(self._sum())

    # Helpers

    def _many(self, one: Callable[[], Any]) -> tuple[Any, ...]:
        result = [one()]
        while self._tokens.took(","):
            result.append(one())
        return tuple(result)

    def _in_brackets(self, inner: Callable[[], Any]) -> Any:
        self._tokens.need("(")
        result = inner()
        self._tokens.need(")")
        return result

    def _deeper(self, inner: Callable[[], Any]) -> Any:
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise QueryError("The query is nested too deeply.")
        result = inner()
        self._level -= 1
        return result


_FUNCTIONS: dict[str, Callable[[_Parser], Any]] = {
    "NOT": lambda parser: tree.Not(parser._condition()),  # noqa: SLF001 - a table of the class's own methods
    "ISNULL": lambda parser: tree.NullTest(parser._column()),  # noqa: SLF001
    "ISNOTNULL": lambda parser: tree.NullTest(parser._column(), negated=True),  # noqa: SLF001
    "DATEDIFF": _Parser._date_diff,  # noqa: SLF001
    "DATEADD": _Parser._date_add,  # noqa: SLF001
    "DATE": _Parser._date,  # noqa: SLF001
    "DATETIMEUTCNOW": lambda _: tree.Now(),
}


def _as_condition(node: Any) -> tree.Condition:
    if not isinstance(node, tree.CONDITIONS):
        raise QueryError("A value stands where a condition was expected.")
    return node


def _as_value(node: Any) -> tree.Value:
    if isinstance(node, tree.CONDITIONS):
        raise QueryError("A condition stands where a value was expected.")
    return cast("tree.Value", node)
